#pragma once
/* Where the service is, and what to tell a person when it does not answer. */

#include <stddef.h>

#include "api/rpc_status.h"

/** service_socket() - @given, else CLOISTER_SOCKET, else the default. */
const char *service_socket(const char *given);

/**
 * service_explain() - what happened and what to do, for a call that ended with @status
 * Looks at the socket itself when the service is unavailable. Always NUL-terminated.
 */
void service_explain(const char *socket, const struct rpc_status *status, char *buf, size_t size);
