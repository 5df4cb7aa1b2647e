#include "tests/integration/api/fixture.h"

#include <errno.h>

#include <grpc/health/v1/health.pb-c.h>

/* ---- the server's methods ----------------------------------------------------------------- */

static void on_start(struct rpc_call *call, void *arg)
{
    struct fixture *f = arg;
    f->started++;
    f->peer = *rpc_call_peer(call);
    f->deadline_us = rpc_call_deadline_us(call);
    size_t len;
    const char *subject = rpc_call_metadata(call, "cloister-subject", &len);
    snprintf(f->subject, sizeof(f->subject), "%.*s", (int)len, subject ? subject : "");
    rpc_call_set_user(call, f);
}

static void start_and_read(struct rpc_call *call, void *arg)
{
    on_start(call, arg);
    rpc_call_read(call);
}

static void on_close(struct rpc_call *call, bool cancelled)
{
    struct fixture *f = rpc_call_user(call);
    f->closes++;
    f->cancels += cancelled;
    if (f->parked == call)
        f->parked = NULL;
}

static void echo_message(struct rpc_call *call, const uint8_t *bytes, size_t len)
{
    struct fixture *f = rpc_call_user(call);
    f->messages++;
    assert_int_equal(rpc_call_send_bytes(call, bytes, len), 0);
    assert_int_equal(rpc_call_send_bytes(call, bytes, len), -EAGAIN);
}

static void echo_half_close(struct rpc_call *call)
{
    struct fixture *f = rpc_call_user(call);
    f->half_closes++;
    rpc_call_finish_ok(call);
    assert_int_equal(rpc_call_send_bytes(call, "x", 1), -EPIPE);
}

/* Asks for the next message from within the callback of the one before. */
static void sink_message(struct rpc_call *call, const uint8_t *bytes, size_t len)
{
    struct fixture *f = rpc_call_user(call);
    f->messages++;
    f->sunk += len;
    f->sunk_sum += len > 2 ? bytes[2] : 0u;
    rpc_call_read(call);
}

static void fire(struct rpc_call *call)
{
    static const uint8_t bytes[FIRE_BYTES];
    struct fixture *f = rpc_call_user(call);
    if (rpc_call_send_bytes(call, bytes, sizeof(bytes)) == 0)
        f->fired += sizeof(bytes);
}

static void fire_message(struct rpc_call *call, const uint8_t *bytes, size_t len)
{
    (void)bytes;
    (void)len;
    fire(call);
}

static void refuse_start(struct rpc_call *call, void *arg)
{
    on_start(call, arg);
    struct rpc_status status;
    rpc_status_set(&status, RPC_RESOURCE_EXHAUSTED, "QUEUE_FULL",
                   "the queue is full\n100 %% \xc3\xa9");
    rpc_status_field(&status, "files[%d].path", 3);
    rpc_status_meta(&status, "queue_position", "%d", 2001);
    status.retry_ms = 1250;
    rpc_call_finish(call, &status);
    rpc_call_finish_ok(call); /* too late, and harmless */
}

static void last_message(struct rpc_call *call, const uint8_t *bytes, size_t len)
{
    assert_int_equal(rpc_call_send_bytes(call, bytes, len), 0);
    rpc_call_finish_code(call, RPC_ABORTED, "after the message");
}

static void park_start(struct rpc_call *call, void *arg)
{
    on_start(call, arg);
    ((struct fixture *)arg)->parked = call;
}

static const struct rpc_method methods[] = {
    {.path = "/test.Test/Echo",
     .shape = RPC_STREAM_REQUEST,
     .on_start = start_and_read,
     .on_message = echo_message,
     .on_half_close = echo_half_close,
     .on_writable = rpc_call_read,
     .on_close = on_close},
    {.path = "/test.Test/Sink",
     .shape = RPC_STREAM_REQUEST,
     .on_start = start_and_read,
     .on_message = sink_message,
     .on_half_close = echo_half_close,
     .on_close = on_close},
    {.path = "/test.Test/Fire",
     .shape = RPC_ONE_REQUEST,
     .on_start = on_start,
     .on_message = fire_message,
     .on_writable = fire,
     .on_close = on_close},
    {.path = "/test.Test/Deaf",
     .shape = RPC_STREAM_REQUEST,
     .on_start = park_start,
     .on_message = echo_message,
     .on_close = on_close},
    {.path = "/test.Test/Refuse",
     .shape = RPC_ONE_REQUEST,
     .on_start = refuse_start,
     .on_close = on_close},
    {.path = "/test.Test/Last",
     .shape = RPC_ONE_REQUEST,
     .on_start = on_start,
     .on_message = last_message,
     .on_close = on_close},
    {.path = "/test.Test/Park",
     .shape = RPC_ONE_REQUEST,
     .on_start = park_start,
     .on_close = on_close},
};

/* ---- set-up ------------------------------------------------------------------------------- */

static int listen_both(struct fixture *f, const struct rpc_server_options *options,
                       const struct rpc_tls_options *tls, struct err *err)
{
    int rc = rpc_server_new(f->loop, options, &f->server, err);
    for (size_t i = 0; rc == 0 && i < sizeof(methods) / sizeof(methods[0]); i++)
        rc = rpc_server_add(f->server, &methods[i], f, err);
    struct rpc_unix_options where = {.path = f->socket, .gid = (gid_t)-1};
    if (rc == 0)
        rc = rpc_server_listen_unix(f->server, &where, err);
    if (rc == 0 && tls)
        rc = rpc_server_listen_tls(f->server, tls, err);
    if (rc == 0)
        rc = rpc_server_start(f->server, err);
    if (rc < 0)
        f->server = rpc_server_free(f->server);
    return rc;
}

