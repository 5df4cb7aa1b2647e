/* Node.Watch: the node's figures again and again. */

#include <errno.h>
#include <stdlib.h>

#include "api/client_internal.h"
#include "api/client_node.h"
#include "api/rpc_client.h"
#include "api/rpc_cq.h"
#include "base/err.h"

#define STATS_CAP ((size_t)8 << 20)

struct client_watch {
    struct client *client;
    struct rpc_client_call *call; /* NULL: over */
    const struct client_watch_events *events;
    void *arg;
};

static void on_message(struct rpc_client_call *call, const uint8_t *bytes, size_t len)
{
    struct client_watch *watch = rpc_client_user(call);
    AUTO_ARENA struct arena arena;
    arena_init(&arena, STATS_CAP);
    const Cloister__Exec__V1__NodeStats *stats =
        cloister__exec__v1__node_stats__unpack(&arena.allocator, len, bytes);
    if (stats && watch->events)
        watch->events->on_stats(watch->arg, stats);
    rpc_client_read(call);
}

static void on_end(struct rpc_client_call *call, const struct rpc_status *status)
{
    struct client_watch *watch = rpc_client_user(call);
    watch->call = NULL;
    if (watch->events)
        watch->events->on_end(watch->arg, status);
}

int client_node_watch(struct client *client, const struct client_watch_options *options,
                      const struct client_watch_events *events, void *arg,
                      struct client_watch **ret, struct err *err)
{
    static const struct rpc_client_events call_events = {.on_message = on_message,
                                                         .on_end = on_end};
    struct client_watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return err_set(err, -ENOMEM, "watch: %m");
    *watch = (struct client_watch){.client = client, .events = events, .arg = arg};
    Cloister__Exec__V1__WatchRequest request = CLOISTER__EXEC__V1__WATCH_REQUEST__INIT;
    request.interval_ms = options->interval_ms;
    request.runs = options->runs;
    struct rpc_client_options call = {
        .path = "/cloister.exec.v1.Node/Watch",
        .headers = client->headers,
        .n_headers = client->n_headers,
        .first = &request.base,
        .only = true,
        .events = &call_events,
        .user = watch,
    };
    int rc = rpc_client_call_new(client->channel, &call, &watch->call, err);
    if (rc < 0) {
        free(watch);
        return rc;
    }
    rpc_client_read(watch->call);
    *ret = watch;
    return 0;
}

struct client_watch *client_watch_free(struct client_watch *watch)
{
    if (!watch)
        return NULL;
    watch->events = NULL;
    if (watch->call)
        rpc_client_cancel(watch->call);
    while (watch->call)
        rpc_cq_wait(watch->client->cq, -1);
    free(watch);
    return NULL;
}
