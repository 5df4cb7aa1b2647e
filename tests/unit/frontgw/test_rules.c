#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frontgw/ops/rules.h"

#define GB (UINT64_C(1) << 30)

static struct figures healthy(void)
{
    return (struct figures){
        .sys = {.cores = 4,
                .load1 = 0.5,
                .cpu_pressure = 1,
                .memory_pressure = 0,
                .io_pressure = 1,
                .memory_total = 8 * GB,
                .memory_available = 6 * GB,
                .disk_total = 100 * GB,
                .disk_free = 60 * GB,
                .process = {.fds_open = 50, .fds_max = 65536}},
        .connections = 100,
        .connections_max = 10000,
        .database_used = 0.2,
        .redis = 1,
    };
}

static const struct advice *find(const struct advice *list, size_t n, const char *rule)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i].rule, rule) == 0)
            return &list[i];
    }
    fail_msg("no rule %s", rule);
    abort(); /* it did not come back; the compiler does not know */
}

static void a_healthy_machine_needs_nothing(void **state)
{
    (void)state;
    struct figures f = healthy();
    struct advice list[32];
    size_t n = rules_apply(&f, list, 32);
    assert_int_equal(n, rules_count());
    for (size_t i = 0; i < n; i++) {
        if (list[i].severity != SEVERITY_OK || list[i].action[0] || !list[i].state[0])
            fail_msg("%s: %s %s", list[i].rule, list[i].state, list[i].action);
    }
    assert_non_null(strstr(find(list, n, "memory")->state, "6.0 GB of memory are free (75 %)"));
    assert_non_null(strstr(find(list, n, "memory")->state, "12288 more people"));
    assert_non_null(strstr(find(list, n, "connections")->state, "room for 1650 more browsers"));
    assert_non_null(strstr(find(list, n, "disk")->state, "room for 410 full workspaces"));
}

/* Each row of the table: at its thresholds, and just before them. */
static void expect(const char *rule, const struct figures *f, enum severity severity)
{
    struct advice list[32];
    size_t n = rules_apply(f, list, 32);
    const struct advice *a = find(list, n, rule);
    if (a->severity != severity)
        fail_msg("%s is %s at %g: %s", rule, severity_name(a->severity), a->value, a->state);
    assert_int_equal(severity == SEVERITY_OK, a->action[0] == '\0');
}

#define ROW(rule, member, ok, warning, critical)                                                   \
    do {                                                                                           \
        struct figures f = healthy();                                                              \
        f.member = (ok);                                                                           \
        expect(rule, &f, SEVERITY_OK);                                                             \
        f.member = (warning);                                                                      \
        expect(rule, &f, SEVERITY_WARNING);                                                        \
        f.member = (critical);                                                                     \
        expect(rule, &f, SEVERITY_CRITICAL);                                                       \
    } while (0)

static void every_rule_speaks_up_at_its_thresholds(void **state)
{
    (void)state;
    ROW("memory", sys.memory_available, 8 * GB * 21 / 100, 8 * GB * 20 / 100, 8 * GB * 8 / 100);
    ROW("memory-pressure", sys.memory_pressure, 9.9, 10, 40);
    ROW("cpu", sys.cpu_pressure, 39.9, 40, 80);
    ROW("disk-wait", sys.io_pressure, 29.9, 30, 60);
    ROW("disk", sys.disk_free, 16 * GB, 15 * GB, 5 * GB);
    ROW("connections", connections, 7499, 7500, 9500);
    ROW("descriptors", sys.process.fds_open, 49151, 49152, 62260);
    ROW("logins", login_wait_ms, 1999, 2000, 10000);
    ROW("workers", worker_wait_ms, 499, 500, 3000);
    ROW("addresses", address_refused_per_min, 9, 10, 200);
    ROW("database", database_used, 0.74, 0.75, 0.95);
    struct figures f = healthy();
    f.redis = 0;
    expect("redis", &f, SEVERITY_WARNING);
}

static void what_is_not_known_is_not_talked_about(void **state)
{
    (void)state;
    struct figures f = healthy();
    struct advice list[32];
    f.redis = -1;
    f.database_used = -1;
    f.sys.cpu_pressure = f.sys.memory_pressure = f.sys.io_pressure = -1;
    f.sys.disk_total = f.sys.disk_free = 0;
    size_t n = rules_apply(&f, list, 32);
    assert_int_equal(n, rules_count() - 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_healthy_machine_needs_nothing),
        cmocka_unit_test(every_rule_speaks_up_at_its_thresholds),
        cmocka_unit_test(what_is_not_known_is_not_talked_about),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
