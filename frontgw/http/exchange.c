/* The worker's side of a request: who asks, how often, with what right; then the handler. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/trace.h"
#include "frontgw/context.h"
#include "frontgw/http/internal.h"
#include "frontgw/http/origin.h"
#include "frontgw/ops/metrics.h"

struct gw_exchange *gw_exchange_new(struct gw_conn *conn, const char *head, size_t len)
{
    struct gw_exchange *x = calloc(1, sizeof(*x));

    if (!x)
        return NULL;
    x->req.storage = malloc(len + 1);
    if (!x->req.storage) {
        free(x);
        return NULL;
    }
    memcpy(x->req.storage, head, len);
    ((char *)x->req.storage)[len] = '\0';
    gw_response_init(&x->res);
    x->req.body_fd = -EBADF;
    x->http = conn->http;
    x->conn = conn;
    x->loop = conn->net.loop;
    x->req.context = conn->http->parts.context;
    x->req.received_us = clock_us();
    x->req.wall_ms = clock_wall_ms();
    snprintf(x->req.request_id, sizeof(x->req.request_id), "%s%010llx", conn->http->id_prefix,
             (unsigned long long)atomic_fetch_add(&conn->http->next_id, 1));
    atomic_fetch_add(&conn->http->exchanges, 1);
    return x;
}

void gw_exchange_free(struct gw_exchange *x)
{
    if (!x)
        return;
    gw_response_done(&x->res);
    json_decref(x->req.json);
    fd_close(x->req.body_fd);
    free(x->bytes);
    free(x->req.storage);
    atomic_fetch_sub(&x->http->exchanges, 1);
    free(x);
}

void gw_trace_init(struct gw_request *req)
{
    const char *parent = req->headers[GW_H_TRACEPARENT];

    trace_begin(parent, parent ? strlen(parent) : 0, &req->trace);
}

static void fault(struct gw_exchange *x, const char *event, enum gw_problem problem,
                  const struct err *err)
{
    log_error(event, err->text, LOG_STR("req_id", x->req.request_id),
              LOG_STR("trace_id", x->req.trace.trace_id), LOG_STR("route", x->req.route->operation),
              LOG_I64("code", err->code));
    if (gw_reply_problem(&x->res, problem, "please try again later; the request is %s",
                         x->req.request_id) < 0)
        x->res.status = gw_problem_info(problem)->status;
}

/* ---- who, and how often ---- */

static bool identify(struct gw_exchange *x)
{
    struct gw_context *context = x->req.context;
    struct err err = {0};

    if (x->req.route->auth == GW_AUTH_NONE || !context->identify)
        return true;
    if (context->identify(context, &x->req, &x->req.identity, &err) < 0) {
        fault(x, "http.identify_failed", GW_PROBLEM_UNAVAILABLE, &err);
        return false;
    }
    return true;
}

static void add_key(struct gw_exchange *x, enum gw_limit limit, const char *subject)
{
    struct gw_limit_key *key = &x->keys[x->n_keys++];

    key->limit = limit;
    snprintf(key->subject, sizeof(key->subject), "%s", subject);
}

static void collect_keys(struct gw_exchange *x)
{
    const struct gw_identity *who = &x->req.identity;
    enum gw_rate rate = x->req.route->rate;

    x->n_keys = 0;
    if (rate == GW_RATE_EXEMPT)
        return;
    if (who->via == GW_VIA_NOBODY || rate == GW_RATE_LOGIN) {
        struct ip ip;
        char text[NET_ADDRESS_SIZE] = "unknown";
        if (ip_parse(x->req.address, &ip) == 0) {
            ip = ip_client_key(&ip);
            ip_format(&ip, text, sizeof(text));
        }
        add_key(x, GW_LIMIT_ADDRESS, text);
        return;
    }
    add_key(x, GW_LIMIT_USER, who->user);
    if (rate == GW_RATE_FILE)
        add_key(x, GW_LIMIT_FILES, who->user);
    else if (rate == GW_RATE_CLASS)
        add_key(x, GW_LIMIT_CLASS, who->user);
}

