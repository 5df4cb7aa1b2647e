#include "execsvc/metrics.h"

#include "api/rpc_server.h"
#include "base/clock.h"
#include "base/prom.h"
#include "execsvc/exs.h"
#include "execsvc/keep.h"
#include "execsvc/run.h"
#include "execsvc/spawner.h"

#define LABELS_MAX 320
#define NAME_MAX_  (2 * RUNTIME_NAME_MAX + 2)

/* Plain counters: one row each. Rows of one name stand together, the first has the help. */
static const struct {
    const char *name, *labels, *help;
    size_t offset; /* of a uint64_t in struct exs_stats */
} counters[] = {
    {"execsvc_runs_accepted_total", "", "Runs taken in", offsetof(struct exs_stats, runs_total)},
    {"execsvc_node_out_of_memory_total", "", "Runs that the cap of all sandboxes together ended",
     offsetof(struct exs_stats, node_memory)},
    {"execsvc_output_dropped_bytes_total", "", "Output beyond its limit, read and not kept",
     offsetof(struct exs_stats, dropped_bytes)},
    {"execsvc_blob_hits_total", "", "Blobs that were asked for and are here",
     offsetof(struct exs_stats, blobs.hits)},
    {"execsvc_blob_misses_total", "", "Blobs that were asked for and are not here",
     offsetof(struct exs_stats, blobs.misses)},
    {"execsvc_blob_puts_total", "", "Blobs that were put", offsetof(struct exs_stats, blobs.puts)},
    {"execsvc_blob_put_bytes_total", "", "Their size", offsetof(struct exs_stats, blobs.put_bytes)},
    {"execsvc_blob_mismatches_total", "", "Puts whose bytes were not what their name says",
     offsetof(struct exs_stats, blobs.mismatches)},
    {"execsvc_blob_evictions_total", "", "Blobs that had to make room",
     offsetof(struct exs_stats, blobs.evictions)},
    {"execsvc_blob_evicted_bytes_total", "", "What they took on the disk",
     offsetof(struct exs_stats, blobs.evicted_bytes)},
    {"execsvc_input_sets_made_total", "", "Trees of blobs that were made for a run",
     offsetof(struct exs_stats, blobs.sets_made)},
    {"execsvc_input_sets_shared_total", "", "Runs for which there was one already",
     offsetof(struct exs_stats, blobs.sets_shared)},
    {"execsvc_runs_detached_total", "", "Runs that went on when their caller's call ended",
     offsetof(struct exs_stats, detached)},
    {"execsvc_runs_attached_total", "", "Callers that came back to a run",
     offsetof(struct exs_stats, attached)},
    {"execsvc_runs_expired_total", "", "Runs that were ended because nobody came back in time",
     offsetof(struct exs_stats, detach_expired)},
    {"execsvc_results_evicted_total", "", "Results forgotten before their grace was over",
     offsetof(struct exs_stats, detach_evicted)},
    {"execsvc_memory_trims_total", "", "Freed memory was given back to the kernel",
     offsetof(struct exs_stats, memory_trims)},
};

static const char *const classes[STATS_CLASSES] = {
    [ADM_INTERACTIVE] = "class=\"interactive\"", [ADM_BATCH] = "class=\"batch\""};
static const char *const starts[STATS_STARTS] = {
    [RUN_START_COLD] = "cold", [RUN_START_WARM] = "warm"};

static void write_plain(const struct exs *exs, FILE *out)
{
    for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
        const void *at = (const char *)&exs->stats + counters[i].offset;
        if (counters[i].help)
            prom_family(out, counters[i].name, "counter", counters[i].help);
        prom_count(out, counters[i].name, counters[i].labels, *(const uint64_t *)at);
    }
}

/* ---- runs ---- */

/* Combinations that have not occurred are left out, but for our own faults: an alert needs to see
 * the first one as an increase. */
