#pragma once
/*
 * Worker threads. Loop threads never wait (for the database, a disk, Redis or a hash): they post a
 * job to a lane and are told when it is done.
 *
 * A job is embedded in its owner's struct (container_of), posted, and run once on a thread of its
 * lane; after that it may be posted again. Lanes have their own threads and their own bound: a full
 * lane refuses with -EAGAIN, which becomes 503.
 */

#include <stddef.h>
#include <stdint.h>

#include "frontgw/http/route.h"

struct gw_job;
struct gw_pool;

typedef void gw_job_fn(struct gw_job *job);

struct gw_job {
    gw_job_fn *run; /* worker thread; may free the job (then nothing more is touched) */
    struct gw_job *next;
    uint64_t posted_us;
};

struct gw_lane_config {
    unsigned threads;
    size_t queue_max;
    int nice; /* added to the threads' niceness */
};

int gw_pool_new(const struct gw_lane_config lanes[GW_LANE_COUNT], struct gw_pool **ret,
                struct err *err);
/** gw_pool_stop() - run what is queued, then end the threads. Later posts answer -ESHUTDOWN. */
void gw_pool_stop(struct gw_pool *pool);
/** gw_pool_free() - stops first. */
struct gw_pool *gw_pool_free(struct gw_pool *pool);

/** gw_pool_post() - any thread. Return: 0, -EAGAIN when the lane is full, -ESHUTDOWN. */
int gw_pool_post(struct gw_pool *pool, enum gw_lane lane, struct gw_job *job);

struct gw_lane_stats {
    unsigned threads, busy;
    size_t queued, queue_max;
    uint64_t done, refused;
    uint64_t wait_us_max; /* longest wait in the queue since the last call of gw_pool_stats() */
};
void gw_pool_stats(struct gw_pool *pool, enum gw_lane lane, struct gw_lane_stats *ret);
/** gw_pool_queued() - jobs that wait now. */
size_t gw_pool_queued(struct gw_pool *pool, enum gw_lane lane);

/** gw_pool_every() - have @fn(@arg) called about every @period_ms by the housekeeping thread, one
 * after another; before the pool's stop. */
typedef void gw_tick_fn(void *arg);
int gw_pool_every(struct gw_pool *pool, uint64_t period_ms, gw_tick_fn *fn, void *arg);
