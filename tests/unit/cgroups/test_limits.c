#include "tests/support/unit.h"

#include "cgroups/limits.h"

static void the_default_weight_of_v2_is_the_default_of_v1(void **state)
{
    (void)state;
    assert_int_equal(cg_shares_of_weight(100), 1024);
    assert_int_equal(cg_shares_of_weight(200), 2048);
}

static void shares_stay_within_what_the_kernel_takes(void **state)
{
    (void)state;
    assert_int_equal(cg_shares_of_weight(0), 2);
    assert_int_equal(cg_shares_of_weight(1), 10);
    assert_int_equal(cg_shares_of_weight(10000), 102400);
    assert_int_equal(cg_shares_of_weight(UINT32_MAX), 262144);
}

static void a_quota_is_a_share_of_the_period(void **state)
{
    (void)state;
    assert_int_equal(cg_quota_us(100), CG_CPU_PERIOD_US);
    assert_int_equal(cg_quota_us(150), 150000);
    assert_int_equal(cg_quota_us(1), 1000); /* the smallest that the kernel takes */
    assert_true(cg_quota_us(0) == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_weight_of_v2_is_the_default_of_v1),
        cmocka_unit_test(shares_stay_within_what_the_kernel_takes),
        cmocka_unit_test(a_quota_is_a_share_of_the_period),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