static void write_runs_of(const struct exs *exs, FILE *out, size_t index, const char *runtime)
{
    char labels[LABELS_MAX], name[NAME_MAX_];
    prom_label(runtime, name, sizeof(name));
    for (int verdict = 0; verdict < VERDICT_COUNT; verdict++) {
        for (int start = 0; start < STATS_STARTS; start++) {
            uint64_t n = exs->stats.runs[index][verdict][start];
            if (n == 0 && (verdict != VERDICT_INTERNAL || start != RUN_START_COLD))
                continue;
            snprintf(labels, sizeof(labels), "verdict=\"%s\",runtime=\"%s\",start=\"%s\"",
                     verdict_name((enum verdict)verdict), name, starts[start]);
            prom_count(out, "execsvc_runs_total", labels, n);
        }
    }
}

static void write_runs(const struct exs *exs, FILE *out)
{
    const struct runtimes *runtimes = &exs->config->runtimes;
    prom_family(out, "execsvc_runs_total", "counter", "Runs that ended, with a result");
    for (size_t i = 0; i < runtimes->n; i++)
        if (!runtimes->v[i]->disabled)
            write_runs_of(exs, out, i, runtimes->v[i]->name);
    write_runs_of(exs, out, RUNTIMES_MAX, "");
}

static void write_limits_and_refusals(const struct exs *exs, FILE *out)
{
    char labels[LABELS_MAX];
    prom_family(out, "execsvc_limit_hits_total", "counter", "Runs that reached a limit");
    for (int id = 0; id < LIMIT_COUNT; id++) {
        snprintf(labels, sizeof(labels), "limit=\"%s\"", limit_info((enum limit_id)id)->name);
        prom_count(out, "execsvc_limit_hits_total", labels, exs->stats.limit_hits[id]);
    }
    prom_family(out, "execsvc_refusals_total", "counter", "Calls of programs that policy forbids");
    for (int op = 0; op < REFUSAL_COUNT; op++) {
        snprintf(labels, sizeof(labels), "operation=\"%s\"", refusal_name((enum refusal_op)op));
        prom_count(out, "execsvc_refusals_total", labels, exs->stats.refusals[op]);
    }
}

static void write_active(const struct exs *exs, FILE *out)
{
    static const char *const names[] = {[RUN_QUEUED] = "state=\"queued\"",
                                        [RUN_STARTING] = "state=\"starting\"",
                                        [RUN_RUNNING] = "state=\"running\"",
                                        [RUN_COLLECTING] = "state=\"collecting\"",
                                        [RUN_ENDED] = "state=\"ended\""};
    uint64_t n[sizeof(names) / sizeof(names[0])] = {0};
    for (const struct run *run = exs->runs; run; run = run->next)
        n[run->state] += run->state != RUN_ENDED || run->listener;
    prom_family(out, "execsvc_runs_active", "gauge",
                "Runs that exist; ended: what they left is still being taken");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        prom_count(out, "execsvc_runs_active", names[i], n[i]);
}

static void write_kept(const struct exs *exs, FILE *out)
{
    struct keep_counts counts;
    keep_counts(exs->keeps, &counts);
    prom_single(out, "execsvc_kept_runs", "gauge",
                "Runs that may outlive their connection, results that wait to be fetched included",
                (double)counts.runs);
    prom_single(out, "execsvc_kept_runs_max", "gauge", "Of those, so many may be",
                (double)exs->config->detached_max);
    prom_single(out, "execsvc_kept_bytes", "gauge", "Output and files kept of such runs",
                (double)counts.bytes);
    prom_single(out, "execsvc_kept_bytes_max", "gauge", "Of those, so many may be",
                (double)exs->config->detached_bytes);
}

static void write_blobs(const struct exs *exs, FILE *out)
{
    const struct blob_counts *counts = &exs->stats.blobs;
    prom_single(out, "execsvc_blob_cache_bytes", "gauge",
                "What blobs and input sets take on the disk, and those that are coming in",
                (double)counts->bytes);
    prom_single(out, "execsvc_blob_cache_bytes_max", "gauge", "Of that, so much may be",
                exs->blobs ? (double)exs->config->blob_cache : 0);
    prom_single(out, "execsvc_blobs", "gauge", "Blobs in the cache", (double)counts->blobs);
    prom_single(out, "execsvc_input_sets", "gauge", "Input sets in the cache",
                (double)counts->sets);
}

/* ---- time ---- */

static void write_histogram(FILE *out, const char *name, const char *labels,
                            const struct stats_histogram *histogram)
{
    prom_histogram(out, name, labels, &stats_bounds, histogram->counts,
                   (double)histogram->sum_us / 1e6);
}

