#pragma once
#include "sandbox/run.h"

/**
 * inner_setup() - everything between the exec of inner and its first slot
 *
 * Reads the configuration, enters the cgroup tree, builds the base tree and pivots into it, gives
 * up capabilities, loads its own filter, builds the programs' filters. Fails closed.
 */
int inner_setup(struct node_config *ret_config, int *ret_client, struct cg_tree **ret_tree,
                struct run_env *ret_env, struct err *err);

/** inner_filter_build() - have the filter of @policy ready; nothing to do when it is */
int inner_filter_build(uint32_t policy, struct err *err);
