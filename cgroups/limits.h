#pragma once
/* Our limits in the units of the files of v1 and v2. */

#include <stdint.h>

struct err;
struct cg_node_caps;
struct cg_tree_hier;

#define CG_CPU_PERIOD_US 100000 /* the kernel's own default */

/** cpu.shares of v1 for a weight of v2: 100 is 1024 (the defaults), within 2..262144. */
uint64_t cg_shares_of_weight(uint32_t weight);
/** CPU time per CG_CPU_PERIOD_US; UINT64_MAX for 0, no quota. */
uint64_t cg_quota_us(uint32_t percent);

/** The node's caps, as far as @hier has the controllers. */
int cg_caps_write(const struct cg_tree_hier *hier, int v2, const struct cg_node_caps *caps,
                  struct err *err);
