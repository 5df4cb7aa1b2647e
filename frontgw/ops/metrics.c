#include "frontgw/ops/metrics.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/prom.h"
#include "frontgw/http/route.h"

#define BUCKETS      12
#define STATUSES_MAX 34
#define SOURCES_MAX  16

static const double seconds[BUCKETS] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                        0.5,   1,    2.5,   5,    10,  30};
static const struct prom_bounds bounds = {seconds, BUCKETS};

static const int statuses[STATUSES_MAX] = {
    200, 201, 202, 204, 206, 301, 302, 303, 304, 400, 401, 403, 404, 405, 408, 409, 410,
    411, 412, 413, 414, 415, 416, 422, 428, 429, 431, 500, 501, 502, 503, 505, 507, 0 /* other */
};

static const struct {
    const char *name, *labels, *help;
} counters[GW_C_COUNT] = {
    [GW_C_REQUESTS_MALFORMED] = {"frontgw_http_requests_malformed_total", "",
                                 "Requests refused before they had a route"},
    [GW_C_BYTES_RECEIVED] = {"frontgw_http_received_bytes_total", "", "Bytes received"},
    [GW_C_BYTES_SENT] = {"frontgw_http_sent_bytes_total", "", "Bytes sent"},
    [GW_C_STATIC_REQUESTS] = {"frontgw_static_requests_total", "", "Requests for static files"},
    [GW_C_UNDECLARED_STATUS] = {"frontgw_http_undeclared_status_total", "",
                                "Answers that the route table does not list"},
    [GW_C_LIMITED_USER] = {"frontgw_ratelimit_rejected_total", "limit=\"user\"",
                           "Requests refused by a rate limit"},
    [GW_C_LIMITED_ADDRESS] = {"frontgw_ratelimit_rejected_total", "limit=\"address\"", NULL},
    [GW_C_LIMITED_FILES] = {"frontgw_ratelimit_rejected_total", "limit=\"files\"", NULL},
    [GW_C_LIMITED_CLASS] = {"frontgw_ratelimit_rejected_total", "limit=\"class\"", NULL},
    [GW_C_LANE_REFUSED] = {"frontgw_worker_refused_total", "",
                           "Requests refused because a lane of workers was full"},
    [GW_C_CROSS_ORIGIN] = {"frontgw_http_cross_origin_total", "",
                           "Requests refused because another site could have caused them"},
    [GW_C_TIMEOUTS] = {"frontgw_http_timeouts_total", "", "Connections ended for being too slow"},
    [GW_C_REDIS_CALLS] = {"frontgw_redis_calls_total", "", "Questions to Redis"},
    [GW_C_REDIS_FAILURES] = {"frontgw_redis_failures_total", "",
                             "Questions that Redis did not answer in time"},
};

/* Of one thread; written by it alone, read by scrapes. */
struct block {
    struct block *next;
    const struct gw_metrics *owner;
    _Atomic uint64_t counters[GW_C_COUNT];
    _Atomic uint64_t *requests;  /* [route][STATUSES_MAX] */
    _Atomic uint64_t *durations; /* [route][BUCKETS + 1] */
    _Atomic uint64_t *sums_us;   /* [route] */
};

struct gw_metrics {
    const struct gw_router *router;
    size_t n_routes; /* and one more for requests that no route takes */
    pthread_mutex_t lock;
    struct block *blocks;
    struct {
        gw_metrics_fn *fn;
        void *arg;
    } sources[SOURCES_MAX];
    size_t n_sources;
};

static _Thread_local struct block *my_block;

int gw_metrics_new(const struct gw_router *router, struct gw_metrics **ret, struct err *err)
{
    struct gw_metrics *m = calloc(1, sizeof(*m));

    if (!m)
        return err_set(err, -ENOMEM, "metrics: %m");
    m->router = router;
    m->n_routes = gw_router_count(router) + 1;
    pthread_mutex_init(&m->lock, NULL);
    *ret = m;
    return 0;
}

struct gw_metrics *gw_metrics_free(struct gw_metrics *m)
{
    if (!m)
        return NULL;
    while (m->blocks) {
        struct block *next = m->blocks->next;
        free(m->blocks->requests);
        free(m->blocks->durations);
        free(m->blocks->sums_us);
        free(m->blocks);
        m->blocks = next;
    }
    my_block = NULL;
    pthread_mutex_destroy(&m->lock);
    free(m);
    return NULL;
}

static struct block *block_of(struct gw_metrics *m)
{
    if (!m || (my_block && my_block->owner == m))
        return m ? my_block : NULL;
    struct block *b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    b->owner = m;
    b->requests = calloc(m->n_routes * STATUSES_MAX, sizeof(*b->requests));
    b->durations = calloc(m->n_routes * (BUCKETS + 1), sizeof(*b->durations));
    b->sums_us = calloc(m->n_routes, sizeof(*b->sums_us));
    pthread_mutex_lock(&m->lock);
    b->next = m->blocks;
    m->blocks = b;
    pthread_mutex_unlock(&m->lock);
    my_block = b;
    return b;
}

