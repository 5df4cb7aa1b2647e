/*
 * A connection's life, on its loop's thread:
 *
 *   HEAD -> [ADMIT ->] BODY -> WORK -> SEND -> HEAD ...
 *                                          \-> LINGER -> closed
 *
 * While a worker has the exchange, nothing is received; what came too early (pipelining) waits in
 * `in`. Every state but WORK and ADMIT has a deadline. Bodies and answers must keep up a minimum
 * rate, so that a connection cannot be held by dribbling.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "frontgw/http/internal.h"
#include "frontgw/http/upload.h"
#include "frontgw/ops/metrics.h"
#include "frontgw/ops/settings.h"

#define LINGER_MS    1500
#define LINGER_BYTES (UINT64_C(4) << 20)

static int process(struct gw_conn *conn);

static void set_state(struct gw_conn *conn, enum gw_conn_state state, uint64_t within_ms)
{
    conn->state = state;
    conn->since_ms = clock_ms();
    conn->deadline_ms = within_ms ? conn->since_ms + within_ms : 0;
}

static void pause_input(struct gw_conn *conn)
{
    if (!conn->paused)
        net_pause(&conn->net);
    conn->paused = true;
}

static void resume_input(struct gw_conn *conn)
{
    if (conn->paused)
        net_resume(&conn->net);
    conn->paused = false;
}

int gw_conn_opened(struct net_conn *net)
{
    struct gw_conn *conn = (struct gw_conn *)net;

    conn->http = net_loop_arg(net->loop);
    conn->fresh = true;
    set_state(conn, CONN_HEAD, conn->http->settings->head_ms);
    return atomic_load(&conn->http->draining) ? -1 : 0;
}

void gw_conn_closed(struct net_conn *net)
{
    struct gw_conn *conn = (struct gw_conn *)net;

    if (conn->x && (conn->state == CONN_WORK || conn->state == CONN_ADMIT))
        conn->x->conn = NULL; /* the worker still has it */
    else
        gw_exchange_free(conn->x);
    conn->x = NULL;
    free(take_ptr(conn->in));
    free(take_ptr(conn->out));
}

static int append(struct gw_conn *conn, const char *bytes, size_t len)
{
    if (conn->in_len + len > conn->in_cap) {
        size_t cap = conn->in_cap ? conn->in_cap : 2048;
        while (cap < conn->in_len + len)
            cap *= 2;
        char *in = realloc(conn->in, cap);
        if (!in)
            return -ENOMEM;
        conn->in = in;
        conn->in_cap = cap;
    }
    memcpy(conn->in + conn->in_len, bytes, len);
    conn->in_len += len;
    return 0;
}

static void consume(struct gw_conn *conn, size_t len)
{
    memmove(conn->in, conn->in + len, conn->in_len - len);
    conn->in_len -= len;
    conn->scan = 0;
    if (conn->in_len == 0 && conn->in_cap > 4096) {
        free(take_ptr(conn->in));
        conn->in_cap = 0;
    }
}

/* ---- answers ---- */

static int answer(struct gw_conn *conn)
{
    pause_input(conn);
    if (conn->x->res.close)
        conn->close_after = conn->unread = true;
    set_state(conn, CONN_SEND, conn->http->settings->send_grace_ms);
    return gw_send_begin(conn);
}

/* A request that never became one: answered as far as possible, then the connection ends. */
static int answer_malformed(struct gw_conn *conn, enum gw_problem problem, const char *detail)
{
    gw_metrics_add(conn->http->parts.metrics, GW_C_REQUESTS_MALFORMED, 1);
    if (!conn->x)
        conn->x = gw_exchange_new(conn, "", 0);
    if (!conn->x)
        return -1;
    gw_trace_init(&conn->x->req);
    memcpy(conn->x->req.address, conn->net.address, sizeof(conn->x->req.address));
    gw_reply_problem(&conn->x->res, problem, "%s", detail);
    conn->x->res.close = true;
    return answer(conn);
}

