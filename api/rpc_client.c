#include "api/rpc_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>

#include "api/rpc_cq.h"
#include "api/text.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"

#define PEM_BYTES_MAX ((size_t)1 << 20)

struct rpc_channel {
    struct rpc_cq *cq;
    grpc_channel *channel;
};

/* `tags` counts what is outstanding; when the status is here and none is left, the call is told of
 * its end and freed. */
struct rpc_client_call {
    struct rpc_cq *cq;
    grpc_call *call;
    const struct rpc_client_events *events;
    void *user;
    struct rpc_tag start_tag, read_tag, write_tag, close_tag, status_tag;
    unsigned tags;
    grpc_metadata_array headers, trailers;
    grpc_byte_buffer *incoming, *outgoing;
    grpc_status_code status;
    grpc_slice status_message;
    bool reading, writing, read_any, closing, close_sent, over;
};

/* The files are gone from our memory when gRPC has them. */
static int tls_credentials(const struct rpc_channel_tls *tls, grpc_channel_credentials **ret,
                           struct err *err)
{
    const char *const paths[3] = {tls->ca, tls->certificate, tls->key};
    char *texts[3] = {NULL};
    ssize_t n = 0;
    for (int i = 0; n >= 0 && i < 3; i++)
        n = paths[i] ? file_read_text(paths[i], PEM_BYTES_MAX, &texts[i], err)
                     : err_set(err, -EINVAL, "TLS takes a CA, a certificate and its key");
    if (n >= 0) {
        grpc_ssl_pem_key_cert_pair pair = {.private_key = texts[2], .cert_chain = texts[1]};
        *ret = grpc_ssl_credentials_create_ex(texts[0], &pair, NULL, NULL);
        if (!*ret)
            n = err_set(err, -EINVAL, "%s, %s and %s do not fit together", tls->ca,
                        tls->certificate, tls->key);
    }
    for (int i = 0; i < 3; i++) {
        if (texts[i])
            explicit_bzero(texts[i], strlen(texts[i]));
        free(texts[i]);
    }
    return n < 0 ? (int)n : 0;
}

int rpc_channel_new(struct rpc_cq *cq, const char *target, const struct rpc_channel_tls *tls,
                    struct rpc_channel **ret, struct err *err)
{
    grpc_channel_credentials *creds = NULL;
    int rc = 0;
    if (tls)
        rc = tls_credentials(tls, &creds, err);
    else
        creds = grpc_insecure_credentials_create();
    if (rc < 0)
        return rc;
    struct rpc_channel *channel = calloc(1, sizeof(*channel));
    if (!channel) {
        grpc_channel_credentials_release(creds);
        return err_set(err, -ENOMEM, "channel: %m");
    }
    channel->cq = cq;
    grpc_arg args[] = {
        rpc_arg_int(GRPC_ARG_ENABLE_HTTP_PROXY, 0),
        rpc_arg_int(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1),
        rpc_arg_int(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200),
        rpc_arg_int(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000),
        /* A window that does not grow: what was sent and not read is less than a replay ring. */
        rpc_arg_int(GRPC_ARG_HTTP2_BDP_PROBE, 0),
        /* A run is never begun twice, and nobody looks: steps that each call would go through. */
        rpc_arg_int(GRPC_ARG_ENABLE_RETRIES, 0),
        rpc_arg_int(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1),
        rpc_arg_int(GRPC_ARG_ENABLE_CHANNELZ, 0),
    };
    grpc_channel_args channel_args = {sizeof(args) / sizeof(args[0]), args};
    channel->channel = grpc_channel_create(target, creds, &channel_args);
    grpc_channel_credentials_release(creds);
    if (!channel->channel) {
        free(channel);
        return err_set(err, -EINVAL, "'%s' is no address of a service", target);
    }
    *ret = channel;
    return 0;
}

struct rpc_channel *rpc_channel_free(struct rpc_channel *channel)
{
    if (!channel)
        return NULL;
    grpc_channel_destroy(channel->channel);
    free(channel);
    return NULL;
}

/* ---- the end ------------------------------------------------------------------------------ */

static void call_free(struct rpc_client_call *call)
{
    grpc_byte_buffer_destroy(call->incoming);
    grpc_byte_buffer_destroy(call->outgoing);
    grpc_metadata_array_destroy(&call->headers);
    grpc_metadata_array_destroy(&call->trailers);
    grpc_slice_unref(call->status_message);
    if (call->call)
        grpc_call_unref(call->call);
    free(call);
}

