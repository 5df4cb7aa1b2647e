#include "api/rpc_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/grpc_security.h>

#include "api/rpc_door.h"
#include "api/rpc_internal.h"
#include "base/err.h"

/*
 * Start-up, the table of methods, and the end. Calls arrive through grpc_server_request_call()
 * only (no method is registered with gRPC): one kind of armed accept serves all methods, the body
 * is never read before the headers were judged, and an unknown method gets its UNIMPLEMENTED here.
 */

#define CALLS_MAX       4096
#define STREAMS_MAX     100
#define CONNECTIONS_MAX 256
#define PER_UID_MAX     64
#define QUOTA_BYTES     ((size_t)96 << 20)
#define METADATA_MAX    (16 << 10)
#define STOP_WAIT_MS    100

static void server_create(struct rpc_server *server)
{
    server->quota = grpc_resource_quota_create("rpc_server");
    grpc_resource_quota_resize(server->quota, server->options.memory_quota_bytes);
    grpc_arg args[] = {
        rpc_arg_int(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, (int)RPC_MESSAGE_BYTES_MAX),
        rpc_arg_int(GRPC_ARG_MAX_METADATA_SIZE, METADATA_MAX),
        rpc_arg_int(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                    (int)server->options.streams_per_connection_max),
        rpc_arg_int(GRPC_ARG_MAX_CONNECTION_IDLE_MS, 600000),
        rpc_arg_int(GRPC_ARG_KEEPALIVE_TIME_MS, 30000),
        rpc_arg_int(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000),
        rpc_arg_int(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        rpc_arg_int(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10000),
        rpc_arg_int(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 5),
        rpc_arg_int(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 10000),
        /* Identity only: core inflates a compressed message before it checks its size. */
        rpc_arg_int(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1),
        rpc_arg_int(GRPC_ARG_HTTP2_BDP_PROBE, 0),
        rpc_arg_int(GRPC_ARG_ALLOW_REUSEPORT, 0),
        rpc_arg_int(GRPC_ARG_ENABLE_CHANNELZ, 0),
        {.type = GRPC_ARG_POINTER,
         .key = (char *)(uintptr_t)GRPC_ARG_RESOURCE_QUOTA,
         .value.pointer = {.p = server->quota, .vtable = grpc_resource_quota_arg_vtable()}},
    };
    grpc_channel_args channel_args = {sizeof(args) / sizeof(args[0]), args};
    server->server = grpc_server_create(&channel_args, NULL);
    grpc_server_register_completion_queue(server->server, rpc_cq_queue(server->cq), NULL);
}

static void options_fill(struct rpc_server_options *options)
{
    if (!options->streams_per_connection_max)
        options->streams_per_connection_max = STREAMS_MAX;
    if (!options->connections_max)
        options->connections_max = CONNECTIONS_MAX;
    if (!options->connections_per_uid_max)
        options->connections_per_uid_max = PER_UID_MAX;
    if (!options->calls_max)
        options->calls_max = CALLS_MAX;
    if (!options->memory_quota_bytes)
        options->memory_quota_bytes = QUOTA_BYTES;
}

int rpc_server_new(struct loop *loop, const struct rpc_server_options *options,
                   struct rpc_server **ret, struct err *err)
{
    struct rpc_server *server = calloc(1, sizeof(*server));
    if (!server)
        return err_set(err, -ENOMEM, "server: %m");
    server->loop = loop;
    if (options)
        server->options = *options;
    options_fill(&server->options);
    int rc = rpc_cq_new(loop, &server->cq, err);
    if (rc < 0) {
        free(server);
        return rc;
    }
    server_create(server);
    rc = rpc_conns_new(server, &server->conns, err);
    if (rc == 0)
        rc = rpc_health_add(server, err);
    if (rc == 0 && server->options.reflection)
        rc = rpc_reflection_add(server, err);
    if (rc < 0) {
        rpc_server_free(server);
        return rc;
    }
    *ret = server;
    return 0;
}

int rpc_server_add(struct rpc_server *server, const struct rpc_method *method, void *arg,
                   struct err *err)
{
    if (server->n_methods == RPC_METHODS_MAX)
        return err_set(err, -ENOSPC, "more than %d methods", RPC_METHODS_MAX);
    for (size_t i = 0; i < server->n_methods; i++) {
        if (strcmp(server->methods[i].method->path, method->path) == 0)
            return err_set(err, -EEXIST, "method %s is there already", method->path);
    }
    server->methods[server->n_methods++] = (struct rpc_entry){method, arg};
    return 0;
}

const struct rpc_entry *rpc_server_find(const struct rpc_server *server, grpc_slice path)
{
    for (size_t i = 0; i < server->n_methods; i++) {
        if (grpc_slice_str_cmp(path, server->methods[i].method->path) == 0)
            return &server->methods[i];
    }
    return NULL;
}

int rpc_server_start(struct rpc_server *server, struct err *err)
{
    grpc_server_start(server->server);
    server->started = true;
    for (int i = 0; i < RPC_ACCEPTS; i++) {
        int rc = rpc_call_arm(server);
        if (rc < 0)
            return err_set(err, rc, "arm an accept: %m");
    }
    return rpc_listeners_start(server, err);
}

/* ---- the end ------------------------------------------------------------------------------ */

static bool server_is_empty(const struct rpc_server *server)
{
    return server->shutdown_done && server->n_calls == 0 && server->n_accepts == 0;
}

static void server_check_drained(struct rpc_server *server)
{
    if (!server_is_empty(server) || !server->on_drained || server->freeing)
        return;
    void (*fn)(void *) = server->on_drained;
    server->on_drained = NULL;
    fn(server->on_drained_arg);
}

/* gRPC's word may come while calls of ours are still being told of their end: both count. */
static void on_shutdown(struct rpc_tag *tag, bool ok)
{
    (void)ok;
    struct rpc_server *server = container_of(tag, struct rpc_server, shutdown_tag);
    server->shutdown_done = true;
    server_check_drained(server);
}

void rpc_server_call_gone(struct rpc_server *server)
{
    if (server->draining)
        server_check_drained(server);
    else if (server->n_accepts < RPC_ACCEPTS)
        (void)rpc_call_arm(server);
}

static void server_shut(struct rpc_server *server)
{
    if (server->draining)
        return;
    server->draining = true;
    rpc_listeners_stop(server);
    rpc_health_drain(server);
    rpc_call_end_aside(server);
    server->shutdown_tag.fn = on_shutdown;
    RPC_TAG_GIVE(&server->shutdown_tag);
    grpc_server_shutdown_and_notify(server->server, rpc_cq_queue(server->cq),
                                    &server->shutdown_tag);
}

void rpc_server_drain(struct rpc_server *server, void (*on_drained)(void *arg), void *arg)
{
    server->on_drained = on_drained;
    server->on_drained_arg = arg;
    server_shut(server);
}

void rpc_server_cancel_all(struct rpc_server *server)
{
    if (server->draining) /* gRPC wants the shutdown to have begun */
        grpc_server_cancel_all_calls(server->server);
}

struct rpc_server *rpc_server_free(struct rpc_server *server)
{
    if (!server)
        return NULL;
    server->freeing = true;
    server_shut(server);
    rpc_server_cancel_all(server);
    while (!server_is_empty(server))
        rpc_cq_wait(server->cq, STOP_WAIT_MS);
    grpc_server_destroy(server->server);
    rpc_listeners_free(server);
    server->health = rpc_health_free(server->health);
    server->conns = rpc_conns_free(server->conns);
    grpc_resource_quota_unref(server->quota);
    server->cq = rpc_cq_free(server->cq);
    free(server);
    return NULL;
}

void rpc_server_stats(const struct rpc_server *server, struct rpc_server_stats *ret)
{
    *ret = (struct rpc_server_stats){.calls = server->n_calls, .calls_total = server->calls_total};
    rpc_conns_stats(server->conns, ret);
    if (server->door)
        door_counts(server->door, &ret->door);
}
