#include "execsvc/stats.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const double seconds[STATS_BUCKETS] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                              0.25,   0.5,   1,      2.5,   5,    10,    30,   60};
const struct prom_bounds stats_bounds = {seconds, STATS_BUCKETS};

static void observe(struct stats_histogram *histogram, uint64_t us)
{
    histogram->counts[prom_bucket(&stats_bounds, (double)us / 1e6)]++;
    histogram->sum_us += us;
}

void stats_waited(struct exs_stats *stats, unsigned class, uint64_t wait_us, bool listed)
{
    uint64_t ms = wait_us / 1000;
    assert(class < STATS_CLASSES);
    observe(&stats->queue_wait[class], wait_us);
    if (listed)
        stats->waits_ms[stats->waits++ % STATS_WAITS] = ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

static void observe_steps(struct exs_stats *stats, const struct run_timing *timing,
                          enum run_start start)
{
    const uint64_t us[STATS_STEPS] = {timing->queued, timing->slot,   timing->files_in,
                                      timing->spawn,  timing->run,    timing->collect,
                                      timing->total,  timing->compile};
    for (int step = 0; step < STATS_STEPS; step++)
        observe(&stats->steps[step][start], us[step]);
}

void stats_ended(struct exs_stats *stats, const struct run_result *result, size_t runtime)
{
    enum run_start start = result->start == RUN_START_WARM ? RUN_START_WARM : RUN_START_COLD;
    assert(runtime <= RUNTIMES_MAX);
    if (result->verdict < VERDICT_COUNT) {
        stats->verdicts[result->verdict]++;
        stats->runs[runtime][result->verdict][start]++;
    }
    stats->node_memory += strcmp(result->explanation.detected_by, DETECTED_BY_NODE_MEMORY) == 0;
    observe_steps(stats, &result->timing, start);
    for (int id = 0; id < LIMIT_COUNT; id++)
        stats->limit_hits[id] += (result->limits_hit >> id) & 1;
    for (int op = 0; op < REFUSAL_COUNT; op++)
        stats->refusals[op] += result->refusals[op];
}

static void count_reason(struct exs_stats *stats, const char *name)
{
    size_t i = 0;
    while (i < stats->n_reasons && strcmp(stats->reasons[i].name, name) != 0)
        i++;
    if (i == stats->n_reasons && i < STATS_REASONS_MAX) {
        const char *kept = i == STATS_REASONS_MAX - 1 ? "OTHER" : name;
        snprintf(stats->reasons[i].name, sizeof(stats->reasons[i].name), "%s", kept);
        stats->n_reasons++;
    }
    stats->reasons[i < STATS_REASONS_MAX ? i : STATS_REASONS_MAX - 1].count++;
}

void stats_answered(struct exs_stats *stats, const char *path, enum rpc_code code,
                    const char *reason)
{
    size_t i = 0;
    while (i < stats->n_methods && stats->methods[i].path != path)
        i++;
    if (i == stats->n_methods && i < STATS_METHODS_MAX)
        stats->methods[stats->n_methods++].path = path;
    if (i < STATS_METHODS_MAX && code < STATS_CODES)
        stats->methods[i].codes[code]++;
    if (code != RPC_OK && code != RPC_CANCELLED)
        count_reason(stats, *reason ? reason : rpc_code_name((int)code));
}

uint64_t stats_wait_ms_avg(const struct exs_stats *stats)
{
    uint64_t n = stats->waits < STATS_WAITS ? stats->waits : STATS_WAITS, sum = 0;
    for (uint64_t i = 0; i < n; i++)
        sum += stats->waits_ms[i];
    return n ? sum / n : 0;
}
