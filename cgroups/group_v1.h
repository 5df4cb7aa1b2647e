#pragma once
/* A slot's directories on v1: one in every hierarchy of the tree, kept and used again. */

#include "cgroups/group.h"
#include "cgroups/tree.h"

/* The files that are kept open; those that a kernel does not have stay -EBADF. */
enum v1_file {
    V1_MEM_LIMIT,
    V1_MEM_USAGE,
    V1_MEM_PEAK,
    V1_MEM_EMPTY,
    V1_MEM_OOM,
    V1_SWAP_LIMIT,
    V1_PIDS_MAX,
    V1_PIDS_NOW,
    V1_PIDS_EVENTS,
    V1_PIDS_PEAK,
    V1_CPU_SHARES,
    V1_CPU_QUOTA,
    V1_ACCT_USAGE,
    V1_ACCT_USER,
    V1_ACCT_SYSTEM,
    V1_FILES
};

/* A sandbox is two processes at least, its init and its program: a peak of no more hides nobody's.
 */
#define V1_LEAST_PEAK 2

struct group_v1 {
    struct cg_group base;
    int join[CG_HIER_MAX]; /* `tasks`, in the order of the tree's hierarchies */
    size_t n;
    int file[V1_FILES];
    int oom_event;            /* eventfd, or -EBADF */
    bool fresh;               /* nothing has run since the counters were reset */
    bool lost;                /* its pids could not be renewed: unfit for any run */
    struct cg_limits written; /* 0: not known */
    uint64_t prepared_bytes;  /* the run's own limit, before any raise */
    struct {
        uint64_t oom_kills, tree_oom_events, pids_refused, pids_peak;
    } since;                 /* counters that can't be reset, as they were at prepare */
    uint64_t own_oom_events; /* read from oom_event since prepare */
};

extern const char *const cg_v1_names[V1_FILES];

/** Open the files of @controllers in @dir. */
int cg_v1_open(struct group_v1 *group, int dir, uint32_t controllers, struct err *err);
/** Counters to zero, or their values noted; page cache given back. The group is empty. */
int cg_v1_reset(struct group_v1 *group, struct err *err);
/** The memory peak alone. */
int cg_v1_reset_peak(struct group_v1 *group, struct err *err);
int cg_v1_limit(struct group_v1 *group, const struct cg_limits *limits, struct err *err);
int cg_v1_limit_memory(struct group_v1 *group, uint64_t bytes, struct err *err);
int cg_v1_stats(struct cg_group *base, struct cg_stats *ret, struct err *err);
int cg_v1_cpu_us(struct cg_group *base, uint64_t *ret_us, struct err *err);
