#pragma once
/*
 * What the parts of one frontgw process know of each other. Made by main before the first request,
 * torn down after the last; the pointers do not change in between, so every thread may read them.
 */

#include "frontgw/http/request.h"

struct err;
struct gw_files;
struct gw_http;
struct gw_limiter;
struct gw_metrics;
struct gw_people;
struct gw_pool;
struct gw_router;
struct gw_settings;
struct gw_store;

struct gw_context {
    const struct gw_settings *settings;
    struct gw_pool *pool;
    struct gw_limiter *limiter;
    struct gw_http *http;
    struct gw_metrics *metrics;
    const struct gw_router *router;
    void *system; /* frontgw/ops */
    struct gw_store *store;
    struct gw_people *people;
    struct gw_files *files;

    /**
     * identify() - who holds req->token (session cookie) or the Authorization bearer key
     *
     * Worker thread. Nobody is an ordinary outcome: 0 with via GW_VIA_NOBODY. Setting cookies is
     * the handlers' business. A fault refuses the request with 503.
     */
    int (*identify)(struct gw_context *context, const struct gw_request *req,
                    struct gw_identity *ret, struct err *err);
};

/** gw_close_session() - end every connection that was last used with this session (frontgw/http);
 * any thread. */
void gw_close_session(struct gw_context *context, const char *session);
