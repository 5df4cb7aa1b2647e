#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "execsvc/admission.h"

#define MS UINT64_C(1000)

static struct adm *make(uint32_t running_max, uint32_t queue_max, uint32_t per_tenant)
{
    const struct adm_config config = {.running_max = running_max,
                                      .slots_max = 1000,
                                      .queue_max = queue_max,
                                      .queue_per_tenant = per_tenant};
    struct adm *adm = NULL;
    assert_int_equal(adm_new(&config, &adm, NULL), 0);
    return adm;
}

static void what_has_a_permit_starts_at_once_and_the_rest_waits_in_order(void **state)
{
    (void)state;
    struct adm *adm = make(2, 100, 100);
    struct adm_ticket t[5] = {0};
    for (int i = 0; i < 5; i++)
        assert_int_equal(adm_submit(adm, &t[i], "a", ADM_INTERACTIVE, 1), 0);
    assert_ptr_equal(adm_next(adm, 1), &t[0]);
    assert_ptr_equal(adm_next(adm, 1), &t[1]);
    assert_null(adm_next(adm, 1));
    for (uint32_t i = 2; i < 5; i++) {
        struct adm_place place;
        adm_place(adm, &t[i], 1, &place);
        assert_int_equal(place.ahead, i - 2);
    }
    adm_done(adm, &t[0], 1000 * MS);
    assert_ptr_equal(adm_next(adm, 1000 * MS), &t[2]);
    assert_null(adm_next(adm, 1000 * MS));
    for (int i = 0; i < 5; i++)
        adm_done(adm, &t[i], 2000 * MS);
    struct adm_counts counts;
    adm_counts(adm, &counts);
    assert_int_equal(counts.waiting + counts.running + counts.paused + counts.tenants, 0);
    adm_free(adm);
}

static void a_tenant_that_floods_does_not_keep_another_waiting(void **state)
{
    (void)state;
    struct adm *adm = make(1, 1000, 1000);
    struct adm_ticket flood[50] = {0}, other = {0};
    uint64_t now = 1;
    for (int i = 0; i < 50; i++)
        adm_submit(adm, &flood[i], "flood", ADM_INTERACTIVE, now);
    for (int i = 0; i < 10; i++) {
        struct adm_ticket *run = adm_next(adm, now);
        assert_ptr_equal(run, &flood[i]);
        now += 100 * MS;
        adm_done(adm, run, now);
    }
    assert_ptr_equal(adm_next(adm, now), &flood[10]);
    adm_submit(adm, &other, "other", ADM_INTERACTIVE, now);
    struct adm_place place;
    adm_place(adm, &other, now, &place);
    assert_int_equal(place.ahead, 0);
    adm_done(adm, &flood[10], now + 100 * MS);
    assert_ptr_equal(adm_next(adm, now + 100 * MS), &other);
    adm_done(adm, &other, now + 200 * MS);
    for (int i = 0; i < 50; i++)
        adm_done(adm, &flood[i], now + 200 * MS);
    adm_free(adm);
}

/* Every tenant always has something waiting; run times differ by 20; permit time must not. */
static void permit_time_is_shared_evenly_whatever_a_run_lasts(void **state)
{
    (void)state;
    enum { TENANTS = 4, EACH = 400 };
    static const uint64_t lasts[TENANTS] = {10 * MS, 50 * MS, 100 * MS, 200 * MS};
    static struct adm_ticket tickets[TENANTS][EACH];
    uint64_t used[TENANTS] = {0}, now = 1;
    size_t submitted[TENANTS] = {0};
    struct adm *adm = make(1, 10000, 10000);
    for (int round = 0; round < 600; round++) {
        for (size_t t = 0; t < TENANTS; t++) {
            char name[8];
            snprintf(name, sizeof(name), "t%zu", t);
            size_t n = submitted[t];
            if (n < EACH && (n == 0 || tickets[t][n - 1].state != ADM_WAITING)) {
                assert_int_equal(adm_submit(adm, &tickets[t][n], name, ADM_INTERACTIVE, now), 0);
                submitted[t]++;
            }
        }
        struct adm_ticket *run = adm_next(adm, now);
        assert_non_null(run);
        size_t t = (size_t)(run - &tickets[0][0]) / EACH;
        now += lasts[t];
        used[t] += lasts[t];
        adm_done(adm, run, now);
        if (submitted[0] >= EACH)
            break;
    }
    for (size_t t = 0; t < TENANTS; t++) {
        assert_true(used[t] * TENANTS * 10 > (now - 1) * 8); /* within 20 % of a fair share */
        assert_true(used[t] * TENANTS * 10 < (now - 1) * 12);
        for (size_t i = 0; i < submitted[t]; i++)
            adm_done(adm, &tickets[t][i], now);
    }
    adm_free(adm);
}

