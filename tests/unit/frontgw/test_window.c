#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frontgw/limits/limiter.h"
#include "frontgw/limits/window.h"

#define SPAN 60000

static void no_span_ever_holds_more_than_the_limit(void **state)
{
    (void)state;
    enum { LIMIT = 10, N = 20000 };
    static uint32_t allowed[N];
    struct window w = {0};
    uint32_t now = UINT32_MAX - 3 * SPAN; /* the clock wraps on the way */
    uint32_t seed = 1;
    size_t n = 0;

    for (int i = 0; i < N; i++) {
        seed = seed * 1664525 + 1013904223;
        now += seed >> 20; /* up to 4 s: sometimes far below the limit, mostly far above */
        uint32_t wait = window_wait(&w, now, SPAN, LIMIT);
        /* against the definition: how many were allowed in the last 60 s? */
        size_t recent = 0;
        while (recent < n && now - allowed[n - 1 - recent] < SPAN)
            recent++;
        assert_int_equal(wait == 0, recent < LIMIT);
        if (wait) {
            assert_true(wait <= SPAN);
            assert_int_equal(wait, SPAN - (now - allowed[n - LIMIT]));
            continue;
        }
        assert_int_equal(window_add(&w, now), 0);
        allowed[n++] = now;
    }
    assert_true(n > 1000);
    window_done(&w);
}

static void the_wait_is_exact_to_the_millisecond(void **state)
{
    (void)state;
    struct window w = {0};
    for (uint32_t t = 100; t < 103; t++) {
        assert_int_equal(window_wait(&w, t, SPAN, 3), 0);
        window_add(&w, t);
    }
    assert_int_equal(window_wait(&w, 200, SPAN, 3), SPAN - 100);
    assert_int_equal(window_wait(&w, 100 + SPAN - 1, SPAN, 3), 1);
    assert_int_equal(window_wait(&w, 100 + SPAN, SPAN, 3), 0);
    window_done(&w);
}

static void what_is_given_back_was_never_taken(void **state)
{
    (void)state;
    struct window w = {0};
    window_add(&w, 10);
    window_add(&w, 20);
    window_add(&w, 20);
    window_add(&w, 30);
    window_remove(&w, 20);
    assert_int_equal(w.count, 3);
    window_remove(&w, 99);
    assert_int_equal(w.count, 3);
    window_remove(&w, 10);
    window_remove(&w, 30);
    assert_int_equal(w.count, 1);
    assert_int_equal(window_wait(&w, 40, SPAN, 1), SPAN - 20);
    window_done(&w);
}

static void silent_keys_are_forgotten_and_a_full_table_refuses(void **state)
{
    (void)state;
    struct windows *ws;
    assert_int_equal(windows_new(3, &ws), 0);
    for (int i = 0; i < 3; i++) {
        char key[8];
        snprintf(key, sizeof(key), "k%d", i);
        struct window *w = windows_get(ws, key);
        assert_non_null(w);
        assert_ptr_equal(windows_get(ws, key), w);
        window_add(w, (uint32_t)i * 1000);
    }
    assert_null(windows_get(ws, "one more"));
    windows_sweep(ws, SPAN + 1500, SPAN);
    assert_int_equal(windows_count(ws), 1);
    assert_non_null(windows_get(ws, "one more"));
    windows_free(ws);
}

static struct gw_limiter *limiter(unsigned user, unsigned files, unsigned address)
{
    struct gw_limiter_config config = {.per_minute = {[GW_LIMIT_USER] = user,
                                                      [GW_LIMIT_FILES] = files,
                                                      [GW_LIMIT_ADDRESS] = address,
                                                      [GW_LIMIT_CLASS] = 1}};
    struct gw_limiter *ret;
    assert_int_equal(gw_limiter_new(&config, &ret, NULL), 0);
    return ret;
}

static void all_keys_are_checked_before_any_is_counted(void **state)
{
    (void)state;
    struct gw_limiter *l = limiter(5, 2, 100);
    struct gw_limit_key both[] = {{GW_LIMIT_USER, "anna"}, {GW_LIMIT_FILES, "anna"}};
    struct gw_limit_verdict v;

    for (int i = 0; i < 2; i++) {
        gw_limiter_take(l, both, 2, "r", &v);
        assert_true(v.allowed);
    }
    for (int i = 0; i < 10; i++) {
        gw_limiter_take(l, both, 2, "r", &v);
        assert_false(v.allowed);
        assert_int_equal(v.which, GW_LIMIT_FILES);
        assert_int_equal(v.per_minute, 2);
        assert_true(v.retry_ms > 50000 && v.retry_ms <= 60000);
    }
    /* the ten refusals took nothing from the other limit */
    for (int i = 0; i < 3; i++) {
        gw_limiter_take(l, both, 1, "r", &v);
        assert_true(v.allowed);
    }
    gw_limiter_take(l, both, 1, "r", &v);
    assert_false(v.allowed);
    assert_int_equal(v.which, GW_LIMIT_USER);
    gw_limiter_free(l);
}

static void a_login_that_worked_gives_its_token_back(void **state)
{
    (void)state;
    struct gw_limiter *l = limiter(5, 2, 3);
    struct gw_limit_key key = {GW_LIMIT_ADDRESS, "192.0.2.1"};
    struct gw_limit_verdict v;

    for (int i = 0; i < 500; i++) {
        gw_limiter_take(l, &key, 1, "r", &v);
        assert_true(v.allowed);
        gw_limiter_give_back(l, &key, &v);
    }
    for (int i = 0; i < 3; i++) {
        gw_limiter_take(l, &key, 1, "r", &v);
        assert_true(v.allowed);
    }
    gw_limiter_take(l, &key, 1, "r", &v);
    assert_false(v.allowed);
    gw_limiter_free(l);
}

static void every_limit_trips_at_its_own_number(void **state)
{
    (void)state;
    struct gw_limiter *l = limiter(100, 90, 200);
    static const unsigned expected[GW_LIMIT_COUNT] = {[GW_LIMIT_USER] = 100,
                                                      [GW_LIMIT_FILES] = 90,
                                                      [GW_LIMIT_ADDRESS] = 200,
                                                      [GW_LIMIT_CLASS] = 1};
    for (int limit = 0; limit < GW_LIMIT_COUNT; limit++) {
        struct gw_limit_key key = {(enum gw_limit)limit, "x"};
        struct gw_limit_verdict v = {.allowed = true};
        unsigned passed = 0;
        for (int i = 0; i < 300; i++) {
            gw_limiter_take(l, &key, 1, "r", &v);
            passed += v.allowed;
        }
        assert_int_equal(passed, expected[limit]);
        assert_int_equal(v.which, limit);
    }
    gw_limiter_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_span_ever_holds_more_than_the_limit),
        cmocka_unit_test(the_wait_is_exact_to_the_millisecond),
        cmocka_unit_test(what_is_given_back_was_never_taken),
        cmocka_unit_test(silent_keys_are_forgotten_and_a_full_table_refuses),
        cmocka_unit_test(all_keys_are_checked_before_any_is_counted),
        cmocka_unit_test(a_login_that_worked_gives_its_token_back),
        cmocka_unit_test(every_limit_trips_at_its_own_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
