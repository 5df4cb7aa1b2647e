/* Node.Info, Runtimes, Stats and Watch. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cloister/exec/v1/exec.pb-c.h>

#include "api/arena.h"
#include "api/rpc_server.h"
#include "base/clock.h"
#include "base/err.h"
#include "execsvc/exs.h"
#include "execsvc/identity.h"
#include "execsvc/run.h"
#include "execsvc/services.h"
#include "execsvc/spawner.h"
#include "execsvc/step.h"

#define REPLY_ARENA_MAX  ((size_t)4 * 1024 * 1024)
#define RUNS_LISTED_MAX  2000
#define WATCH_DEFAULT_MS 1000
#define WATCH_MIN_MS     200
#define WATCH_MAX_MS     60000
#define USAGE_EVERY_US   UINT64_C(500000)

struct node_call {
    struct exs *exs;
    struct rpc_call *call;
    struct loop_timer timer; /* Watch */
    uint32_t interval_ms;
    bool runs, waiting; /* the message before has not gone out yet */
    char tenant[TENANT_SIZE];
};

static char *text(const char *s)
{
    return (char *)s; /* protobuf-c has no const */
}

static void *array(struct arena *arena, size_t n, size_t size)
{
    void **pointers = arena_zalloc(arena, n + 1, sizeof(*pointers));
    uint8_t *items = arena_zalloc(arena, n + 1, size);
    if (!pointers || !items)
        return NULL;
    for (size_t i = 0; i < n; i++)
        pointers[i] = items + i * size;
    return pointers;
}

static void on_start(struct rpc_call *call, void *arg)
{
    struct rpc_status status;
    struct node_call *n = calloc(1, sizeof(*n));
    if (!n) {
        rpc_call_finish_code(call, RPC_RESOURCE_EXHAUSTED, "no memory for the call");
        return;
    }
    n->exs = arg;
    n->call = call;
    rpc_call_set_user(call, n);
    if (identity_tenant(n->exs->config, call, n->tenant, &status) < 0)
        rpc_call_finish(call, &status);
}

static void on_close(struct rpc_call *call, bool cancelled)
{
    (void)cancelled;
    struct node_call *n = rpc_call_user(call);
    if (!n)
        return;
    loop_timer_cancel(&n->timer);
    free(n);
}

static void answer(struct rpc_call *call, const ProtobufCMessage *reply)
{
    if (!reply)
        rpc_call_finish_code(call, RPC_RESOURCE_EXHAUSTED, "no memory for the answer");
    else if (rpc_call_send(call, reply) == 0)
        rpc_call_finish_ok(call);
    else
        rpc_call_finish_code(call, RPC_INTERNAL, "the answer could not be sent");
}

/* ---- Info ---- */

static bool put_layers(const struct exs *exs, struct arena *arena,
                       Cloister__Exec__V1__NodeInfo *out)
{
    const struct spawn_node *node = spawner_node(exs->spawner);
    out->layers = array(arena, LAYER_COUNT, sizeof(**out->layers));
    if (!out->layers)
        return false;
    for (int id = 0; id < LAYER_COUNT; id++) {
        Cloister__Exec__V1__Layer *layer = out->layers[out->n_layers++];
        cloister__exec__v1__layer__init(layer);
        layer->name = text(layer_name((enum layer)id));
        layer->active = (node->layers & LAYER_BIT(id)) != 0;
        layer->missing = (node->layers_missing & LAYER_BIT(id)) != 0;
    }
    return true;
}