static void call_status(const struct rpc_client_call *call, struct rpc_status *ret)
{
    *ret = (struct rpc_status){.code = (enum rpc_code)call->status};
    snprintf(ret->message, sizeof(ret->message), "%.*s",
             (int)GRPC_SLICE_LENGTH(call->status_message),
             (const char *)GRPC_SLICE_START_PTR(call->status_message));
    text_clean(ret->message);
    for (size_t i = 0; i < call->trailers.count; i++) {
        const grpc_metadata *md = &call->trailers.metadata[i];
        if (grpc_slice_str_cmp(md->key, "grpc-status-details-bin") == 0)
            rpc_status_decode(GRPC_SLICE_START_PTR(md->value), GRPC_SLICE_LENGTH(md->value), ret);
    }
}

static void call_settle(struct rpc_client_call *call)
{
    if (call->tags > 0 || !call->over)
        return;
    struct rpc_status status;
    call_status(call, &status);
    call->events->on_end(call, &status);
    call_free(call);
}

static bool call_start(struct rpc_client_call *call, const grpc_op *ops, size_t n_ops,
                       struct rpc_tag *tag, void (*fn)(struct rpc_tag *, bool))
{
    tag->fn = fn;
    if (!rpc_cq_start(call->cq, call->call, ops, n_ops, tag))
        return false;
    call->tags++;
    return true;
}

static void on_status(struct rpc_tag *tag, bool ok)
{
    (void)ok;
    struct rpc_client_call *call = container_of(tag, struct rpc_client_call, status_tag);
    call->tags--;
    call->over = true;
    call_settle(call);
}

static void on_start_sent(struct rpc_tag *tag, bool ok)
{
    (void)ok;
    struct rpc_client_call *call = container_of(tag, struct rpc_client_call, start_tag);
    call->tags--;
    call_settle(call);
}

static void on_written(struct rpc_tag *tag, bool ok);

static void pack_outgoing(struct rpc_client_call *call, const ProtobufCMessage *message)
{
    grpc_slice slice = grpc_slice_malloc(protobuf_c_message_get_packed_size(message));
    protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    call->outgoing = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
}

/* ---- the beginning ------------------------------------------------------------------------ */

static int header_check(const struct rpc_client_header *header, struct err *err)
{
    grpc_slice key = grpc_slice_from_static_string(header->key);
    grpc_slice value = grpc_slice_from_static_string(header->value);
    if (!grpc_header_key_is_legal(key) || !grpc_header_nonbin_value_is_legal(value))
        return err_set(err, -EINVAL, "header %s: only printable ASCII is allowed", header->key);
    return 0;
}

/* A failure here cancels the call, which the status then reports. */
static void send_start(struct rpc_client_call *call, const struct rpc_client_options *options,
                       grpc_metadata *metadata)
{
    grpc_op ops[3] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}};
    size_t n = 1;
    ops[0].data.send_initial_metadata.count = options->n_headers;
    ops[0].data.send_initial_metadata.metadata = metadata;
    if (!options->first) {
        (void)call_start(call, ops, n, &call->start_tag, on_start_sent);
        return;
    }
    pack_outgoing(call, options->first);
    ops[n] = (grpc_op){.op = GRPC_OP_SEND_MESSAGE};
    ops[n++].data.send_message.send_message = call->outgoing;
    if (options->only)
        ops[n++] = (grpc_op){.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
    call->closing = call->close_sent = options->only;
    call->writing = call_start(call, ops, n, &call->write_tag, on_written);
}

static int headers_check(const struct rpc_client_options *options, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < options->n_headers; i++)
        rc = header_check(&options->headers[i], err);
    return rc;
}

static int call_begin(struct rpc_client_call *call, const struct rpc_client_options *options,
                      struct err *err)
{
    grpc_metadata metadata[RPC_CLIENT_METADATA_MAX];
    for (size_t i = 0; i < options->n_headers; i++) {
        metadata[i] = (grpc_metadata){
            .key = grpc_slice_from_copied_string(options->headers[i].key),
            .value = grpc_slice_from_copied_string(options->headers[i].value),
        };
    }
    grpc_op status = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    status.data.recv_status_on_client.trailing_metadata = &call->trailers;
    status.data.recv_status_on_client.status = &call->status;
    status.data.recv_status_on_client.status_details = &call->status_message;
    bool ok = call_start(call, &status, 1, &call->status_tag, on_status);
    if (ok)
        send_start(call, options, metadata);
    for (size_t i = 0; i < options->n_headers; i++) {
        grpc_slice_unref(metadata[i].key);
        grpc_slice_unref(metadata[i].value);
    }
    return ok ? 0 : err_set(err, -EIO, "start the call %s", options->path);
}

