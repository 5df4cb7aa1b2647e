#include "execsvc/identity.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/rpc_server.h"
#include "execsvc/config.h"

#define SUBJECT_MAX 128

static int prefix_allows(const char *prefix, const char *subject, size_t len)
{
    size_t n = strlen(prefix);
    return strcmp(prefix, "*") == 0 || (n > 0 && n <= len && memcmp(subject, prefix, n) == 0);
}

int identity_may_act(const struct exs_config *config, const struct rpc_peer *peer,
                     const char *subject, size_t len)
{
    char group[32] = "";
    if (peer->transport == RPC_TRANSPORT_UNIX)
        snprintf(group, sizeof(group), "gid:%u", (unsigned)peer->gid);
    for (size_t i = 0; i < config->n_identities; i++) {
        const char *id = config->identities[i].id;
        if ((strcmp(id, peer->identity) == 0 || strcmp(id, group) == 0) &&
            prefix_allows(config->identities[i].act_for, subject, len))
            return 1;
    }
    return 0;
}

static int subject_ok(const char *subject, size_t len)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@:/+=-";
    for (size_t i = 0; i < len; i++)
        if (!subject[i] || !strchr(allowed, subject[i]))
            return 0;
    return len > 0 && len <= SUBJECT_MAX;
}

int identity_tenant(const struct exs_config *config, const struct rpc_call *call, char *tenant,
                    struct rpc_status *status)
{
    const struct rpc_peer *peer = rpc_call_peer(call);
    size_t len;
    const char *subject = rpc_call_metadata(call, "cloister-subject", &len);
    if (!*peer->identity) {
        rpc_status_set(status, RPC_UNAUTHENTICATED, "NO_IDENTITY", "the service does not know you");
        return -EACCES;
    }
    if (!subject) {
        snprintf(tenant, TENANT_SIZE, "%s", peer->identity);
        return 0;
    }
    if (!subject_ok(subject, len)) {
        rpc_status_set(status, RPC_INVALID_ARGUMENT, "BAD_REQUEST",
                       "cloister-subject is 1 to %d characters of [A-Za-z0-9._@:/+=-]",
                       SUBJECT_MAX);
        rpc_status_field(status, "cloister-subject");
        return -EINVAL;
    }
    if (!identity_may_act(config, peer, subject, len)) {
        rpc_status_set(status, RPC_PERMISSION_DENIED, "MAY_NOT_ACT_FOR",
                       "%s may not act for this subject: the operator allows it with act_for",
                       peer->identity);
        return -EPERM;
    }
    int n = snprintf(tenant, TENANT_SIZE, "%s/%.*s", peer->identity, (int)len, subject);
    if (n < TENANT_SIZE)
        return 0;
    rpc_status_set(status, RPC_INVALID_ARGUMENT, "BAD_REQUEST",
                   "identity and cloister-subject together are longer than %d bytes",
                   TENANT_SIZE - 1);
    return -EINVAL;
}
