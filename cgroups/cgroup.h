#pragma once
/*
 * cgroups, one interface for v1 (a hierarchy per controller), hybrid and v2.
 *
 * Theory of operation
 *
 * libcgroup discovers the mounts and creates the parent group (start-up; it is too slow for more).
 * Everything after that goes through descriptors of our own, opened once per group:
 *
 *   host    what libcgroup found on this machine
 *
 *   tree    the parent group of one service instance ("cloister-<instance>"): caps the whole node.
 *           Made by the outer spawner as real root and delegated to uid B, the root of the user
 *           namespace: it owns the directory and, on v1, `tasks`, `cgroup.procs` and
 *           cgroup.event_control; on v2, cgroup.procs, cgroup.threads and cgroup.subtree_control.
 *           Never the limits.
 *           Opened again inside that namespace.
 *
 *   group   one slot's set. On v1 it is kept: counters are reset before each run. On v2 a run gets
 *           a fresh leaf, made ahead by cg_group_prepare() and removed off the path, because
 *           memory.peak can't be reset before Linux 6.12.
 *
 * On v1 a single-threaded child places itself by writing "0" to each of cg_group_join_fds(): a
 * write to cgroup.procs stalls for an RCU grace period after an idle gap. On v2 the child is born
 * in the group: clone3(CLONE_INTO_CGROUP) with cg_group_clone_fd().
 *
 * Not thread-safe; each object belongs to one thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct cg_host;
struct cg_tree;
struct cg_group;

enum cg_version { CG_V1, CG_HYBRID, CG_V2 };

/* Bits: what a tree has. */
enum cg_controller {
    CG_MEMORY = 1 << 0,
    CG_PIDS = 1 << 1,
    CG_CPU = 1 << 2,     /* weight and quota */
    CG_CPUACCT = 1 << 3, /* CPU time of the tree; v2: part of the core */
    CG_FREEZER = 1 << 4, /* v1; v2: cgroup.freeze */
    CG_SWAP = 1 << 5,    /* the memory limit includes swap; missing: swap accounting is off */
};

/** cg_host_new() - discover, by libcgroup; -ENOENT when there are no cgroups at all. */
int cg_host_new(struct cg_host **ret, struct err *err);
/** cg_host_read() - the same from /proc/self/mountinfo alone, which takes a tenth of the time: for
 * a command that lives for one run (docs/adr/0014). Hierarchies with none of the controllers
 * @wanted are left out. The tests hold the two against each other. */
int cg_host_read(uint32_t wanted, struct cg_host **ret, struct err *err);
struct cg_host *cg_host_free(struct cg_host *host);
enum cg_version cg_host_version(const struct cg_host *host);
const char *cg_version_name(enum cg_version version);     /* "v1" "hybrid" "v2" */
uint32_t cg_host_controllers(const struct cg_host *host); /* that exist and could be used */

struct cg_node_caps {
    uint64_t memory_bytes; /* 0: no cap */
    uint64_t pids;         /* 0: no cap */
    uint32_t cpu_percent;  /* of one CPU, 150 = one and a half; 0: no cap */
};

/**
 * cg_tree_create() - make the parent group and delegate it to @owner
 *
 * Under the current process's own group where the controller is delegated to us (systemd
 * Delegate=yes, or an ordinary user's subtree), at the top otherwise. With v2 and delegation: the
 * calling process, and every other one in its group, moves into the leaf "supervisor" first (no
 * internal processes). A tree of this name that a crashed run left behind is emptied (killed) and
 * removed before; the caller holds the instance's lock. Partial trees are fine:
 * cg_tree_controllers() says what it has; only nothing at all is an error.
 */
int cg_tree_create(struct cg_host *host, const char *name, const struct cg_node_caps *caps,
                   uid_t owner, gid_t group, struct cg_tree **ret, struct err *err);

/** cg_tree_describe() - one line of text, "v2 memory+pids=/sys/..."; -ENOSPC when it does not fit.
 */
int cg_tree_describe(const struct cg_tree *tree, char *buf, size_t size);
/** cg_tree_open() - the tree of such a line, in another process; its paths must be visible now. */
int cg_tree_open(const char *description, struct cg_tree **ret, struct err *err);

/**
 * cg_tree_enter() - inside U, before the first group: the caller moves itself into the leaf
 * "spawner" (v2: and only then enables the controllers for the slots; v1: joins the tree's own
 * groups by tasks).
 */
int cg_tree_enter(struct cg_tree *tree, struct err *err);
/**
 * cg_tree_place() - from outside: put process @pid into the leaf @leaf ("spawner", "execsvc")
 *
 * The leaf is made if needed. Slow path. On v2 the spawner must be placed before it can enter: from
 * outside the tree it may not move itself in.
 */
int cg_tree_place(struct cg_tree *tree, const char *leaf, pid_t pid, struct err *err);

enum cg_version cg_tree_version(const struct cg_tree *tree);
uint32_t cg_tree_controllers(const struct cg_tree *tree);

