#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "execsvc/config.h"

static struct exs_config config;

static int setup(void **state)
{
    (void)state;
    exs_config_init(&config);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    exs_config_done(&config);
    return 0;
}

static int read_text(const char *text, struct err *err)
{
    return exs_config_text(&config, text, strlen(text), "test.conf", err);
}

static void what_ships_is_complete_and_has_four_runtimes(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(exs_config_finish(&config, &err), 0);
    static const char *names[] = {"python3", "bash", "c", "node"};
    for (size_t i = 0; i < 4; i++) {
        const struct runtime *runtime = runtimes_find(&config.runtimes, names[i]);
        assert_non_null(runtime);
        assert_true(runtime->command.n > 0 && runtime->version_command.n > 0);
    }
    assert_true(runtimes_find(&config.runtimes, "c")->compile.n > 0);
    assert_true(config.running_max >= 2);
    assert_true(*config.node);
}

static void the_file_changes_and_adds(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(read_text("[execsvc]\nsocket = /tmp/x.sock\nrunning_max = 7\ndrain = 5s\n"
                               "[limits]\nmemory = 64M\n[environment]\nTZ = UTC\n"
                               "[runtime \"python3\"]\nenv.A = 1 2\nlimit.cpu = 2s\n"
                               "[runtime \"lua\"]\ncommand = /usr/bin/lua {entry} {args}\n"
                               "[runtime \"node\"]\nenabled = no\n"
                               "[identity \"uid:7\"]\nact_for = school/\n"
                               "[spawner]\nwhatever = is not ours\n",
                               &err),
                     0);
    assert_int_equal(exs_config_finish(&config, &err), 0);
    assert_string_equal(config.socket, "/tmp/x.sock");
    assert_int_equal(config.running_max, 7);
    assert_int_equal(config.drain_ms, 5000);
    assert_int_equal(config.limits.v[LIMIT_MEMORY], 64 << 20);
    assert_string_equal(config.env[config.n_env - 1], "TZ=UTC");
    const struct runtime *python = runtimes_find(&config.runtimes, "python3");
    assert_string_equal(python->env[python->n_env - 1], "A=1 2");
    assert_int_equal(python->limits.v[LIMIT_CPU], 2000);
    assert_non_null(runtimes_find(&config.runtimes, "lua"));
    assert_null(runtimes_find(&config.runtimes, "node"));
    assert_int_equal(config.n_identities, 1);
    assert_string_equal(config.identities[0].act_for, "school/");
}

static void mistakes_are_named_with_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"[execsvc]\nsokcet = /x\n", "'sokcet'. Did you mean 'socket'?"},
        {"[execsvc]\nrunning_max = many\n", "running_max"},
        {"[execsvc]\nrunning_max = 99999\n", "running_max"},
        {"[execsvc]\ndrain = 2h\n", "drain"},
        {"[limits]\nmemry = 1M\n", "'memry'; there are memory"},
        {"[limit]\nmemory = 1M\n", "[limit]. Did you mean 'limits'?"},
        {"[limits]\nmemory = lots\n", "memory"},
        {"[nothing]\na = 1\n", "nothing"},
        {"[execsvc \"x\"]\nsocket = /x\n", "execsvc"},
        {"[runtime \"Bad Name\"]\ncommand = /x\n", "name"},
        {"[runtime \"x\"]\ncommand = relative {entry}\n", "absolute"},
        {"[runtime \"x\"]\ncommand = /x {what}\n", "{what}"},
        {"[runtime \"x\"]\ncommand = /x -a{args}\n", "{args}"},
        {"[runtime \"x\"]\ncommand = /x \"open\n", "quote"},
        {"[runtime \"x\"]\nextensions = py\n", "dot"},
        {"[runtime \"x\"]\nenv.1A = b\n", "1A"},
        {"[runtime \"x\"]\nsubprocess = maybe\n", "allow or deny"},
        {"[runtime \"x\"]\ncolour = red\n", "colour"},
        {"[runtime \"x\"]\ncomand = red\n", "Did you mean 'command'?"},
        {"[runtime \"x\"]\nlimit.memry = 1M\n", "there are memory"},
        {"[identity \"bob\"]\nact_for = x\n", "identity"},
        {"[identity \"uid:1\"]\nact = x\n", "act"},
        {"[identity \"dns:*.x\"]\nact_for = x\n", "identity"},
        {"[identity \"gid:\"]\nact_for = x\n", "identity"},
        {"[identity \"group:no such group\"]\nact_for = x\n", "group"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err = {0};
        assert_true(read_text(cases[i].text, &err) < 0);
        if (!strstr(err.text, cases[i].says) || !strstr(err.text, "test.conf"))
            fail_msg("%s -> %s", cases[i].text, err.text);
        assert_non_null(strstr(err.text, "2"));
    }
}

