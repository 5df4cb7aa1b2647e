#pragma once
/*
 * One live run: from clone to verdict.
 *
 * Theory of operation
 *
 *   START    init lives, unpacks inputs      -> STARTED report, or FAILED
 *   RUNNING  the program lives; the CPU and wall timers are armed
 *   ENDED    main has ended and every other process is dead (init's report); the verdict is decided
 * here COLLECT  init sends the results, if asked for GONE     init is reaped: the slot is free
 * again
 *
 * Both limits of time are timers at the earliest possible breach: with N processors the CPU time of
 * a tree grows by at most N a second, so the next look is due when (limit - used) / N has passed;
 * looks come closer as the limit does. Nothing polls.
 *
 * To end a run its init is told to kill (so that results can still be collected); if it does not
 * report within RUN_KILL_GRACE_MS the whole namespace is killed with it.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "sandbox/init_proto.h"
#include "sandbox/inputs.h"
#include "sandbox/seccomp.h"
#include "sandbox/slot.h"
#include "sandbox/verdict.h"

#define RUN_KILL_GRACE_MS   500
#define RUN_COLLECT_MS      30000
#define RUN_COLLECT_RESERVE (UINT64_C(8) << 20) /* memory on top of the limit, once all is dead */
/* All that a workspace can hold of files, and all that may be asked for of bytes: which of them are
 * wanted is known to whoever receives them alone. */
#define RUN_COLLECT_FILES 65536
#define RUN_COLLECT_BYTES (UINT64_C(256) << 20)

struct plan;
struct plan_tree;
struct run;

/* What a run needs of its node; borrowed. */
struct run_env {
    struct loop *loop;
    int init_fd;
    uint32_t available; /* LAYER_BITs of this node */
    uint32_t missing;
    unsigned cpus;
    const char *const *masks;
    bool tmpfs_owner, proc, notify;
    bool alone; /* the next run is the only one; may change */
    enum sbx_launcher launcher;
    struct inputs inputs;
    /* inputs_open(); NULL: this is no node, and a run that asks for an input set is refused. */
    int (*open_inputs)(const struct inputs *inputs, unsigned slot, const char *name, int *ret_fd,
                       struct err *err);
    const struct sbx_filter *filters; /* by policy: [0] plain, [1] no-subprocess */
    const struct plan_tree *tree;     /* for a run without a slot's tree; else NULL */
    /* Execute the plan in place of child_start(); NULL: child_start(). After start() the tree is
     * complete, so that init may have its orders; finish() tells whether init was executed. */
    int (*start)(void *arg, const struct plan *plan, struct err *err);
    int (*finish)(void *arg, int *ret_pidfd, struct err *err);
    void *start_arg;
};

struct run_events {
    void (*started)(void *arg, struct run *run);
    /* The last event that carries news; the slot is not free yet. */
    void (*result)(void *arg, struct run *run, const struct run_result *result);
    /* The slot is free; the run is freed by the callee. */
    void (*gone)(void *arg, struct run *run);
    void (*usage)(void *arg, struct run *run, const struct run_usage *usage, bool waits);
    void *arg;
};

/**
 * run_start() - @spec->limits are resolved; @fds as in spawn_wire.h, borrowed
 * On failure nothing is left; @slot is as before, but without its cgroup if that was the reason.
 */
int run_start(const struct run_env *env, const struct run_events *events, struct slot *slot,
              uint64_t id, const struct sbx_spec *spec, const int *fds, uint64_t slot_us,
              struct run **ret, struct err *err);
/** run_fault() - the result of a run that could not be made: INTERNAL, and @err says why. */
void run_fault(const struct run_env *env, const struct sbx_spec *spec, const struct err *err,
               struct run_result *ret);
uint64_t run_id(const struct run *run);
struct slot *run_slot(const struct run *run);
void run_end(struct run *run, enum end_cause cause);
void run_signal(struct run *run, int signo);
void run_query(struct run *run);
/** run_free() - after gone. */
struct run *run_free(struct run *run);
