#pragma once
/* What the parts of the C client share; its users see none of it. */

struct client_run;
struct rpc_channel;
struct rpc_cq;

struct client {
    struct rpc_cq *cq;
    struct rpc_channel *channel;
    char *subject;
    struct client_run *runs;
};
