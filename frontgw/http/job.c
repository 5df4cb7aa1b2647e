#include "frontgw/http/job.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"

#define LANE_THREADS_MAX 64
#define TICKS_MAX        16
#define WORKER_STACK     (1024 * 1024)

struct lane {
    struct gw_lane_config config;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct gw_job *head, **tail;
    size_t queued;
    unsigned busy;
    uint64_t done, refused, wait_us_max;
    bool stopping;
    pthread_t threads[LANE_THREADS_MAX];
    unsigned n_threads;
};

struct tick {
    gw_tick_fn *fn;
    void *arg;
    uint64_t period_ms, due_ms;
};

struct gw_pool {
    struct lane lanes[GW_LANE_COUNT];
    pthread_mutex_t tick_lock;
    pthread_cond_t tick_wake;
    struct tick ticks[TICKS_MAX];
    size_t n_ticks;
    bool ticks_stopping;
    bool have_ticker;
    pthread_t ticker;
};

static void run_one(struct lane *lane, struct gw_job *job)
{
    uint64_t wait_us = clock_us() - job->posted_us;

    if (wait_us > lane->wait_us_max)
        lane->wait_us_max = wait_us;
    lane->busy++;
    pthread_mutex_unlock(&lane->lock);
    job->run(job);
    pthread_mutex_lock(&lane->lock);
    lane->busy--;
    lane->done++;
}

static void *worker_main(void *arg)
{
    struct lane *lane = arg;

    if (lane->config.nice)
        setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), lane->config.nice);
    pthread_mutex_lock(&lane->lock);
    for (;;) {
        while (!lane->head && !lane->stopping)
            pthread_cond_wait(&lane->wake, &lane->lock);
        struct gw_job *job = lane->head;
        if (!job)
            break;
        lane->head = job->next;
        if (!lane->head)
            lane->tail = &lane->head;
        lane->queued--;
        run_one(lane, job);
    }
    pthread_mutex_unlock(&lane->lock);
    return NULL;
}

/* Runs every tick that is due, without the lock; return: milliseconds until the next one. */
static uint64_t run_due_ticks(struct gw_pool *pool)
{
    uint64_t now = clock_ms(), next = now + 60000;

    for (size_t i = 0; i < pool->n_ticks; i++) {
        struct tick *tick = &pool->ticks[i];
        if (tick->due_ms <= now && !pool->ticks_stopping) {
            pthread_mutex_unlock(&pool->tick_lock);
            tick->fn(tick->arg);
            pthread_mutex_lock(&pool->tick_lock);
            tick->due_ms = clock_ms() + tick->period_ms;
        }
        if (tick->due_ms < next)
            next = tick->due_ms;
    }
    now = clock_ms();
    return next > now ? next - now : 1;
}

static void *ticker_main(void *arg)
{
    struct gw_pool *pool = arg;

    pthread_mutex_lock(&pool->tick_lock);
    while (!pool->ticks_stopping) {
        uint64_t wait_ms = run_due_ticks(pool);
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += (time_t)(wait_ms / 1000);
        until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        if (!pool->ticks_stopping)
            pthread_cond_timedwait(&pool->tick_wake, &pool->tick_lock, &until);
    }
    pthread_mutex_unlock(&pool->tick_lock);
    return NULL;
}

/* Signals are the main thread's: workers are born with all of them blocked. */
static int spawn_thread(pthread_t *ret, void *(*fn)(void *), void *arg)
{
    pthread_attr_t attr;
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, WORKER_STACK);
    int r = pthread_create(ret, &attr, fn, arg);
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -r;
}

static int lane_start(struct lane *lane, const struct gw_lane_config *config, struct err *err)
{
    lane->config = *config;
    while (lane->n_threads < config->threads && lane->n_threads < LANE_THREADS_MAX) {
        int r = spawn_thread(&lane->threads[lane->n_threads], worker_main, lane);
        if (r < 0)
            return err_set(err, r, "start worker thread %u: %m", lane->n_threads);
        lane->n_threads++;
    }
    return 0;
}

int gw_pool_new(const struct gw_lane_config lanes[GW_LANE_COUNT], struct gw_pool **ret,
                struct err *err)
{
    struct gw_pool *pool = calloc(1, sizeof(*pool));
    pthread_condattr_t monotonic;
    int r = 0;

