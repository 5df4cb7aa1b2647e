#include "api/rpc_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer_reader.h>
#include <grpc/support/alloc.h>

#include "base/err.h"

#define DETAILS_MAX 3072 /* with the message below a peer's default of 8 KiB of metadata */

static void on_accept(struct rpc_tag *tag, bool ok);
static void on_closed(struct rpc_tag *tag, bool ok);
static void on_read(struct rpc_tag *tag, bool ok);
static void on_opened(struct rpc_tag *tag, bool ok);
static void on_written(struct rpc_tag *tag, bool ok);
static void on_status_sent(struct rpc_tag *tag, bool ok);

static void call_free(struct rpc_call *call)
{
    grpc_byte_buffer_destroy(call->incoming);
    grpc_byte_buffer_destroy(call->outgoing);
    grpc_metadata_array_destroy(&call->headers);
    grpc_call_details_destroy(&call->details);
    grpc_slice_unref(call->status_message);
    grpc_slice_unref(call->status_details);
    if (call->call)
        grpc_call_unref(call->call);
    free(call);
}

/* What its client has seen: a status that did not arrive counts as little as one never given. */
static void call_tell_end(const struct rpc_call *call)
{
    const struct rpc_server_options *options = &call->server->options;
    bool gone = !call->finishing || call->cancelled;
    if (options->on_answered)
        options->on_answered(options->on_answered_arg, call->path,
                             gone ? RPC_CANCELLED : call->status_code, call->reason);
}

/* Every tag's function ends with this: the one place where a call goes away. */
static void call_settle(struct rpc_call *call)
{
    struct rpc_server *server = call->server;
    if (call->tags > 0 || !call->over)
        return;
    call_tell_end(call);
    if (call->method)
        call->method->on_close(call, call->cancelled != 0);
    if (call->account)
        rpc_conns_call_done(server->conns, &call->peer, call->account);
    if (call->prev)
        call->prev->next = call->next;
    else
        server->calls = call->next;
    if (call->next)
        call->next->prev = call->prev;
    server->n_calls--;
    call_free(call);
    rpc_server_call_gone(server);
}

static bool call_start(struct rpc_call *call, const grpc_op *ops, size_t n_ops, struct rpc_tag *tag,
                       void (*fn)(struct rpc_tag *, bool))
{
    tag->fn = fn;
    if (!rpc_cq_start(call->server->cq, call->call, ops, n_ops, tag))
        return false;
    call->tags++;
    return true;
}

int rpc_call_arm(struct rpc_server *server)
{
    struct rpc_call *call = calloc(1, sizeof(*call));
    if (!call)
        return -ENOMEM;
    call->server = server;
    call->status_message = grpc_empty_slice();
    call->status_details = grpc_empty_slice();
    call->accept_tag.fn = on_accept;
    grpc_metadata_array_init(&call->headers);
    grpc_call_details_init(&call->details);
    grpc_completion_queue *queue = rpc_cq_queue(server->cq);
    RPC_TAG_GIVE(&call->accept_tag);
    if (grpc_server_request_call(server->server, &call->call, &call->details, &call->headers, queue,
                                 queue, &call->accept_tag) != GRPC_CALL_OK) {
        call_free(call);
        return -EIO;
    }
    server->n_accepts++;
    return 0;
}

/* ---- the beginning ------------------------------------------------------------------------ */

/* Return: false when it has been refused. A connection that is gone (or never had a name) has
 * nobody to answer to. */
static bool call_identify(struct rpc_call *call)
{
    char *text = grpc_call_get_peer(call->call);
    int r = rpc_conns_call(call->server->conns, text ? text : "", &call->peer, &call->account);
    gpr_free(text);
    if (r == RPC_CONNS_UNKNOWN)
        rpc_call_finish_code(call, RPC_UNAUTHENTICATED, "the connection has no known peer");
    else if (r == RPC_CONNS_FULL)
        rpc_call_finish_code(call, RPC_RESOURCE_EXHAUSTED,
                             "more than %u calls at once on one connection",
                             call->server->options.streams_per_connection_max);
    else if (r == RPC_CONNS_PEER_FULL)
        rpc_call_finish_code(call, RPC_RESOURCE_EXHAUSTED,
                             "too many calls at once on all your connections");
    return r == 0;
}

