/*
 * Groups on v2 hosts.
 *
 * memory.peak and pids.peak can't be reset (memory.peak: since 6.12 only), so each run gets a leaf
 * of its own, "<name>.<serial>" below the tree: made by prepare, limits written, cpu.stat open. The
 * leaf before it is removed by the same prepare. Everything else is opened when it is read, once or
 * twice a run. memory.oom.group stays 0, the default of every new group: what an OOM kills is the
 * kernel's choice, what becomes of the others is the sandbox's.
 */
#include "cgroups/group.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "cgroups/files.h"
#include "cgroups/limits.h"
#include "cgroups/tree.h"

#define LEAF_MAX (CG_NAME_MAX + 24)

struct group_v2 {
    struct cg_group base;
    uint64_t serial;
    int dir; /* of the leaf; what CLONE_INTO_CGROUP takes */
    int cpu_stat;
    struct cg_limits written; /* to this leaf; 0: not yet */
    uint64_t memory_seen; /* highest memory.current read: the peak where memory.peak is missing */
};

static void leaf_name(const struct group_v2 *group, uint64_t serial, char ret[LEAF_MAX])
{
    snprintf(ret, LEAF_MAX, "%s.%" PRIu64, group->base.name, serial);
}

static int make_leaf(struct group_v2 *group, struct err *err)
{
    const struct cg_tree_hier *hier = &group->base.tree->hier[0];
    char name[LEAF_MAX];
    leaf_name(group, ++group->serial, name);
    int made = mkdirat(hier->dir, name, 0755) == 0 ? 0 : -errno;
    if (made == -EEXIST) { /* of a process that was here before us */
        int r = cg_sweep(hier->dir, name, err);
        if (r < 0)
            return r;
        made = mkdirat(hier->dir, name, 0755) == 0 ? 0 : -errno;
    }
    if (made < 0)
        return err_set(err, made, "mkdir %s/%s: %m", hier->path, name);
    AUTO_CLOSE int dir = openat(hier->dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AUTO_CLOSE int cpu_stat = dir < 0 ? -EBADF : openat(dir, "cpu.stat", O_RDONLY | O_CLOEXEC);
    if (cpu_stat < 0)
        return err_set(err, -errno, "open %s/%s/cpu.stat: %m", hier->path, name);
    fd_close(group->dir);
    fd_close(group->cpu_stat);
    group->dir = take_fd(&dir);
    group->cpu_stat = take_fd(&cpu_stat);
    group->written = (struct cg_limits){.cpu_weight = 100};
    group->memory_seen = 0;
    return 0;
}

static int limit_memory(struct group_v2 *group, uint64_t bytes, struct err *err)
{
    uint32_t controllers = group->base.tree->controllers;
    if (!(controllers & CG_MEMORY) || bytes == group->written.memory_bytes)
        return 0;
    int r = 0;
    if ((controllers & CG_SWAP) && group->written.memory_bytes == 0)
        r = cg_write_u64_at(group->dir, "memory.swap.max", 0, "max", err);
    if (r == 0)
        r = cg_write_u64_at(group->dir, "memory.max", bytes, "max", err);
    if (r == 0)
        group->written.memory_bytes = bytes;
    return r;
}

static int limit_cpu(struct group_v2 *group, const struct cg_limits *limits, struct err *err)
{
    uint32_t weight = limits->cpu_weight ? limits->cpu_weight : 100;
    int r = 0;
    if (weight != group->written.cpu_weight)
        r = cg_write_u64_at(group->dir, "cpu.weight", weight, "default", err);
    if (r < 0)
        return r;
    group->written.cpu_weight = weight;
    if (limits->cpu_percent == group->written.cpu_percent)
        return 0;
    char text[64] = "max";
    if (limits->cpu_percent)
        snprintf(text, sizeof(text), "%" PRIu64 " %d", cg_quota_us(limits->cpu_percent),
                 CG_CPU_PERIOD_US);
    r = file_write_text_at(group->dir, "cpu.max", text, err);
    if (r == 0)
        group->written.cpu_percent = limits->cpu_percent;
    return r;
}

static int limit(struct cg_group *base, const struct cg_limits *limits, struct err *err)
{
    struct group_v2 *group = (struct group_v2 *)base;
    uint32_t controllers = group->base.tree->controllers;
    int r = limit_memory(group, limits->memory_bytes, err);
    if (r == 0 && (controllers & CG_PIDS) && limits->pids != group->written.pids) {
        r = cg_write_u64_at(group->dir, "pids.max", limits->pids, "max", err);
        group->written.pids = r < 0 ? 0 : limits->pids;
    }
    return r < 0 || !(controllers & CG_CPU) ? r : limit_cpu(group, limits, err);
}

static int populated(struct cg_group *base)
{
    struct group_v2 *group = (struct group_v2 *)base;
    char text[CG_FILE_MAX];
    uint64_t value = 0;
    ssize_t len = cg_read_at(group->dir, "cgroup.events", text);
    if (len < 0)
        return (int)len;
    return cg_parse_flat(text, (size_t)len, "populated", &value) ? value != 0 : -EBADMSG;
}

static int cpu_us(struct cg_group *base, uint64_t *ret_us, struct err *err)
{
    struct group_v2 *group = (struct group_v2 *)base;
    uint64_t us = 0;
    int r = cg_read_flat(group->cpu_stat, "cpu.stat", "usage_usec", &us, err);
    if (r == 0)
        *ret_us = us;
    return r;
}

/* The old leaf goes; one that some process is still leaving stays for the tree's own removal. */
static int fresh_leaf(struct group_v2 *group, struct err *err)
{
    char old[LEAF_MAX];
    int busy = populated(&group->base);
    if (busy != 0)
        return err_set(err, busy < 0 ? busy : -EBUSY, "group %s still has processes",
                       group->base.name);
    leaf_name(group, group->serial, old);
    int r = make_leaf(group, err);
    if (r == 0)
        cg_rmdir_soon(group->base.tree->hier[0].dir, old);
    return r;
}

static int prepare(struct cg_group *base, const struct cg_limits *limits, struct err *err)
{
    struct group_v2 *group = (struct group_v2 *)base;
    uint64_t used = 0;
    int r = cpu_us(base, &used, err);
    if (r == 0 && used > 0)
        r = fresh_leaf(group, err);
    return r < 0 ? r : limit(base, limits, err);
}

static int raise_memory(struct cg_group *base, uint64_t bytes, struct err *err)
{
    struct group_v2 *group = (struct group_v2 *)base;
    if (bytes < group->written.memory_bytes)
        return err_set(err, -EINVAL, "group %s: the memory limit can only be raised", base->name);
    return limit_memory(group, bytes, err);
}

static size_t join_fds(const struct cg_group *base, const int **ret)
{
    (void)base;
    *ret = NULL;
    return 0;
}

static int clone_fd(const struct cg_group *base)
{
    return ((const struct group_v2 *)base)->dir;
}

static void memory_stats(struct group_v2 *group, struct cg_stats *stats)
{
    char text[CG_FILE_MAX];
    uint64_t oom = 0;
    cg_read_u64_at(group->dir, "memory.current", &stats->memory_bytes);
    if (stats->memory_bytes > group->memory_seen)
        group->memory_seen = stats->memory_bytes;
    if (!cg_read_u64_at(group->dir, "memory.peak", &stats->memory_peak_bytes)) /* since 5.19 */
        stats->memory_peak_bytes = group->memory_seen;
    ssize_t len = cg_read_at(group->dir, "memory.events", text);
    if (len <= 0)
        return;
    /* A leaf's events are its own: "oom" counts where the limit was, "oom_kill" where the victim.
     */
    cg_parse_flat(text, (size_t)len, "oom_kill", &stats->oom_kills);
    cg_parse_flat(text, (size_t)len, "oom", &oom);
    stats->oom_own = oom > 0;
}

static int stats(struct cg_group *base, struct cg_stats *ret, struct err *err)
{
    struct group_v2 *group = (struct group_v2 *)base;
    struct cg_stats stats = {0};
    char text[CG_FILE_MAX];
    ssize_t len = cg_pread(group->cpu_stat, text);
    if (len < 0)
        return err_set(err, (int)len, "read cpu.stat of group %s: %m", base->name);
    cg_parse_flat(text, (size_t)len, "user_usec", &stats.cpu_user_us);
    cg_parse_flat(text, (size_t)len, "system_usec", &stats.cpu_system_us);
    if (base->tree->controllers & CG_MEMORY)
        memory_stats(group, &stats);
    if (base->tree->controllers & CG_PIDS) {
        cg_read_u64_at(group->dir, "pids.current", &stats.pids_now);
        cg_read_u64_at(group->dir, "pids.peak", &stats.pids_peak); /* since 6.6 */
        cg_read_flat_at(group->dir, "pids.events", "max", &stats.pids_refused);
    }
    *ret = stats;
    return 0;
}

static int kill_all(struct cg_group *base, struct err *err)
{
    struct group_v2 *group = (struct group_v2 *)base;
    if (cg_exists_at(group->dir, "cgroup.kill"))
        return file_write_text_at(group->dir, "cgroup.kill", "1", err);
    return cg_kill_pass(group->dir, err);
}

static void free_group(struct cg_group *base)
{
    struct group_v2 *group = (struct group_v2 *)base;
    char name[LEAF_MAX];
    leaf_name(group, group->serial, name);
    if (group->dir >= 0)
        cg_rmdir_soon(base->tree->hier[0].dir, name);
    fd_close(group->dir);
    fd_close(group->cpu_stat);
    free(group);
}

static const struct cg_group_ops v2_ops = {
    .prepare = prepare,
    .limit = limit,
    .raise_memory = raise_memory,
    .join_fds = join_fds,
    .clone_fd = clone_fd,
    .stats = stats,
    .cpu_us = cpu_us,
    .kill = kill_all,
    .populated = populated,
    .free = free_group,
};

int cg_group_new_v2(struct cg_tree *tree, const char *name, struct cg_group **ret, struct err *err)
{
    struct group_v2 *group = calloc(1, sizeof(*group));
    if (!group)
        return err_set(err, -ENOMEM, "group %s: %m", name);
    group->base.ops = &v2_ops;
    group->base.tree = tree;
    memcpy(group->base.name, name, strlen(name) + 1);
    group->dir = group->cpu_stat = -EBADF;
    int r = make_leaf(group, err);
    if (r < 0) {
        free_group(&group->base);
        return r;
    }
    *ret = &group->base;
    return 0;
}
