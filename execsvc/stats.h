#pragma once
/* What is counted, in one place. Belongs to the loop's thread. */

#include <stdint.h>

#include "base/result.h"

#define STATS_WAITS 100

struct exs_stats {
    uint64_t started_us; /* of the process */
    uint64_t runs_total; /* taken in */
    uint64_t refused_full, refused_bad;
    uint64_t verdicts[VERDICT_COUNT];
    uint64_t limit_hits[LIMIT_COUNT];
    uint64_t refusals[REFUSAL_COUNT];
    uint64_t dropped_bytes;
    uint64_t compile_failed;
    uint32_t waits_ms[STATS_WAITS]; /* of the last runs that waited */
    uint64_t waits;
};

void stats_waited(struct exs_stats *stats, uint64_t wait_us);
void stats_ended(struct exs_stats *stats, const struct run_result *result);
/** stats_wait_ms_avg() - of the last STATS_WAITS runs that waited. */
uint64_t stats_wait_ms_avg(const struct exs_stats *stats);
