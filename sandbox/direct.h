#pragma once
/*
 * One run, straight from this process: what `cloister sandbox run` is for root of the host.
 *
 * Theory of operation
 *
 * A service pays once for what many runs share: U, the base tree, slots. A command that lives for
 * one run has nobody to share with, so it does without the inner spawner: the run's own child makes
 * the tree (plan_tree.c) in namespaces of its own, a helper makes the network meanwhile
 * (direct_child.h), and the run's clocks and verdict (run.h) are in this process. Layers, limits,
 * init and verdict are those of the service. docs/adr/0014 has the costs.
 *
 * What does not go this way: an ordinary user, bubblewrap, a run with layers left out, cgroup v2.
 */

#include "sandbox/run.h"

struct direct;

struct direct_events {
    void (*result)(void *arg, const struct run_result *result);
    void *arg;
};

/** direct_fits() - whether it can be asked for at all: root, native, every layer, none optional */
bool direct_fits(const struct node_config *config);

/**
 * direct_ahead() - namespaces for a run that will come: they take longer than all that it still has
 * to be asked. Signals that end this process are blocked before. direct_begin() does it otherwise.
 */
int direct_ahead(struct err *err);
/** direct_call_off() - there will be no direct_begin() */
void direct_call_off(void);

/* direct_begin() finds cgroups that a direct run can't use: the other way has to be gone. */
#define DIRECT_E_CGROUPS 1

/**
 * direct_begin() - all that does not depend on the run's own descriptors
 * Single-threaded callers only; takes descriptors 3 to 9 if they are free. @config is borrowed.
 * Return: 0, DIRECT_E_CGROUPS, or a negative errno; without 0 nothing is left.
 */
int direct_begin(const struct node_config *config, struct direct **ret, struct err *err);
/** direct_run() - @fds as in spawn_wire.h, borrowed: a copy of each goes to the sandbox */
int direct_run(struct direct *direct, const struct sbx_spec *spec, const int *fds,
               const struct direct_events *events, struct err *err);
/** direct_fd() - readable when direct_dispatch() has something to do */
int direct_fd(const struct direct *direct);
int direct_dispatch(struct direct *direct, struct err *err);
void direct_end(struct direct *direct, enum end_cause cause);
void direct_signal(struct direct *direct, int signo);
/**
 * direct_free() - ends what still runs. NULL is fine.
 * One in a process, which is to end soon: what is left of the sandbox is cleared up then.
 */
struct direct *direct_free(struct direct *direct);
