#include "api/model.h"

#include <errno.h>

#include "tests/support/unit.h"

static const struct model_file hello = {.path = "hello.py"};

static struct run_request request_of_hello(void)
{
    return (struct run_request){.runtime = "python3", .entry = "", .files = &hello, .n_files = 1};
}

/* The request must be refused, with this field and words that contain @words. */
static void refused(const struct run_request *request, const char *field, const char *words)
{
    struct model_fault fault = {0};
    assert_int_equal(run_request_check(request, &fault), -EINVAL);
    assert_string_equal(fault.field, field);
    if (!strstr(fault.err.text, words))
        fail_msg("'%s' does not say '%s'", fault.err.text, words);
    if (strncmp(fault.err.text, field, strlen(field)) != 0)
        fail_msg("'%s' does not begin with '%s'", fault.err.text, field);
}

static void accepted(const struct run_request *request)
{
    struct model_fault fault = {0};
    if (run_request_check(request, &fault) != 0)
        fail_msg("refused: %s", fault.err.text);
}

static void a_plain_request_is_accepted(void **state)
{
    (void)state;
    struct run_request r = request_of_hello();
    accepted(&r);
    assert_string_equal(run_request_entry(&r), "hello.py");
}

static void paths_stay_in_the_workspace(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        const char *words; /* NULL: good */
    } table[] = {
        {"a", NULL},           {"a/b/c.txt", NULL}, {".hidden", NULL},
        {"..a/b..", NULL},     {"a b\xff", NULL},   {"...", NULL},
        {"-x", NULL},          {"", "empty"},       {"/etc/passwd", "relative"},
        {"..", "'..'"},        {"a/../b", "'..'"},  {"a/..", "'..'"},
        {".", "'.'"},          {"./a", "'.'"},      {"a//b", "empty part"},
        {"a/", "empty part"},  {"a\nb", "control"}, {"\x7f", "control"},
        {"a/\x01", "control"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const char *words = model_path_fault(table[i].path, strlen(table[i].path));
        if (!table[i].words)
            assert_null(words);
        else if (!words || !strstr(words, table[i].words))
            fail_msg("'%s': %s", table[i].path, words ? words : "accepted");
    }
    assert_non_null(model_path_fault("a\0b", 3));
}

static void paths_have_a_length_and_a_depth(void **state)
{
    (void)state;
    char path[MODEL_PATH_MAX + 2];
    memset(path, 'x', sizeof(path));
    assert_null(model_path_fault(path, 255));
    assert_non_null(model_path_fault(path, 256));
    for (size_t i = 1; i < sizeof(path); i += 2)
        path[i] = '/';
    assert_null(model_path_fault(path, 2 * 32 - 1));
    assert_non_null(model_path_fault(path, 2 * 33 - 1));
    for (size_t i = 0; i < sizeof(path); i++)
        path[i] = i % 200 == 199 ? '/' : 'x';
    assert_null(model_path_fault(path, MODEL_PATH_MAX));
    assert_non_null(model_path_fault(path, MODEL_PATH_MAX + 1));
}

static void a_runtime_or_a_command_and_not_both(void **state)
{
    (void)state;
    static const char *const argv[] = {"ls", "-l"};
    static const char *const empty[] = {""};
    struct run_request r = {.runtime = "", .entry = ""};
    refused(&r, "runtime", "argv");
    r.argv = argv;
    r.n_argv = 2;
    accepted(&r);
    assert_string_equal(run_request_entry(&r), "");
    r.args = argv;
    r.n_args = 1;
    refused(&r, "args", "argv");
    r.n_args = 0;
    r.runtime = "bash";
    refused(&r, "argv", "not both");
    r.runtime = "";
    r.argv = empty;
    r.n_argv = 1;
    refused(&r, "argv[0]", "empty");
}

static void runtime_names_are_names(void **state)
{
    (void)state;
    struct run_request r = request_of_hello();
    static const char *const bad[] = {"Python", "a b", "../x", "a/b", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        r.runtime = bad[i];
        refused(&r, "runtime", "[a-z0-9._+-]");
    }
    char longest[MODEL_RUNTIME_MAX + 2];
    memset(longest, 'a', sizeof(longest));
    longest[MODEL_RUNTIME_MAX] = '\0';
    r.runtime = longest;
    accepted(&r);
    longest[MODEL_RUNTIME_MAX] = 'a';
    longest[MODEL_RUNTIME_MAX + 1] = '\0';
    refused(&r, "runtime", "64");
}

