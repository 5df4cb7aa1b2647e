#include "execsvc/memory.h"

#include "tests/support/unit.h"

#define MIB(n) ((uint64_t)(n) << 20)

static bool wants(uint64_t resident, uint64_t free, uint64_t kept)
{
    const struct memory_figures now = {.resident_bytes = resident, .free_bytes = free};
    return memory_wants_trim(&now, kept, false);
}

static void what_is_freed_is_given_back_once(void **state)
{
    (void)state;
    assert_false(wants(MIB(20), MIB(3), 0));
    assert_true(wants(MIB(700), MIB(690), 0));
    assert_false(wants(MIB(700), MIB(3), 0));
    assert_true(wants(MIB(700), MIB(690), MIB(10))); /* grown while it was in use, freed now */
    assert_false(wants(MIB(40), MIB(34), MIB(33)));  /* a trim did not get at more than that */
    assert_false(wants(MIB(3), MIB(690), 0));        /* given back already */
}

static void an_idle_service_gives_back_little_too(void **state)
{
    (void)state;
    const struct memory_figures now = {.resident_bytes = MIB(8), .free_bytes = MIB(1)};
    assert_true(memory_wants_trim(&now, 0, true));
    assert_false(memory_wants_trim(&now, 0, false));
    assert_false(memory_wants_trim(&now, MIB(1), true));
}

static enum memory_verdict judge(uint64_t resident, uint64_t max)
{
    const struct memory_figures now = {.resident_bytes = resident};
    return memory_judge(&now, max);
}

static void too_much_drains_and_twice_as_much_ends(void **state)
{
    (void)state;
    assert_int_equal(judge(MIB(100), MIB(100)), MEMORY_FINE);
    assert_int_equal(judge(MIB(101), MIB(100)), MEMORY_DRAIN);
    assert_int_equal(judge(MIB(200), MIB(100)), MEMORY_DRAIN);
    assert_int_equal(judge(MIB(201), MIB(100)), MEMORY_END);
    assert_int_equal(judge(UINT64_MAX, 0), MEMORY_FINE);
    assert_int_equal(judge(MIB(1), UINT64_MAX), MEMORY_FINE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_freed_is_given_back_once),
        cmocka_unit_test(an_idle_service_gives_back_little_too),
        cmocka_unit_test(too_much_drains_and_twice_as_much_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
