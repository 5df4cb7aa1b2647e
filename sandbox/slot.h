#pragma once
/*
 * What is dear to make and carries no state: once per slot, reused serially.
 *
 * The base tree is the spawner's own root after it has left the host's: read-only views of the
 * runtime's paths, a synthesised /etc, device nodes, nothing else. A slot is a copy of it with
 * overlays of its own (locks on shared inodes carry nothing), pivoted into, and kept as a mount
 * namespace descriptor that a run's child enters and copies.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "sandbox/launch.h"
#include "sandbox/node.h"
#include "sandbox/spawn_wire.h"

struct err;

/* A mount namespace that a run's child enters and copies. */
struct slot_view {
    int mount_fd; /* -EBADF: not made yet, or LAYER_MOUNT_NS taken away */
    int pts_fd;   /* its devpts, O_PATH */
};

struct slot {
    unsigned index;
    uid_t uid; /* inside U */
    bool busy;
    struct ready ready;                     /* a sandbox for the next run */
    uint64_t n_ready_used;                  /* runs that found one */
    bool fresh_net;                         /* no run has used its network namespace */
    uint32_t tree;                          /* whose view the next run gets */
    struct slot_view views[NODE_TREES_MAX]; /* by tree; all but the first are made when needed */
    int net_fd;
    struct cg_group *group;            /* NULL: no cgroups */
    int pty_master;                    /* until it is handed over; else -EBADF */
    char tenant[SPAWN_TENANT_MAX + 1]; /* who used it last */
};

/** base_tree_build() - stage, pivot into it, let go of the host's tree. Once per inner process. */
int base_tree_build(const struct node_config *config, struct err *err);

/**
 * slot_make() - on failure nothing is left
 * @missing: gets the LAYER_BITs that could not be had and that config->allow_missing lets go
 */
int slot_make(const struct node_config *config, struct cg_tree *tree, unsigned index,
              uint32_t *missing, struct slot *ret, struct err *err);
/** slot_for_tree() - the next run sees @tree, an index of @config; its view is made if there is
 * none
 * @missing: LAYER_BITs that this node can't give */
int slot_for_tree(const struct node_config *config, struct slot *slot, uint32_t tree,
                  uint32_t missing, struct err *err);
/*
 * Network namespaces made ahead, while nobody waits: each takes half a millisecond. One is taken
 * out for one slot and never comes back.
 */
#define SPARE_NETS 8

struct spare_nets {
    int fds[SPARE_NETS]; /* [0, n) */
    size_t n;
};

/** spare_nets_add() - one more, if there is room. Return: 1 if one was made, 0, or a negative errno
 */
int spare_nets_add(struct spare_nets *spare, struct err *err);
/** slot_for_tenant() - a fresh network namespace when the tenant changes, of @spare if it has one
 */
int slot_for_tenant(struct slot *slot, const char *tenant, uint32_t layers,
                    struct spare_nets *spare, struct err *err);
/** slot_refresh_net() - a network that no tenant has used, before there is one */
int slot_refresh_net(struct slot *slot, struct spare_nets *spare, struct err *err);
/** slot_renew_group() - a new cgroup set, where the old one has not let go of what was charged to
 * it */
int slot_renew_group(struct cg_tree *tree, struct slot *slot, struct err *err);
void slot_done(struct slot *slot);
/** slot_open_pty() - a terminal in the slot's devpts, owned by its uid. Slave and master are owned
 * by the caller. */
int slot_open_pty(const struct slot *slot, uint16_t rows, uint16_t cols, int *ret_master,
                  int *ret_slave, struct err *err);