static void call_dispatch(struct rpc_call *call)
{
    struct rpc_server *server = call->server;
    const struct rpc_entry *entry = rpc_server_find(server, call->details.method);
    uint32_t calls_max = server->options.calls_max;
    if (!entry) {
        rpc_call_finish_code(call, RPC_UNIMPLEMENTED, "no such method here");
        return;
    }
    call->path = entry->method->path;
    if (server->draining) {
        rpc_call_finish_code(call, RPC_UNAVAILABLE, "the service is shutting down: try again");
        return;
    }
    if (server->n_calls > calls_max) {
        rpc_call_finish_code(call, RPC_RESOURCE_EXHAUSTED, "more than %u calls at once", calls_max);
        return;
    }
    if (!call_identify(call))
        return;
    call->method = entry->method;
    entry->method->on_start(call, entry->arg);
    if (entry->method->shape == RPC_ONE_REQUEST)
        rpc_call_read(call);
}

static void on_accept(struct rpc_tag *tag, bool ok)
{
    struct rpc_call *call = container_of(tag, struct rpc_call, accept_tag);
    struct rpc_server *server = call->server;
    server->n_accepts--;
    if (!ok) { /* the server is being shut down */
        call_free(call);
        rpc_server_call_gone(server);
        return;
    }
    (void)rpc_call_arm(server); /* without memory: one fewer, made good by call_settle() */
    call->next = server->calls;
    if (call->next)
        call->next->prev = call;
    server->calls = call;
    server->n_calls++;
    server->calls_total++;
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    op.data.recv_close_on_server.cancelled = &call->cancelled;
    if (!call_start(call, &op, 1, &call->close_tag, on_closed)) {
        call->over = true;
        call->cancelled = 1;
    } else {
        call_dispatch(call);
    }
    call_settle(call);
}

static void on_closed(struct rpc_tag *tag, bool ok)
{
    (void)ok;
    struct rpc_call *call = container_of(tag, struct rpc_call, close_tag);
    call->tags--;
    call->over = true;
    call_settle(call);
}

/* ---- reading ------------------------------------------------------------------------------ */

void rpc_call_read(struct rpc_call *call)
{
    if (call->reading || call->half_closed || call->over || call->finishing)
        return;
    if (call->method->shape == RPC_ONE_REQUEST && call->got_message)
        return;
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &call->incoming;
    call->reading = call_start(call, &op, 1, &call->read_tag, on_read);
}

static void call_deliver(struct rpc_call *call, grpc_byte_buffer *message)
{
    grpc_byte_buffer_reader reader;
    if (!grpc_byte_buffer_reader_init(&reader, message)) {
        rpc_call_finish_code(call, RPC_INTERNAL, "the message cannot be read");
        return;
    }
    grpc_slice slice = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    call->got_message = true;
    if (call->method->on_message)
        call->method->on_message(call, GRPC_SLICE_START_PTR(slice), GRPC_SLICE_LENGTH(slice));
    grpc_slice_unref(slice);
}

static void call_half_closed(struct rpc_call *call)
{
    call->half_closed = true;
    if (call->method->shape == RPC_ONE_REQUEST)
        rpc_call_finish_code(call, RPC_INTERNAL, "the request message is missing");
    else if (call->method->on_half_close)
        call->method->on_half_close(call);
}

static void on_read(struct rpc_tag *tag, bool ok)
{
    struct rpc_call *call = container_of(tag, struct rpc_call, read_tag);
    grpc_byte_buffer *message = call->incoming; /* the handler may begin to read the next one */
    call->incoming = NULL;
    call->tags--;
    call->reading = false;
    if (!call->over && !call->finishing && ok) {
        if (message)
            call_deliver(call, message);
        else
            call_half_closed(call);
    }
    grpc_byte_buffer_destroy(message);
    call_settle(call);
}

/* ---- writing ------------------------------------------------------------------------------ */

bool rpc_call_writable(const struct rpc_call *call)
{
    return !call->writing && !call->over && !call->finishing;
}

