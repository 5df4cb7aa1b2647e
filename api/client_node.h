#pragma once
/* What the service says of itself. The messages are those of the .proto; they live in the arena. */

#include <cloister/exec/v1/exec.pb-c.h>

#include "api/client.h"

/* Each returns 0, or a negative errno with @status: the code and the words. */
int client_node_info(struct client *client, uint32_t timeout_ms, struct arena *arena,
                     const Cloister__Exec__V1__NodeInfo **ret, struct rpc_status *status);
int client_node_runtimes(struct client *client, uint32_t timeout_ms, struct arena *arena,
                         const Cloister__Exec__V1__RuntimesResponse **ret,
                         struct rpc_status *status);
/** @runs: list the caller's runs as well. */
int client_node_stats(struct client *client, bool runs, uint32_t timeout_ms, struct arena *arena,
                      const Cloister__Exec__V1__NodeStats **ret, struct rpc_status *status);

struct client_watch;

struct client_watch_options {
    uint32_t interval_ms; /* 0: the service's default, a second */
    bool runs;            /* list the caller's runs as well */
};

struct client_watch_events {
    /* @stats is valid during the callback. */
    void (*on_stats)(void *arg, const Cloister__Exec__V1__NodeStats *stats);
    /* There will be no more; not after client_watch_free(). */
    void (*on_end)(void *arg, const struct rpc_status *status);
};

/** client_node_watch() - the figures now and again every interval. @events is borrowed. */
int client_node_watch(struct client *client, const struct client_watch_options *options,
                      const struct client_watch_events *events, void *arg,
                      struct client_watch **ret, struct err *err);
/** client_watch_free() - before client_free(); not from a callback. */
struct client_watch *client_watch_free(struct client_watch *watch);
