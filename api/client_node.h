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