static void what_does_not_fit_together_is_refused_at_the_end(void **state)
{
    (void)state;
    static const char *cases[] = {
        "[runtime \"x\"]\nextensions = .x\n",
        "[runtime \"x\"]\ncommand = /x {output}\n",
        "[runtime \"x\"]\ncommand = /x\ncompile = /cc {entry}\n",
        "[execsvc]\nsocket = relative\n",
        "[execsvc]\nlog_level = loud\n",
        "[execsvc]\ntls_listen = 127.0.0.1:7443\n",
        "[execsvc]\ntls_allowed = gateway.example\n",
        "[identity \"dns:gateway.example\"]\nact_for = *\n",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err = {0};
        setup(NULL);
        assert_int_equal(read_text(cases[i], &err), 0);
        assert_true(exs_config_finish(&config, &err) < 0);
        teardown(NULL);
    }
}

static void the_environment_has_the_aliases_of_the_contract(void **state)
{
    (void)state;
    struct err err = {0};
    const char *const environment[] = {"MEMORY_LIMIT_MB=200", "EXECUTION_TIMEOUT=7",
                                       "OUTPUT_LIMIT_KB=12",  "CLOISTER_QUEUE_MAX=5",
                                       "MEMORY_LIMIT_MBX=1",  NULL};
    assert_int_equal(exs_config_environment(&config, environment, &err), 0);
    assert_int_equal(config.limits.v[LIMIT_MEMORY], 200 << 20);
    assert_int_equal(config.limits.v[LIMIT_CPU], 7000);
    assert_int_equal(config.limits.v[LIMIT_OUTPUT], 12 << 10);
    assert_int_equal(config.queue_max, 5);
    const char *const bad[] = {"MEMORY_LIMIT_MB=much", NULL};
    assert_true(exs_config_environment(&config, bad, &err) < 0);
    assert_non_null(strstr(err.text, "MEMORY_LIMIT_MB"));
}

static void every_alias_sets_its_limit_and_names_itself_in_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *alias;
        enum limit_id limit;
        uint64_t of_three;
    } aliases[] = {
        {"MEMORY_LIMIT_MB", LIMIT_MEMORY, 3 << 20},
        {"EXECUTION_TIMEOUT", LIMIT_CPU, 3000},
        {"WALL_TIMEOUT", LIMIT_WALL, 3000},
        {"IDLE_TIMEOUT", LIMIT_IDLE, 3000},
        {"FILE_SIZE_LIMIT_MB", LIMIT_FILE_SIZE, 3 << 20},
        {"MAX_PROCESSES", LIMIT_PROCESSES, 3},
        {"OUTPUT_LIMIT_KB", LIMIT_OUTPUT, 3 << 10},
        {"WORKSPACE_LIMIT_MB", LIMIT_WORKSPACE, 3 << 20},
        {"OPEN_FILES_LIMIT", LIMIT_OPEN_FILES, 3},
    };
    static const char *const bad[] = {"0", "-1", "3M", "1.5", " 3", "99999999999999999999"};
    for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
        char text[64];
        const char *const environment[] = {text, NULL};
        snprintf(text, sizeof(text), "%s=3", aliases[i].alias);
        assert_int_equal(exs_config_environment(&config, environment, NULL), 0);
        assert_int_equal(config.limits.v[aliases[i].limit], aliases[i].of_three);
        snprintf(text, sizeof(text), "%s=", aliases[i].alias); /* as if it were not there */
        assert_int_equal(exs_config_environment(&config, environment, NULL), 0);
        assert_int_equal(config.limits.v[aliases[i].limit], aliases[i].of_three);
        for (size_t j = 0; j < sizeof(bad) / sizeof(bad[0]); j++) {
            struct err err = {0};
            snprintf(text, sizeof(text), "%s=%s", aliases[i].alias, bad[j]);
            assert_true(exs_config_environment(&config, environment, &err) < 0);
            assert_non_null(strstr(err.text, aliases[i].alias));
        }
    }
}

