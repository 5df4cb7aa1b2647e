#pragma once
/* What libcgroup found on this machine, and where trees can be made. */

#include "cgroups/cgroup.h"
#include "cgroups/parse.h"

struct cg_hierarchy {
    char mount[CG_PATH_MAX]; /* where it is mounted */
    char base[CG_PATH_MAX];  /* the directory that trees are made in: @mount, or our own group */
    uint32_t controllers;
    bool v2;
    bool delegated; /* @base is our own group */
};

struct cg_host {
    enum cg_version version;
    uint32_t controllers;
    size_t n;
    struct cg_hierarchy hier[CG_HIER_MAX]; /* the freezer's first */
};