int fixture_listen(struct fixture *f, const struct rpc_server_options *options, struct err *err)
{
    return listen_both(f, options, NULL, err);
}

static void on_cq(struct loop_io *io, uint32_t events)
{
    (void)events;
    rpc_cq_dispatch(container_of(io, struct fixture, cq_io)->cq);
}

static struct fixture *fixture_make(const struct rpc_server_options *options,
                                    const struct rpc_tls_options *tls,
                                    const struct rpc_channel_tls *client)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct err err = {0};
    char target[256];
    assert_non_null(f);
    f->dir = test_dir_new();
    snprintf(f->socket, sizeof(f->socket), "%s/run/test.sock", f->dir);
    snprintf(target, sizeof(target), "unix:%s", f->socket);
    assert_int_equal(loop_new(&f->loop, &err), 0);
    if (listen_both(f, options, tls, &err) < 0)
        fail_msg("%s", err.text);
    if (tls)
        snprintf(target, sizeof(target), "127.0.0.1:%u", rpc_server_tls_port(f->server));
    assert_int_equal(rpc_cq_new(NULL, &f->cq, &err), 0);
    assert_int_equal(loop_io_add(f->loop, &f->cq_io, rpc_cq_fd(f->cq), EPOLLIN, on_cq, &err), 0);
    assert_int_equal(rpc_channel_new(f->cq, target, client, &f->channel, &err), 0);
    return f;
}

struct fixture *fixture_new(const struct rpc_server_options *options)
{
    return fixture_make(options, NULL, NULL);
}

struct fixture *fixture_new_tls(const struct rpc_tls_options *server,
                                const struct rpc_channel_tls *client)
{
    return fixture_make(NULL, server, client);
}

void fixture_free(struct fixture *f)
{
    for (struct outcome *o = f->outcomes; o; o = o->next) {
        if (o->call)
            rpc_client_cancel(o->call);
        while (o->call)
            rpc_cq_wait(f->cq, 20);
    }
    f->channel = rpc_channel_free(f->channel);
    loop_io_remove(&f->cq_io);
    f->cq = rpc_cq_free(f->cq);
    f->server = rpc_server_free(f->server);
    loop_free(f->loop);
    while (f->outcomes) {
        struct outcome *next = f->outcomes->next;
        free(f->outcomes);
        f->outcomes = next;
    }
    test_dir_free(f->dir);
    free(f);
}

static void step(struct fixture *f, uint64_t until)
{
    struct err err = {0};
    if (clock_ms() > until)
        fail_msg("what is waited for does not come");
    assert_int_equal(loop_step(f->loop, 2, &err), 0);
}

void await(struct fixture *f, const unsigned *flag, unsigned at_least)
{
    uint64_t until = clock_ms() + 10000;
    while (*flag < at_least)
        step(f, until);
}

void await_true(struct fixture *f, const bool *flag)
{
    uint64_t until = clock_ms() + 10000;
    while (!*flag)
        step(f, until);
}

void linger(struct fixture *f, unsigned ms)
{
    uint64_t until = clock_ms() + ms;
    struct err err = {0};
    while (clock_ms() < until)
        assert_int_equal(loop_step(f->loop, 10, &err), 0);
}

/* ---- the client's calls ------------------------------------------------------------------- */

static void on_message(struct rpc_client_call *call, const uint8_t *bytes, size_t len)
{
    struct outcome *o = rpc_client_user(call);
    if (o->messages++ == 0) {
        o->first_len = len < sizeof(o->first) ? len : sizeof(o->first);
        memcpy(o->first, bytes, o->first_len);
    }
    o->bytes += len;
    if (!o->hold)
        rpc_client_read(call);
}

static void on_writable(struct rpc_client_call *call)
{
    struct outcome *o = rpc_client_user(call);
    o->writables++;
}

static void on_end(struct rpc_client_call *call, const struct rpc_status *status)
{
    struct outcome *o = rpc_client_user(call);
    o->status = *status;
    o->ended = true;
    o->call = NULL;
}

struct outcome *outcome_new(struct fixture *f)
{
    struct outcome *o = calloc(1, sizeof(*o));
    assert_non_null(o);
    o->fixture = f;
    o->next = f->outcomes;
    f->outcomes = o;
    return o;
}

void call_open(struct fixture *f, struct outcome *o, const char *method,
               const struct rpc_client_options *more)
{
    static const struct rpc_client_events events = {.on_message = on_message,
                                                    .on_writable = on_writable,
                                                    .on_end = on_end};
    struct rpc_client_options options = more ? *more : (struct rpc_client_options){0};
    struct err err = {0};
    options.path = method;
    options.events = &events;
    options.user = o;
    assert_int_equal(rpc_client_call_new(f->channel, &options, &o->call, &err), 0);
    if (!o->hold)
        rpc_client_read(o->call);
}

/* Any message whose packed form is any bytes: one field of them. */
int call_say(struct outcome *o, const void *bytes, size_t len)
{
    Grpc__Health__V1__HealthCheckRequest message = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    char *text = calloc(1, len + 1);
    assert_non_null(text);
    memcpy(text, bytes, len);
    message.service = text;
    int rc = rpc_client_send(o->call, &message.base);
    free(text);
    return rc;
}
