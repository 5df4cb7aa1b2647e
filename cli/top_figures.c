#include "cli/top_figures.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SNAPSHOT_CAP ((size_t)16 << 20)
#define STATE(name)  CLOISTER__EXEC__V1__RUN_SUMMARY__STATE__STATE_##name

void top_figures_init(struct top_figures *figures)
{
    *figures = (struct top_figures){0};
    for (int i = 0; i < 2; i++)
        arena_init(&figures->snapshots[i].arena, SNAPSHOT_CAP);
}

void top_figures_done(struct top_figures *figures)
{
    for (int i = 0; i < 2; i++) {
        arena_done(&figures->snapshots[i].arena);
        figures->snapshots[i].stats = NULL;
    }
}

const top_stats *top_newest(const struct top_figures *figures)
{
    return figures->snapshots[figures->newest].stats;
}

static const struct top_snapshot *snapshot_before(const struct top_figures *figures)
{
    return &figures->snapshots[1 - figures->newest];
}

/* What runs comes first, the oldest on top; then the queue in its order. */
static int by_place(const void *a, const void *b)
{
    const top_run *x = *(top_run *const *)a, *y = *(top_run *const *)b;
    if ((x->state == STATE(QUEUED)) != (y->state == STATE(QUEUED)))
        return x->state == STATE(QUEUED) ? 1 : -1;
    if (x->state == STATE(QUEUED) && x->queue_position != y->queue_position)
        return x->queue_position < y->queue_position ? -1 : 1;
    if (x->age_ms != y->age_ms)
        return x->age_ms > y->age_ms ? -1 : 1;
    return strcmp(x->run_id, y->run_id);
}

static int by_id(const void *a, const void *b)
{
    return strcmp((*(top_run *const *)a)->run_id, (*(top_run *const *)b)->run_id);
}

static int snapshot_fill(struct top_snapshot *snapshot, const top_stats *stats)
{
    size_t size = cloister__exec__v1__node_stats__get_packed_size(stats);
    uint8_t *bytes = arena_alloc(&snapshot->arena, size);
    if (!bytes)
        return -ENOMEM;
    cloister__exec__v1__node_stats__pack(stats, bytes);
    top_stats *copy =
        cloister__exec__v1__node_stats__unpack(&snapshot->arena.allocator, size, bytes);
    if (!copy)
        return -ENOMEM;
    size_t n = copy->n_runs;
    snapshot->by_id = arena_zalloc(&snapshot->arena, n + 1, sizeof(*snapshot->by_id));
    if (!snapshot->by_id)
        return -ENOMEM;
    if (n > 0) {
        memcpy(snapshot->by_id, copy->runs, n * sizeof(*copy->runs));
        qsort(snapshot->by_id, n, sizeof(*snapshot->by_id), by_id);
        qsort(copy->runs, n, sizeof(*copy->runs), by_place);
    }
    snapshot->stats = copy;
    return 0;
}

int top_figures_take(struct top_figures *figures, const top_stats *stats)
{
    figures->newest = 1 - figures->newest;
    struct top_snapshot *snapshot = &figures->snapshots[figures->newest];
    arena_done(&snapshot->arena);
    snapshot->stats = NULL;
    return snapshot_fill(snapshot, stats);
}

/* Milliseconds between the two; 0 when there are not two of one service. */
static uint64_t between_ms(const struct top_figures *figures)
{
    const top_stats *now = top_newest(figures), *before = snapshot_before(figures)->stats;
    bool both = now && before && now->uptime_ms > before->uptime_ms;
    return both ? now->uptime_ms - before->uptime_ms : 0;
}

double top_runs_per_s(const struct top_figures *figures)
{
    uint64_t ms = between_ms(figures);
    if (ms == 0)
        return 0;
    uint64_t runs = top_newest(figures)->runs_total - snapshot_before(figures)->stats->runs_total;
    return (double)runs * 1000 / (double)ms;
}

double top_cpu_percent(const struct top_figures *figures, const top_run *run)
{
    uint64_t ms = between_ms(figures);
    if (ms == 0)
        return -1;
    const struct top_snapshot *before = snapshot_before(figures);
    top_run *const *found =
        bsearch(&run, before->by_id, before->stats->n_runs, sizeof(*before->by_id), by_id);
    if (!found || run->cpu_ms < (*found)->cpu_ms)
        return -1;
    return (double)(run->cpu_ms - (*found)->cpu_ms) * 100 / (double)ms;
}

const char *top_state_name(const top_run *run)
{
    static const char *const names[] = {[STATE(QUEUED)] = "queued",
                                        [STATE(STARTING)] = "starting",
                                        [STATE(RUNNING)] = "running",
                                        [STATE(COLLECTING)] = "collecting",
                                        [STATE(DETACHED)] = "detached"};
    unsigned state = (unsigned)run->state;
    return state < sizeof(names) / sizeof(names[0]) && names[state] ? names[state] : "unknown";
}
