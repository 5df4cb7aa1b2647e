#include "tests/support/unit.h"

#include "base/err.h"
#include "execsvc/keep.h"

/* Entries of a table with small limits; what is thrown out is noted. */
struct item {
    struct keep_entry entry;
    char id[8];
};

static struct keep_table *table;
static struct item items[16];
static char dropped[64];

static void drop(struct keep_entry *entry)
{
    size_t len = strlen(dropped);
    snprintf(dropped + len, sizeof(dropped) - len, "%s ", entry->id);
    keep_remove(table, entry);
}

static int set_up(void **state)
{
    static const struct keep_limits limits = {.runs_max = 5,
                                              .runs_per_tenant = 3,
                                              .bytes_max = 1000,
                                              .bytes_per_tenant = 600};
    (void)state;
    memset(items, 0, sizeof(items));
    dropped[0] = 0;
    return keep_new(&limits, drop, &table, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++)
        keep_remove(table, &items[i].entry);
    table = keep_free(table);
    return 0;
}

static int add(int i, const char *tenant)
{
    snprintf(items[i].id, sizeof(items[i].id), "r%d", i);
    return keep_add(table, &items[i].entry, items[i].id, tenant);
}

static void idle(int i, bool taken)
{
    keep_idle(&items[i].entry, taken);
}

static int charge(int i, uint64_t bytes)
{
    return keep_charge(table, &items[i].entry, bytes);
}

static void assert_counts(uint64_t runs, uint64_t bytes)
{
    struct keep_counts counts;
    keep_counts(table, &counts);
    assert_int_equal(counts.runs, runs);
    assert_int_equal(counts.bytes, bytes);
}

static void a_run_is_found_by_its_tenant_only(void **state)
{
    (void)state;
    assert_int_equal(add(0, "ada"), 0);
    assert_int_equal(add(1, "ben"), 0);
    assert_ptr_equal(keep_find(table, "r0", "ada"), &items[0].entry);
    assert_null(keep_find(table, "r0", "ben"));
    assert_null(keep_find(table, "r2", "ada"));
    keep_remove(table, &items[0].entry);
    keep_remove(table, &items[0].entry);
    assert_null(keep_find(table, "r0", "ada"));
    assert_counts(1, 0);
}

static void a_tenant_that_has_its_number_under_way_is_refused(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(add(i, "ada"), 0);
    assert_int_equal(add(3, "ada"), KEEP_E_TENANT_FULL);
    assert_counts(3, 0);
    assert_int_equal(add(3, "ben"), 0);
    assert_int_equal(add(4, "cyd"), 0);
    assert_int_equal(add(5, "dan"), KEEP_E_FULL);
    assert_counts(5, 0);
    assert_string_equal(dropped, "");
}

static void what_was_taken_makes_room_first_then_the_oldest(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(add(i, "ada"), 0);
    idle(0, false);
    idle(1, true);
    assert_int_equal(add(3, "ada"), 0);
    assert_string_equal(dropped, "r1 ");
    assert_int_equal(add(4, "ada"), 0);
    assert_string_equal(dropped, "r1 r0 ");
    assert_int_equal(add(5, "ada"), KEEP_E_TENANT_FULL);
}

static void a_run_with_a_listener_makes_no_room(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(add(i, "ada"), 0);
    idle(0, true);
    keep_busy(&items[0].entry);
    assert_int_equal(add(3, "ada"), KEEP_E_TENANT_FULL);
    assert_string_equal(dropped, "");
}

static void at_the_nodes_limit_who_has_most_makes_room(void **state)
{
    (void)state;
    assert_int_equal(add(0, "ada"), 0);
    for (int i = 1; i < 4; i++)
        assert_int_equal(add(i, "ben"), 0);
    assert_int_equal(add(4, "cyd"), 0);
    idle(0, true);
    idle(2, false);
    assert_int_equal(add(5, "cyd"), 0);
    assert_string_equal(dropped, "r2 ");
    assert_int_equal(add(6, "cyd"), 0);
    assert_string_equal(dropped, "r2 r0 ");
    assert_counts(5, 0);
}

static void a_tenants_only_result_can_go_for_its_next_run(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(add(i, i < 2 ? "ada" : i < 4 ? "ben" : "cyd"), 0);
    idle(4, false);
    assert_int_equal(add(5, "cyd"), 0);
    assert_string_equal(dropped, "r4 ");
    assert_ptr_equal(keep_find(table, "r5", "cyd"), &items[5].entry);
}

static void bytes_are_charged_returned_and_bounded(void **state)
{
    (void)state;
    assert_int_equal(add(0, "ada"), 0);
    assert_int_equal(add(1, "ada"), 0);
    assert_int_equal(charge(0, 500), 0);
    assert_int_equal(charge(0, 400), 0);
    assert_int_equal(charge(1, 200), 0);
    assert_int_equal(charge(1, 201), KEEP_E_TENANT_FULL);
    assert_int_equal(charge(1, UINT64_MAX), KEEP_E_TENANT_FULL);
    assert_counts(2, 600);
    idle(0, false);
    assert_int_equal(charge(1, 201), 0);
    assert_string_equal(dropped, "r0 ");
    assert_counts(1, 201);
    assert_int_equal(charge(1, 0), 0);
    assert_counts(1, 0);
}

static void the_nodes_bytes_are_made_free_by_who_holds_most(void **state)
{
    (void)state;
    assert_int_equal(add(0, "ada"), 0);
    assert_int_equal(add(1, "ben"), 0);
    assert_int_equal(add(2, "ben"), 0);
    assert_int_equal(add(3, "cyd"), 0);
    assert_int_equal(charge(0, 300), 0);
    assert_int_equal(charge(2, 500), 0);
    idle(0, true);
    idle(1, true); /* holds nothing: its end would help nobody */
    idle(2, false);
    assert_int_equal(charge(3, 400), 0);
    assert_string_equal(dropped, "r2 ");
    assert_int_equal(charge(3, 600), 0);
    assert_int_equal(add(4, "dan"), 0);
    assert_int_equal(charge(4, 200), 0);
    assert_string_equal(dropped, "r2 r0 ");
    assert_int_equal(charge(4, 401), KEEP_E_FULL);
    assert_counts(4 - 1, 800);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_run_is_found_by_its_tenant_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_tenant_that_has_its_number_under_way_is_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_was_taken_makes_room_first_then_the_oldest, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_run_with_a_listener_makes_no_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(at_the_nodes_limit_who_has_most_makes_room, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_tenants_only_result_can_go_for_its_next_run, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(bytes_are_charged_returned_and_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_nodes_bytes_are_made_free_by_who_holds_most, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