struct cg_tree_stats {
    uint64_t memory_bytes, memory_limit_bytes; /* limit 0: none */
    uint64_t oom_kills;                        /* in the whole tree; grows: use differences */
    uint64_t oom_own;                          /* times the parent's own limit was the cause */
    uint32_t psi_memory_some_avg10_centi, psi_cpu_some_avg10_centi; /* UINT32_MAX: no PSI */
};
int cg_tree_stats(struct cg_tree *tree, struct cg_tree_stats *ret, struct err *err);

/**
 * cg_tree_remove() - kill all, remove every group below and the tree itself; then like free
 *
 * -EBUSY when the caller itself is in it.
 */
int cg_tree_remove(struct cg_tree *tree, struct err *err);
struct cg_tree *cg_tree_free(struct cg_tree *tree); /* closes; leaves the groups */

/**
 * cg_leftovers_remove() - trees whose name starts with @prefix and for which @is_dead(name) holds
 * Return: how many were removed, or a negative errno.
 */
int cg_leftovers_remove(struct cg_host *host, const char *prefix,
                        bool (*is_dead)(const char *name, void *arg), void *arg, struct err *err);

/* ---- groups: the hot path ---- */

struct cg_limits {
    uint64_t memory_bytes; /* swap included */
    uint64_t pids;
    uint32_t cpu_weight;  /* 1..10000, 100 = default; 0: default */
    uint32_t cpu_percent; /* quota, of one CPU; 0: none */
};

/** cg_group_new() - @name is one path component; makes it in every controller, opens its files. */
int cg_group_new(struct cg_tree *tree, const char *name, struct cg_group **ret, struct err *err);
/**
 * cg_group_alone() - v1: a group without a parent group of ours, for a run that is alone
 * Made as the caller, who also removes it: cg_group_free(), then cg_tree_free().
 */
int cg_group_alone(struct cg_host *host, const char *name, struct cg_tree **ret_tree,
                   struct cg_group **ret, struct err *err);
/**
 * cg_group_prepare() - limits in, counters at zero, empty. v2: a fresh leaf.
 *
 * Cheap when nothing has run in the group since the last prepare: only limits that differ are
 * written. So call it off the path when a run is over, and again with the next run's own limits.
 * A group with processes still in it is -EBUSY: kill it and wait first.
 */
int cg_group_prepare(struct cg_group *group, const struct cg_limits *limits, struct err *err);
/**
 * cg_group_limit() - the limits alone, of a group that is prepared and that a sandbox without a
 * program may have joined since. -EBUSY (v1): that already weighs more.
 */
int cg_group_limit(struct cg_group *group, const struct cg_limits *limits, struct err *err);
/** cg_group_raise_memory() - a higher limit during a run (room for outputs); lower: -EINVAL. */
int cg_group_raise_memory(struct cg_group *group, uint64_t memory_bytes, struct err *err);

/**
 * cg_group_join_fds() - v1: descriptors of `tasks` to write "0" to, in any order; v2: none
 *
 * Borrowed. Their numbers stay for the life of the group, but not what they refer to: prepare may
 * renew the pids directory (pids.peak can't be reset), so a copy sent to another process is good
 * for one run only.
 */
size_t cg_group_join_fds(const struct cg_group *group, const int **ret);
/** v2: a directory descriptor for CLONE_INTO_CGROUP; v1: -1. Borrowed; changes with every prepare.
 */
int cg_group_clone_fd(const struct cg_group *group);

struct cg_stats {
    uint64_t cpu_user_us, cpu_system_us;
    uint64_t memory_bytes,
        memory_peak_bytes; /* v1: with up to 8 MiB of page cache of earlier runs */
    uint64_t oom_kills;    /* processes of this group killed by any OOM since prepare */
    bool oom_own; /* the group's own limit was reached (else a kill was the parent's doing) */
    uint64_t pids_now, pids_peak; /* peak 0: the kernel does not tell */
    uint64_t pids_refused;        /* pids.events max, since prepare */
};
int cg_group_stats(struct cg_group *group, struct cg_stats *ret, struct err *err);
/** cg_group_cpu_us() - the cheap part: CPU time of the tree since prepare; -EOPNOTSUPP without
 * CG_CPUACCT. */
int cg_group_cpu_us(struct cg_group *group, uint64_t *ret_us, struct err *err);

/**
 * cg_group_kill() - SIGKILL to every process in it: cgroup.kill, else freezer + signals
 *
 * Does not wait for them to be gone; without CG_FREEZER and cgroup.kill a process may be born
 * meanwhile: repeat until cg_group_populated() is 0.
 */
int cg_group_kill(struct cg_group *group, struct err *err);
/** cg_group_populated() - 1, 0 or a negative errno. Zombies do not count. */
int cg_group_populated(struct cg_group *group);
/**
 * cg_group_places() - where it is, for whoever removes it without this library: rmdir of the name
 * in each of the directories, which are borrowed. @ret has room for CG_PLACES_MAX.
 */
#define CG_PLACES_MAX 6
size_t cg_group_places(const struct cg_group *group, int ret[CG_PLACES_MAX], const char **ret_name);
/**
 * cg_group_free() - remove its directories (retrying -EBUSY for a moment) and close
 *
 * Before the tree that it was made in is freed. NULL is fine.
 */
struct cg_group *cg_group_free(struct cg_group *group);
