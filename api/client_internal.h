#pragma once
/* What the parts of the C client share; its users see none of it. */

#include <stddef.h>

#include "api/rpc_client.h"

struct client_run;
struct rpc_channel;
struct rpc_cq;

struct client {
    struct rpc_cq *cq;
    struct rpc_channel *channel;
    char *subject, *traceparent;
    struct rpc_client_header headers[2]; /* of every call */
    size_t n_headers;
    struct client_run *runs;
};
