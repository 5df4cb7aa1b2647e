#include "frontgw/files/thin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SECOND 1000ull
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define NOW    (400 * DAY + 5 * HOUR)

static size_t fill(struct thin_version *v, uint64_t from, uint64_t step, size_t n)
{
    for (size_t i = 0; i < n; i++)
        v[i] = (struct thin_version){.created_ms = from + i * step};
    return n;
}

static void the_last_hour_stays_whole(void **state)
{
    (void)state;
    struct thin_version v[119];
    size_t n = fill(v, NOW - HOUR + SECOND, 30 * SECOND, 119);
    assert_int_equal(thin_select(v, n, NOW), 0);
}

static void one_of_ten_minutes_stays_for_a_day(void **state)
{
    (void)state;
    struct thin_version v[480]; /* every 30 s for four hours, ending 2 h ago; begins on a slice */
    size_t n = fill(v, NOW - 6 * HOUR, 30 * SECOND, 480);
    size_t dropped = thin_select(v, n, NOW);
    /* 24 slices, and the very first version */
    assert_int_equal(n - dropped, 24 + 1);
    for (size_t i = 0; i < n; i++)
        if (i && !v[i].drop) /* the newest of its slice */
            assert_int_equal(v[i].created_ms % (10 * MINUTE), 9 * MINUTE + 30 * SECOND);
}

static void one_a_day_stays_for_the_term(void **state)
{
    (void)state;
    struct thin_version v[240]; /* every hour for ten days */
    size_t n = fill(v, NOW - NOW % DAY - 20 * DAY, HOUR, 240);
    size_t dropped = thin_select(v, n, NOW);
    assert_int_equal(n - dropped, 10 + 1);
}

static void first_last_and_pinned_stay_for_ever(void **state)
{
    (void)state;
    struct thin_version v[50];
    size_t n = fill(v, NOW - 300 * DAY, SECOND, 50);
    v[10].pinned = v[11].pinned = v[49].pinned = true;
    thin_select(v, n, NOW);
    assert_false(v[0].drop || v[10].drop || v[11].drop || v[49].drop);
    assert_true(v[1].drop && v[12].drop);
}

static void thinning_often_or_once_leaves_the_same(void **state)
{
    (void)state;
    struct thin_version often[600], once[600];
    size_t n = fill(often, NOW - 3 * DAY, 7 * MINUTE, 600), left = n;
    memcpy(once, often, sizeof(once));
    for (uint64_t now = NOW - 3 * DAY; now <= NOW; now += 37 * MINUTE) {
        size_t there = 0; /* what exists by then */
        while (there < left && often[there].created_ms <= now)
            there++;
        thin_select(often, there, now);
        size_t kept = 0;
        for (size_t i = 0; i < left; i++)
            if (i >= there || !often[i].drop)
                often[kept++] = often[i];
        left = kept;
    }
    thin_select(often, left, NOW);
    size_t a = 0, b = 0;
    for (size_t i = 0; i < left; i++)
        a += !often[i].drop;
    thin_select(once, n, NOW);
    for (size_t i = 0; i < n; i++)
        b += !once[i].drop;
    assert_int_equal(a, b);
}

static void nothing_is_dropped_of_one_or_none(void **state)
{
    (void)state;
    struct thin_version v = {.created_ms = 1};
    assert_int_equal(thin_select(&v, 1, NOW), 0);
    assert_int_equal(thin_select(&v, 0, NOW), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_hour_stays_whole),
        cmocka_unit_test(one_of_ten_minutes_stays_for_a_day),
        cmocka_unit_test(one_a_day_stays_for_the_term),
        cmocka_unit_test(first_last_and_pinned_stay_for_ever),
        cmocka_unit_test(thinning_often_or_once_leaves_the_same),
        cmocka_unit_test(nothing_is_dropped_of_one_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
