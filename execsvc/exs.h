#pragma once
/*
 * The service: what all its parts share, and the queue that joins admission to runs. Everything
 * here belongs to the loop's thread.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/loop.h"
#include "execsvc/admission.h"
#include "execsvc/config.h"
#include "execsvc/memory.h"
#include "execsvc/stats.h"
#include "sandbox/spawn_client.h"

struct compile_cache;
struct metrics_http;
struct keep_table;
struct blob_store;
struct probe;
struct rpc_server;
struct run;
struct spawner;

struct exs {
    struct loop *loop;
    struct exs_config *config;
    struct spawner *spawner;
    struct rpc_server *rpc;
    struct metrics_http *metrics; /* NULL: off */
    struct adm *adm;
    struct keep_table *keeps; /* runs that may outlive their connection */
    struct compile_cache *compiled;
    struct limits defaults, ceilings; /* of a run; the spawner's, and what the operator set */
    struct exs_stats stats;
    struct blob_store *blobs;     /* NULL: this node takes none */
    struct err blobs_fault;       /* and why */
    struct spawn_node_stats node; /* as last heard */
    struct run *runs;             /* all, newest first */
    uint32_t n_runs;
    struct probe *probe;      /* while the runtimes are asked for their versions */
    struct loop_timer places; /* tells those who wait where they stand */
    struct loop_timer node_timer;
    struct memory_watch memory;
    uint64_t usage_asked_us; /* of all running runs, for those who watch */
    bool ready, draining, lost;
    bool closing; /* the drain is at its end: nothing outlives its connection any more */
    bool scheduling, schedule_again;
};

/** exs_admission() - make the queue, the compile cache and the table of kept runs, once the spawner
 * has said how many slots it has. */
int exs_admission(struct exs *exs, struct err *err);

/** exs_schedule() - start what may start. After everything that frees a permit or adds a run. */
void exs_schedule(struct exs *exs);

/** exs_check_stalls() - from a timer. */
void exs_check_stalls(struct exs *exs);

/** exs_drain() - SIGTERM: those who wait are told to go elsewhere, those who run that it ends. */
void exs_drain(struct exs *exs);

/** exs_has_work() - something runs or waits, or somebody listens. */
bool exs_has_work(const struct exs *exs);
/** exs_close() - the drain is at its end. */
void exs_close(struct exs *exs);

/** exs_forget_runs() - at the very end, with server and spawner gone: free those whose end nobody
 * will tell. */
void exs_forget_runs(struct exs *exs);

/** exs_limits() - defaults of @runtime_limits (NULL: none) over the node's. */
void exs_limits(const struct exs *exs, const struct limits *runtime_limits, struct limits *ret);
