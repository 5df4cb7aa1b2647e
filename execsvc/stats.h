#pragma once
/*
 * What is counted, in one place; metrics.c writes all of it for Prometheus. Belongs to the loop's
 * thread. A new plain counter is a member here and a row of the table in metrics.c.
 */

#include <stddef.h>
#include <stdint.h>

#include "api/rpc_status.h"
#include "base/prom.h"
#include "base/result.h"
#include "execsvc/blob_store.h"
#include "execsvc/runtime.h"

#define STATS_WAITS       100
#define STATS_BUCKETS     16
#define STATS_STARTS      2 /* enum run_start */
#define STATS_CLASSES     2 /* enum adm_class */
#define STATS_METHODS_MAX 64
#define STATS_REASONS_MAX 48
#define STATS_CODES       (RPC_UNAUTHENTICATED + 1)

/* In the order of struct run_timing. */
enum stats_step {
    STATS_QUEUED,
    STATS_SLOT,
    STATS_FILES_IN,
    STATS_SPAWN,
    STATS_RUN,
    STATS_COLLECT,
    STATS_TOTAL,
    STATS_COMPILE,
    STATS_STEPS
};

extern const struct prom_bounds stats_bounds; /* of every histogram here */

struct stats_histogram {
    uint64_t counts[STATS_BUCKETS + 1];
    uint64_t sum_us;
};

/* Calls of one method by the code they ended with. */
struct stats_method {
    const char *path; /* borrowed, of the table of methods; NULL: none of ours */
    uint64_t codes[STATS_CODES];
};

/* Refused or failed calls by ErrorInfo.reason. */
struct stats_reason {
    char name[RPC_REASON_MAX];
    uint64_t count;
};

struct exs_stats {
    uint64_t started_us; /* of the process */
    uint64_t runs_total; /* taken in */
    uint64_t refused_full, refused_bad;
    uint64_t detached;       /* callers that left a run which went on */
    uint64_t attached;       /* callers that came (back) to one */
    uint64_t detach_expired; /* runs that were ended because nobody came in time */
    uint64_t detach_evicted; /* results that were forgotten early, for lack of room */
    uint64_t memory_trims;   /* freed memory was given back to the kernel */
    uint64_t verdicts[VERDICT_COUNT];
    /* The last runtime is a bare command. */
    uint64_t runs[RUNTIMES_MAX + 1][VERDICT_COUNT][STATS_STARTS];
    uint64_t limit_hits[LIMIT_COUNT];
    uint64_t refusals[REFUSAL_COUNT];
    uint64_t dropped_bytes;
    uint64_t compile_failed;
    uint64_t node_memory; /* runs that ended because the node's own memory cap was reached */
    uint32_t waits_ms[STATS_WAITS]; /* of the last runs that waited */
    uint64_t waits;
    struct stats_histogram queue_wait[STATS_CLASSES];
    struct stats_histogram steps[STATS_STEPS][STATS_STARTS];
    struct stats_method methods[STATS_METHODS_MAX];
    size_t n_methods;
    struct stats_reason reasons[STATS_REASONS_MAX]; /* the last one: all others together */
    size_t n_reasons;
    struct blob_counts blobs; /* the store keeps them */
};

/** stats_waited() - a run has its permit; @listed: it had to wait for it. */
void stats_waited(struct exs_stats *stats, unsigned class, uint64_t wait_us, bool listed);
/** stats_ended() - @runtime: index in the table of runtimes; RUNTIMES_MAX: a bare command. */
void stats_ended(struct exs_stats *stats, const struct run_result *result, size_t runtime);
/** stats_answered() - a call is over; as on_answered of rpc_server.h. */
void stats_answered(struct exs_stats *stats, const char *path, enum rpc_code code,
                    const char *reason);
/** stats_wait_ms_avg() - of the last STATS_WAITS runs that waited. */
uint64_t stats_wait_ms_avg(const struct exs_stats *stats);
