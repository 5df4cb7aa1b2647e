#include "cli/run_options.h"
#include "cli/run_runtime.h"

#include <errno.h>

#include "tests/support/unit.h"

#define WORDS_MAX 40

/* Splits "run -t a.py" and parses it into static storage. */
static int parse(const char *line, struct run_options *ret, struct err *err)
{
    static char text[512];
    static char *argv[WORDS_MAX];
    int argc = 0;
    snprintf(text, sizeof(text), "%s", line);
    for (char *save, *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        assert_true(argc < WORDS_MAX - 1);
        argv[argc++] = word;
    }
    argv[argc] = NULL;
    return run_options_parse(argc, argv, ret, err);
}

static void the_rest_is_the_programs(void **state)
{
    (void)state;
    static struct run_options o;
    struct err err = {0};
    assert_int_equal(parse("run --json a.py --json -t x", &o, &err), 0);
    assert_true(o.json);
    assert_false(o.terminal);
    assert_int_equal(o.n_rest, 4);
    assert_string_equal(o.rest[0], "a.py");
    assert_string_equal(o.rest[3], "x");
    assert_int_equal(o.input, -1);
    run_options_done(&o);
}

static void every_option_is_taken(void **state)
{
    (void)state;
    static struct run_options o;
    struct err err = {0};
    assert_int_equal(
        parse("run --runtime python3 --file d.csv --env A=1=2 --env B= --limit memory=64M "
              "--policy no-subprocess --output out -iq --class batch --grace 2m --label a=b "
              "--subject s --socket /s a.py",
              &o, &err),
        0);
    assert_string_equal(o.runtime, "python3");
    assert_string_equal(o.inputs[0], "d.csv");
    assert_int_equal(o.n_env, 2);
    assert_string_equal(o.env[0].key, "A");
    assert_string_equal(o.env[0].value, "1=2");
    assert_string_equal(o.env[1].value, "");
    assert_int_equal(o.limits.v[LIMIT_MEMORY], 64 << 20);
    assert_int_equal(o.subprocess, MODEL_SUBPROCESS_DENY);
    assert_string_equal(o.output, "out");
    assert_int_equal(o.input, 1);
    assert_true(o.quiet);
    assert_int_equal(o.class, MODEL_CLASS_BATCH);
    assert_int_equal(o.grace_ms, 120000);
    assert_string_equal(o.labels[0].key, "a");
    assert_string_equal(o.subject, "s");
    assert_string_equal(o.place.socket, "/s");
    run_options_done(&o);
}

/* Arguments are kept in @words, which the options point into. */
static int place_of(char *words, struct run_options *ret, struct err *err)
{
    char *argv[16], *save = NULL;
    int argc = 0;
    for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    argv[argc] = NULL;
    return run_options_parse(argc, argv, ret, err);
}

static void a_service_elsewhere_takes_three_files(void **state)
{
    (void)state;
    struct run_options o;
    struct err err = {0};
    char whole[] = "run --connect h:1 --ca a --cert b --key c x.py";
    char half[] = "run --connect h:1 --ca a x.py", none[] = "run x.py",
         socket[] = "run --socket /s x.py";
    assert_int_equal(place_of(whole, &o, &err), 0);
    struct client_options where = service_client(&o.place, "s");
    assert_null(where.socket);
    assert_string_equal(where.target, "h:1");
    assert_string_equal(where.ca, "a");
    assert_string_equal(where.certificate, "b");
    assert_string_equal(where.key, "c");
    assert_true(place_of(half, &o, &err) < 0);
    assert_non_null(strstr(err.text, "CLOISTER_CERT"));
    setenv("CLOISTER_CONNECT", "e:2", 1);
    setenv("CLOISTER_CA", "ea", 1);
    setenv("CLOISTER_CERT", "eb", 1);
    setenv("CLOISTER_KEY", "ec", 1);
    assert_int_equal(place_of(none, &o, &err), 0);
    where = service_client(&o.place, NULL);
    assert_string_equal(where.target, "e:2");
    assert_string_equal(where.key, "ec");
    assert_int_equal(place_of(socket, &o, &err), 0); /* what is said wins over what is set */
    where = service_client(&o.place, NULL);
    assert_string_equal(where.socket, "/s");
    assert_null(where.ca);
    unsetenv("CLOISTER_CONNECT");
    unsetenv("CLOISTER_CA");
    unsetenv("CLOISTER_CERT");
    unsetenv("CLOISTER_KEY");
}

