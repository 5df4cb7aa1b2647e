#include "execsvc/tls.h"

#include <errno.h>
#include <string.h>

#include "api/rpc_server.h"
#include "base/err.h"
#include "base/log.h"
#include "execsvc/exs.h"

static bool is_tls_name(const char *id)
{
    return strncmp(id, "dns:", 4) == 0 || strncmp(id, "uri:", 4) == 0;
}

static bool is_allowed(const struct exs_config *config, const char *id)
{
    for (size_t i = 0; i < config->tls_identities.n; i++)
        if (strcmp(config->tls_identities.v[i], id) == 0)
            return true;
    return false;
}

static int names_finish(struct exs_config *config, struct err *err)
{
    int r = words_split(config->tls_allowed, &config->arena, &config->tls_identities, err);
    if (r < 0)
        return err ? err_prefix(err, "tls_allowed") : r;
    for (size_t i = 0; i < config->tls_identities.n; i++)
        if (!rpc_tls_identity_ok(config->tls_identities.v[i]))
            return err_set(err, -EINVAL, "tls_allowed: dns:NAME or uri:URI, not '%.64s'",
                           config->tls_identities.v[i]);
    for (size_t i = 0; i < config->n_identities; i++)
        if (is_tls_name(config->identities[i].id) && !is_allowed(config, config->identities[i].id))
            return err_set(err, -EINVAL, "[identity \"%.64s\"] is not in tls_allowed",
                           config->identities[i].id);
    return 0;
}

/* TCP only as a whole: with a certificate, a CA for clients, and names that may come. */
int tls_config_finish(struct exs_config *config, struct err *err)
{
    int r = names_finish(config, err);
    if (r < 0 || !*config->tls_listen)
        return r;
    if (!*config->tls_certificate || !*config->tls_key || !*config->tls_client_ca)
        return err_set(err, -EINVAL,
                       "tls_listen: there is no TCP without TLS and certificates of clients: set "
                       "tls_certificate, tls_key and tls_client_ca");
    if (config->tls_identities.n == 0)
        return err_set(err, -EINVAL, "tls_listen: tls_allowed names nobody who may connect");
    r = rpc_tls_address_check(config->tls_listen, err);
    return r < 0 && err ? err_prefix(err, "tls_listen") : r;
}

void tls_log_event(void *arg, const struct rpc_peer_event *event)
{
    (void)arg;
    const struct log_field peer = LOG_STR("peer", event->address);
    const struct log_field identity = LOG_STR("identity", event->identity);
    switch (event->kind) {
    case RPC_PEER_REFUSED:
        log_warn("tls.refused", event->words, peer, identity);
        return;
    case RPC_PEER_ABUSE:
        log_warn("connection.abuse", event->words, identity);
        return;
    case RPC_TLS_RELOADED:
        log_info("tls.reloaded", event->words);
        return;
    case RPC_TLS_RELOAD_FAILED:
        log_error("tls.reload_failed", event->words);
        return;
    }
}

int tls_open(struct exs *exs, struct err *err)
{
    const struct exs_config *config = exs->config;
    const struct rpc_tls_options options = {
        .listen = config->tls_listen,
        .certificate = config->tls_certificate,
        .key = config->tls_key,
        .client_ca = config->tls_client_ca,
        .allowed = config->tls_identities.v,
        .n_allowed = config->tls_identities.n,
        .connections_max = (uint32_t)config->tls_connections_max,
        .connections_per_identity_max = (uint32_t)config->tls_connections_per_identity_max,
        .handshake_ms = (uint32_t)config->tls_handshake_ms,
    };
    if (!*config->tls_listen)
        return 0;
    int r = rpc_server_listen_tls(exs->rpc, &options, err);
    if (r == 0)
        log_info("tls.listening", "TCP, for known certificates only",
                 LOG_STR("address", config->tls_listen),
                 LOG_U64("port", rpc_server_tls_port(exs->rpc)));
    return r;
}
