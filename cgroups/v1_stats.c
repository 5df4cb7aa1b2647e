/*
 * Counters of a v1 group.
 *
 * cpuacct.usage and memory.max_usage_in_bytes take a 0; oom_kill, pids.events and
 * pids.peak only grow, so their values at prepare are kept.
 *
 * Whose OOM it was: an eventfd on memory.oom_control is signalled for an OOM of the group or of any
 * group above it, before the kill; the tree's own eventfd only for the tree or above. More of the
 * first than of the second means that the group's own limit was reached. Without eventfds (an owner
 * who was not given cgroup.event_control) the peak has to do: did it come up to the limit? failcnt,
 * which should tell, stays 0 on some kernels (seen on 6.18).
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/err.h"
#include "cgroups/files.h"
#include "cgroups/group_v1.h"

/* Page cache and kernel memory of earlier runs that would be in the way of the next one's peak. */
#define RESIDUE_MAX (8u << 20)
/* Pages that are charged in a batch, on some CPUs, and then given back. */
#define PEAK_SLACK (1u << 20)

static int get(struct group_v1 *group, enum v1_file file, uint64_t *ret, struct err *err)
{
    return group->file[file] < 0 ? 0 : cg_read_u64(group->file[file], cg_v1_names[file], ret, err);
}

static int zero(struct group_v1 *group, enum v1_file file, struct err *err)
{
    return group->file[file] < 0 ? 0
                                 : cg_write_u64(group->file[file], cg_v1_names[file], 0, "0", err);
}

static int reset_memory(struct group_v1 *group, struct err *err)
{
    uint64_t usage = 0;
    int r = get(group, V1_MEM_USAGE, &usage, err);
    if (r == 0 && usage > RESIDUE_MAX)
        r = zero(group, V1_MEM_EMPTY, err);
    return r < 0 ? r : zero(group, V1_MEM_PEAK, err);
}

int cg_v1_reset_peak(struct group_v1 *group, struct err *err)
{
    return zero(group, V1_MEM_PEAK, err);
}

static void drain_own_events(struct group_v1 *group)
{
    uint64_t more;
    if (group->oom_event >= 0 && read(group->oom_event, &more, sizeof(more)) == sizeof(more))
        group->own_oom_events += more;
}

int cg_v1_reset(struct group_v1 *group, struct err *err)
{
    int r = reset_memory(group, err);
    if (r == 0)
        r = zero(group, V1_ACCT_USAGE, err);
    if (r == 0)
        r = cg_read_flat(group->file[V1_MEM_OOM], "memory.oom_control", "oom_kill",
                         &group->since.oom_kills, err);
    if (r == 0)
        r = cg_read_flat(group->file[V1_PIDS_EVENTS], "pids.events", "max",
                         &group->since.pids_refused, err);
    if (r == 0)
        r = get(group, V1_PIDS_PEAK, &group->since.pids_peak, err);
    if (r < 0)
        return r;
    if (group->since.pids_peak <= V1_LEAST_PEAK)
        group->since.pids_peak = 0; /* this run will have as many */
    drain_own_events(group);
    group->own_oom_events = 0;
    group->since.tree_oom_events = cg_tree_oom_events(group->base.tree);
    group->fresh = true;
    return 0;
}

static int own_limit_reached(struct group_v1 *group, bool *ret, struct err *err)
{
    struct cg_tree *tree = group->base.tree;
    if (group->oom_event >= 0 && tree->oom_event >= 0) {
        /* The tree's last: an event that comes in between must not look like the group's own. */
        drain_own_events(group);
        uint64_t above = cg_tree_oom_events(tree) - group->since.tree_oom_events;
        *ret = group->own_oom_events > above;
        return 0;
    }
    uint64_t peak = 0;
    int r = get(group, V1_MEM_PEAK, &peak, err);
    *ret = peak + PEAK_SLACK >= group->prepared_bytes;
    return r;
}

static int memory_stats(struct group_v1 *group, struct cg_stats *stats, struct err *err)
{
    int r = get(group, V1_MEM_USAGE, &stats->memory_bytes, err);
    if (r == 0)
        r = get(group, V1_MEM_PEAK, &stats->memory_peak_bytes, err);
    if (r == 0)
        r = cg_read_flat(group->file[V1_MEM_OOM], "memory.oom_control", "oom_kill",
                         &stats->oom_kills, err);
    if (r < 0)
        return r;
    stats->oom_kills -= group->since.oom_kills;
    return stats->oom_kills ? own_limit_reached(group, &stats->oom_own, err) : 0;
}

static int pids_stats(struct group_v1 *group, struct cg_stats *stats, struct err *err)
{
    int r = get(group, V1_PIDS_NOW, &stats->pids_now, err);
    if (r == 0)
        r = get(group, V1_PIDS_PEAK, &stats->pids_peak, err);
    if (r == 0)
        r = cg_read_flat(group->file[V1_PIDS_EVENTS], "pids.events", "max", &stats->pids_refused,
                         err);
    if (r < 0)
        return r;
    stats->pids_refused -= group->since.pids_refused;
    if (stats->pids_peak <= group->since.pids_peak)
        stats->pids_peak = 0; /* an earlier run's: this one's is not known */
    return 0;
}

/*
 * cpuacct.usage is exact, user and system are sampled at the timer's tick: the ratio is theirs, the
 * sum is exact.
 */
static int cpu_stats(struct group_v1 *group, struct cg_stats *stats, struct err *err)
{
    uint64_t total = 0, user = 0, system = 0;
    int r = get(group, V1_ACCT_USAGE, &total, err);
    if (r == 0)
        r = get(group, V1_ACCT_USER, &user, err);
    if (r == 0)
        r = get(group, V1_ACCT_SYSTEM, &system, err);
    if (r < 0)
        return r;
    total /= 1000;
    long double share = user + system > 0 ? (long double)user / (long double)(user + system) : 1;
    stats->cpu_user_us = (uint64_t)((long double)total * share);
    stats->cpu_system_us = total - stats->cpu_user_us;
    return 0;
}

int cg_v1_stats(struct cg_group *base, struct cg_stats *ret, struct err *err)
{
    struct group_v1 *group = (struct group_v1 *)base;
    struct cg_stats stats = {0};
    int r = cpu_stats(group, &stats, err);
    if (r == 0)
        r = memory_stats(group, &stats, err);
    if (r == 0)
        r = pids_stats(group, &stats, err);
    if (r == 0)
        *ret = stats;
    return r;
}

int cg_v1_cpu_us(struct cg_group *base, uint64_t *ret_us, struct err *err)
{
    struct group_v1 *group = (struct group_v1 *)base;
    if (group->file[V1_ACCT_USAGE] < 0)
        return err_set(err, -EOPNOTSUPP, "no CPU accounting (cpuacct) here");
    int r = get(group, V1_ACCT_USAGE, ret_us, err);
    if (r == 0)
        *ret_us /= 1000;
    return r;
}