static void a_run_is_left_and_come_back_to(void **state)
{
    (void)state;
    static struct run_options o;
    struct err err = {0};
    assert_int_equal(parse("run --detach a.py", &o, &err), 0);
    assert_true(o.detach);
    assert_int_equal(o.grace_ms, MODEL_DETACH_MS_MAX);
    assert_int_equal(parse("run --detach --grace 90s a.py", &o, &err), 0);
    assert_int_equal(o.grace_ms, 90000);
    assert_int_equal(parse("run --attach abc --json --from 10", &o, &err), 0);
    assert_string_equal(o.attach, "abc");
    assert_int_equal(o.from[0], 10);
    assert_int_equal(o.from[1], 0);
    assert_int_equal(parse("run --attach abc -t --from 1,9000000000,3", &o, &err), 0);
    assert_int_equal(o.from[0], 1);
    assert_int_equal(o.from[1], 9000000000);
    assert_int_equal(o.from[2], 3);
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *line, *words;
    } table[] = {
        {"run", "which file"},
        {"run --command", "which command"},
        {"run --bogus a.py", "--bogus"},
        {"run --limit", "--limit"},
        {"run --limit memory=1X a.py", "1X"},
        {"run --limit speed=1 a.py", "speed"},
        {"run --env A a.py", "NAME=VALUE"},
        {"run --env =1 a.py", "NAME=VALUE"},
        {"run --policy maybe a.py", "maybe"},
        {"run --class slow a.py", "slow"},
        {"run --grace 2h a.py", "600s"},
        {"run --grace 0s a.py", "more than 0"},
        {"run --grace x a.py", "x"},
        {"run --detach --output o a.py", "--attach"},
        {"run --attach", "--attach"},
        {"run --attach 12 a.py", "was begun"},
        {"run --attach 12 --limit cpu=1s", "was begun"},
        {"run --attach 12 --env A=1", "was begun"},
        {"run --attach 12 --command", "was begun"},
        {"run --attach 12 --detach", "excludes"},
        {"run --attach 12 --grace 1s", "excludes"},
        {"run --from 1 a.py", "--attach"},
        {"run --attach 12 --from", "--from"},
        {"run --attach 12 --from x", "numbers"},
        {"run --attach 12 --from 1,,2", "numbers"},
        {"run --attach 12 --from 1,2,3,4", "numbers"},
        {"run --attach 12 --from 1,2,5000000000", "numbers"},
        {"run --attach 12 --from 111111111111111111111111111111", "numbers"},
        {"run -t --json a.py", "exclude"},
        {"run -t --no-stdin a.py", "exclude"},
        {"run --command --runtime bash ls", "exclude"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        static struct run_options o;
        struct err err = {0};
        int rc = parse(table[i].line, &o, &err);
        if (rc != -EINVAL || !strstr(err.text, table[i].words))
            fail_msg("%s: %d '%s'", table[i].line, rc, err.text);
        run_options_done(&o);
    }
}

static void json_is_remembered_when_the_line_is_wrong(void **state)
{
    (void)state;
    static struct run_options o;
    struct err err = {0};
    assert_int_equal(parse("run --bogus --json a.py", &o, &err), -EINVAL);
    assert_true(o.json);
    assert_int_equal(parse("run --bogus -- --json", &o, &err), -EINVAL);
    assert_false(o.json);
}

static void names_tell_the_runtime(void **state)
{
    (void)state;
    assert_string_equal(run_runtime_of("a.py"), "python3");
    assert_string_equal(run_runtime_of("dir.d/a.sh"), "bash");
    assert_string_equal(run_runtime_of("a.c"), "c");
    assert_string_equal(run_runtime_of("a.b.js"), "node");
    assert_null(run_runtime_of("a"));
    assert_null(run_runtime_of("dir.py/a"));
    assert_null(run_runtime_of("a.PY"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rest_is_the_programs),
        cmocka_unit_test(every_option_is_taken),
        cmocka_unit_test(a_service_elsewhere_takes_three_files),
        cmocka_unit_test(a_run_is_left_and_come_back_to),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(json_is_remembered_when_the_line_is_wrong),
        cmocka_unit_test(names_tell_the_runtime),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