static bool put_limits(const struct exs *exs, struct arena *arena,
                       Cloister__Exec__V1__NodeInfo *out)
{
    static const char *const units[] = {
        [LIMIT_UNIT_BYTES] = "bytes", [LIMIT_UNIT_MS] = "ms", [LIMIT_UNIT_COUNT] = "count"};
    out->limits = array(arena, LIMIT_COUNT, sizeof(**out->limits));
    if (!out->limits)
        return false;
    for (int id = 0; id < LIMIT_COUNT; id++) {
        const struct limit_info *info = limit_info((enum limit_id)id);
        Cloister__Exec__V1__LimitInfo *limit = out->limits[out->n_limits++];
        cloister__exec__v1__limit_info__init(limit);
        limit->name = text(info->name);
        limit->unit = text(units[info->unit]);
        limit->default_value = exs->defaults.v[id];
        limit->ceiling = exs->ceilings.v[id];
    }
    return true;
}

static void on_info(struct rpc_call *call, const uint8_t *bytes, size_t len)
{
    struct node_call *n = rpc_call_user(call);
    AUTO_ARENA struct arena arena;
    Cloister__Exec__V1__NodeInfo out = CLOISTER__EXEC__V1__NODE_INFO__INIT;
    const struct spawn_node *node = spawner_node(n->exs->spawner);
    (void)bytes;
    (void)len;
    arena_init(&arena, REPLY_ARENA_MAX);
    out.node = text(n->exs->config->node);
    out.version = text(CLOISTER_VERSION);
    out.launcher = text(node->launcher);
    out.cgroup_version = text(node->cgroup_version);
    out.running_max = (uint32_t)n->exs->config->running_max;
    out.slots_max = node->slots_max;
    out.queue_max = (uint32_t)n->exs->config->queue_max;
    out.queue_per_tenant = (uint32_t)n->exs->config->queue_per_tenant;
    out.tenant = n->tenant;
    bool ok = put_layers(n->exs, &arena, &out) && put_limits(n->exs, &arena, &out);
    answer(call, ok ? &out.base : NULL);
}

/* ---- Runtimes ---- */

static void on_runtimes(struct rpc_call *call, const uint8_t *bytes, size_t len)
{
    struct node_call *n = rpc_call_user(call);
    const struct runtimes *runtimes = &n->exs->config->runtimes;
    AUTO_ARENA struct arena arena;
    Cloister__Exec__V1__RuntimesResponse out = CLOISTER__EXEC__V1__RUNTIMES_RESPONSE__INIT;
    (void)bytes;
    (void)len;
    arena_init(&arena, REPLY_ARENA_MAX);
    out.runtimes = array(&arena, runtimes->n, sizeof(**out.runtimes));
    for (size_t i = 0; out.runtimes && i < runtimes->n; i++) {
        const struct runtime *runtime = runtimes->v[i];
        if (runtime->disabled)
            continue;
        Cloister__Exec__V1__RuntimeInfo *info = out.runtimes[out.n_runtimes++];
        cloister__exec__v1__runtime_info__init(info);
        info->name = text(runtime->name);
        info->version = text(runtime->version);
        info->available = runtime->available;
        info->detail = text(runtime->detail);
        info->compiled = runtime->compile.n > 0;
        info->extensions = (char **)runtime->extensions.v;
        info->n_extensions = runtime->extensions.n;
    }
    answer(call, out.runtimes ? &out.base : NULL);
}

/* ---- Stats ---- */

static bool put_verdicts(const struct exs *exs, struct arena *arena,
                         Cloister__Exec__V1__NodeStats *out)
{
    out->verdicts = array(arena, VERDICT_COUNT, sizeof(**out->verdicts));
    for (int i = 0; out->verdicts && i < VERDICT_COUNT; i++) {
        if (exs->stats.verdicts[i] == 0)
            continue;
        Cloister__Exec__V1__VerdictCount *count = out->verdicts[out->n_verdicts++];
        cloister__exec__v1__verdict_count__init(count);
        count->verdict = (Cloister__Exec__V1__Verdict)(i + 1);
        count->count = exs->stats.verdicts[i];
    }
    return out->verdicts != NULL;
}

