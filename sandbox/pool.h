#pragma once
/*
 * The slots of a service: which one a run gets, and what is made while nobody waits.
 *
 * Theory of operation
 *
 * Slots are made as they are needed. A run gets the one that costs it least: with a ready sandbox
 * that fits (launch.h), else its tenant's own of last time (that saves a network namespace), else
 * any free one, else a new one, else one that has lost its cgroup.
 *
 * The cgroup of a slot is cleared when its run is gone. The rest is off the path, in this order,
 * one step at a time so that a request that came meanwhile goes first: where tenants change,
 * networks are made ahead; and when nothing has begun or ended for a while, up to `ready_max` free
 * slots get a ready sandbox, for a run like the last one. Not sooner: to make one takes as long as
 * the start that it saves, and who asks for one run after the other would wait for it.
 */

#include "base/loop.h"
#include "sandbox/run.h"
#include "sandbox/slot.h"

struct pool {
    const struct node_config *config; /* borrowed, as are these */
    struct cg_tree *tree;
    const struct run_env *env;
    struct loop *loop;

    struct slot *slots; /* slots_max of them; [0, n_slots) are made */
    uint32_t n_slots;
    struct spare_nets spare_nets;
    size_t nets_wanted; /* of a service that has seen more than one tenant */
    struct loop_timer timer;
    uint64_t quiet_since_us;
    struct sbx_spec likely; /* what ready sandboxes are for: layers and limits of the last run */
    uint32_t likely_tree;
};

/**
 * pool_init() - with a first slot, the proof that all layers can be had
 * @missing: gets the LAYER_BITs that could not be had and that config->allow_missing lets go
 */
int pool_init(struct pool *pool, const struct node_config *config, struct cg_tree *tree,
              uint32_t *missing, struct err *err);
/** pool_serve() - from now on runs come; @env and @loop are borrowed. */
void pool_serve(struct pool *pool, const struct run_env *env, struct loop *loop);
bool pool_is_full(const struct pool *pool);
/** pool_is_quiet() - one run at most, and room for another */
bool pool_is_quiet(const struct pool *pool);
/**
 * pool_take() - a slot for a run of @spec that sees @tree, an index of the configuration
 * On success it is busy, until pool_give_back(): also when the run can't be started in it.
 */
int pool_take(struct pool *pool, const struct sbx_spec *spec, uint32_t tree, struct slot **ret,
              struct err *err);
void pool_give_back(struct pool *pool, struct slot *slot);
/** pool_is_broken() - @slot has lost its cgroup, and is to get a new one first. */
bool pool_is_broken(const struct pool *pool, const struct slot *slot);

struct pool_counts {
    uint32_t made, busy, ready; /* slots */
    uint64_t ready_used;        /* runs that found a sandbox ready */
};
void pool_count(const struct pool *pool, struct pool_counts *ret);