static void interactive_goes_before_batch(void **state)
{
    (void)state;
    struct adm *adm = make(1, 100, 100);
    struct adm_ticket batch[3] = {0}, interactive[2] = {0};
    for (int i = 0; i < 3; i++)
        adm_submit(adm, &batch[i], "a", ADM_BATCH, 1);
    for (int i = 0; i < 2; i++)
        adm_submit(adm, &interactive[i], "b", ADM_INTERACTIVE, 1);
    struct adm_place place;
    adm_place(adm, &batch[0], 1, &place);
    assert_int_equal(place.ahead, 2);
    struct adm_ticket *order[] = {&interactive[0], &interactive[1], &batch[0], &batch[1],
                                  &batch[2]};
    for (size_t i = 0; i < 5; i++) {
        assert_ptr_equal(adm_next(adm, i + 2), order[i]);
        adm_done(adm, order[i], i + 2);
    }
    adm_free(adm);
}

static void a_full_queue_still_takes_in_a_first_run(void **state)
{
    (void)state;
    struct adm *adm = make(1, 3, 2);
    struct adm_ticket a[4] = {0}, b[3] = {0}, c = {0};
    assert_int_equal(adm_submit(adm, &a[0], "a", ADM_INTERACTIVE, 1), 0);
    assert_ptr_equal(adm_next(adm, 1), &a[0]);
    assert_int_equal(adm_submit(adm, &a[1], "a", ADM_INTERACTIVE, 1), 0);
    assert_int_equal(adm_submit(adm, &a[2], "a", ADM_INTERACTIVE, 1), 0);
    assert_int_equal(adm_submit(adm, &a[3], "a", ADM_INTERACTIVE, 1), ADM_E_TENANT_FULL);
    assert_int_equal(adm_submit(adm, &b[0], "b", ADM_INTERACTIVE, 1), 0);
    assert_int_equal(adm_submit(adm, &b[1], "b", ADM_INTERACTIVE, 1), ADM_E_QUEUE_FULL);
    assert_int_equal(adm_submit(adm, &c, "c", ADM_INTERACTIVE, 1), 0);
    uint64_t retry = adm_retry_ms(adm, "a", 1);
    assert_true(retry >= 100 && retry <= 60000);
    for (int i = 0; i < 4; i++)
        adm_done(adm, &a[i], 2);
    for (int i = 0; i < 3; i++)
        adm_done(adm, &b[i], 2);
    adm_done(adm, &c, 2);
    adm_free(adm);
}

static void a_paused_run_gives_its_permit_back_but_not_its_slot(void **state)
{
    (void)state;
    const struct adm_config config = {.running_max = 1,
                                      .slots_max = 2,
                                      .queue_max = 10,
                                      .queue_per_tenant = 10};
    struct adm *adm = NULL;
    assert_int_equal(adm_new(&config, &adm, NULL), 0);
    struct adm_ticket t[3] = {0};
    for (int i = 0; i < 3; i++)
        adm_submit(adm, &t[i], "a", ADM_INTERACTIVE, 1);
    assert_ptr_equal(adm_next(adm, 1), &t[0]);
    assert_null(adm_next(adm, 1));
    adm_pause(adm, &t[0], 2);
    assert_ptr_equal(adm_next(adm, 2), &t[1]);
    adm_pause(adm, &t[1], 3);
    assert_null(adm_next(adm, 3)); /* both slots are taken */
    adm_resume(adm, &t[0], 4);
    adm_resume(adm, &t[1], 4); /* above running_max: both go on */
    struct adm_counts counts;
    adm_counts(adm, &counts);
    assert_int_equal(counts.running, 2);
    adm_done(adm, &t[0], 5);
    assert_null(adm_next(adm, 5));
    adm_done(adm, &t[1], 5);
    assert_ptr_equal(adm_next(adm, 5), &t[2]);
    adm_done(adm, &t[2], 5);
    adm_free(adm);
}