static bool put_labels(const struct run *run, struct arena *arena,
                       Cloister__Exec__V1__RunSummary *out)
{
    const struct run_request *request = &run->request;
    out->labels = array(arena, request->n_labels, sizeof(**out->labels));
    for (size_t i = 0; out->labels && i < request->n_labels; i++) {
        cloister__exec__v1__label__init(out->labels[out->n_labels]);
        out->labels[out->n_labels]->key = text(request->labels[i].key);
        out->labels[out->n_labels++]->value = text(request->labels[i].value);
    }
    return out->labels != NULL;
}

static bool put_run(const struct run *run, struct arena *arena, Cloister__Exec__V1__RunSummary *out)
{
    cloister__exec__v1__run_summary__init(out);
    out->run_id = text(run->id);
    out->tenant = text(run->tenant);
    out->runtime = text(run->runtime ? run->runtime->name : "");
    out->state = (Cloister__Exec__V1__RunSummary__State)(run->state + 1);
    if (!run->listener && run->state != RUN_QUEUED)
        out->state = CLOISTER__EXEC__V1__RUN_SUMMARY__STATE__STATE_DETACHED;
    out->queue_position = run->state == RUN_QUEUED ? run->place.ahead + 1 : 0;
    out->age_ms = (clock_us() - run->submitted_us) / 1000;
    out->cpu_ms = run->cpu_us / 1000;
    out->memory_bytes = run->memory_bytes;
    return put_labels(run, arena, out);
}

/* The caller's own; the operator's (root, and the service's own user) are everybody's. */
static bool may_see(const struct node_call *n, const struct run *run)
{
    const struct rpc_peer *peer = rpc_call_peer(n->call);
    bool is_operator =
        peer->transport == RPC_TRANSPORT_UNIX && (peer->uid == 0 || peer->uid == geteuid());
    return is_operator || strcmp(run->tenant, n->tenant) == 0;
}

static bool put_runs(const struct node_call *n, struct arena *arena,
                     Cloister__Exec__V1__NodeStats *out)
{
    size_t max = n->exs->n_runs < RUNS_LISTED_MAX ? n->exs->n_runs : RUNS_LISTED_MAX;
    out->runs = array(arena, max, sizeof(**out->runs));
    if (!out->runs)
        return false;
    for (const struct run *run = n->exs->runs; run && out->n_runs < max; run = run->next) {
        if (run->state == RUN_ENDED || !may_see(n, run))
            continue;
        if (!put_run(run, arena, out->runs[out->n_runs]))
            return false;
        out->n_runs++;
    }
    return true;
}

static bool fill_stats(const struct node_call *n, struct arena *arena,
                       Cloister__Exec__V1__NodeStats *out)
{
    const struct exs *exs = n->exs;
    struct adm_counts counts;
    adm_counts(exs->adm, &counts);
    cloister__exec__v1__node_stats__init(out);
    out->uptime_ms = (clock_us() - exs->stats.started_us) / 1000;
    out->ready = exs->ready;
    out->draining = exs->draining;
    out->running = counts.running + counts.paused;
    out->queued = counts.waiting;
    out->slots_made = exs->node.slots_made;
    out->slots_busy = exs->node.slots_busy;
    out->memory_bytes = exs->node.memory_bytes;
    out->memory_limit_bytes = exs->node.memory_limit_bytes;
    out->oom_kills = exs->stats.node_memory;
    out->runs_total = exs->stats.runs_total;
    out->queue_wait_ms_avg = stats_wait_ms_avg(&exs->stats);
    return put_verdicts(exs, arena, out) && (!n->runs || put_runs(n, arena, out));
}

static void on_stats(struct rpc_call *call, const uint8_t *bytes, size_t len)
{
    struct node_call *n = rpc_call_user(call);
    AUTO_ARENA struct arena arena;
    Cloister__Exec__V1__NodeStats out;
    arena_init(&arena, REPLY_ARENA_MAX);
    Cloister__Exec__V1__StatsRequest *in =
        cloister__exec__v1__stats_request__unpack(&arena.allocator, len, bytes);
    if (!in) {
        rpc_call_finish_code(call, RPC_INVALID_ARGUMENT, "not a StatsRequest");
        return;
    }
    n->runs = in->runs;
    answer(call, fill_stats(n, &arena, &out) ? &out.base : NULL);
}