int rpc_client_call_new(struct rpc_channel *channel, const struct rpc_client_options *options,
                        struct rpc_client_call **ret, struct err *err)
{
    if (options->n_headers > RPC_CLIENT_METADATA_MAX)
        return err_set(err, -E2BIG, "more than %d headers", RPC_CLIENT_METADATA_MAX);
    int rc = headers_check(options, err);
    if (rc < 0)
        return rc;
    struct rpc_client_call *call = calloc(1, sizeof(*call));
    if (!call)
        return err_set(err, -ENOMEM, "call: %m");
    call->cq = channel->cq;
    call->events = options->events;
    call->user = options->user;
    call->status = GRPC_STATUS_UNKNOWN;
    call->status_message = grpc_empty_slice();
    grpc_metadata_array_init(&call->headers);
    grpc_metadata_array_init(&call->trailers);
    gpr_timespec deadline = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    if (options->timeout_ms > 0)
        deadline = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                gpr_time_from_millis(options->timeout_ms, GPR_TIMESPAN));
    grpc_slice path = grpc_slice_from_copied_string(options->path);
    call->call = grpc_channel_create_call(channel->channel, NULL, GRPC_PROPAGATE_DEFAULTS,
                                          rpc_cq_queue(channel->cq), path, NULL, deadline, NULL);
    grpc_slice_unref(path);
    rc = call->call ? call_begin(call, options, err)
                    : err_set(err, -EIO, "make the call %s", options->path);
    if (rc < 0) {
        call_free(call);
        return rc;
    }
    *ret = call;
    return 0;
}

void *rpc_client_user(const struct rpc_client_call *call)
{
    return call->user;
}

/* ---- reading ------------------------------------------------------------------------------ */

static void on_read(struct rpc_tag *tag, bool ok)
{
    struct rpc_client_call *call = container_of(tag, struct rpc_client_call, read_tag);
    call->reading = false;
    grpc_byte_buffer *buffer = call->incoming;
    call->incoming = NULL;
    grpc_byte_buffer_reader reader;
    if (ok && buffer && grpc_byte_buffer_reader_init(&reader, buffer)) {
        grpc_slice slice = grpc_byte_buffer_reader_readall(&reader);
        grpc_byte_buffer_reader_destroy(&reader);
        call->events->on_message(call, GRPC_SLICE_START_PTR(slice), GRPC_SLICE_LENGTH(slice));
        grpc_slice_unref(slice);
    }
    grpc_byte_buffer_destroy(buffer);
    call->tags--; /* after the callback: what it starts must not end the call */
    call_settle(call);
}

void rpc_client_read(struct rpc_client_call *call)
{
    if (call->reading || call->over)
        return;
    grpc_op ops[2];
    size_t n = 0;
    if (!call->read_any) {
        ops[n] = (grpc_op){.op = GRPC_OP_RECV_INITIAL_METADATA};
        ops[n++].data.recv_initial_metadata.recv_initial_metadata = &call->headers;
        call->read_any = true;
    }
    ops[n] = (grpc_op){.op = GRPC_OP_RECV_MESSAGE};
    ops[n++].data.recv_message.recv_message = &call->incoming;
    call->reading = call_start(call, ops, n, &call->read_tag, on_read);
}

/* ---- writing ------------------------------------------------------------------------------ */

bool rpc_client_writable(const struct rpc_client_call *call)
{
    return !call->writing && !call->closing && !call->over;
}

static void on_close_sent(struct rpc_tag *tag, bool ok)
{
    (void)ok;
    struct rpc_client_call *call = container_of(tag, struct rpc_client_call, close_tag);
    call->tags--;
    call_settle(call);
}

static void send_close(struct rpc_client_call *call)
{
    if (call->close_sent || call->over)
        return;
    call->close_sent = true;
    grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
    (void)call_start(call, &op, 1, &call->close_tag, on_close_sent);
}

static void on_written(struct rpc_tag *tag, bool ok)
{
    struct rpc_client_call *call = container_of(tag, struct rpc_client_call, write_tag);
    call->writing = false;
    grpc_byte_buffer_destroy(call->outgoing);
    call->outgoing = NULL;
    if (call->closing)
        send_close(call);
    else if (ok && !call->over && call->events->on_writable)
        call->events->on_writable(call);
    call->tags--;
    call_settle(call);
}

int rpc_client_send(struct rpc_client_call *call, const ProtobufCMessage *message)
{
    if (call->over || call->closing)
        return -EPIPE;
    if (call->writing)
        return -EAGAIN;
    pack_outgoing(call, message);
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
    op.data.send_message.send_message = call->outgoing;
    if (!call_start(call, &op, 1, &call->write_tag, on_written)) {
        grpc_byte_buffer_destroy(call->outgoing);
        call->outgoing = NULL;
        return -EPIPE;
    }
    call->writing = true;
    return 0;
}

void rpc_client_half_close(struct rpc_client_call *call)
{
    if (call->closing)
        return;
    call->closing = true;
    if (!call->writing)
        send_close(call);
}

void rpc_client_cancel(struct rpc_client_call *call)
{
    if (!call->over)
        grpc_call_cancel(call->call, NULL);
}
