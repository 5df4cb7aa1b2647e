#pragma once
/* Who is calling: the tenant that fairness and quotas go by. */

#include <stddef.h>

#define TENANT_SIZE 256

struct exs_config;
struct rpc_call;
struct rpc_peer;
struct rpc_status;

/**
 * identity_tenant() - the call's identity, and "/subject" behind it if it may act for one
 * Return: 0, or a negative errno with @status (UNAUTHENTICATED, PERMISSION_DENIED).
 */
int identity_tenant(const struct exs_config *config, const struct rpc_call *call, char *tenant,
                    struct rpc_status *status);

/** identity_may_act() - @subject begins with the prefix that @peer's name, or the group of his
 * process on a unix socket, was given. Pure. */
int identity_may_act(const struct exs_config *config, const struct rpc_peer *peer,
                     const char *subject, size_t len);
