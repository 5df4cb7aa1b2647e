#pragma once
/*
 * The helper of a direct run (direct.h): a process that shares our memory and descriptors.
 *
 * Theory of operation
 *
 * A network namespace takes half a millisecond of one processor to make. So that our own
 * preparations go on meanwhile, on another one, a helper makes it: it creates the user namespace U
 * and in it the network, takes from itself what no sandbox needs, and waits. When what the tree is
 * made of is prepared it clones the sandbox's child, which therefore is born in U and in that
 * network, but by CLONE_PARENT is ours and not the helper's. The child makes its tree, and waits
 * for the rest of its plan, for which the cgroup and the run's own descriptors have to be there.
 *
 * The sweeper is a second such process, made while the program runs. It waits for our end, whatever
 * its cause, kills what is left of the sandbox and removes its cgroup. So a command may leave as
 * soon as it has its result, and one that is killed leaves nothing. Since memory and descriptors
 * are shared, it is the sweeper's end that frees them, mounts of detached trees included. A process
 * that outlives its parent needs somebody to reap it: only in the host's own pid namespace is that
 * known.
 *
 * Helper, child and sweeper make raw calls only; none but the child executes anything. One of each
 * in a process.
 */

#include <stdbool.h>

#include "cgroups/cgroup.h"
#include "sandbox/child.h"
#include "sandbox/seccomp.h"

/** direct_helper_start() - it begins with the user namespace and the network */
int direct_helper_start(const struct sbx_filter *filter, struct err *err);
bool direct_helper_is_there(void);
/** direct_helper_user_ns() - wait until U is there: the maps of @ret_pid can be written */
int direct_helper_user_ns(pid_t *ret_pid, struct err *err);
/** direct_helper_clone() - have a child born that begins with @tree, which ends in PLAN_CONTINUE */
void direct_helper_clone(const struct plan *tree);
/** direct_helper_go_on() - let it go on with @rest, which lives until: */
void direct_helper_go_on(const struct plan *rest);
/** direct_helper_finish() - it has executed init, or failed; reaps the helper. Return as
 * child_start() */
int direct_helper_finish(int *ret_pidfd, struct err *err);
/** direct_helper_end() - let it go and reap it; fine at any time */
void direct_helper_end(void);

/** direct_sweeper_start() - for the sandbox of @pidfd and its @group. Return: whether there is one
 */
bool direct_sweeper_start(int pidfd, const struct cg_group *group);
