#pragma once
/* The parent group of one service instance, as this process holds it. */

#include "cgroups/cgroup.h"
#include "cgroups/parse.h"

struct cg_tree_hier {
    uint32_t controllers;
    int dir;    /* O_RDONLY | O_DIRECTORY: stays good after a pivot_root */
    char *path; /* for descriptions and messages */
};

struct cg_tree {
    enum cg_version version;
    uint32_t controllers;
    size_t n;
    struct cg_tree_hier hier[CG_HIER_MAX]; /* v1: the freezer's first; v2: one */
    bool delegated;                        /* made here, for @owner: leaves are handed over too */
    uid_t owner;
    gid_t group;
    int psi_memory, psi_cpu; /* pressure files, or -EBADF */
    int oom_event;           /* v1: eventfd of this directory's OOMs, or -EBADF */
    uint64_t oom_seen;       /* read from it until now */
    uint64_t oom_kills_gone; /* v1: counted in groups that have been removed */
};

/** An empty tree; add its hierarchies, then cg_tree_watch(). */
struct cg_tree *cg_tree_alloc(enum cg_version version);
/** cg_tree_add() - open @path and take it in; @controllers with CG_SWAP when it is there. */
int cg_tree_add(struct cg_tree *tree, const char *path, uint32_t controllers, struct err *err);
/** Open what is read later: pressure files, OOM events. */
void cg_tree_watch(struct cg_tree *tree);
/** The hierarchy that has @controller, or NULL. */
const struct cg_tree_hier *cg_tree_with(const struct cg_tree *tree, uint32_t controller);
/** v2: what the tree's own subtree_control hands to its groups becomes tree->controllers. */
void cg_tree_refresh_v2(struct cg_tree *tree);
/** v2: hand as many of our controllers as can be to the groups below @dir. */
void cg_enable_controllers(int dir, uint32_t controllers);
/** v1: OOM events at or above the tree until now. */
uint64_t cg_tree_oom_events(struct cg_tree *tree);
/** v1: an eventfd for the OOM events of @dir, or -EBADF
 * (Documentation/admin-guide/cgroup-v1/memory.rst, 10). */
int cg_oom_eventfd(int dir);
/** Hand @dir and @files in it to the tree's owner. */
int cg_tree_give(const struct cg_tree *tree, int dir, const char *const files[], struct err *err);
extern const char *const cg_given_v1[], *const cg_given_v2[];

/**
 * cg_sweep() - kill everything in group @name of directory @parent and below, and remove it
 *
 * A group that holds the caller stays as it is, -EBUSY. A group that is not there is fine.
 */
int cg_sweep(int parent, const char *name, struct err *err);
/** cg_kill_pass() - SIGKILL to everything in and below @dir, v1 frozen meanwhile; does not wait. */
int cg_kill_pass(int dir, struct err *err);
