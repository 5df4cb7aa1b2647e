/* From a complete head to a request that can be run: refusals that need no worker happen here. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "frontgw/context.h"
#include "frontgw/http/assets.h"
#include "frontgw/http/cookie.h"
#include "frontgw/http/internal.h"
#include "frontgw/http/origin.h"
#include "frontgw/http/target.h"
#include "frontgw/ops/metrics.h"
#include "frontgw/ops/settings.h"

static int no_such_route(struct gw_request *req, struct gw_response *res, struct err *err)
{
    (void)req;
    (void)err;
    return gw_reply_problem(res, GW_PROBLEM_NOT_FOUND, "there is nothing at this address");
}

static int no_such_method(struct gw_request *req, struct gw_response *res, struct err *err)
{
    (void)err;
    return gw_reply_problem(res, GW_PROBLEM_METHOD, "%s is not possible here",
                            gw_method_name(req->method));
}

/* Requests that no route takes are counted and limited like all others. */
static const struct gw_route unrouted[] = {
    [GW_ROUTE_NO_PATH] = {.template = "",
                          .operation = "none",
                          .handler = no_such_route,
                          .auth = GW_AUTH_MAYBE,
                          .scope = UINT32_MAX,
                          .statuses = "401 403 404",
                          .password_due_ok = true},
    [GW_ROUTE_NO_METHOD] = {.template = "",
                            .operation = "none",
                            .handler = no_such_method,
                            .auth = GW_AUTH_MAYBE,
                            .scope = UINT32_MAX,
                            .statuses = "401 403 405",
                            .password_due_ok = true},
};

static enum gw_start refuse(struct gw_exchange *x, enum gw_problem problem, const char *detail)
{
    gw_reply_problem(&x->res, problem, "%s", detail);
    x->res.close = true;
    return GW_START_ANSWERED;
}

/* The peer, or the client that a trusted proxy names. */
static void find_client(struct gw_exchange *x)
{
    const struct gw_conn *conn = x->conn;
    const char *proto = x->req.headers[GW_H_X_FORWARDED_PROTO];
    struct ip peer;

    x->req.secure = net_is_tls(&conn->net);
    memcpy(x->req.address, conn->net.address, sizeof(x->req.address));
    if (ip_parse(conn->net.address, &peer) < 0 || !ip_nets_has(x->http->trusted, &peer))
        return;
    struct ip client = ip_client_of(&peer, x->req.headers[GW_H_X_FORWARDED_FOR], x->http->trusted);
    ip_format(&client, x->req.address, sizeof(x->req.address));
    if (proto)
        x->req.secure = strcasecmp(proto, "https") == 0;
}

static void find_token(struct gw_exchange *x)
{
    /* A key that is sent on purpose counts; a cookie beside it is not even looked at. */
    if (x->req.headers[GW_H_AUTHORIZATION])
        return;
    if (gw_cookie_find(x->req.headers[GW_H_COOKIE], x->req.secure ? "__Host-cloister" : "cloister",
                       x->token, sizeof(x->token)) == 0)
        x->req.token = x->token;
}

static enum gw_problem check_origin(struct gw_exchange *x)
{
    struct gw_origin_facts facts = {
        .method = x->req.method,
        .api_key = x->req.headers[GW_H_AUTHORIZATION] != NULL,
        .origin = x->req.headers[GW_H_ORIGIN],
        .fetch_site = x->req.headers[GW_H_SEC_FETCH_SITE],
        .host = x->req.headers[GW_H_HOST],
        .content_type = x->req.headers[GW_H_CONTENT_TYPE],
        .custom = x->req.headers[GW_H_X_CLOISTER],
        .secure = x->req.secure,
        .own_origins = x->http->settings->origins,
    };
    enum gw_problem problem = gw_origin_check(&facts);

    if (problem != GW_PROBLEM_NONE)
        gw_metrics_add(x->http->parts.metrics, GW_C_CROSS_ORIGIN, 1);
    return problem;
}

static bool listed(const char *names, const char *name)
{
    size_t len = strlen(name);

    for (const char *p = names ? names : ""; *p;) {
        size_t n = strcspn(p, " ");
        if (n == len && strncmp(p, name, n) == 0)
            return true;
        p += n + strspn(p + n, " ");
    }
    return false;
}