static int post(struct gw_conn *conn, enum gw_stage stage, enum gw_conn_state state)
{
    pause_input(conn);
    if (gw_exchange_post(conn->x, stage) == 0) {
        set_state(conn, state, 0);
        return 0;
    }
    gw_metrics_add(conn->http->parts.metrics, GW_C_LANE_REFUSED, 1);
    gw_reply_problem(&conn->x->res, GW_PROBLEM_UNAVAILABLE,
                     "more is being asked than can be done now");
    gw_header_set(&conn->x->res, "retry-after", "2");
    conn->x->res.close |= conn->body_got < conn->body_want;
    return answer(conn);
}

/* ---- bodies ---- */

static int begin_body(struct gw_conn *conn)
{
    struct gw_exchange *x = conn->x;
    int r = 0;

    if (x->req.route->body == GW_BODY_FILE)
        r = gw_upload_begin(x);
    else if (conn->body_want > 0)
        r = (x->bytes = malloc(conn->body_want + 1)) ? 0 : -ENOMEM;
    if (r < 0)
        return answer_malformed(conn, GW_PROBLEM_UNAVAILABLE, "there is no room for the body");
    set_state(conn, CONN_BODY, conn->http->settings->body_grace_ms);
    resume_input(conn);
    if (conn->interim)
        net_want_write(&conn->net);
    return 0;
}

static int take_body(struct gw_conn *conn)
{
    struct gw_exchange *x = conn->x;
    uint64_t missing = conn->body_want - conn->body_got;
    size_t len = conn->in_len < missing ? conn->in_len : (size_t)missing;

    if (len > 0 && x->bytes)
        memcpy(x->bytes + conn->body_got, conn->in, len);
    else if (len > 0 && gw_upload_write(x, conn->in, len) < 0)
        return answer_malformed(conn, GW_PROBLEM_UNAVAILABLE, "the upload could not be stored");
    if (len > 0)
        consume(conn, len);
    conn->body_got += len;
    conn->deadline_ms = conn->since_ms + conn->http->settings->body_grace_ms +
                        conn->body_got * 1000 / conn->http->settings->body_rate;
    if (conn->body_got < conn->body_want)
        return 0;
    if (x->bytes)
        x->bytes[conn->body_want] = '\0';
    conn->interim = false;
    return post(conn, GW_STAGE_HANDLE, CONN_WORK);
}

/* ---- heads ---- */

static int begin_request(struct gw_conn *conn, size_t head_len)
{
    struct gw_exchange *x = gw_exchange_new(conn, conn->in, head_len);
    struct gw_head head;
    const char *detail;

    if (!x)
        return -1;
    conn->x = x;
    consume(conn, head_len);
    conn->body_got = conn->body_want = 0;
    enum gw_problem problem = gw_head_parse(x->req.storage, head_len, &head, &detail);
    if (problem != GW_PROBLEM_NONE)
        return answer_malformed(conn, problem, detail);
    conn->close_after |= head.close || atomic_load(&conn->http->draining);
    conn->body_want = head.content_length > 0 ? (uint64_t)head.content_length : 0;
    if (gw_start(x, &head) == GW_START_ANSWERED) {
        x->res.close |= conn->body_want > 0;
        return answer(conn);
    }
    conn->body_want = x->req.body_size;
    conn->interim = head.expect_continue && conn->body_want > 0;
    if (x->req.route->body == GW_BODY_FILE && conn->body_want > 0)
        return post(conn, GW_STAGE_ADMIT, CONN_ADMIT);
    return begin_body(conn);
}

static int find_head(struct gw_conn *conn)
{
    uint64_t max = conn->http->settings->head_max;
    size_t head_len = gw_head_end(conn->in, conn->in_len, &conn->scan);

    if (head_len == GW_HEAD_BAD)
        return answer_malformed(conn, GW_PROBLEM_BAD_REQUEST, "this is not an HTTP/1.1 request");
    if (head_len == 0 && conn->in_len <= max)
        return 0;
    if (head_len == 0 || head_len > max) {
        const char *line = memchr(conn->in, '\n', conn->in_len);
        bool target = !line || line - conn->in > GW_TARGET_MAX + 64;
        return answer_malformed(conn,
                                target ? GW_PROBLEM_URI_TOO_LONG : GW_PROBLEM_HEADERS_TOO_LARGE,
                                "the head of the request is too large");
    }
    return begin_request(conn, head_len);
}