static size_t op_metadata(struct rpc_call *call, grpc_op *op)
{
    if (call->metadata_sent)
        return 0;
    *op = (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA};
    call->metadata_sent = true;
    return 1;
}

void rpc_call_open(struct rpc_call *call)
{
    grpc_op op;
    if (rpc_call_writable(call) && op_metadata(call, &op) > 0)
        (void)call_start(call, &op, 1, &call->open_tag, on_opened);
}

static void on_opened(struct rpc_tag *tag, bool ok)
{
    (void)ok; /* what follows fails too, and is told */
    struct rpc_call *call = container_of(tag, struct rpc_call, open_tag);
    call->tags--;
    call_settle(call);
}

static size_t op_message(struct rpc_call *call, grpc_op *op, uint32_t flags)
{
    *op = (grpc_op){.op = GRPC_OP_SEND_MESSAGE, .flags = flags};
    op->data.send_message.send_message = call->outgoing;
    return 1;
}

/* @trailer is the caller's, for as long as the operation is being started. */
static size_t op_status(struct rpc_call *call, grpc_op *op, grpc_metadata *trailer)
{
    *trailer = (grpc_metadata){.key = grpc_slice_from_static_string("grpc-status-details-bin"),
                               .value = call->status_details};
    *op = (grpc_op){.op = GRPC_OP_SEND_STATUS_FROM_SERVER};
    op->data.send_status_from_server.status = (grpc_status_code)call->status_code;
    op->data.send_status_from_server.status_details = &call->status_message;
    if (GRPC_SLICE_LENGTH(call->status_details) > 0) {
        op->data.send_status_from_server.trailing_metadata_count = 1;
        op->data.send_status_from_server.trailing_metadata = trailer;
    }
    return 1;
}

/* With the status behind it when the call is finishing. Takes @slice. */
static int call_send_slice(struct rpc_call *call, grpc_slice slice, uint32_t flags)
{
    grpc_op ops[3];
    grpc_metadata trailer;
    size_t n = op_metadata(call, &ops[0]);
    call->outgoing = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    n += op_message(call, &ops[n], flags);
    if (call->finishing)
        n += op_status(call, &ops[n], &trailer);
    if (!call_start(call, ops, n, &call->write_tag, on_written)) {
        grpc_byte_buffer_destroy(call->outgoing);
        call->outgoing = NULL;
        return -EPIPE;
    }
    call->status_sent = call->finishing;
    call->writing = true;
    return 0;
}

static void call_set_status(struct rpc_call *call, const struct rpc_status *status)
{
    uint8_t details[DETAILS_MAX];
    size_t len = status->code == RPC_OK ? 0 : rpc_status_encode(status, details, sizeof(details));
    call->finishing = true;
    snprintf(call->reason, sizeof(call->reason), "%s", status->reason);
    call->status_code = status->code;
    call->status_message = grpc_slice_from_copied_string(status->message);
    if (len > 0)
        call->status_details = grpc_slice_from_copied_buffer((const char *)details, len);
}

static int call_may_send(const struct rpc_call *call, size_t size)
{
    if (call->over || call->finishing)
        return -EPIPE;
    if (call->writing)
        return -EAGAIN;
    return size > RPC_MESSAGE_BYTES_MAX ? -EMSGSIZE : 0;
}

static grpc_slice pack(const ProtobufCMessage *message, size_t size)
{
    grpc_slice slice = grpc_slice_malloc(size);
    protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    return slice;
}

int rpc_call_send(struct rpc_call *call, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    int rc = call_may_send(call, size);
    return rc < 0 ? rc : call_send_slice(call, pack(message, size), 0);
}

/* With the headers in the same batch it would be held back until something is written after it, and
 * nothing may be before it is done. */
int rpc_call_send_more(struct rpc_call *call, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    int rc = call_may_send(call, size);
    uint32_t flags = call->metadata_sent ? GRPC_WRITE_BUFFER_HINT : 0;
    return rc < 0 ? rc : call_send_slice(call, pack(message, size), flags);
}

