#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "sandbox/plan.h"

struct clone_args;
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

/* Parts of it, for a caller who is himself such a child (direct_child.c): raw calls only, errno is
 * not touched. The child leaves in the walk's state where it stopped and why; code 0: it has
 * executed. */
struct child_walk {
    const struct plan *plan;
    size_t at;
    int code;
    bool shares_table; /* of descriptors, with its parent */
    /* PLAN_CONTINUE: Return the next plan, NULL to leave. */
    const struct plan *(*next)(struct child_walk *walk_state);
};
/** child_clone() - @flags: 0, or CLONE_PARENT with an exit signal of 0, and CLONE_FILES. Return:
 * pid, or -errno
 */
long child_clone(struct child_walk *walk_state, uint64_t flags, int exit_signal, int *ret_pidfd);
/** child_clone3() - clone3(2) onto the stack of @args, calling @fn there; its value is the exit's
 */
long child_clone3(struct clone_args *args, int (*fn)(void *), void *arg);
/** child_lent_back() - of a child that shared our table: numbers 3 to 9 become copies of @null */
void child_lent_back(int null);
int child_explain(const struct child_walk *walk_state, struct err *err);