static void files_do_not_get_in_each_others_way(void **state)
{
    (void)state;
    struct model_file files[3] = {{.path = "a-b"}, {.path = "a"}, {.path = "c"}};
    struct run_request r = {.runtime = "bash", .entry = "", .files = files, .n_files = 3};
    accepted(&r);
    files[2].path = "a";
    refused(&r, "files[2].path", "already");
    files[2].path = "a/b";
    refused(&r, "files[2].path", "below another file");
    files[2].path = "a-b/x/y";
    refused(&r, "files[2].path", "below another file");
    files[2].path = "../x";
    refused(&r, "files[2].path", "'..'");
    files[2].path = "c";
    r.entry = "c";
    accepted(&r);
    r.entry = "d";
    refused(&r, "entry", "not among");
}

static void files_are_inline_or_by_hash_and_small(void **state)
{
    (void)state;
    static uint8_t bytes[MODEL_INLINE_BYTES_MAX + 1], sha[MODEL_SHA256];
    struct model_file files[2] = {{.path = "a", .content = bytes, .size = MODEL_INLINE_BYTES_MAX},
                                  {.path = "b", .content = bytes, .size = 0}};
    struct run_request r = {.runtime = "bash", .entry = "", .files = files, .n_files = 2};
    accepted(&r);
    files[1].size = 1;
    refused(&r, "files[1].content", "1 MiB");
    files[1].size = SIZE_MAX;
    refused(&r, "files[1].content", "too large");
    files[1] = (struct model_file){.path = "b", .sha256 = sha, .content = bytes, .size = 1};
    refused(&r, "files[1].sha256", "not both");
    files[1].content = NULL;
    accepted(&r);
}

static void there_are_not_too_many_files(void **state)
{
    (void)state;
    static struct model_file files[MODEL_FILES_MAX + 1];
    static char names[MODEL_FILES_MAX + 1][8];
    for (size_t i = 0; i <= MODEL_FILES_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "f%zu", i);
        files[i].path = names[i];
    }
    struct run_request r = {.runtime = "bash",
                            .entry = "",
                            .files = files,
                            .n_files = MODEL_FILES_MAX};
    accepted(&r);
    r.n_files++;
    refused(&r, "files", "4096");
}

static void strings_are_counted_together(void **state)
{
    (void)state;
    static const char *args[MODEL_STRINGS_MAX];
    static struct model_pair env[2] = {{"A", "1"}, {"B", "2"}};
    for (size_t i = 0; i < MODEL_STRINGS_MAX; i++)
        args[i] = "x";
    struct run_request r = request_of_hello();
    r.args = args;
    r.n_args = MODEL_STRINGS_MAX - 1;
    r.env = env;
    r.n_env = 1;
    accepted(&r);
    r.n_env = 2;
    refused(&r, "env[1]", "1024");
    char *big = malloc(MODEL_STRING_BYTES_MAX);
    assert_non_null(big);
    memset(big, 'x', MODEL_STRING_BYTES_MAX);
    big[MODEL_STRING_BYTES_MAX - 1] = '\0';
    args[0] = big;
    r.n_args = 1;
    r.n_env = 0;
    accepted(&r);
    r.n_args = 2;
    refused(&r, "args[1]", "128 KiB");
    free(big);
}

static void environment_names_are_names_and_once(void **state)
{
    (void)state;
    struct model_pair env[2] = {{"_OK9", "any\nthing"}, {"B", ""}};
    struct run_request r = request_of_hello();
    r.env = env;
    r.n_env = 2;
    accepted(&r);
    static const char *const bad[] = {"", "9A", "A-B", "A=B", "\xc3\xa9", "A B"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        env[1].key = bad[i];
        refused(&r, "env[1].name", "[A-Za-z_]");
    }
    env[1].key = "_OK9";
    refused(&r, "env", "twice");
}

static void labels_are_text(void **state)
{
    (void)state;
    struct model_pair labels[2] = {{"course/py-1", "h\xc3\xa9llo"}, {"b", ""}};
    struct run_request r = request_of_hello();
    r.labels = labels;
    r.n_labels = 2;
    accepted(&r);
    labels[1].value = "a\nb";
    refused(&r, "labels[1].value", "UTF-8");
    labels[1].value = "\xff";
    refused(&r, "labels[1].value", "UTF-8");
    labels[1] = (struct model_pair){"B", ""};
    refused(&r, "labels[1].key", "[a-z0-9._/-]");
    labels[1].key = "course/py-1";
    refused(&r, "labels", "twice");
    r.n_labels = MODEL_LABELS_MAX + 1;
    refused(&r, "labels", "16");
}

