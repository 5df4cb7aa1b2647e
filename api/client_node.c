#include "api/client_node.h"

#include <errno.h>

#define NODE "/cloister.exec.v1.Node/"

struct question {
    const char *path;
    const ProtobufCMessage *request;
    const ProtobufCMessageDescriptor *answer;
    uint32_t timeout_ms;
};

static int ask(struct client *client, const struct question *q, struct arena *arena,
               const void **ret, struct rpc_status *status)
{
    ProtobufCBinaryData bytes;
    int rc = client_call(client, q->path, q->request, q->timeout_ms, arena, &bytes, status);
    if (rc < 0)
        return rc;
    *ret = protobuf_c_message_unpack(q->answer, &arena->allocator, bytes.len, bytes.data);
    if (*ret)
        return 0;
    rpc_status_set(status, RPC_INTERNAL, "BAD_REPLY",
                   "the service's answer cannot be read: is it of another version?");
    return -EBADMSG;
}

int client_node_info(struct client *client, uint32_t timeout_ms, struct arena *arena,
                     const Cloister__Exec__V1__NodeInfo **ret, struct rpc_status *status)
{
    Cloister__Exec__V1__NodeInfoRequest request = CLOISTER__EXEC__V1__NODE_INFO_REQUEST__INIT;
    struct question q = {NODE "Info", &request.base, &cloister__exec__v1__node_info__descriptor,
                         timeout_ms};
    const void *answer = NULL;
    int rc = ask(client, &q, arena, &answer, status);
    *ret = answer;
    return rc;
}

int client_node_runtimes(struct client *client, uint32_t timeout_ms, struct arena *arena,
                         const Cloister__Exec__V1__RuntimesResponse **ret,
                         struct rpc_status *status)
{
    Cloister__Exec__V1__RuntimesRequest request = CLOISTER__EXEC__V1__RUNTIMES_REQUEST__INIT;
    struct question q = {NODE "Runtimes", &request.base,
                         &cloister__exec__v1__runtimes_response__descriptor, timeout_ms};
    const void *answer = NULL;
    int rc = ask(client, &q, arena, &answer, status);
    *ret = answer;
    return rc;
}

int client_node_stats(struct client *client, bool runs, uint32_t timeout_ms, struct arena *arena,
                      const Cloister__Exec__V1__NodeStats **ret, struct rpc_status *status)
{
    Cloister__Exec__V1__StatsRequest request = CLOISTER__EXEC__V1__STATS_REQUEST__INIT;
    request.runs = runs;
    struct question q = {NODE "Stats", &request.base, &cloister__exec__v1__node_stats__descriptor,
                         timeout_ms};
    const void *answer = NULL;
    int rc = ask(client, &q, arena, &answer, status);
    *ret = answer;
    return rc;
}