    if (!pool)
        return err_set(err, -ENOMEM, "worker pool: %m");
    pthread_mutex_init(&pool->tick_lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->tick_wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    for (int i = 0; i < GW_LANE_COUNT; i++) {
        pthread_mutex_init(&pool->lanes[i].lock, NULL);
        pthread_cond_init(&pool->lanes[i].wake, NULL);
        pool->lanes[i].tail = &pool->lanes[i].head;
    }
    for (int i = 0; i < GW_LANE_COUNT && r == 0; i++)
        r = lane_start(&pool->lanes[i], &lanes[i], err);
    if (r < 0) {
        gw_pool_free(pool);
        return r;
    }
    *ret = pool;
    return 0;
}

static void lane_stop(struct lane *lane)
{
    pthread_mutex_lock(&lane->lock);
    lane->stopping = true;
    pthread_cond_broadcast(&lane->wake);
    pthread_mutex_unlock(&lane->lock);
    for (unsigned i = 0; i < lane->n_threads; i++)
        pthread_join(lane->threads[i], NULL);
    lane->n_threads = 0;
}

void gw_pool_stop(struct gw_pool *pool)
{
    if (pool->have_ticker) {
        pthread_mutex_lock(&pool->tick_lock);
        pool->ticks_stopping = true;
        pthread_cond_signal(&pool->tick_wake);
        pthread_mutex_unlock(&pool->tick_lock);
        pthread_join(pool->ticker, NULL);
        pool->have_ticker = false;
    }
    for (int i = 0; i < GW_LANE_COUNT; i++)
        lane_stop(&pool->lanes[i]);
}

struct gw_pool *gw_pool_free(struct gw_pool *pool)
{
    if (!pool)
        return NULL;
    gw_pool_stop(pool);
    for (int i = 0; i < GW_LANE_COUNT; i++) {
        pthread_mutex_destroy(&pool->lanes[i].lock);
        pthread_cond_destroy(&pool->lanes[i].wake);
    }
    pthread_mutex_destroy(&pool->tick_lock);
    pthread_cond_destroy(&pool->tick_wake);
    free(pool);
    return NULL;
}

int gw_pool_post(struct gw_pool *pool, enum gw_lane id, struct gw_job *job)
{
    struct lane *lane = &pool->lanes[id];
    int r = 0;

    job->next = NULL;
    job->posted_us = clock_us();
    pthread_mutex_lock(&lane->lock);
    if (lane->stopping) {
        r = -ESHUTDOWN;
    } else if (lane->queued >= lane->config.queue_max) {
        lane->refused++;
        r = -EAGAIN;
    } else {
        *lane->tail = job;
        lane->tail = &job->next;
        lane->queued++;
        pthread_cond_signal(&lane->wake);
    }
    pthread_mutex_unlock(&lane->lock);
    return r;
}

void gw_pool_stats(struct gw_pool *pool, enum gw_lane id, struct gw_lane_stats *ret)
{
    struct lane *lane = &pool->lanes[id];

    pthread_mutex_lock(&lane->lock);
    *ret = (struct gw_lane_stats){
        .threads = lane->n_threads,
        .busy = lane->busy,
        .queued = lane->queued,
        .queue_max = lane->config.queue_max,
        .done = lane->done,
        .refused = lane->refused,
        .wait_us_max = lane->wait_us_max,
    };
    lane->wait_us_max = 0;
    pthread_mutex_unlock(&lane->lock);
}

size_t gw_pool_queued(struct gw_pool *pool, enum gw_lane id)
{
    struct lane *lane = &pool->lanes[id];

    pthread_mutex_lock(&lane->lock);
    size_t queued = lane->queued;
    pthread_mutex_unlock(&lane->lock);
    return queued;
}

int gw_pool_every(struct gw_pool *pool, uint64_t period_ms, gw_tick_fn *fn, void *arg)
{
    int r = 0;

    pthread_mutex_lock(&pool->tick_lock);
    if (pool->n_ticks == TICKS_MAX) {
        r = -ENOSPC;
    } else {
        pool->ticks[pool->n_ticks++] = (struct tick){fn, arg, period_ms, clock_ms() + period_ms};
        pthread_cond_signal(&pool->tick_wake);
    }
    pthread_mutex_unlock(&pool->tick_lock);
    if (r == 0 && !pool->have_ticker) {
        r = spawn_thread(&pool->ticker, ticker_main, pool);
        pool->have_ticker = r == 0;
    }
    return r;
}