static void numbers_have_ceilings(void **state)
{
    (void)state;
    struct run_request r = request_of_hello();
    r.detach_grace_ms = MODEL_DETACH_MS_MAX;
    r.rows = r.cols = MODEL_TERMINAL_MAX;
    r.collect_files_max = MODEL_COLLECT_FILES_MAX;
    r.collect_bytes_max = MODEL_COLLECT_BYTES_MAX;
    accepted(&r);
    r.detach_grace_ms++;
    refused(&r, "detach_grace_ms", "600000");
    r.detach_grace_ms = 0;
    r.cols++;
    refused(&r, "terminal.cols", "1000");
    r.cols = 0;
    r.collect_files_max++;
    refused(&r, "collect.max_files", "4096");
    r.collect_files_max = 0;
    r.collect_bytes_max++;
    refused(&r, "collect.max_bytes", "268435456");
    r.collect_bytes_max = 0;
    r.stdin_len = MODEL_STDIN_BYTES_MAX + 1;
    refused(&r, "stdin_data", "1 MiB");
}

static void patterns_are_paths(void **state)
{
    (void)state;
    static const char *const patterns[] = {"*.png", "out/../x"};
    struct run_request r = request_of_hello();
    r.collect = true;
    r.patterns = patterns;
    r.n_patterns = 1;
    accepted(&r);
    r.n_patterns = 2;
    refused(&r, "collect.patterns[1]", "'..'");
}

static void a_limit_above_the_ceiling_is_named(void **state)
{
    (void)state;
    struct run_request r = request_of_hello();
    struct model_fault fault = {0};
    struct limits resolved, ceilings;
    assert_int_equal(run_request_limits(&r, NULL, NULL, &resolved, &fault), 0);
    assert_int_equal(resolved.v[LIMIT_MEMORY], 128ull << 20);
    r.limits.v[LIMIT_WALL] = 5000;
    r.limits.v[LIMIT_MEMORY] = 2ull << 30;
    assert_int_equal(run_request_limits(&r, NULL, NULL, &resolved, &fault), -EINVAL);
    assert_string_equal(fault.field, "limits.memory_bytes");
    assert_non_null(strstr(fault.err.text, "memory"));
    assert_non_null(strstr(fault.err.text, "2G"));
    assert_non_null(strstr(fault.err.text, "1G"));
    limits_ceiling(&ceilings);
    ceilings.v[LIMIT_WALL] = 4000;
    r.limits.v[LIMIT_MEMORY] = 0;
    assert_int_equal(run_request_limits(&r, NULL, &ceilings, &resolved, &fault), -EINVAL);
    assert_string_equal(fault.field, "limits.wall_ms");
    assert_string_equal(model_limit_field(LIMIT_OPEN_FILES), "limits.open_files");
}

static void run_ids_are_harmless(void **state)
{
    (void)state;
    assert_true(model_run_id_valid("01HZX-abc_9"));
    assert_false(model_run_id_valid(""));
    assert_false(model_run_id_valid("a/b"));
    assert_false(model_run_id_valid("a b"));
    char longest[MODEL_RUN_ID_MAX + 2];
    memset(longest, 'a', sizeof(longest));
    longest[MODEL_RUN_ID_MAX + 1] = '\0';
    assert_false(model_run_id_valid(longest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_request_is_accepted),
        cmocka_unit_test(paths_stay_in_the_workspace),
        cmocka_unit_test(paths_have_a_length_and_a_depth),
        cmocka_unit_test(a_runtime_or_a_command_and_not_both),
        cmocka_unit_test(runtime_names_are_names),
        cmocka_unit_test(files_do_not_get_in_each_others_way),
        cmocka_unit_test(files_are_inline_or_by_hash_and_small),
        cmocka_unit_test(there_are_not_too_many_files),
        cmocka_unit_test(strings_are_counted_together),
        cmocka_unit_test(environment_names_are_names_and_once),
        cmocka_unit_test(labels_are_text),
        cmocka_unit_test(numbers_have_ceilings),
        cmocka_unit_test(patterns_are_paths),
        cmocka_unit_test(a_limit_above_the_ceiling_is_named),
        cmocka_unit_test(run_ids_are_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
