#pragma once
/*
 * The node: everything that exists once per service instance, or once per `cloister sandbox run`.
 *
 *   outer   real root (or the ordinary user): makes the cgroup tree, stages device nodes and binds
 * in a private mount namespace, makes the user namespace U, starts the inner process in it inner
 * uid 0 of U only: the base tree, slots, runs; speaks the spawner's wire protocol
 *
 * struct node_config travels from outer to inner in a sealed memory file.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/limits.h"
#include "base/result.h"
#include "cgroups/cgroup.h"
#include "sandbox/spec.h"

#define NODE_ROOT_PATHS_MAX 16
#define NODE_UID_BASE       1900000000u /* beyond systemd-nspawn's range, below 2^31 */
#define NODE_UID_COUNT      65536u
#define NODE_CACHE_DIR      "/var/cache/cloister" /* where cache_dir is by default */
#define NODE_SLOT_UID       1000u                 /* inside U: slot N runs as 1000 + N */
#define NODE_SLOTS_MAX      512u
#define NODE_READY_MAX      64u
#define NODE_TREES_MAX      32
#define NODE_BINDS_MAX      64

struct node_bind {
    char source[256];
    char target[256]; /* "/" is the root of a tree that is not the default one */
    bool writable;
    uint32_t tree; /* index: whose mount tree shows it */
};

/*
 * A mount tree that slots can show: the default one (index 0, without a name), or one of a
 * runtime that has a rootfs or mounts of its own, under the runtime's name. A request names a tree
 * and nothing else: what is mounted where stands in the operator's file.
 */
struct node_tree {
    char name[SBX_TREE_MAX + 1];
    bool rootfs;     /* a root of its own, instead of the host's /usr and a synthesised rest */
    bool disabled;   /* its runtime is */
    char fault[200]; /* why it can't be shown: a run that names it is refused with these words */
};

struct node_config {
    char instance[64]; /* names the cgroup tree: cloister-<instance> */
    uint32_t slots_max;
    uint32_t ready_max;     /* sandboxes made ahead of a run; 0: none */
    uint32_t layers;        /* wanted */
    uint32_t allow_missing; /* layers that the operator named as optional */
    bool one_shot;          /* `cloister sandbox run`: a request may leave layers out */
    enum sbx_launcher launcher;
    uint32_t uid_base, uid_count;
    struct limits defaults, ceilings;
    struct cg_node_caps caps;
    char root_paths[NODE_ROOT_PATHS_MAX][256]; /* shown read-only: "/usr", ... */
    uint32_t n_root_paths;
    struct node_bind binds[NODE_BINDS_MAX];
    uint32_t n_binds;
    struct node_tree trees[NODE_TREES_MAX];
    uint32_t n_trees;    /* at least the default one */
    char cache_dir[256]; /* execsvc's cache, with the input sets in it; "": none */
    uid_t cache_uid;     /* whose it is, outside of U */
    gid_t cache_gid;

    /* Filled in by outer for inner. */
    char staging[64];   /* tmpfs of ours in the private mount namespace: dev/, binds/ */
    char cgroups[1024]; /* cg_tree_describe(); "": none */
    bool own_dev;       /* device nodes of our own, per slot (needs real root) */
    bool many_uids;     /* the map holds the slots' uids */
    bool user_ns;
    char inputs_fault[200]; /* why no input sets can be shown; "": they can */
};

void node_config_default(struct node_config *ret);
/** node_config_fill() - the same into a structure that is zero already, whose pages stay untouched
 */
void node_config_fill(struct node_config *ret);

static inline bool node_tree_usable(const struct node_tree *tree)
{
    return !tree->disabled && !tree->fault[0];
}

/** node_bind_target() - -EINVAL: not a place where something may be mounted inside */
int node_bind_target(const char *target, struct err *err);
/** node_tree_find() - by name, "" is the default one. Return: the index, or -ENOENT with words,
 * also for one that can't be shown here. */
int node_tree_find(const struct node_config *config, const char *name, struct err *err);

/**
 * node_one_shot_name() - the instance of a single run of this process
 * A tree of such a name whose process is dead is removed by whoever starts next.
 */
void node_one_shot_name(char *buf, size_t size);

/** node_tree_name() - of the instance's cgroup tree */
void node_tree_name(const struct node_config *config, char *buf, size_t size);
/** node_leftovers_remove() - the groups of single runs that were killed; whether it works is not
 * the caller's business */
void node_leftovers_remove(struct cg_host *host);

struct node; /* outer's half */

/**
 * node_start() - everything outer does; on success the inner process lives
 *
 * Single-threaded callers only. @config is completed in place. @client_fd: the spawner's end of the
 * SOCK_SEQPACKET pair, borrowed; inner gets a copy. Fails closed: a layer that can't be had and is
 * not in allow_missing is an error that names it.
 */
int node_start(struct node_config *config, int client_fd, struct node **ret, struct err *err);
/** node_inner_pidfd() - becomes readable when inner has ended. Borrowed. */
int node_inner_pidfd(const struct node *node);
pid_t node_inner_pid(const struct node *node);
/** node_restart_inner() - after inner's end: kill what is left, remove its groups, start again. */
int node_restart_inner(struct node *node, int client_fd, struct err *err);
/** node_place() - put process @pid into a leaf of the tree. Slow path; no tree: 0. */
int node_place(struct node *node, const char *leaf, pid_t pid, struct err *err);
/** node_stop() - ends inner (kills every sandbox with it), removes the cgroup tree. NULL is fine.
 */
struct node *node_stop(struct node *node);

/** node_is_inner() / node_inner_main() - every program that calls node_start() begins main() with
 * these. */
bool node_is_inner(int argc, char *const *argv);
int node_inner_main(void);