static void write_steps(const struct exs *exs, FILE *out)
{
    static const char *const steps[STATS_STEPS] = {"queued", "slot",    "files_in", "spawn",
                                                   "run",    "collect", "total",    "compile"};
    char labels[LABELS_MAX];
    prom_family(out, "execsvc_run_step_seconds", "histogram",
                "Time that each step of a run took; 0 where it did not take place");
    for (int start = 0; start < STATS_STARTS; start++) {
        for (int step = 0; step < STATS_STEPS; step++) {
            snprintf(labels, sizeof(labels), "step=\"%s\",start=\"%s\"", steps[step],
                     starts[start]);
            write_histogram(out, "execsvc_run_step_seconds", labels,
                            &exs->stats.steps[step][start]);
        }
    }
}

/* ---- the queue and the node ---- */

static void write_queue(const struct exs *exs, FILE *out)
{
    struct adm_counts counts;
    adm_counts(exs->adm, &counts);
    prom_single(out, "execsvc_queue_depth", "gauge", "Runs that wait for a permit", counts.waiting);
    prom_single(out, "execsvc_queue_max", "gauge", "Runs that may wait",
                (double)exs->config->queue_max);
    prom_family(out, "execsvc_queue_wait_seconds", "histogram",
                "From being taken in to the permit; 0 where there was one at once");
    for (int class = 0; class < STATS_CLASSES; class ++)
        write_histogram(out, "execsvc_queue_wait_seconds", classes[class],
                        &exs->stats.queue_wait[class]);
    prom_single(out, "execsvc_permits_used", "gauge", "Runs that hold a permit", counts.running);
    prom_single(out, "execsvc_permits_max", "gauge", "Runs that may hold a permit",
                (double)exs->config->running_max);
    prom_single(out, "execsvc_runs_paused", "gauge",
                "Runs without a permit that wait for their person", counts.paused);
    prom_single(out, "execsvc_tenants", "gauge", "Tenants that run or wait", counts.tenants);
    prom_single(out, "execsvc_memory_committed_bytes", "gauge",
                "Memory limits of all runs that have a sandbox", (double)counts.memory_bytes);
}

static void write_node(const struct exs *exs, FILE *out)
{
    const struct spawn_node_stats *node = &exs->node;
    prom_single(out, "execsvc_slots_made", "gauge", "Sandboxes' slots that exist",
                node->slots_made);
    prom_single(out, "execsvc_slots_busy", "gauge", "Slots with a sandbox in them",
                node->slots_busy);
    prom_single(out, "execsvc_slots_ready", "gauge", "Slots with a sandbox that waits for a run",
                node->slots_ready);
    prom_single(out, "execsvc_ready_used_total", "counter", "Runs that found a sandbox ready",
                (double)node->ready_used);
    prom_single(out, "execsvc_slots_max", "gauge", "Slots that may exist",
                spawner_node(exs->spawner)->slots_max);
    prom_single(out, "execsvc_node_memory_bytes", "gauge", "Memory of all sandboxes together",
                (double)node->memory_bytes);
    prom_single(out, "execsvc_node_memory_limit_bytes", "gauge", "Its cap",
                (double)node->memory_limit_bytes);
    prom_single(out, "execsvc_oom_kills_total", "counter",
                "Processes of sandboxes that were killed for a run's limit or the node's cap",
                (double)node->oom_kills);
}

static void write_compile_cache(const struct exs *exs, FILE *out)
{
    struct compile_cache_stats stats;
    compile_cache_stats(exs->compiled, &stats);
    prom_family(out, "execsvc_compile_cache_lookups_total", "counter",
                "Compile steps, and whether an earlier run had made the same");
    prom_count(out, "execsvc_compile_cache_lookups_total", "outcome=\"hit\"", stats.hits);
    prom_count(out, "execsvc_compile_cache_lookups_total", "outcome=\"miss\"", stats.misses);
    prom_single(out, "execsvc_compile_cache_evicted_total", "counter",
                "Compiled programs that had to go for others", (double)stats.evicted);
    prom_single(out, "execsvc_compile_cache_bytes", "gauge", "What the compile cache holds",
                (double)stats.bytes);
    prom_single(out, "execsvc_compile_cache_entries", "gauge", "Compiled programs in the cache",
                (double)stats.entries);
}

