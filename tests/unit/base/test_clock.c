#include "tests/support/unit.h"

#include <time.h>

#include "base/clock.h"

static void monotonic_time_advances_by_what_was_slept(void **state)
{
    (void)state;
    uint64_t before_us = clock_us(), before_ms = clock_ms();
    struct timespec pause = {.tv_nsec = 20 * 1000000};
    nanosleep(&pause, NULL);
    assert_in_range(clock_us() - before_us, 20000, 5000000);
    assert_in_range(clock_ms() - before_ms, 19, 5000);
}

static void wall_time_is_the_epoch_in_milliseconds(void **state)
{
    (void)state;
    uint64_t seconds = (uint64_t)time(NULL);
    assert_in_range(clock_wall_ms() / 1000, seconds, seconds + 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(monotonic_time_advances_by_what_was_slept),
        cmocka_unit_test(wall_time_is_the_epoch_in_milliseconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