static void refuse_rate(struct gw_exchange *x)
{
    const struct gw_limit_verdict *v = &x->verdict;
    unsigned long long seconds = (v->retry_ms + 999) / 1000;

    gw_reply_problem_with(&x->res, GW_PROBLEM_RATE_LIMITED,
                          json_pack("{s:s, s:i, s:i, s:I}", "limit", gw_limit_name(v->which),
                                    "per_window", (int)v->per_minute, "window_s",
                                    GW_LIMIT_WINDOW_MS / 1000, "retry_after_ms",
                                    (json_int_t)v->retry_ms),
                          "%u requests a minute are allowed here (limit: %s); come back in %llu s",
                          v->per_minute, gw_limit_name(v->which), seconds ? seconds : 1);
    gw_header_setf(&x->res, "retry-after", "%llu", seconds ? seconds : 1);
    gw_metrics_add(x->http->parts.metrics,
                   (enum gw_counter)((int)GW_C_LIMITED_USER + (int)v->which), 1);
}

static bool within_rates(struct gw_exchange *x)
{
    struct gw_limiter *limiter = x->req.context->limiter;

    collect_keys(x);
    if (x->n_keys == 0 || !limiter)
        return true;
    gw_limiter_take(limiter, x->keys, x->n_keys, x->req.request_id, &x->verdict);
    if (!x->verdict.allowed)
        refuse_rate(x);
    return x->verdict.allowed;
}

/* ---- rights that need nothing but the row ---- */

static bool permitted(struct gw_exchange *x)
{
    const struct gw_route *route = x->req.route;
    const struct gw_identity *who = &x->req.identity;

    if (route->auth == GW_AUTH_NONE || (route->auth == GW_AUTH_MAYBE && who->via == GW_VIA_NOBODY))
        return true;
    if (who->via == GW_VIA_NOBODY) {
        gw_reply_problem(&x->res, GW_PROBLEM_UNAUTHENTICATED, "this needs a session or an API key");
        return false;
    }
    if (who->via == GW_VIA_API_KEY && (!route->scope || (who->scopes & route->scope) == 0)) {
        gw_reply_problem(&x->res, GW_PROBLEM_SCOPE, "the scope of this API key does not cover %s",
                         route->operation);
        return false;
    }
    if (route->auth == GW_AUTH_ADMIN && !who->admin) {
        gw_reply_problem(&x->res, GW_PROBLEM_FORBIDDEN, "this is for administrators");
        return false;
    }
    if (who->must_change_password && !route->password_due_ok) {
        gw_reply_problem(&x->res, GW_PROBLEM_PASSWORD_CHANGE,
                         "please choose a password of your own first");
        return false;
    }
    return true;
}

/* ---- the body ---- */

static bool parse_json(struct gw_exchange *x)
{
    json_error_t error;

    if (x->req.body_size == 0 && x->req.route->body == GW_BODY_JSON_OPT)
        return true;
    if (x->req.body_size == 0) {
        gw_reply_problem(&x->res, GW_PROBLEM_INVALID_JSON, "a JSON object is expected");
        return false;
    }
    if (!gw_type_is(x->req.headers[GW_H_CONTENT_TYPE], "application/json")) {
        gw_reply_problem(&x->res, GW_PROBLEM_MEDIA_TYPE, "the body has to be application/json");
        return false;
    }
    x->req.json = json_loadb(x->bytes, x->req.body_size, JSON_REJECT_DUPLICATES, &error);
    if (!x->req.json || !json_is_object(x->req.json)) {
        gw_reply_problem(&x->res, GW_PROBLEM_INVALID_JSON, "%s (line %d)",
                         x->req.json ? "the body is not an object" : error.text,
                         x->req.json ? 1 : error.line);
        return false;
    }
    return true;
}

