#include "tests/support/unit.h"

#include <errno.h>

#include "base/err.h"
#include "base/limits.h"

#define MIB UINT64_C(1048576)

/* The table of the contract, in its own words. */
static void the_table_is_the_contract(void **state)
{
    (void)state;
    static const struct {
        const char *name, *fallback, *ceiling, *env_alias;
    } rows[LIMIT_COUNT] = {
        {"memory", "128M", "1G", "MEMORY_LIMIT_MB"},
        {"cpu", "30s", "300s", "EXECUTION_TIMEOUT"},
        {"wall", "60s", "1h", "WALL_TIMEOUT"},
        {"idle", "10m", "1h", "IDLE_TIMEOUT"},
        {"file-size", "10M", "1G", "FILE_SIZE_LIMIT_MB"},
        {"processes", "50", "500", "MAX_PROCESSES"},
        {"output", "1M", "64M", "OUTPUT_LIMIT_KB"},
        {"workspace", "64M", "1G", "WORKSPACE_LIMIT_MB"},
        {"inodes", "4096", "65536", NULL},
        {"open-files", "256", "4096", "OPEN_FILES_LIMIT"},
    };
    for (int i = 0; i < LIMIT_COUNT; i++) {
        int id = limit_by_name(rows[i].name);
        assert_int_equal(id, i);
        const struct limit_info *info = limit_info((enum limit_id)id);
        uint64_t fallback = 0, ceiling = 0;
        assert_int_equal(limit_parse((enum limit_id)id, rows[i].fallback, &fallback, NULL), 0);
        assert_int_equal(limit_parse((enum limit_id)id, rows[i].ceiling, &ceiling, NULL), 0);
        assert_int_equal(info->fallback, fallback);
        assert_int_equal(info->ceiling, ceiling);
        assert_true(info->floor > 0 && info->floor <= info->fallback);
        if (rows[i].env_alias)
            assert_string_equal(info->env_alias, rows[i].env_alias);
        else
            assert_null(info->env_alias);
    }
    assert_int_equal(limit_by_name("colour"), -1);
}

static void values_parse_in_the_unit_of_their_limit(void **state)
{
    (void)state;
    static const struct {
        enum limit_id id;
        const char *text;
        uint64_t value;
    } cases[] = {
        {LIMIT_MEMORY, "64M", 64 * MIB},
        {LIMIT_MEMORY, "1G", 1024 * MIB},
        {LIMIT_MEMORY, "512K", MIB / 2},
        {LIMIT_MEMORY, "8388608", 8 * MIB},
        {LIMIT_CPU, "1500ms", 1500},
        {LIMIT_CPU, "2s", 2000},
        {LIMIT_CPU, "2", 2000},
        {LIMIT_WALL, "5m", 300000},
        {LIMIT_IDLE, "1h", 3600000},
        {LIMIT_PROCESSES, "50", 50},
        {LIMIT_MEMORY, "17179869183G", 17179869183 * 1024 * MIB},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t value = 0;
        assert_int_equal(limit_parse(cases[i].id, cases[i].text, &value, NULL), 0);
        assert_int_equal(value, cases[i].value);
    }
}

