#pragma once
#include <sys/types.h>

#include "sandbox/plan.h"

struct err;

/**
 * child_start() - clone3 and walk @plan in the child, up to the exec of pid 1
 *
 * The child shares the caller's memory and the caller waits (CLONE_VM | CLONE_VFORK), so nothing is
 * copied and a fault is simply there: @err has its words. Single-threaded callers only.
 *
 * Return: 0 with @ret_pidfd (owned by the caller) and @ret_pid; or a negative errno, and no child.
 */
int child_start(const struct plan *plan, int *ret_pidfd, pid_t *ret_pid, struct err *err);
