#pragma once
struct err;
struct node_config;

enum { ETC_HOST_COPIES = 1 << 0 };

/**
 * etc_files_make() - a minimal /etc below @root_fd
 *
 * Synthesised: passwd and group (one entry per slot's uid), hosts, nsswitch.conf, hostname. Copied
 * with ETC_HOST_COPIES, when the host has them: what programs look up without a secret in it
 * (ld.so.cache, localtime, alternatives, services ...). Nothing else of the host's.
 */
int etc_files_make(int root_fd, const struct node_config *config, unsigned flags, struct err *err);