/* ---- the network ---- */

static void write_calls(const struct exs *exs, FILE *out)
{
    char labels[LABELS_MAX], name[2 * RPC_REASON_MAX];
    prom_family(out, "execsvc_calls_total", "counter", "Calls by method and status code");
    for (size_t i = 0; i < exs->stats.n_methods; i++) {
        const struct stats_method *method = &exs->stats.methods[i];
        for (int code = 0; code < STATS_CODES; code++) {
            snprintf(labels, sizeof(labels), "method=\"%s\",code=\"%s\"",
                     method->path ? method->path + 1 : "none", rpc_code_name(code));
            if (method->codes[code])
                prom_count(out, "execsvc_calls_total", labels, method->codes[code]);
        }
    }
    prom_family(out, "execsvc_requests_refused_total", "counter",
                "Calls that ended with an error, by its reason");
    for (size_t i = 0; i < exs->stats.n_reasons; i++) {
        snprintf(labels, sizeof(labels), "reason=\"%s\"",
                 prom_label(exs->stats.reasons[i].name, name, sizeof(name)));
        prom_count(out, "execsvc_requests_refused_total", labels, exs->stats.reasons[i].count);
    }
}

static void write_door(FILE *out, const struct rpc_door_counts *door)
{
    prom_single(out, "execsvc_tls_connections", "gauge", "TLS connections of known identities",
                door->connections);
    prom_single(out, "execsvc_tls_accepted_total", "counter", "TLS connections accepted",
                (double)door->accepted);
    prom_family(out, "execsvc_tls_refused_total", "counter", "TLS connections that were ended");
    prom_count(out, "execsvc_tls_refused_total", "reason=\"handshake\"", door->handshakes_failed);
    prom_count(out, "execsvc_tls_refused_total", "reason=\"identity\"", door->identities_refused);
    prom_count(out, "execsvc_tls_refused_total", "reason=\"limit\"", door->limits_refused);
    prom_family(out, "execsvc_tls_reloads_total", "counter", "Times the certificates were read");
    prom_count(out, "execsvc_tls_reloads_total", "result=\"ok\"", door->reloads);
    prom_count(out, "execsvc_tls_reloads_total", "result=\"failed\"", door->reloads_failed);
}

static void write_connections(const struct exs *exs, FILE *out)
{
    struct rpc_server_stats rpc;
    rpc_server_stats(exs->rpc, &rpc);
    prom_single(out, "execsvc_connections", "gauge", "Connections that are open", rpc.connections);
    prom_single(out, "execsvc_connections_max", "gauge", "Connections that may be open",
                (double)exs->config->connections_max);
    prom_single(out, "execsvc_connections_accepted_total", "counter", "Connections accepted",
                (double)rpc.connections_total);
    prom_single(out, "execsvc_connections_refused_total", "counter",
                "Connections ended at once, beyond a limit", (double)rpc.connections_refused);
    prom_single(out, "execsvc_connections_abusive_total", "counter",
                "Connections ended for what they did to the protocol", (double)rpc.abuses);
    prom_single(out, "execsvc_calls_active", "gauge", "Calls going on", rpc.calls);
    write_door(out, &rpc.door);
}

void metrics_write(const struct exs *exs, FILE *out)
{
    prom_family(out, "execsvc_build_info", "gauge", "What is running");
    prom_count(out, "execsvc_build_info", "version=\"" CLOISTER_VERSION "\"", 1);
    prom_single(out, "execsvc_uptime_seconds", "gauge", "Since the process started",
                (double)(clock_us() - exs->stats.started_us) / 1e6);
    prom_single(out, "execsvc_ready", "gauge", "1: takes runs", exs->ready && !exs->draining);
    prom_single(out, "execsvc_draining", "gauge", "1: is being shut down", exs->draining);
    write_plain(exs, out);
    write_runs(exs, out);
    write_limits_and_refusals(exs, out);
    write_active(exs, out);
    write_kept(exs, out);
    write_blobs(exs, out);
    write_steps(exs, out);
    write_queue(exs, out);
    write_node(exs, out);
    write_compile_cache(exs, out);
    write_calls(exs, out);
    write_connections(exs, out);
    prom_process(out);
}