int rpc_call_send_last(struct rpc_call *call, const ProtobufCMessage *message,
                       const struct rpc_status *status)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    int rc = call_may_send(call, size);
    if (rc < 0)
        return rc;
    call_set_status(call, status);
    return call_send_slice(call, pack(message, size), 0);
}

int rpc_call_send_bytes(struct rpc_call *call, const void *bytes, size_t len)
{
    int rc = call_may_send(call, len);
    if (rc < 0)
        return rc;
    return call_send_slice(call, grpc_slice_from_copied_buffer(bytes, len), 0);
}

static void call_send_status(struct rpc_call *call)
{
    grpc_op ops[2];
    grpc_metadata trailer;
    size_t n = op_metadata(call, &ops[0]);
    n += op_status(call, &ops[n], &trailer);
    call->status_sent = true;
    (void)call_start(call, ops, n, &call->status_tag, on_status_sent);
}

static void on_written(struct rpc_tag *tag, bool ok)
{
    struct rpc_call *call = container_of(tag, struct rpc_call, write_tag);
    call->tags--;
    call->writing = false;
    grpc_byte_buffer_destroy(call->outgoing);
    call->outgoing = NULL;
    if (call->over || !ok) {
        call_settle(call);
        return;
    }
    if (call->finishing && !call->status_sent)
        call_send_status(call);
    else if (!call->finishing && call->method->on_writable)
        call->method->on_writable(call);
    call_settle(call);
}

static void on_status_sent(struct rpc_tag *tag, bool ok)
{
    (void)ok; /* RECV_CLOSE says whether it arrived */
    struct rpc_call *call = container_of(tag, struct rpc_call, status_tag);
    call->tags--;
    call_settle(call);
}

void rpc_call_finish(struct rpc_call *call, const struct rpc_status *status)
{
    if (call->finishing || call->over)
        return;
    call_set_status(call, status);
    if (!call->writing)
        call_send_status(call);
}

void rpc_call_finish_ok(struct rpc_call *call)
{
    struct rpc_status status = {.code = RPC_OK};
    rpc_call_finish(call, &status);
}

void rpc_call_finish_code(struct rpc_call *call, enum rpc_code code, const char *format, ...)
{
    char text[RPC_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    struct rpc_status status;
    rpc_call_finish(call, rpc_status_set(&status, code, rpc_code_name((int)code), "%s", text));
}

/* A drain has begun: watches would go on for ever. */
void rpc_call_end_aside(struct rpc_server *server)
{
    struct rpc_call *next;
    for (struct rpc_call *call = server->calls; call; call = next) {
        next = call->next;
        if (call->method && call->method->aside)
            rpc_call_finish_code(call, RPC_UNAVAILABLE, "the service is shutting down");
    }
}

/* ---- what a handler may ask --------------------------------------------------------------- */

const struct rpc_peer *rpc_call_peer(const struct rpc_call *call)
{
    return &call->peer;
}

const char *rpc_call_metadata(const struct rpc_call *call, const char *key, size_t *ret_len)
{
    for (size_t i = 0; i < call->headers.count; i++) {
        const grpc_metadata *md = &call->headers.metadata[i];
        if (grpc_slice_str_cmp(md->key, key) != 0)
            continue;
        *ret_len = GRPC_SLICE_LENGTH(md->value);
        return (const char *)GRPC_SLICE_START_PTR(md->value);
    }
    *ret_len = 0;
    return NULL;
}

uint64_t rpc_call_deadline_us(const struct rpc_call *call)
{
    gpr_timespec deadline = gpr_convert_clock_type(call->details.deadline, GPR_CLOCK_MONOTONIC);
    if (gpr_time_cmp(deadline, gpr_inf_future(GPR_CLOCK_MONOTONIC)) == 0)
        return UINT64_MAX;
    if (deadline.tv_sec < 0)
        return 0;
    return (uint64_t)deadline.tv_sec * 1000000u + (uint64_t)deadline.tv_nsec / 1000u;
}

void rpc_call_set_user(struct rpc_call *call, void *user)
{
    call->user = user;
}

void *rpc_call_user(const struct rpc_call *call)
{
    return call->user;
}