/* Goes on as long as what has been received is enough for the next step. */
static int process(struct gw_conn *conn)
{
    int r = 0;

    for (;;) {
        enum gw_conn_state before = conn->state;
        size_t had = conn->in_len;
        if (conn->state == CONN_HEAD && conn->in_len > 0) {
            if (conn->fresh) {
                conn->fresh = false;
                set_state(conn, CONN_HEAD, conn->http->settings->head_ms);
            }
            r = find_head(conn);
        } else if (conn->state == CONN_BODY) {
            r = take_body(conn);
        }
        if (r < 0 || (conn->state == before && conn->in_len == had))
            return r;
    }
}

int gw_conn_received(struct net_conn *net, const char *bytes, size_t len)
{
    struct gw_conn *conn = (struct gw_conn *)net;

    gw_metrics_add(conn->http->parts.metrics, GW_C_BYTES_RECEIVED, len);
    if (conn->state == CONN_LINGER) {
        conn->lingered += len;
        return conn->lingered > LINGER_BYTES ? -1 : 0;
    }
    /* While an exchange is under way nothing is asked for; a read that was on its way still comes.
     */
    if (conn->in_len + len > (UINT64_C(1) << 20) || append(conn, bytes, len) < 0)
        return -1;
    return process(conn);
}

/* ---- back from the worker ---- */

static void note_session(struct gw_conn *conn)
{
    memcpy(conn->session, conn->x->req.identity.session, sizeof(conn->session));
}

void gw_conn_done(struct gw_exchange *x)
{
    struct gw_conn *conn = x->conn;
    int r;

    if (!conn) {
        gw_exchange_free(x);
        return;
    }
    note_session(conn);
    if (x->stage == GW_STAGE_ADMIT && x->admitted) {
        r = begin_body(conn);
        if (r == 0)
            r = process(conn);
    } else {
        x->res.close |= conn->body_got < conn->body_want;
        r = answer(conn);
    }
    if (r < 0)
        net_close(&conn->net);
}

int gw_conn_next(struct gw_conn *conn)
{
    bool unread = conn->unread || conn->in_len > 0;

    gw_exchange_free(take_ptr(conn->x));
    free(take_ptr(conn->out));
    if (conn->close_after || atomic_load(&conn->http->draining)) {
        net_finish(&conn->net);
        if (!unread && net_is_tls(&conn->net))
            return -1;
        /* Closing with unread input would reset the connection and could take the answer along. */
        set_state(conn, CONN_LINGER, LINGER_MS);
        conn->in_len = 0;
        resume_input(conn);
        return 0;
    }
    conn->fresh = true;
    conn->scan = 0;
    set_state(conn, CONN_HEAD, conn->http->settings->idle_ms);
    resume_input(conn);
    return process(conn);
}

void gw_conn_tick(struct gw_conn *conn, uint64_t now_ms)
{
    bool idle = conn->state == CONN_HEAD && conn->fresh;

    if (idle && atomic_load(&conn->http->draining)) {
        net_close(&conn->net);
        return;
    }
    if (!conn->deadline_ms || now_ms < conn->deadline_ms)
        return;
    if (conn->state == CONN_LINGER || idle) {
        net_close(&conn->net);
        return;
    }
    gw_metrics_add(conn->http->parts.metrics, GW_C_TIMEOUTS, 1);
    bool told = conn->state == CONN_HEAD || conn->state == CONN_BODY;
    if (!told || answer_malformed(conn, GW_PROBLEM_TIMEOUT, "the request came too slowly") < 0)
        net_close(&conn->net);
}