/* Finds the route and takes over parameters and query; an unknown query parameter is told. */
static const char *take_target(struct gw_exchange *x, struct gw_target *target)
{
    const struct gw_router *router = x->http->parts.router;
    size_t at[GW_PARAMS_MAX];
    const struct gw_route *route = NULL;
    enum gw_route_match match = gw_router_find(router, x->req.method, target->segments,
                                               target->n_segments, &route, at, &x->allow);

    x->req.route = match == GW_ROUTE_FOUND ? route : &unrouted[match];
    if (match != GW_ROUTE_FOUND)
        return NULL;
    size_t params = 0;
    for (const char *p = route->template; *p; p++) {
        if (*p == '{') {
            x->req.params[params] = target->segments[at[params]];
            params++;
        }
    }
    for (size_t i = 0; i < target->n_query; i++) {
        if (!listed(route->query, target->query[i].name))
            return target->query[i].name;
        x->req.query[x->req.n_query++] = target->query[i];
    }
    return NULL;
}

static enum gw_start check_body(struct gw_exchange *x, const struct gw_head *head)
{
    const struct gw_route *route = x->req.route;
    uint64_t size = head->content_length > 0 ? (uint64_t)head->content_length : 0;
    uint64_t max = gw_route_body_max(route);

    x->req.body_size = size;
    if (route->template[0] == '\0' && size > 0) {
        /* No such route: answered without the body, so the connection cannot go on. */
        x->req.body_size = 0;
        x->res.close = true;
        return GW_START_BODY;
    }
    if (route->body == GW_BODY_NONE && size > 0)
        return refuse(x, GW_PROBLEM_BAD_REQUEST, "this request takes no body");
    if (size > max) {
        gw_reply_problem_with(&x->res, GW_PROBLEM_TOO_LARGE,
                              json_pack("{s:I}", "max_bytes", (json_int_t)max),
                              "at most %llu bytes are taken here", (unsigned long long)max);
        x->res.close = true;
        return GW_START_ANSWERED;
    }
    return GW_START_BODY;
}

/* Files of the page: no identity, no limit, no worker. */
static bool answer_static(struct gw_exchange *x, const char *path)
{
    const struct gw_assets *assets = x->http->parts.assets;

    if (!assets || (x->req.method != GW_GET && x->req.method != GW_HEAD) ||
        !gw_assets_answer(assets, path, &x->req, &x->res))
        return false;
    gw_metrics_add(x->http->parts.metrics, GW_C_STATIC_REQUESTS, 1);
    return true;
}

enum gw_start gw_start(struct gw_exchange *x, struct gw_head *head)
{
    struct gw_target target;
    char path[256];

    memcpy(x->req.headers, head->headers, sizeof(x->req.headers));
    x->req.method = (enum gw_method)head->method;
    gw_trace_init(&x->req);
    find_client(x);
    if (head->upgrade)
        return refuse(x, GW_PROBLEM_NOT_IMPLEMENTED,
                      head->websocket ? "web sockets are not offered yet"
                                      : "only HTTP/1.1 is spoken here");
    size_t path_len = strcspn(head->target, "?");
    memcpy(path, head->target, path_len < sizeof(path) ? path_len : sizeof(path) - 1);
    path[path_len < sizeof(path) ? path_len : sizeof(path) - 1] = '\0';
    if (answer_static(x, path)) {
        x->res.close |= head->content_length > 0;
        return GW_START_ANSWERED;
    }
    enum gw_problem problem = gw_target_parse(head->target, &target);
    if (problem != GW_PROBLEM_NONE)
        return refuse(x, problem, "this address is malformed");
    x->req.path = head->target;
    const char *unknown = take_target(x, &target);
    if (unknown) {
        gw_reply_problem_with(&x->res, GW_PROBLEM_UNKNOWN_PARAMETER,
                              json_pack("{s:s}", "parameter", unknown),
                              "this request takes no parameter of that name");
        x->res.close |= head->content_length > 0;
        return GW_START_ANSWERED;
    }
    find_token(x);
    problem = check_origin(x);
    if (problem != GW_PROBLEM_NONE)
        return refuse(x, problem,
                      problem == GW_PROBLEM_FORGERY
                          ? "send JSON, or the header X-Cloister: 1"
                          : "the Origin header has to be this server's own");
    return check_body(x, head);
}
