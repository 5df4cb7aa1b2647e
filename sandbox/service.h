#pragma once
#include <sys/types.h>

#include "sandbox/spawner_config.h"

/** service_prepare() - directories and the instance's lock (held for good). */
int service_prepare(const struct spawner_config *config, int *ret_lock, struct err *err);

/**
 * service_start() - execute execsvc as its own uid, without any capability
 * @client_fd: its end of the spawner's socket, borrowed
 * @heartbeat_fd: where it may write that it is well (execsvc/heartbeat.h), borrowed; -EBADF:
 * nowhere Return: 0 with pid and pidfd (owned by the caller).
 */
int service_start(const struct spawner_config *config, int client_fd, int heartbeat_fd,
                  pid_t *ret_pid, int *ret_pidfd, struct err *err);