static void flags_set_any_key(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(exs_config_set(&config, "queue_per_tenant=9", &err), 0);
    assert_int_equal(config.queue_per_tenant, 9);
    assert_true(exs_config_set(&config, "queue_per_tenant", &err) < 0);
    assert_true(exs_config_set(&config, "=1", &err) < 0);
    assert_true(exs_config_set(&config, "nothing=1", &err) < 0);
}

static char *print(void)
{
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);
    assert_non_null(file);
    assert_int_equal(exs_config_print(&config, file), 0);
    fclose(file);
    return text;
}

static void what_is_printed_makes_the_same_configuration(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(
        read_text("[limits]\ncpu = 3s\n[environment]\nA = \"q\" b\n"
                  "[runtime \"odd\"]\ncommand = /x \"a b\" \"\" \"q\\\"\\\\\" c\\d\n"
                  "[runtime \"bash\"]\nenabled = no\n[identity \"uid:3\"]\nact_for = *\n",
                  &err),
        0);
    assert_int_equal(exs_config_finish(&config, &err), 0);
    AUTO_FREE char *first = print();
    teardown(NULL);
    setup(NULL);
    assert_int_equal(read_text(first, &err), 0);
    assert_int_equal(exs_config_finish(&config, &err), 0);
    AUTO_FREE char *second = print();
    assert_string_equal(first, second);
    const struct words *odd = &runtimes_find(&config.runtimes, "odd")->command;
    assert_int_equal(odd->n, 5);
    assert_string_equal(odd->v[1], "a b");
    assert_string_equal(odd->v[2], "");
    assert_string_equal(odd->v[3], "q\"\\");
    assert_string_equal(odd->v[4], "c\\d");
    assert_null(runtimes_find(&config.runtimes, "bash"));
}

/* But for the limits, which the spawner's defaults stand for when nothing is said. */
static void the_shipped_file_says_what_holds_without_it(void **state)
{
    (void)state;
    struct err err = {0};
    const char *source = getenv("CLOISTER_SOURCE");
    char path[512];
    assert_int_equal(exs_config_finish(&config, &err), 0);
    AUTO_FREE char *without = print();
    teardown(NULL);
    setup(NULL);
    snprintf(path, sizeof(path), "%s/deploy/cloister.conf", source ? source : ".");
    assert_int_equal(exs_config_file(&config, path, &err), 0);
    assert_int_equal(exs_config_finish(&config, &err), 0);
    struct limits shipped;
    limits_default(&shipped);
    assert_memory_equal(&config.limits, &shipped, sizeof(shipped));
    memset(&config.limits, 0, sizeof(config.limits));
    AUTO_FREE char *with = print();
    assert_string_equal(with, without);
}

static void a_command_is_filled_without_a_shell(void **state)
{
    (void)state;
    struct words template, argv;
    assert_int_equal(words_split("/cc -o {output} -I{entry}.d {sources} -- {args}", &config.arena,
                                 &template, NULL),
                     0);
    assert_int_equal(command_check(&template, NULL), 0);
    const char *const args[] = {"a b", "$(x)", "{entry}"}, *const sources[] = {"m.c", "n.c"};
    const struct command_values values = {.entry = "m.c",
                                          .output = "m",
                                          .args = {args, 3},
                                          .sources = {sources, 2}};
    assert_int_equal(command_fill(&template, &values, &config.arena, &argv, NULL), 0);
    static const char *const want[] = {"/cc", "-o", "m",   "-Im.c.d", "m.c",
                                       "n.c", "--", "a b", "$(x)",    "{entry}"};
    assert_int_equal(argv.n, 10);
    for (size_t i = 0; i < 10; i++)
        assert_string_equal(argv.v[i], want[i]);
    assert_null(argv.v[10]);
    assert_string_equal(command_path("-c", &config.arena), "./-c");
    assert_string_equal(command_path("a-c", &config.arena), "a-c");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_ships_is_complete_and_has_four_runtimes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_file_changes_and_adds, setup, teardown),
        cmocka_unit_test_setup_teardown(mistakes_are_named_with_their_line, setup, teardown),
        cmocka_unit_test(what_does_not_fit_together_is_refused_at_the_end),
        cmocka_unit_test_setup_teardown(the_environment_has_the_aliases_of_the_contract, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(every_alias_sets_its_limit_and_names_itself_in_mistakes,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(flags_set_any_key, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_printed_makes_the_same_configuration, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_shipped_file_says_what_holds_without_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_command_is_filled_without_a_shell, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
