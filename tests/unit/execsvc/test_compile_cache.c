/* What is kept of compile steps: who finds it, and what goes when there is too much. */

#include "tests/support/unit.h"

#include "api/model.h"
#include "execsvc/compile_cache.h"
#include "execsvc/compile_key.h"
#include "execsvc/runtime.h"

#define KIB 1024

static struct compile_cache *cache;
static struct compile_cache_stats stats;

static int setup(void **state)
{
    (void)state;
    return compile_cache_new(64 * KIB, 8, &cache, NULL);
}

static int teardown(void **state)
{
    (void)state;
    cache = compile_cache_free(cache);
    return 0;
}

static struct compile_key key_of(unsigned n)
{
    struct compile_key key = {{0}};
    memcpy(key.sha256, &n, sizeof(n));
    return key;
}

static void put(unsigned n, const char *tenant, size_t bytes)
{
    const struct compile_key key = key_of(n);
    struct compiled *compiled = compiled_new();
    assert_non_null(compiled);
    compiled->artifact = calloc(1, bytes);
    compiled->artifact_len = bytes;
    assert_non_null(compiled->artifact);
    compiled->artifact[0] = (uint8_t)n;
    compile_cache_put(cache, &key, tenant, compiled);
    compiled_unref(compiled);
    compile_cache_stats(cache, &stats);
}

static bool there(unsigned n)
{
    const struct compile_key key = key_of(n);
    struct compiled *found = compile_cache_find(cache, &key);
    bool right = found && found->artifact[0] == n;
    compiled_unref(found);
    compile_cache_stats(cache, &stats);
    return right;
}

static void what_was_put_is_found_and_counted(void **state)
{
    (void)state;
    assert_false(there(1));
    put(1, "a", 100);
    assert_true(there(1));
    assert_false(there(2));
    assert_int_equal(stats.hits, 1);
    assert_int_equal(stats.misses, 2);
    assert_int_equal(stats.entries, 1);
    assert_true(stats.bytes > 100);
}

static void bytes_are_bounded_and_the_oldest_goes_first(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 5; n++)
        put(n, "a", 12 * KIB);
    assert_true(there(1)); /* now the youngest */
    put(6, "a", 12 * KIB);
    assert_true(stats.bytes <= 64 * KIB);
    assert_int_equal(stats.evicted, 1);
    assert_false(there(2));
    for (unsigned n = 3; n <= 6; n++)
        assert_true(there(n));
    assert_true(there(1));
}

static void entries_are_bounded(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 20; n++)
        put(n, "a", 1);
    assert_int_equal(stats.entries, 8);
    assert_int_equal(stats.evicted, 12);
    assert_false(there(12));
    assert_true(there(13));
}

static void who_compiles_much_pushes_out_his_own(void **state)
{
    (void)state;
    put(1, "quiet", 10 * KIB);
    for (unsigned n = 100; n < 200; n++)
        put(n, "busy", 10 * KIB);
    assert_true(there(1));
    assert_true(there(199));
    assert_false(there(100));
}

static void what_is_too_large_is_left_out(void **state)
{
    (void)state;
    put(1, "a", 1);
    put(2, "a", 16 * KIB);
    assert_false(there(2));
    assert_true(there(1));
    assert_int_equal(stats.evicted, 0);
}

static void what_is_there_is_not_replaced(void **state)
{
    (void)state;
    put(1, "a", 10);
    uint64_t before = stats.bytes;
    put(1, "a", 20);
    assert_int_equal(stats.entries, 1);
    assert_true(stats.bytes == before);
}

static void who_uses_it_keeps_it(void **state)
{
    (void)state;
    put(1, "a", 10);
    const struct compile_key key = key_of(1);
    struct compiled *held = compile_cache_find(cache, &key);
    for (unsigned n = 2; n < 20; n++)
        put(n, "a", 10);
    assert_false(there(1));
    assert_int_equal(held->artifact[0], 1);
    compiled_unref(held);
}

static void without_room_nothing_is_kept(void **state)
{
    (void)state;
    compile_cache_free(cache);
    assert_int_equal(compile_cache_new(0, 8, &cache, NULL), 0);
    put(1, "a", 1);
    assert_false(there(1));
    assert_int_equal(stats.misses, 1);
}

/* ---- keys ---- */

static const char *const argv[] = {"/usr/bin/cc", "-O1", "main.c", NULL};
static const char *const envp[] = {"PATH=/bin", "A=b", NULL};

static void the_key_differs_in_whatever_the_outcome_can_depend_on(void **state)
{
    (void)state;
    const struct runtime runtime = {.name = "c", .version = "12.2"};
    const struct runtime newer = {.name = "c", .version = "12.3"};
    const struct runtime other = {.name = "cc", .version = "12.2"};
    const char *const flags[] = {"/usr/bin/cc", "-O2", "main.c", NULL};
    const char *const joined[] = {"/usr/bin/cc", "-O1main.c", NULL};
    const char *const variable[] = {"PATH=/bin", "A=c", NULL};
    const uint8_t sha256[MODEL_SHA256] = {'x'};
    const struct model_file file = {.path = "main.c", .content = (const uint8_t *)"xy", .size = 2};
    struct model_file files[] = {file, file, file, file, file, file};
    files[1].content = (const uint8_t *)"xz";
    files[2].path = "main.h";
    files[3].executable = true;
    files[4].size = 1;
    files[5] = (struct model_file){.path = "main.c", .sha256 = sha256};
    struct run_request requests[6 + 1];
    for (size_t i = 0; i < 6; i++)
        requests[i] = (struct run_request){.files = &files[i], .n_files = 1};
    requests[6] = (struct run_request){.files = files, .n_files = 2};

    const struct compile_inputs inputs[] = {
        {"a", &runtime, argv, envp, &requests[0]},     {"b", &runtime, argv, envp, &requests[0]},
        {"a", &newer, argv, envp, &requests[0]},       {"a", &other, argv, envp, &requests[0]},
        {"a", &runtime, flags, envp, &requests[0]},    {"a", &runtime, joined, envp, &requests[0]},
        {"a", &runtime, argv, variable, &requests[0]}, {"a", &runtime, argv, envp, &requests[1]},
        {"a", &runtime, argv, envp, &requests[2]},     {"a", &runtime, argv, envp, &requests[3]},
        {"a", &runtime, argv, envp, &requests[4]},     {"a", &runtime, argv, envp, &requests[5]},
        {"a", &runtime, argv, envp, &requests[6]},
    };
    enum { N = sizeof(inputs) / sizeof(inputs[0]) };
    struct compile_key keys[N], again;
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(compile_key(&inputs[i], &keys[i], NULL), 0);
        assert_int_equal(compile_key(&inputs[i], &again, NULL), 0);
        assert_memory_equal(&again, &keys[i], sizeof(again));
        for (size_t j = 0; j < i; j++)
            if (memcmp(&keys[i], &keys[j], sizeof(keys[i])) == 0)
                fail_msg("inputs %zu and %zu have one key", j, i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_put_is_found_and_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_are_bounded_and_the_oldest_goes_first, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(entries_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(who_compiles_much_pushes_out_his_own, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_too_large_is_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_there_is_not_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(who_uses_it_keeps_it, setup, teardown),
        cmocka_unit_test_setup_teardown(without_room_nothing_is_kept, setup, teardown),
        cmocka_unit_test(the_key_differs_in_whatever_the_outcome_can_depend_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
