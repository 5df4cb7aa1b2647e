#pragma once
/* The gRPC services, added to the server before it starts. */

struct err;
struct exs;
struct rpc_status;

int service_execution_add(struct exs *exs, struct err *err);
int service_node_add(struct exs *exs, struct err *err);
int service_blobs_add(struct exs *exs, struct err *err);

/** service_blobs_off() - why there are none. */
void service_blobs_off(const struct exs *exs, struct rpc_status *status);
/** service_blobs_full() - nothing in the cache can go. */
void service_blobs_full(struct rpc_status *status);