static void the_memory_budget_holds_and_the_head_is_not_overtaken(void **state)
{
    (void)state;
    const struct adm_config config = {.running_max = 10,
                                      .slots_max = 10,
                                      .queue_max = 10,
                                      .queue_per_tenant = 10,
                                      .memory_budget_bytes = 100};
    struct adm *adm = NULL;
    assert_int_equal(adm_new(&config, &adm, NULL), 0);
    struct adm_ticket t[3] = {{.memory_bytes = 60}, {.memory_bytes = 1000}, {.memory_bytes = 10}};
    for (int i = 0; i < 3; i++)
        adm_submit(adm, &t[i], "a", ADM_INTERACTIVE, 1);
    assert_ptr_equal(adm_next(adm, 1), &t[0]);
    assert_null(adm_next(adm, 1));
    adm_done(adm, &t[0], 2);
    assert_ptr_equal(adm_next(adm, 2), &t[1]); /* larger than the budget: alone */
    assert_null(adm_next(adm, 2));
    adm_done(adm, &t[1], 3);
    assert_ptr_equal(adm_next(adm, 3), &t[2]);
    adm_done(adm, &t[2], 4);
    adm_free(adm);
}

/* The told position is the real one, as long as nobody comes and runs last what they lasted before.
 */
static void the_told_position_comes_true(void **state)
{
    (void)state;
    enum { TENANTS = 7, EACH = 9, N = TENANTS * EACH };
    struct adm *adm = make(1, 1000, 1000);
    struct adm_ticket t[N] = {0};
    uint32_t told[N];
    for (size_t i = 0; i < N; i++) {
        char name[8];
        snprintf(name, sizeof(name), "t%zu", (i * i) % TENANTS);
        assert_int_equal(adm_submit(adm, &t[i], name, ADM_INTERACTIVE, 1), 0);
    }
    for (size_t i = 0; i < N; i++) {
        struct adm_place place;
        adm_place(adm, &t[i], 1, &place);
        told[i] = place.ahead;
    }
    uint64_t now = 1;
    for (uint32_t served = 0; served < N; served++) {
        struct adm_ticket *run = adm_next(adm, now);
        assert_non_null(run);
        assert_int_equal(told[run - t], served);
        now += 1000 * MS; /* the mean that admission assumes at first */
        adm_done(adm, run, now);
    }
    adm_free(adm);
}

/* Random life; every invariant that a caller sees is checked after each step. */
static void counts_are_right_after_any_sequence(void **state)
{
    (void)state;
    enum { N = 200 };
    struct adm *adm = make(5, 60, 6);
    struct adm_ticket t[N] = {0};
    uint32_t seed = 12345;
    uint64_t now = 1;
    for (int step = 0; step < 20000; step++) {
        seed = seed * 1664525 + 1013904223;
        struct adm_ticket *one = &t[(seed >> 8) % N];
        char name[8];
        snprintf(name, sizeof(name), "t%u", (seed >> 20) % 17);
        now += (seed >> 4) % 5000;
        switch ((seed >> 28) % 5) {
        case 0:
        case 1:
            if (one->state != ADM_OUT)
                break;
            one->memory_bytes = (seed >> 12) % 1000;
            assert_true(adm_submit(adm, one, name, (seed >> 3) & 1, now) >= 0);
            break;
        case 2:
            while (adm_next(adm, now))
                ;
            break;
        case 3:
            (seed & 1024) ? adm_pause(adm, one, now) : adm_resume(adm, one, now);
            break;
        default:
            adm_done(adm, one, now);
        }
        struct adm_counts seen = {0}, counts;
        for (int i = 0; i < N; i++) {
            seen.waiting += t[i].state == ADM_WAITING;
            seen.running += t[i].state == ADM_RUNNING;
            seen.paused += t[i].state == ADM_PAUSED;
            if (t[i].state == ADM_RUNNING || t[i].state == ADM_PAUSED)
                seen.memory_bytes += t[i].memory_bytes;
        }
        adm_counts(adm, &counts);
        assert_int_equal(seen.waiting, counts.waiting);
        assert_int_equal(seen.running, counts.running);
        assert_int_equal(seen.paused, counts.paused);
        assert_int_equal(seen.memory_bytes, counts.memory_bytes);
        struct adm_place place;
        adm_place(adm, one, now, &place);
        assert_true(place.ahead <= counts.waiting);
    }
    for (int i = 0; i < N; i++)
        adm_done(adm, &t[i], now);
    adm_free(adm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_a_permit_starts_at_once_and_the_rest_waits_in_order),
        cmocka_unit_test(a_tenant_that_floods_does_not_keep_another_waiting),
        cmocka_unit_test(permit_time_is_shared_evenly_whatever_a_run_lasts),
        cmocka_unit_test(interactive_goes_before_batch),
        cmocka_unit_test(a_full_queue_still_takes_in_a_first_run),
        cmocka_unit_test(a_paused_run_gives_its_permit_back_but_not_its_slot),
        cmocka_unit_test(the_memory_budget_holds_and_the_head_is_not_overtaken),
        cmocka_unit_test(the_told_position_comes_true),
        cmocka_unit_test(counts_are_right_after_any_sequence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
