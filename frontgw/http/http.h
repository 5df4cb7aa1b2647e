#pragma once
/*
 * The HTTP server: net_http.h carries the bytes, this speaks HTTP/1.1 over them, finds the route,
 * runs the handler on a worker and sends what it says.
 */

#include <stdbool.h>
#include <stdint.h>

#include "frontgw/http/net_http.h"

struct err;
struct gw_assets;
struct gw_context;
struct gw_http;
struct gw_metrics;
struct gw_router;

struct gw_http_parts { /* all borrowed; they have to outlive the server */
    struct gw_context *context;
    const struct gw_router *router;
    const struct gw_assets *assets; /* may be NULL */
    struct gw_metrics *metrics;
};

/** gw_http_new() - set up and listen as the settings say. */
int gw_http_new(const struct gw_http_parts *parts, struct gw_http **ret, struct err *err);
int gw_http_start(struct gw_http *http, struct err *err);
/**
 * gw_http_drain() - no new connections, no keep-alive; wait until what is being answered is
 * answered
 * @max_ms: at most so long. Return: true when nothing was cut off.
 */
bool gw_http_drain(struct gw_http *http, uint64_t max_ms);
/** gw_http_stop() - end the loop threads; jobs still running finish later and are dropped. Before
 * gw_pool_stop(). */
void gw_http_stop(struct gw_http *http);
struct gw_http *gw_http_free(struct gw_http *http);

uint16_t gw_http_port(const struct gw_http *http);
int gw_http_reload_tls(struct gw_http *http, struct err *err);
void gw_http_counts(struct gw_http *http, struct net_counts *ret);
