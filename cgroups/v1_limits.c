/* Limits of a v1 group that is used again and again. */
#include <errno.h>

#include "base/err.h"
#include "cgroups/files.h"
#include "cgroups/group_v1.h"
#include "cgroups/limits.h"

static int write_file(struct group_v1 *group, enum v1_file file, uint64_t value, const char *none,
                      struct err *err)
{
    return cg_write_u64(group->file[file], cg_v1_names[file], value, none, err);
}

/* Below what is in use the kernel reclaims, and may give up: page cache goes by force_empty. */
static int lower(struct group_v1 *group, enum v1_file file, uint64_t bytes, struct err *err)
{
    int r = write_file(group, file, bytes, "-1", err);
    if (r != -EBUSY || group->file[V1_MEM_EMPTY] < 0)
        return r;
    r = write_file(group, V1_MEM_EMPTY, 0, "0", err);
    return r < 0 ? r : write_file(group, file, bytes, "-1", err);
}

/*
 * memory + swap may never be below memory (EINVAL): it goes first on the way up and last on the way
 * down. Which way it is, the kernel knows; what was written last may have been written in part.
 */
int cg_v1_limit_memory(struct group_v1 *group, uint64_t bytes, struct err *err)
{
    if (group->file[V1_MEM_LIMIT] < 0 || bytes == group->written.memory_bytes)
        return 0;
    group->written.memory_bytes = 0;
    int r = 0;
    if (group->file[V1_SWAP_LIMIT] < 0) {
        r = lower(group, V1_MEM_LIMIT, bytes, err);
    } else {
        uint64_t now;
        r = cg_read_u64(group->file[V1_SWAP_LIMIT], cg_v1_names[V1_SWAP_LIMIT], &now, err);
        bool up = r == 0 && bytes > now;
        if (r == 0)
            r = lower(group, up ? V1_SWAP_LIMIT : V1_MEM_LIMIT, bytes, err);
        if (r == 0)
            r = lower(group, up ? V1_MEM_LIMIT : V1_SWAP_LIMIT, bytes, err);
    }
    if (r == 0)
        group->written.memory_bytes = bytes;
    return r;
}

static int limit_pids(struct group_v1 *group, uint64_t pids, struct err *err)
{
    if (group->file[V1_PIDS_MAX] < 0 || pids == group->written.pids)
        return 0;
    int r = write_file(group, V1_PIDS_MAX, pids, "max", err);
    group->written.pids = r < 0 ? 0 : pids;
    return r;
}

static int limit_cpu(struct group_v1 *group, const struct cg_limits *limits, struct err *err)
{
    uint32_t weight = limits->cpu_weight ? limits->cpu_weight : 100;
    int r = 0;
    if (group->file[V1_CPU_SHARES] >= 0 && weight != group->written.cpu_weight) {
        r = write_file(group, V1_CPU_SHARES, cg_shares_of_weight(weight), "", err);
        group->written.cpu_weight = r < 0 ? 0 : weight;
    }
    if (r < 0 || group->file[V1_CPU_QUOTA] < 0 || limits->cpu_percent == group->written.cpu_percent)
        return r;
    uint64_t quota = cg_quota_us(limits->cpu_percent);
    r = write_file(group, V1_CPU_QUOTA, quota, "-1", err);
    if (r == -EINVAL) /* more than the tree's own cap, which then is what holds */
        r = write_file(group, V1_CPU_QUOTA, UINT64_MAX, "-1", err);
    if (r == 0)
        group->written.cpu_percent = limits->cpu_percent;
    return r;
}

int cg_v1_limit(struct group_v1 *group, const struct cg_limits *limits, struct err *err)
{
    int r = cg_v1_limit_memory(group, limits->memory_bytes, err);
    if (r == 0)
        r = limit_pids(group, limits->pids, err);
    return r < 0 ? r : limit_cpu(group, limits, err);
}
