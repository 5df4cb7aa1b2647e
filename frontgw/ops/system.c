#include "frontgw/ops/system.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/prom.h"
#include "frontgw/context.h"
#include "frontgw/http/http.h"
#include "frontgw/http/job.h"
#include "frontgw/http/response.h"
#include "frontgw/http/route.h"
#include "frontgw/limits/limiter.h"
#include "frontgw/ops/metrics.h"
#include "frontgw/ops/rules.h"
#include "frontgw/ops/settings.h"
#include "frontgw/part.h"

#define CACHE_MS                                                                                   \
    1000 /* health checks may come as often as they like; the work is done once a second */

struct system {
    uint64_t started_ms;
    pthread_mutex_t lock;
    uint64_t checked_ms;
    bool ready;
    char why[ERR_TEXT_MAX];
    /* sampled by the tick, once a minute */
    uint64_t last_refused, last_address;
    _Atomic uint64_t refused_per_min, address_per_min;
    _Atomic uint64_t login_wait_ms, worker_wait_ms;
};

static struct system *system_of(struct gw_context *context)
{
    return context->system;
}

static void check_parts(struct gw_context *context, struct system *sys)
{
    struct err err = {0};

    sys->ready = true;
    sys->why[0] = '\0';
    for (size_t i = 0; gw_parts[i] && sys->ready; i++) {
        if (!gw_parts[i]->ready || gw_parts[i]->ready(context, &err) >= 0)
            continue;
        sys->ready = false;
        snprintf(sys->why, sizeof(sys->why), "%s: %.200s", gw_parts[i]->name, err.text);
    }
    sys->checked_ms = clock_ms();
}

/* Ready or not, at most one look a second. */
static bool is_ready(struct gw_context *context, char *why, size_t size)
{
    struct system *sys = system_of(context);

    pthread_mutex_lock(&sys->lock);
    if (sys->checked_ms == 0 || clock_ms() - sys->checked_ms >= CACHE_MS)
        check_parts(context, sys);
    bool ready = sys->ready;
    snprintf(why, size, "%s", sys->why);
    pthread_mutex_unlock(&sys->lock);
    return ready;
}

static int live(struct gw_request *req, struct gw_response *res, struct err *err)
{
    (void)req;
    (void)err;
    return gw_reply_json(res, 200, json_pack("{s:s}", "status", "live"));
}

static int ready(struct gw_request *req, struct gw_response *res, struct err *err)
{
    char why[ERR_TEXT_MAX];

    (void)err;
    if (is_ready(req->context, why, sizeof(why)))
        return gw_reply_json(res, 200, json_pack("{s:s}", "status", "ready"));
    gw_header_set(res, "retry-after", "2");
    return gw_reply_problem(res, GW_PROBLEM_UNAVAILABLE, "%s", why);
}

static void collect(struct gw_context *context, struct figures *ret)
{
    struct system *sys = system_of(context);
    struct gw_limiter_stats limiter;
    struct net_counts net;

    *ret = (struct figures){.connections_max = context->settings->connections,
                            .database_used = -1,
                            .redis = -1};
    sysstat_read(context->settings->data_directory, &ret->sys);
    gw_http_counts(context->http, &net);
    gw_limiter_stats(context->limiter, &limiter);
    ret->connections = net.open;
    ret->login_wait_ms = atomic_load(&sys->login_wait_ms);
    ret->worker_wait_ms = atomic_load(&sys->worker_wait_ms);
    ret->workers_refused_per_min = atomic_load(&sys->refused_per_min);
    ret->address_refused_per_min = atomic_load(&sys->address_per_min);
    if (limiter.redis_configured)
        ret->redis = limiter.redis_up;
}

static json_t *system_json(const struct figures *f)
{
    return json_pack("{s:i, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "cores",
                     (int)f->sys.cores, "load1", f->sys.load1, "cpu_pressure_percent",
                     f->sys.cpu_pressure, "memory_pressure_percent", f->sys.memory_pressure,
                     "io_pressure_percent", f->sys.io_pressure, "memory_total_bytes",
                     (json_int_t)f->sys.memory_total, "memory_available_bytes",
                     (json_int_t)f->sys.memory_available, "disk_total_bytes",
                     (json_int_t)f->sys.disk_total, "disk_free_bytes", (json_int_t)f->sys.disk_free,
                     "process_resident_bytes", (json_int_t)f->sys.process.rss_bytes,
                     "process_threads", (json_int_t)f->sys.process.threads, "connections",
                     (json_int_t)f->connections, "connections_max", (json_int_t)f->connections_max);
}

/* What the parts know: people, sessions, files. A part that cannot say leaves its members out. */
static void add_figures(struct gw_context *context, json_t *into)
{
    for (size_t i = 0; gw_parts[i]; i++) {
        if (gw_parts[i]->figures)
            gw_parts[i]->figures(context, into, NULL);
    }
}

static int health(struct gw_request *req, struct gw_response *res, struct err *err)
{
    struct figures figures;
    char why[ERR_TEXT_MAX];
    bool ok = is_ready(req->context, why, sizeof(why));

    (void)err;
    collect(req->context, &figures);
    uint64_t uptime = (clock_ms() - system_of(req->context)->started_ms) / 1000;
    json_t *doc = json_pack("{s:s, s:s, s:I, s:o*}", "status", ok ? "ok" : "failing", "version",
                            CLOISTER_VERSION, "uptime_s", (json_int_t)uptime, "system",
                            system_json(&figures));
    if (doc && !ok)
        json_object_set_new(doc, "reason", json_string(why));
    if (doc && ok)
        add_figures(req->context, doc);
    return gw_reply_json(res, ok ? 200 : 503, doc);
}

