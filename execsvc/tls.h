#pragma once
/* TCP with mutual TLS: its settings, and its place in the service. */

struct err;
struct exs;
struct exs_config;

/** tls_config_finish() - split the list of names, and check that nothing is half set. */
int tls_config_finish(struct exs_config *config, struct err *err);

/** tls_open() - bind where the configuration says so, else nothing; events go to the log. */
int tls_open(struct exs *exs, struct err *err);