static bool body_ready(struct gw_exchange *x)
{
    enum gw_body kind = x->req.route->body;

    x->req.body = x->bytes;
    if (kind == GW_BODY_JSON || kind == GW_BODY_JSON_OPT)
        return parse_json(x);
    if (kind == GW_BODY_FILE && lseek(x->req.body_fd, 0, SEEK_SET) < 0) {
        struct err err = {0};
        err_set(&err, -errno, "temporary file: %m");
        fault(x, "http.upload_failed", GW_PROBLEM_INTERNAL, &err);
        return false;
    }
    return true;
}

/* ---- all of it ---- */

static bool admit(struct gw_exchange *x)
{
    if (!x->admitted)
        x->admitted = identify(x) && within_rates(x) && permitted(x);
    return x->admitted;
}

/* How a fault of the store is told: gone or busy is "try again", anything else is a bug. */
static enum gw_problem fault_problem(int code)
{
    return code == -ENOTCONN || code == -ETIMEDOUT || code == -EAGAIN ? GW_PROBLEM_UNAVAILABLE
                                                                      : GW_PROBLEM_INTERNAL;
}

static void handle(struct gw_exchange *x)
{
    struct err err = {0};
    int r = x->req.route->handler(&x->req, &x->res, &err);

    if (r < 0) {
        if (!err.code)
            err_set(&err, r, "%s: %m", x->req.route->operation);
        fault(x, "http.handler_failed", fault_problem(r), &err);
    } else if (x->res.status == 0) {
        err_set(&err, -EPROTO, "%s gave no answer", x->req.route->operation);
        fault(x, "http.handler_silent", GW_PROBLEM_INTERNAL, &err);
    }
    bool ok = x->res.status >= 200 && x->res.status < 300;
    if (x->req.route->rate == GW_RATE_LOGIN && ok && x->req.context->limiter && x->n_keys)
        gw_limiter_give_back(x->req.context->limiter, &x->keys[0], &x->verdict);
}

/* A status that the row does not list would be a hole in the API's description. */
static void check_status(struct gw_exchange *x)
{
    int list[40];
    size_t n = gw_route_statuses(x->req.route, list, 40);

    for (size_t i = 0; i < n; i++) {
        if (list[i] == x->res.status)
            return;
    }
    gw_metrics_add(x->http->parts.metrics, GW_C_UNDECLARED_STATUS, 1);
    log_warn("http.undeclared_status", "the route does not list this status",
             LOG_STR("route", x->req.route->operation), LOG_I64("status", x->res.status));
}

static void add_allow(struct gw_exchange *x)
{
    char text[64] = "";

    for (int m = 0; m < GW_METHOD_COUNT; m++) {
        if (!(x->allow & (1U << m)))
            continue;
        size_t n = strlen(text);
        snprintf(text + n, sizeof(text) - n, "%s%s", n ? ", " : "", gw_method_name(m));
    }
    gw_header_set(&x->res, "allow", text);
}

void gw_exchange_run(struct gw_exchange *x)
{
    if (x->stage == GW_STAGE_ADMIT) {
        admit(x);
        return;
    }
    if (admit(x) && body_ready(x))
        handle(x);
    if (x->res.status == 405 && x->allow)
        add_allow(x);
    check_status(x);
}

static void run_job(struct gw_job *job)
{
    struct gw_exchange *x = container_of(job, struct gw_exchange, job);

    gw_exchange_run(x);
    gw_http_return(x);
}

int gw_exchange_post(struct gw_exchange *x, enum gw_stage stage)
{
    x->stage = stage;
    x->job.run = run_job;
    enum gw_lane lane = stage == GW_STAGE_ADMIT ? GW_LANE_MAIN : x->req.route->lane;
    return gw_pool_post(x->req.context->pool, lane, &x->job);
}
