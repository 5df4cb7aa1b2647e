#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "frontgw/http/job.h"

static const struct gw_lane_config lanes[GW_LANE_COUNT] = {
    [GW_LANE_MAIN] = {.threads = 3, .queue_max = 1000},
    [GW_LANE_PASSWORD] = {.threads = 1, .queue_max = 2},
    [GW_LANE_BULK] = {.threads = 1, .queue_max = 10},
};

static atomic_int ran;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void count(struct gw_job *job)
{
    (void)job;
    atomic_fetch_add(&ran, 1);
}

static void wait_at_gate(struct gw_job *job)
{
    (void)job;
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    atomic_fetch_add(&ran, 1);
}

static void every_job_runs_once_even_when_stopping(void **state)
{
    (void)state;
    static struct gw_job jobs[900];
    struct gw_pool *pool;

    atomic_store(&ran, 0);
    assert_int_equal(gw_pool_new(lanes, &pool, NULL), 0);
    for (size_t i = 0; i < 900; i++) {
        jobs[i].run = count;
        assert_int_equal(gw_pool_post(pool, GW_LANE_MAIN, &jobs[i]), 0);
    }
    gw_pool_stop(pool);
    assert_int_equal(atomic_load(&ran), 900);
    assert_int_equal(gw_pool_post(pool, GW_LANE_MAIN, &jobs[0]), -ESHUTDOWN);
    gw_pool_free(pool);
}

static void a_full_lane_refuses_and_others_go_on(void **state)
{
    (void)state;
    struct gw_job jobs[4] = {{.run = wait_at_gate},
                             {.run = wait_at_gate},
                             {.run = wait_at_gate},
                             {.run = wait_at_gate}};
    struct gw_job quick = {.run = count};
    struct gw_pool *pool;
    struct gw_lane_stats stats;

    atomic_store(&ran, 0);
    assert_int_equal(gw_pool_new(lanes, &pool, NULL), 0);
    pthread_mutex_lock(&gate);
    assert_int_equal(gw_pool_post(pool, GW_LANE_PASSWORD, &jobs[0]), 0);
    do {
        gw_pool_stats(pool, GW_LANE_PASSWORD, &stats);
    } while (stats.busy == 0);
    assert_int_equal(gw_pool_post(pool, GW_LANE_PASSWORD, &jobs[1]), 0);
    assert_int_equal(gw_pool_post(pool, GW_LANE_PASSWORD, &jobs[2]), 0);
    assert_int_equal(gw_pool_post(pool, GW_LANE_PASSWORD, &jobs[3]), -EAGAIN);
    gw_pool_stats(pool, GW_LANE_PASSWORD, &stats);
    assert_int_equal(stats.queued, 2);
    assert_int_equal(stats.refused, 1);

    assert_int_equal(gw_pool_post(pool, GW_LANE_MAIN, &quick), 0);
    while (atomic_load(&ran) == 0)
        sched_yield();
    pthread_mutex_unlock(&gate);
    gw_pool_free(pool);
    assert_int_equal(atomic_load(&ran), 4);
}

static void tick(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void ticks_come_again_and_again(void **state)
{
    (void)state;
    static atomic_int fast, slow;
    struct gw_pool *pool;
    assert_int_equal(gw_pool_new(lanes, &pool, NULL), 0);
    assert_int_equal(gw_pool_every(pool, 1000000, tick, &slow), 0);
    assert_int_equal(gw_pool_every(pool, 2, tick, &fast), 0);
    while (atomic_load(&fast) < 3)
        sched_yield();
    gw_pool_free(pool);
    assert_int_equal(atomic_load(&slow), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_job_runs_once_even_when_stopping),
        cmocka_unit_test(a_full_lane_refuses_and_others_go_on),
        cmocka_unit_test(ticks_come_again_and_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