static void values_that_are_none_are_refused(void **state)
{
    (void)state;
    static const struct {
        enum limit_id id;
        const char *text;
    } cases[] = {
        {LIMIT_MEMORY, ""},
        {LIMIT_MEMORY, "M"},
        {LIMIT_MEMORY, "-1M"},
        {LIMIT_MEMORY, "+1M"},
        {LIMIT_MEMORY, " 1M"},
        {LIMIT_MEMORY, "1M "},
        {LIMIT_MEMORY, "1MB"},
        {LIMIT_MEMORY, "1s"},
        {LIMIT_MEMORY, "0"},
        {LIMIT_MEMORY, "0x10"},
        {LIMIT_MEMORY, "1.5G"},
        {LIMIT_MEMORY, "17179869184G"},
        {LIMIT_CPU, "18446744073709551616"},
        {LIMIT_CPU, "18446744073709551615s"},
        {LIMIT_CPU, "1M"},
        {LIMIT_PROCESSES, "5K"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t value = 77;
        assert_int_equal(limit_parse(cases[i].id, cases[i].text, &value, NULL), -EINVAL);
        assert_int_equal(value, 77);
    }
    struct err err = {0};
    uint64_t value;
    limit_parse(LIMIT_CPU, "soon", &value, &err);
    assert_string_equal(err.text,
                        "limit cpu: 'soon' is not a time such as 500ms, 30s, 10m or 1h above 0");
}

static void pairs_set_one_limit(void **state)
{
    (void)state;
    struct limits limits = {0};
    struct err err = {0};
    assert_int_equal(limit_parse_pair("file-size=2M", &limits, NULL), 0);
    assert_int_equal(limits.v[LIMIT_FILE_SIZE], 2 * MIB);
    assert_int_equal(limits.v[LIMIT_MEMORY], 0);

    assert_int_equal(limit_parse_pair("colour=2", &limits, &err), -EINVAL);
    assert_string_equal(err.text,
                        "there is no limit 'colour'; there are memory, cpu, wall, idle, file-size, "
                        "processes, output, workspace, inodes, open-files");
    assert_int_equal(limit_parse_pair("memory", &limits, &err), -EINVAL);
    assert_string_equal(err.text, "'memory' is not NAME=VALUE, as in memory=64M");
    assert_int_equal(limit_parse_pair("=1", &limits, NULL), -EINVAL);
    assert_int_equal(limit_parse_pair("a-name-that-is-longer-than-any-limit=1", &limits, NULL),
                     -EINVAL);
}

static void what_is_not_said_takes_the_default(void **state)
{
    (void)state;
    struct limits requested = {0}, resolved;
    requested.v[LIMIT_CPU] = 5000;
    assert_int_equal(limits_resolve(&requested, NULL, NULL, &resolved, NULL), 0);
    assert_int_equal(resolved.v[LIMIT_CPU], 5000);
    assert_int_equal(resolved.v[LIMIT_MEMORY], 128 * MIB);
}

static void a_default_above_the_ceiling_is_lowered_to_it(void **state)
{
    (void)state;
    struct limits requested = {0}, ceilings, resolved;
    limits_ceiling(&ceilings);
    ceilings.v[LIMIT_MEMORY] = 32 * MIB;
    assert_int_equal(limits_resolve(&requested, NULL, &ceilings, &resolved, NULL), 0);
    assert_int_equal(resolved.v[LIMIT_MEMORY], 32 * MIB);
}

static void a_request_above_the_ceiling_names_limit_value_and_ceiling(void **state)
{
    (void)state;
    struct limits requested = {0}, resolved = {0};
    struct err err = {0};
    requested.v[LIMIT_MEMORY] = 2048 * MIB;
    assert_int_equal(limits_resolve(&requested, NULL, NULL, &resolved, &err), -ERANGE);
    assert_string_equal(err.text, "limit memory: 2G is above the ceiling of 1G");
    assert_int_equal(resolved.v[LIMIT_CPU], 0); /* nothing is written on a fault */

    requested.v[LIMIT_MEMORY] = 4096;
    assert_int_equal(limits_resolve(&requested, NULL, NULL, &resolved, &err), -ERANGE);
    assert_string_equal(err.text, "limit memory: 4K is below the least of 4M");
}

static void the_operators_defaults_and_ceilings_count(void **state)
{
    (void)state;
    struct limits requested = {0}, defaults, ceilings, resolved;
    limits_default(&defaults);
    limits_ceiling(&ceilings);
    defaults.v[LIMIT_PROCESSES] = 20;
    ceilings.v[LIMIT_PROCESSES] = 1000;
    assert_int_equal(limits_resolve(&requested, &defaults, &ceilings, &resolved, NULL), 0);
    assert_int_equal(resolved.v[LIMIT_PROCESSES], 20);
    requested.v[LIMIT_PROCESSES] = 900;
    assert_int_equal(limits_resolve(&requested, &defaults, &ceilings, &resolved, NULL), 0);
    assert_int_equal(resolved.v[LIMIT_PROCESSES], 900);
}

static void formats_are_the_shortest_and_read_back(void **state)
{
    (void)state;
    static const struct {
        enum limit_id id;
        uint64_t value;
        const char *text;
    } cases[] = {
        {LIMIT_MEMORY, 128 * MIB, "128M"},
        {LIMIT_MEMORY, 1024 * MIB, "1G"},
        {LIMIT_MEMORY, 1536 * MIB, "1536M"},
        {LIMIT_MEMORY, 1000, "1000"},
        {LIMIT_MEMORY, 0, "0"},
        {LIMIT_CPU, 1500, "1500ms"},
        {LIMIT_CPU, 90000, "90s"},
        {LIMIT_CPU, 60000, "1m"},
        {LIMIT_WALL, 3600000, "1h"},
        {LIMIT_INODES, 4096, "4096"},
        {LIMIT_MEMORY, UINT64_MAX, "18446744073709551615"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[32];
        limit_format(cases[i].id, cases[i].value, text, sizeof(text));
        assert_string_equal(text, cases[i].text);
    }
    char tiny[3];
    limit_format(LIMIT_MEMORY, 128 * MIB, tiny, sizeof(tiny));
    assert_string_equal(tiny, "12");
}

static void sizes_and_times_parse_by_themselves(void **state)
{
    (void)state;
    uint64_t value = 0;
    struct err err = {0};
    assert_int_equal(size_parse("4G", &value, NULL), 0);
    assert_int_equal(value, 4096 * MIB);
    assert_int_equal(time_parse("0s", &value, NULL), 0);
    assert_int_equal(value, 0);
    assert_int_equal(time_parse("10m", &value, NULL), 0);
    assert_int_equal(value, 600000);
    assert_int_equal(size_parse("big", &value, &err), -EINVAL);
    assert_string_equal(err.text, "'big' is not a size such as 64K, 128M or 1G");
}

static void the_environment_sets_by_alias(void **state)
{
    (void)state;
    struct limits limits;
    struct err err = {0};
    limits_default(&limits);
    setenv("MEMORY_LIMIT_MB", "64", 1);
    setenv("EXECUTION_TIMEOUT", "5", 1);
    setenv("OUTPUT_LIMIT_KB", "", 1);
    assert_int_equal(limits_from_env(&limits, NULL), 0);
    assert_int_equal(limits.v[LIMIT_MEMORY], 64 * MIB);
    assert_int_equal(limits.v[LIMIT_CPU], 5000);
    assert_int_equal(limits.v[LIMIT_OUTPUT], MIB);

    static const char *const bad[] = {"64M", "0", "-1", "99999999999999999999"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        setenv("MEMORY_LIMIT_MB", bad[i], 1);
        assert_int_equal(limits_from_env(&limits, &err), -EINVAL);
        assert_non_null(strstr(err.text, "MEMORY_LIMIT_MB"));
    }
    unsetenv("MEMORY_LIMIT_MB");
    unsetenv("EXECUTION_TIMEOUT");
    unsetenv("OUTPUT_LIMIT_KB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_the_contract),
        cmocka_unit_test(values_parse_in_the_unit_of_their_limit),
        cmocka_unit_test(values_that_are_none_are_refused),
        cmocka_unit_test(pairs_set_one_limit),
        cmocka_unit_test(what_is_not_said_takes_the_default),
        cmocka_unit_test(a_default_above_the_ceiling_is_lowered_to_it),
        cmocka_unit_test(a_request_above_the_ceiling_names_limit_value_and_ceiling),
        cmocka_unit_test(the_operators_defaults_and_ceilings_count),
        cmocka_unit_test(formats_are_the_shortest_and_read_back),
        cmocka_unit_test(sizes_and_times_parse_by_themselves),
        cmocka_unit_test(the_environment_sets_by_alias),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
