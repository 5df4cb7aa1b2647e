#pragma once
/*
 * gRPC calls for a single-threaded process: the client's side of rpc_server.h. Everything here is
 * called, and every callback runs, on the thread that dispatches the completion queue (rpc_cq.h).
 *
 *   on_message   one reply; the next comes after rpc_client_read(), so that a slow reader slows the
 *                server down
 *   on_writable  the message sent before is on its way: the next may be sent
 *   on_end       the last callback, exactly once; after it @call is gone
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "api/rpc_status.h"

struct err;
struct rpc_channel;
struct rpc_client_call;
struct rpc_cq;

#define RPC_CLIENT_METADATA_MAX 8

/* PEM files. The service's certificate must name the host of the target. */
struct rpc_channel_tls {
    const char *ca, *certificate, *key;
};

/**
 * rpc_channel_new() - no connection is made before the first call
 * @target: "unix:/run/cloister/execsvc.sock", "127.0.0.1:8443" ...
 * @tls: NULL for a socket that is nobody else's; its files are read now
 */
int rpc_channel_new(struct rpc_cq *cq, const char *target, const struct rpc_channel_tls *tls,
                    struct rpc_channel **ret, struct err *err);
/** rpc_channel_free() - after its calls have ended. */
struct rpc_channel *rpc_channel_free(struct rpc_channel *channel);

struct rpc_client_events {
    void (*on_message)(struct rpc_client_call *call, const uint8_t *bytes, size_t len);
    void (*on_writable)(struct rpc_client_call *call); /* may be NULL */
    void (*on_end)(struct rpc_client_call *call, const struct rpc_status *status);
};

struct rpc_client_header {
    const char *key; /* lower case */
    const char *value;
};

struct rpc_client_options {
    const char *path;    /* "/cloister.exec.v1.Execution/Execute" */
    uint32_t timeout_ms; /* 0: none */
    const struct rpc_client_header *headers;
    size_t n_headers;
    /* The first message, packed at once; only: also the last. All that the service needs to begin
     * then leaves in one piece. NULL: rpc_client_send() says it later. */
    const ProtobufCMessage *first;
    bool only;
    const struct rpc_client_events *events; /* borrowed for the life of the call */
    void *user;
};

/** rpc_client_call_new() - start a call; messages are read only on request. -EINVAL: a header that
 * HTTP does not allow. */
int rpc_client_call_new(struct rpc_channel *channel, const struct rpc_client_options *options,
                        struct rpc_client_call **ret, struct err *err);
void *rpc_client_user(const struct rpc_client_call *call);

/** rpc_client_read() - ask for the next message. Without it a call that ended well never says so.
 */
void rpc_client_read(struct rpc_client_call *call);
bool rpc_client_writable(const struct rpc_client_call *call);
/** rpc_client_send() - 0; -EAGAIN: on_writable will come; -EPIPE: half-closed or over. */
int rpc_client_send(struct rpc_client_call *call, const ProtobufCMessage *message);
/** rpc_client_half_close() - nothing more will be sent; takes effect after the outstanding message.
 */
void rpc_client_half_close(struct rpc_client_call *call);
void rpc_client_cancel(struct rpc_client_call *call);
