#pragma once
/* TCP with mutual TLS: its settings, and its place in the service. */

struct err;
struct exs;
struct exs_config;
struct rpc_peer_event;

/** tls_config_finish() - split the list of names, and check that nothing is half set. */
int tls_config_finish(struct exs_config *config, struct err *err);

/** tls_log_event() - rpc_server_options.on_peer_event */
void tls_log_event(void *arg, const struct rpc_peer_event *event);

/** tls_open() - bind where the configuration says so, else nothing. */
int tls_open(struct exs *exs, struct err *err);
