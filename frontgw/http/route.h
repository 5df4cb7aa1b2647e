#pragma once
/*
 * The route table: the one place that says what a path takes, who may try, how often and what it
 * can answer. tests/integration/frontgw holds it against frontgw/openapi.yaml, both ways.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frontgw/http/request.h"

struct err;
struct gw_response;

/** A handler fills @res and returns 0 (a problem document is an answer too), or a negative errno: a
 * fault of ours, answered with 500 and logged with @err's words. Worker thread. */
typedef int gw_handler_fn(struct gw_request *req, struct gw_response *res, struct err *err);

/* Whom the server lets through to the handler. Finer rights (roles, ownership) are the handler's.
 */
enum gw_auth {
    GW_AUTH_NONE,  /* anybody: the identity is not even looked up */
    GW_AUTH_MAYBE, /* looked up, may be nobody */
    GW_AUTH_USER,  /* 401 without a session or key */
    GW_AUTH_ADMIN, /* 403 unless a global admin */
};

/* Which sliding windows a request is counted in, besides "per user" or "per address". */
enum gw_rate {
    GW_RATE_NORMAL,
    GW_RATE_EXEMPT, /* health checks */
    GW_RATE_FILE,   /* file operations */
    GW_RATE_CLASS,  /* an action on a whole class */
    GW_RATE_LOGIN,  /* the address gets its token back when the answer is 2xx */
};

/* Whose threads run the handler, so that slow kinds do not stand in the way of quick ones. */
enum gw_lane {
    GW_LANE_MAIN,
    GW_LANE_PASSWORD, /* handlers that hash passwords */
    GW_LANE_BULK,     /* archives, imports, exports */
    GW_LANE_COUNT
};

enum gw_body {
    GW_BODY_NONE,
    GW_BODY_JSON,     /* application/json, an object; 64 KiB unless body_max says otherwise */
    GW_BODY_JSON_OPT, /* the same, or nothing at all */
    GW_BODY_BYTES,    /* any type, in memory; 1 MiB */
    GW_BODY_FILE, /* any type, to a temporary file; 16 MiB; identity and rates are checked before
                     the body is taken */
};

struct gw_route {
    enum gw_method method; /* HEAD is answered by GET's handler */
    const char *template;  /* "/api/v1/courses/{course}/sections" */
    const char *operation; /* operationId in openapi.yaml; label of metrics and logs */
    gw_handler_fn *handler;
    enum gw_auth auth;
    enum gw_rate rate;
    enum gw_lane lane;
    enum gw_body body;
    uint64_t body_max; /* bytes; 0: the default of the kind */
    const char *query; /* names of query parameters, separated by blanks; any other is refused */
    const char
        *statuses; /* what the handler itself can answer: "200 404 412". See gw_route_statuses(). */
    uint32_t scope;       /* bit that an API key needs; 0: API keys are refused here */
    bool password_due_ok; /* also for who has to change a password first */
};

/**
 * gw_route_statuses() - every status of @route, sorted: the handler's own and those that follow
 * from its auth, body, rate and query (400 401 403 405.. 413 415 429 500 503); this is what
 * openapi.yaml lists
 *
 * Return: how many were written to @ret.
 */
size_t gw_route_statuses(const struct gw_route *route, int *ret, size_t max);
uint64_t gw_route_body_max(const struct gw_route *route);

struct gw_router;
int gw_router_new(struct gw_router **ret, struct err *err);
struct gw_router *gw_router_free(struct gw_router *router);
/** gw_router_add() - @routes (borrowed for the router's life). -EEXIST names a clash, -EINVAL a
 * malformed row. */
int gw_router_add(struct gw_router *router, const struct gw_route *routes, size_t n,
                  struct err *err);

enum gw_route_match { GW_ROUTE_FOUND, GW_ROUTE_NO_PATH, GW_ROUTE_NO_METHOD };
/**
 * gw_router_find() - the route of a decoded path
 * @segments: the path's parts between slashes, each decoded on its own (none holds a slash)
 * @ret_params: indices of the segments that stand for the template's names, in order
 * @ret_allow: with GW_ROUTE_NO_METHOD, bits (1 << method) that the path takes
 */
enum gw_route_match gw_router_find(const struct gw_router *router, enum gw_method method,
                                   char *const *segments, size_t n_segments,
                                   const struct gw_route **ret, size_t ret_params[GW_PARAMS_MAX],
                                   unsigned *ret_allow);
/** gw_router_each() - every route in order of addition. */
size_t gw_router_count(const struct gw_router *router);
const struct gw_route *gw_router_at(const struct gw_router *router, size_t i);
/** gw_router_index() - position of a route for per-route counters; gw_router_count() for one that
 * is not in the table. */
size_t gw_router_index(const struct gw_router *router, const struct gw_route *route);