static void bump(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

void gw_metrics_add(struct gw_metrics *m, enum gw_counter counter, uint64_t n)
{
    struct block *b = block_of(m);

    if (b)
        bump(&b->counters[counter], n);
}

void gw_metrics_request(struct gw_metrics *m, size_t route, int status, uint64_t duration_us)
{
    struct block *b = block_of(m);
    size_t code = 0, bucket = prom_bucket(&bounds, (double)duration_us / 1e6);

    if (!b || !b->requests || !b->durations || !b->sums_us)
        return;
    if (route >= m->n_routes)
        route = m->n_routes - 1;
    while (code < STATUSES_MAX - 1 && statuses[code] != status)
        code++;
    bump(&b->requests[route * STATUSES_MAX + code], 1);
    bump(&b->durations[route * (BUCKETS + 1) + bucket], 1);
    bump(&b->sums_us[route], duration_us);
}

int gw_metrics_source(struct gw_metrics *m, gw_metrics_fn *fn, void *arg)
{
    if (m->n_sources == SOURCES_MAX)
        return -ENOSPC;
    m->sources[m->n_sources].fn = fn;
    m->sources[m->n_sources++].arg = arg;
    return 0;
}

uint64_t gw_metrics_counter(struct gw_metrics *m, enum gw_counter counter)
{
    uint64_t sum = 0;

    pthread_mutex_lock(&m->lock);
    for (struct block *b = m->blocks; b; b = b->next)
        sum += atomic_load_explicit(&b->counters[counter], memory_order_relaxed);
    pthread_mutex_unlock(&m->lock);
    return sum;
}

static uint64_t sum_of(struct gw_metrics *m, size_t member, size_t index)
{
    uint64_t sum = 0;

    for (struct block *b = m->blocks; b; b = b->next) {
        _Atomic uint64_t *array = *(_Atomic uint64_t **)(void *)((char *)b + member);
        if (array)
            sum += atomic_load_explicit(&array[index], memory_order_relaxed);
    }
    return sum;
}

static const char *route_name(struct gw_metrics *m, size_t route)
{
    return route + 1 < m->n_routes ? gw_router_at(m->router, route)->operation : "none";
}

static void write_requests(struct gw_metrics *m, FILE *out)
{
    static const char name[] = "frontgw_http_requests_total";
    char labels[128];

    prom_family(out, name, "counter", "Requests answered");
    for (size_t i = 0; i < m->n_routes; i++) {
        for (size_t c = 0; c < STATUSES_MAX; c++) {
            uint64_t n = sum_of(m, offsetof(struct block, requests), i * STATUSES_MAX + c);
            snprintf(labels, sizeof(labels), "route=\"%s\",code=\"%d\"", route_name(m, i),
                     statuses[c]);
            if (n)
                prom_count(out, name, labels, n);
        }
    }
}

static void write_durations(struct gw_metrics *m, FILE *out)
{
    static const char name[] = "frontgw_http_request_duration_seconds";
    char labels[128];

    prom_family(out, name, "histogram", "From the first byte of a request to its answer");
    for (size_t i = 0; i < m->n_routes; i++) {
        uint64_t total = 0, parts[BUCKETS + 1];
        for (size_t b = 0; b <= BUCKETS; b++) {
            parts[b] = sum_of(m, offsetof(struct block, durations), i * (BUCKETS + 1) + b);
            total += parts[b];
        }
        snprintf(labels, sizeof(labels), "route=\"%s\"", route_name(m, i));
        if (total)
            prom_histogram(out, name, labels, &bounds, parts,
                           (double)sum_of(m, offsetof(struct block, sums_us), i) / 1e6);
    }
}

static void write_counters(struct gw_metrics *m, FILE *out)
{
    for (size_t i = 0; i < GW_C_COUNT; i++) {
        uint64_t sum = 0;
        for (struct block *b = m->blocks; b; b = b->next)
            sum += atomic_load_explicit(&b->counters[i], memory_order_relaxed);
        if (counters[i].help)
            prom_family(out, counters[i].name, "counter", counters[i].help);
        prom_count(out, counters[i].name, counters[i].labels, sum);
    }
}

int gw_metrics_render(struct gw_metrics *m, char **ret, size_t *ret_len)
{
    FILE *out = open_memstream(ret, ret_len);

    if (!out)
        return -errno;
    prom_family(out, "frontgw_build_info", "gauge", "What is running");
    prom_count(out, "frontgw_build_info", "version=\"" CLOISTER_VERSION "\"", 1);
    pthread_mutex_lock(&m->lock);
    write_requests(m, out);
    write_durations(m, out);
    write_counters(m, out);
    pthread_mutex_unlock(&m->lock);
    for (size_t i = 0; i < m->n_sources; i++)
        m->sources[i].fn(out, m->sources[i].arg);
    if (fclose(out) != 0)
        return -ENOMEM;
    return 0;
}
