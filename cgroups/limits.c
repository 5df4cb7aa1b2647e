#include "cgroups/limits.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/fd.h"
#include "cgroups/cgroup.h"
#include "cgroups/files.h"
#include "cgroups/tree.h"

uint64_t cg_shares_of_weight(uint32_t weight)
{
    uint64_t shares = (uint64_t)weight * 1024 / 100;
    return shares < 2 ? 2 : shares > 262144 ? 262144 : shares;
}

uint64_t cg_quota_us(uint32_t percent)
{
    return percent ? (uint64_t)percent * (CG_CPU_PERIOD_US / 100) : UINT64_MAX;
}

static int write_caps_v1(const struct cg_tree_hier *hier, const struct cg_node_caps *caps,
                         struct err *err)
{
    int r = 0;
    if ((hier->controllers & CG_MEMORY) && caps->memory_bytes) {
        r = cg_write_u64_at(hier->dir, "memory.limit_in_bytes", caps->memory_bytes, "-1", err);
        if (r == 0 && (hier->controllers & CG_SWAP))
            r = cg_write_u64_at(hier->dir, "memory.memsw.limit_in_bytes", caps->memory_bytes, "-1",
                                err);
    }
    if (r == 0 && (hier->controllers & CG_PIDS) && caps->pids)
        r = cg_write_u64_at(hier->dir, "pids.max", caps->pids, "max", err);
    if (r == 0 && (hier->controllers & CG_CPU) && caps->cpu_percent)
        r = cg_write_u64_at(hier->dir, "cpu.cfs_quota_us", cg_quota_us(caps->cpu_percent), "-1",
                            err);
    return r;
}

static int write_caps_v2(const struct cg_tree_hier *hier, const struct cg_node_caps *caps,
                         struct err *err)
{
    int r = 0;
    if ((hier->controllers & CG_MEMORY) && caps->memory_bytes)
        r = cg_write_u64_at(hier->dir, "memory.max", caps->memory_bytes, "max", err);
    if (r == 0 && (hier->controllers & CG_PIDS) && caps->pids)
        r = cg_write_u64_at(hier->dir, "pids.max", caps->pids, "max", err);
    if (r == 0 && (hier->controllers & CG_CPU) && caps->cpu_percent) {
        char text[64];
        snprintf(text, sizeof(text), "%" PRIu64 " %d", cg_quota_us(caps->cpu_percent),
                 CG_CPU_PERIOD_US);
        r = file_write_text_at(hier->dir, "cpu.max", text, err);
    }
    return r;
}

int cg_caps_write(const struct cg_tree_hier *hier, int v2, const struct cg_node_caps *caps,
                  struct err *err)
{
    if (!caps)
        return 0;
    return v2 ? write_caps_v2(hier, caps, err) : write_caps_v1(hier, caps, err);
}