static json_t *advice_json(const struct advice *a)
{
    json_t *doc = json_pack("{s:s, s:s, s:s, s:f, s:f, s:f}", "rule", a->rule, "severity",
                            severity_name(a->severity), "state", a->state, "value", a->value,
                            "warning_at", a->warning, "critical_at", a->critical);

    if (doc && *a->action)
        json_object_set_new(doc, "action", json_string(a->action));
    return doc;
}

static int system_stats(struct gw_request *req, struct gw_response *res, struct err *err)
{
    struct figures figures;
    struct advice advice[32];
    enum severity worst = SEVERITY_OK;
    json_t *list = json_array();

    (void)err;
    collect(req->context, &figures);
    json_t *doc = json_pack("{s:o*}", "system", system_json(&figures));
    add_figures(req->context, doc);
    json_t *pool = json_object_get(doc, "database_used");
    if (json_is_real(pool))
        figures.database_used = json_real_value(pool);
    figures.sessions = (uint64_t)json_integer_value(json_object_get(doc, "sessions"));
    size_t n = rules_apply(&figures, advice, 32);
    for (size_t i = 0; i < n; i++) {
        if (advice[i].severity > worst)
            worst = advice[i].severity;
        json_array_append_new(list, advice_json(&advice[i]));
    }
    json_object_set_new(doc, "status", json_string(severity_name(worst)));
    json_object_set_new(doc, "recommendations", list);
    return gw_reply_json(res, 200, doc);
}

/* ---- once in a while ---- */

static void sample(void *arg)
{
    struct gw_context *context = arg;
    struct system *sys = system_of(context);
    struct gw_lane_stats main_lane, password;
    uint64_t refused = gw_metrics_counter(context->metrics, GW_C_LANE_REFUSED);
    uint64_t address = gw_metrics_counter(context->metrics, GW_C_LIMITED_ADDRESS);

    gw_pool_stats(context->pool, GW_LANE_MAIN, &main_lane);
    gw_pool_stats(context->pool, GW_LANE_PASSWORD, &password);
    atomic_store(&sys->worker_wait_ms, main_lane.wait_us_max / 1000);
    atomic_store(&sys->login_wait_ms, password.wait_us_max / 1000);
    atomic_store(&sys->refused_per_min, refused - sys->last_refused);
    atomic_store(&sys->address_per_min, address - sys->last_address);
    sys->last_refused = refused;
    sys->last_address = address;
    gw_limiter_sweep(context->limiter);
}

static void write_metrics(FILE *out, void *arg)
{
    struct gw_context *context = arg;
    struct figures f;
    struct net_counts net;
    static const char *const lanes[GW_LANE_COUNT] = {"main", "password", "bulk"};

    collect(context, &f);
    gw_http_counts(context->http, &net);
    prom_single(out, "frontgw_connections_open", "gauge", "Connections that are open",
                (double)net.open);
    prom_single(out, "frontgw_connections_accepted_total", "counter", "Connections accepted",
                (double)net.accepted);
    prom_family(out, "frontgw_connections_refused_total", "counter", "Connections ended at once");
    prom_count(out, "frontgw_connections_refused_total", "why=\"address\"", net.refused_address);
    prom_count(out, "frontgw_connections_refused_total", "why=\"total\"", net.refused_total);
    prom_family(out, "frontgw_worker_queue_depth", "gauge", "Requests waiting for a worker");
    for (int i = 0; i < GW_LANE_COUNT; i++) {
        char lane[32];
        snprintf(lane, sizeof(lane), "lane=\"%s\"", lanes[i]);
        prom_count(out, "frontgw_worker_queue_depth", lane,
                   gw_pool_queued(context->pool, (enum gw_lane)i));
    }
    if (f.redis >= 0)
        prom_single(out, "frontgw_redis_up", "gauge", "1: Redis answers", f.redis);
    prom_process(out);
}

static int system_open(struct gw_context *context, struct err *err)
{
    struct system *sys = calloc(1, sizeof(*sys));

    if (!sys)
        return err_set(err, -ENOMEM, "system: %m");
    sys->started_ms = clock_ms();
    pthread_mutex_init(&sys->lock, NULL);
    context->system = sys;
    return 0;
}

static int system_start(struct gw_context *context, struct err *err)
{
    if (gw_pool_every(context->pool, 60000, sample, context) < 0 ||
        gw_metrics_source(context->metrics, write_metrics, context) < 0)
        return err_set(err, -ENOMEM, "system: %m");
    return 0;
}

static void system_close(struct gw_context *context)
{
    struct system *sys = system_of(context);

    if (sys)
        pthread_mutex_destroy(&sys->lock);
    free(sys);
    context->system = NULL;
}

static const struct gw_route routes[] = {
    {.method = GW_GET,
     .template = "/health",
     .operation = "health",
     .handler = health,
     .rate = GW_RATE_EXEMPT,
     .statuses = "200 503"},
    {.method = GW_GET,
     .template = "/health/live",
     .operation = "healthLive",
     .handler = live,
     .rate = GW_RATE_EXEMPT,
     .statuses = "200"},
    {.method = GW_GET,
     .template = "/health/ready",
     .operation = "healthReady",
     .handler = ready,
     .rate = GW_RATE_EXEMPT,
     .statuses = "200 503"},
    {.method = GW_GET,
     .template = "/system-stats",
     .operation = "systemStats",
     .handler = system_stats,
     .auth = GW_AUTH_ADMIN,
     .statuses = "200"},
};

const struct gw_part gw_system_part = {
    .name = "system",
    .tables = (const struct gw_route *const[]){routes, NULL},
    .table_sizes = (const size_t[]){sizeof(routes) / sizeof(routes[0])},
    .open = system_open,
    .start = system_start,
    .close = system_close,
};
