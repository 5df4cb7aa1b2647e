#include "execsvc/stats.h"

void stats_waited(struct exs_stats *stats, uint64_t wait_us)
{
    uint64_t ms = wait_us / 1000;
    stats->waits_ms[stats->waits++ % STATS_WAITS] = ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

void stats_ended(struct exs_stats *stats, const struct run_result *result)
{
    if (result->verdict < VERDICT_COUNT)
        stats->verdicts[result->verdict]++;
    for (int id = 0; id < LIMIT_COUNT; id++)
        stats->limit_hits[id] += (result->limits_hit >> id) & 1;
    for (int op = 0; op < REFUSAL_COUNT; op++)
        stats->refusals[op] += result->refusals[op];
}

uint64_t stats_wait_ms_avg(const struct exs_stats *stats)
{
    uint64_t n = stats->waits < STATS_WAITS ? stats->waits : STATS_WAITS, sum = 0;
    for (uint64_t i = 0; i < n; i++)
        sum += stats->waits_ms[i];
    return n ? sum / n : 0;
}
