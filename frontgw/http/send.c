/* Answers on their way out: the head with what every answer carries, then the body in pieces. */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "frontgw/http/internal.h"
#include "frontgw/ops/metrics.h"
#include "frontgw/ops/settings.h"

/* Slower than this on average (after the grace) is not a reader but a holder. */
#define SEND_RATE 4096

static const char content_policy[] =
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'";

static const char common_headers[] =
    "cross-origin-opener-policy: same-origin\r\n"
    "cross-origin-embedder-policy: require-corp\r\n"
    "cross-origin-resource-policy: same-origin\r\n"
    "x-content-type-options: nosniff\r\n"
    "referrer-policy: same-origin\r\n"
    "permissions-policy: camera=(), microphone=(), geolocation=()\r\n";

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {200, "OK"},           {201, "Created"},         {202, "Accepted"},
    {204, "No Content"},   {206, "Partial Content"}, {303, "See Other"},
    {304, "Not Modified"},
};

static const char *reason_of(const struct gw_response *res)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == res->status)
            return reasons[i].reason;
    }
    return res->problem != GW_PROBLEM_NONE ? gw_problem_info(res->problem)->title : "Status";
}

static bool has_header(const struct gw_response *res, const char *name)
{
    for (size_t i = 0; i < res->n_headers; i++) {
        if (strcmp(res->headers[i].name, name) == 0)
            return true;
    }
    return false;
}

static void write_date(FILE *out)
{
    time_t now = (time_t)(clock_wall_ms() / 1000);
    struct tm tm;
    char text[40];

    gmtime_r(&now, &tm);
    strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    fprintf(out, "date: %s\r\n", text);
}

static uint64_t content_size(const struct gw_response *res)
{
    return res->fd >= 0 ? res->fd_size : res->body_size;
}

static bool has_no_content(int status)
{
    return status == 204 || status == 304;
}

static void write_head(struct gw_conn *conn, FILE *out)
{
    const struct gw_response *res = &conn->x->res;

    fprintf(out, "HTTP/1.1 %d %s\r\n", res->status, reason_of(res));
    write_date(out);
    for (size_t i = 0; i < res->n_headers; i++)
        fprintf(out, "%s: %s\r\n", res->headers[i].name, res->headers[i].value);
    if (!has_no_content(res->status))
        fprintf(out, "content-length: %llu\r\n", (unsigned long long)content_size(res));
    if (!has_header(res, "content-security-policy"))
        fprintf(out, "content-security-policy: %s\r\n", content_policy);
    if (!has_header(res, "cache-control"))
        fputs("cache-control: no-store\r\n", out);
    fputs(common_headers, out);
    if (conn->x->req.secure)
        fputs("strict-transport-security: max-age=31536000\r\n", out);
    fprintf(out, "x-request-id: %s\r\n", conn->x->req.request_id);
    if (conn->close_after)
        fputs("connection: close\r\n", out);
    fputs("\r\n", out);
}

int gw_send_begin(struct gw_conn *conn)
{
    struct gw_response *res = &conn->x->res;

    if (atomic_load(&conn->http->draining))
        conn->close_after = true;
    if (res->status == 0) { /* out of memory on the way: still an answer */
        res->status = 500;
        res->problem = GW_PROBLEM_INTERNAL;
    }
    free(take_ptr(conn->out));
    FILE *out = open_memstream(&conn->out, &conn->out_len);
    if (!out)
        return -1;
    write_head(conn, out);
    if (fclose(out) != 0)
        return -1;
    conn->sent = 0;
    conn->total = conn->out_len;
    if (conn->x->req.method != GW_HEAD && !has_no_content(res->status))
        conn->total += content_size(res);
    net_want_write(&conn->net);
    return 0;
}

/* The next piece of head and body into @buf. Return: bytes, or negative. */
static ssize_t next_piece(struct gw_conn *conn, char *buf, size_t size)
{
    const struct gw_response *res = &conn->x->res;
    size_t n = 0;

    if (conn->sent < conn->out_len) {
        n = conn->out_len - conn->sent < size ? (size_t)(conn->out_len - conn->sent) : size;
        memcpy(buf, conn->out + conn->sent, n);
    }
    uint64_t at = conn->sent + n;
    if (at < conn->out_len || at == conn->total || n == size)
        return (ssize_t)n;
    uint64_t offset = at - conn->out_len, left = conn->total - at;
    size_t want = left < size - n ? (size_t)left : size - n;
    if (res->fd < 0) {
        memcpy(buf + n, (res->shared ? res->shared : res->body) + offset, want);
        return (ssize_t)(n + want);
    }
    ssize_t got = pread(res->fd, buf + n, want, (off_t)(res->fd_offset + offset));
    if (got <= 0)
        return n > 0 ? (ssize_t)n : -EIO; /* the file became shorter: the length was a lie */
    return (ssize_t)n + got;
}

static void log_answer(struct gw_conn *conn)
{
    const struct gw_exchange *x = conn->x;
    uint64_t took_us = clock_us() - x->req.received_us;
    const struct gw_route *route = x->req.route;
    size_t index = route ? gw_router_index(conn->http->parts.router, route) : SIZE_MAX;

    gw_metrics_add(conn->http->parts.metrics, GW_C_BYTES_SENT, conn->total);
    if (x->res.shared)
        return; /* static files have a counter of their own, and no line */
    gw_metrics_request(conn->http->parts.metrics, index, x->res.status, took_us);
    bool quiet = route && route->rate == GW_RATE_EXEMPT && x->res.status < 400;
    log_at(quiet ? LOG_DEBUG : LOG_INFO, "http.request", "request answered",
           LOG_STR("req_id", x->req.request_id), LOG_STR("trace_id", x->req.trace.trace_id),
           LOG_STR("method", gw_method_name(x->req.method)),
           LOG_STR("route", route ? route->operation : "malformed"),
           LOG_I64("status", x->res.status), LOG_U64("dur_us", took_us),
           LOG_U64("bytes", conn->total), LOG_STR("ip", x->req.address),
           LOG_STR("user", x->req.identity.user),
           LOG_STR("problem", gw_problem_info(x->res.problem)->code));
}

static int write_interim(struct gw_conn *conn)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

    conn->interim = false;
    return net_write(&conn->net, text, sizeof(text) - 1);
}

int gw_conn_writable(struct net_conn *net)
{
    struct gw_conn *conn = (struct gw_conn *)net;
    char piece[NET_WRITE_MAX];

    if (conn->state == CONN_BODY && conn->interim)
        return write_interim(conn);
    if (conn->state != CONN_SEND)
        return 0;
    if (conn->sent == conn->total) {
        log_answer(conn);
        return gw_conn_next(conn);
    }
    ssize_t n = next_piece(conn, piece, sizeof(piece));
    if (n <= 0 || net_write(net, piece, (size_t)n) < 0)
        return -1;
    conn->sent += (uint64_t)n;
    conn->deadline_ms =
        conn->since_ms + conn->http->settings->send_grace_ms + conn->sent * 1000 / SEND_RATE;
    /* Called again when this piece is with the kernel: only then is the answer out. */
    net_want_write(net);
    return 0;
}
