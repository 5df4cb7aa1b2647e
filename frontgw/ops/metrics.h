#pragma once
/*
 * Counters for Prometheus (text exposition 0.0.4). Every thread counts in a block of its own; a
 * scrape adds the blocks up. Labels are from fixed sets: route operations, status codes, names of
 * limits. Never who a user is.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct err;
struct gw_metrics;
struct gw_router;

enum gw_counter {
    GW_C_REQUESTS_MALFORMED, /* refused before they had a route */
    GW_C_BYTES_RECEIVED,
    GW_C_BYTES_SENT,
    GW_C_STATIC_REQUESTS,
    GW_C_UNDECLARED_STATUS, /* a handler answered what its row does not list: a bug */
    GW_C_LIMITED_USER,
    GW_C_LIMITED_ADDRESS,
    GW_C_LIMITED_FILES,
    GW_C_LIMITED_CLASS,
    GW_C_LANE_REFUSED,
    GW_C_CROSS_ORIGIN,
    GW_C_TIMEOUTS,
    GW_C_REDIS_CALLS,
    GW_C_REDIS_FAILURES,
    GW_C_COUNT
};

int gw_metrics_new(const struct gw_router *router, struct gw_metrics **ret, struct err *err);
struct gw_metrics *gw_metrics_free(struct gw_metrics *metrics);

/** Any thread; NULL is fine (tests). */
void gw_metrics_add(struct gw_metrics *metrics, enum gw_counter counter, uint64_t n);
/** gw_metrics_request() - @route: index in the router. */
void gw_metrics_request(struct gw_metrics *metrics, size_t route, int status, uint64_t duration_us);

/** gw_metrics_source() - have @fn write further metrics (base/prom.h) at every scrape, on the
 * scraping thread; during the set-up only. */
typedef void gw_metrics_fn(FILE *out, void *arg);
int gw_metrics_source(struct gw_metrics *metrics, gw_metrics_fn *fn, void *arg);

uint64_t gw_metrics_counter(struct gw_metrics *metrics, enum gw_counter counter);
/** gw_metrics_render() - malloc'd. */
int gw_metrics_render(struct gw_metrics *metrics, char **ret, size_t *ret_len);