/* ---- Watch ---- */

/* What the runs use is asked for while somebody watches, and at most so often, however many do. */
static void ask_usage(struct exs *exs)
{
    uint64_t now = clock_us();
    if (now - exs->usage_asked_us < USAGE_EVERY_US)
        return;
    exs->usage_asked_us = now;
    for (const struct run *run = exs->runs; run; run = run->next) {
        if (run->state == RUN_RUNNING && run->step)
            step_query(run->step);
    }
}

static void on_tick(struct loop_timer *timer)
{
    struct node_call *n = container_of(timer, struct node_call, timer);
    AUTO_ARENA struct arena arena;
    Cloister__Exec__V1__NodeStats out;
    arena_init(&arena, REPLY_ARENA_MAX);
    n->waiting = !rpc_call_writable(n->call);
    if (n->waiting)
        return;
    if (n->exs->draining) {
        struct rpc_status status;
        rpc_status_set(&status, RPC_UNAVAILABLE, "DRAINING", "the service is being shut down");
        rpc_call_finish(n->call, &status);
        return;
    }
    if (n->runs)
        ask_usage(n->exs);
    if (!fill_stats(n, &arena, &out) || rpc_call_send(n->call, &out.base) < 0)
        rpc_call_finish_code(n->call, RPC_RESOURCE_EXHAUSTED, "no memory for the answer");
    else
        loop_timer_set(n->exs->loop, timer, clock_us() + n->interval_ms * UINT64_C(1000), on_tick);
}

static void on_watch_writable(struct rpc_call *call)
{
    struct node_call *n = rpc_call_user(call);
    if (n && n->waiting)
        on_tick(&n->timer);
}

static void on_watch(struct rpc_call *call, const uint8_t *bytes, size_t len)
{
    struct node_call *n = rpc_call_user(call);
    AUTO_ARENA struct arena arena;
    arena_init(&arena, REPLY_ARENA_MAX);
    Cloister__Exec__V1__WatchRequest *in =
        cloister__exec__v1__watch_request__unpack(&arena.allocator, len, bytes);
    uint32_t ms = in && in->interval_ms ? in->interval_ms : WATCH_DEFAULT_MS;
    if (!in || ms < WATCH_MIN_MS || ms > WATCH_MAX_MS) {
        struct rpc_status status;
        rpc_status_set(&status, RPC_INVALID_ARGUMENT, "BAD_REQUEST", "interval_ms: %d to %d",
                       WATCH_MIN_MS, WATCH_MAX_MS);
        rpc_status_field(&status, "interval_ms");
        rpc_call_finish(call, &status);
        return;
    }
    n->interval_ms = ms;
    n->runs = in->runs;
    on_tick(&n->timer);
}

#define METHOD(name, message)                                                                      \
    {                                                                                              \
        .path = "/cloister.exec.v1.Node/" name, .shape = RPC_ONE_REQUEST, .on_start = on_start,    \
        .on_message = message, .on_close = on_close                                                \
    }

static const struct rpc_method methods[] = {
    METHOD("Info", on_info),
    METHOD("Runtimes", on_runtimes),
    METHOD("Stats", on_stats),
    {.path = "/cloister.exec.v1.Node/Watch",
     .shape = RPC_ONE_REQUEST,
     .on_start = on_start,
     .on_message = on_watch,
     .on_writable = on_watch_writable,
     .on_close = on_close},
};

int service_node_add(struct exs *exs, struct err *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof(methods) / sizeof(methods[0]); i++)
        r = rpc_server_add(exs->rpc, &methods[i], exs, err);
    return r;
}
