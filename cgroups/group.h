#pragma once
/* What v1 and v2 share of a group, and what each does its own way. */

#include "cgroups/cgroup.h"
#include "cgroups/parse.h"

struct cg_group_ops {
    int (*prepare)(struct cg_group *group, const struct cg_limits *limits, struct err *err);
    int (*limit)(struct cg_group *group, const struct cg_limits *limits, struct err *err);
    int (*raise_memory)(struct cg_group *group, uint64_t bytes, struct err *err);
    size_t (*join_fds)(const struct cg_group *group, const int **ret);
    int (*clone_fd)(const struct cg_group *group);
    int (*stats)(struct cg_group *group, struct cg_stats *ret, struct err *err);
    int (*cpu_us)(struct cg_group *group, uint64_t *ret_us, struct err *err);
    int (*kill)(struct cg_group *group, struct err *err);
    int (*populated)(struct cg_group *group);
    void (*free)(struct cg_group *group);
};

struct cg_group {
    const struct cg_group_ops *ops;
    struct cg_tree *tree; /* borrowed; outlives the group */
    char name[CG_NAME_MAX + 1];
};

int cg_group_new_v1(struct cg_tree *tree, const char *name, struct cg_group **ret, struct err *err);
int cg_group_new_v2(struct cg_tree *tree, const char *name, struct cg_group **ret, struct err *err);

/** rmdir that waits a moment for -EBUSY (a process is gone a little before its cgroup knows). */
int cg_rmdir_soon(int parent, const char *name);
