#pragma once
/* What was found on this machine, and where trees can be made. */

#include "cgroups/cgroup.h"
#include "cgroups/parse.h"

struct cg_hierarchy {
    char mount[CG_PATH_MAX]; /* where it is mounted */
    char base[CG_PATH_MAX];  /* the directory that trees are made in: @mount, or our own group */
    uint32_t controllers;
    bool v2;
    bool delegated; /* @base is our own group */
};

/* Where processes go that were in a group which hands its controllers down, on v2. */
#define CG_SUPERVISOR "supervisor"

/* The two files of /proc that say where this process stands. */
struct cg_self {
    char *cgroup, *mounts;
    size_t cgroup_len, mounts_len;
};

typedef int cg_make_fn(const struct cg_hierarchy *hier, const char *path, uint32_t controllers,
                       struct err *err);

struct cg_host {
    enum cg_version version;
    uint32_t controllers;
    size_t n;
    struct cg_hierarchy hier[CG_HIER_MAX]; /* the freezer's first */
    cg_make_fn *make;                      /* libcgroup's way to make a directory; NULL: mkdir */
};

/** A way to find the mounts: calls cg_host_add() for every controller of ours. */
typedef int cg_discover_fn(struct cg_host *host, const struct cg_self *self, struct err *err);
int cg_host_build(cg_discover_fn *how, uint32_t wanted, struct cg_host **ret, struct err *err);
void cg_host_add(struct cg_host *host, uint32_t controllers, const char *mount, bool v2);
