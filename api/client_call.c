/* The client's calls that are no runs: one question, one answer or a stream of them. */

#include "api/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/health/v1/health.pb-c.h>

#include "api/client_internal.h"
#include "api/rpc_client.h"
#include "api/rpc_cq.h"
#include "base/err.h"

#define REQUEST_CAP ((size_t)4 << 20)

struct single {
    struct arena *arena;
    ProtobufCBinaryData reply;
    bool got, done;
    struct rpc_status status;
};

static void single_message(struct rpc_client_call *call, const uint8_t *bytes, size_t len)
{
    struct single *single = rpc_client_user(call);
    single->reply.data = arena_alloc(single->arena, len);
    single->reply.len = len;
    single->got = single->reply.data != NULL;
    if (single->got && len > 0)
        memcpy(single->reply.data, bytes, len);
    rpc_client_read(call);
}

static void single_end(struct rpc_client_call *call, const struct rpc_status *status)
{
    struct single *single = rpc_client_user(call);
    single->status = *status;
    single->done = true;
}

static const struct rpc_client_events single_events = {
    .on_message = single_message,
    .on_end = single_end,
};

int client_call(struct client *client, const char *path, const ProtobufCMessage *request,
                uint32_t timeout_ms, struct arena *arena, ProtobufCBinaryData *ret,
                struct rpc_status *status)
{
    struct single single = {.arena = arena};
    struct rpc_client_options options = {
        .path = path,
        .timeout_ms = timeout_ms,
        .headers = client->headers,
        .n_headers = client->n_headers,
        .first = request,
        .only = true,
        .events = &single_events,
        .user = &single,
    };
    struct rpc_client_call *call;
    struct err err = {0};
    int rc = rpc_client_call_new(client->channel, &options, &call, &err);
    if (rc < 0) {
        rpc_status_of_fault(&err, status);
        return rc;
    }
    rpc_client_read(call);
    while (!single.done)
        rpc_cq_wait(client->cq, -1);
    *status = single.status;
    if (single.status.code != RPC_OK)
        return -EREMOTEIO;
    if (!single.got) {
        rpc_status_set(status, RPC_DATA_LOSS, "NO_REPLY", "the reply is missing or too large");
        return -EREMOTEIO;
    }
    *ret = single.reply;
    return 0;
}

int client_health(struct client *client, const char *service, uint32_t timeout_ms,
                  struct rpc_status *status)
{
    AUTO_ARENA struct arena arena;
    arena_init(&arena, REQUEST_CAP);
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    request.service = (char *)(uintptr_t)service;
    ProtobufCBinaryData bytes;
    int rc = client_call(client, "/grpc.health.v1.Health/Check", &request.base, timeout_ms, &arena,
                         &bytes, status);
    if (rc < 0)
        return rc;
    Grpc__Health__V1__HealthCheckResponse *response =
        grpc__health__v1__health_check_response__unpack(&arena.allocator, bytes.len, bytes.data);
    return response &&
           response->status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
}
