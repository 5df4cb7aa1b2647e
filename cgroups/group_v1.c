/*
 * Groups on v1 and hybrid hosts.
 *
 * A group is a directory in every hierarchy of the tree. It lives as long as its slot; a run finds
 * it empty, its counters at zero. One counter can't be reset nor told apart by a baseline when it
 * did not grow: pids.peak. Its directory is cheap (16 us), so it is made anew once it has been
 * used; the `tasks` descriptor keeps its number (dup3).
 */
#include "cgroups/group_v1.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "cgroups/files.h"

const char *const cg_v1_names[V1_FILES] = {
    [V1_MEM_LIMIT] = "memory.limit_in_bytes",
    [V1_MEM_USAGE] = "memory.usage_in_bytes",
    [V1_MEM_PEAK] = "memory.max_usage_in_bytes",
    [V1_MEM_EMPTY] = "memory.force_empty",
    [V1_MEM_OOM] = "memory.oom_control",
    [V1_SWAP_LIMIT] = "memory.memsw.limit_in_bytes",
    [V1_PIDS_MAX] = "pids.max",
    [V1_PIDS_NOW] = "pids.current",
    [V1_PIDS_EVENTS] = "pids.events",
    [V1_PIDS_PEAK] = "pids.peak",
    [V1_CPU_SHARES] = "cpu.shares",
    [V1_CPU_QUOTA] = "cpu.cfs_quota_us",
    [V1_ACCT_USAGE] = "cpuacct.usage",
    [V1_ACCT_USER] = "cpuacct.usage_user",
    [V1_ACCT_SYSTEM] = "cpuacct.usage_sys",
};

/* Which controller a file belongs to, how it is opened, and whether a group can do without it. */
static const struct {
    uint32_t controller;
    int flags;
    bool optional;
} file_kinds[V1_FILES] = {
    [V1_MEM_LIMIT] = {CG_MEMORY, O_WRONLY, false},
    [V1_MEM_USAGE] = {CG_MEMORY, O_RDONLY, false},
    [V1_MEM_PEAK] = {CG_MEMORY, O_RDWR, false},
    [V1_MEM_EMPTY] = {CG_MEMORY, O_WRONLY, true},
    [V1_MEM_OOM] = {CG_MEMORY, O_RDONLY, false},
    [V1_SWAP_LIMIT] = {CG_SWAP, O_RDWR, false},
    [V1_PIDS_MAX] = {CG_PIDS, O_WRONLY, false},
    [V1_PIDS_NOW] = {CG_PIDS, O_RDONLY, false},
    [V1_PIDS_EVENTS] = {CG_PIDS, O_RDONLY, true}, /* since Linux 4.8 */
    [V1_PIDS_PEAK] = {CG_PIDS, O_RDONLY, true},   /* since 6.6 */
    [V1_CPU_SHARES] = {CG_CPU, O_WRONLY, false},
    [V1_CPU_QUOTA] = {CG_CPU, O_WRONLY, true}, /* CONFIG_CFS_BANDWIDTH */
    [V1_ACCT_USAGE] = {CG_CPUACCT, O_RDWR, false},
    [V1_ACCT_USER] = {CG_CPUACCT, O_RDONLY, true}, /* since 4.7 */
    [V1_ACCT_SYSTEM] = {CG_CPUACCT, O_RDONLY, true},
};

int cg_v1_open(struct group_v1 *group, int dir, uint32_t controllers, struct err *err)
{
    for (int i = 0; i < V1_FILES; i++) {
        if (!(file_kinds[i].controller & controllers))
            continue;
        int fd = openat(dir, cg_v1_names[i], file_kinds[i].flags | O_CLOEXEC);
        if (fd < 0 && !(file_kinds[i].optional && (errno == ENOENT || errno == EACCES)))
            return err_set(err, -errno, "open %s of group %s: %m", cg_v1_names[i],
                           group->base.name);
        fd_close(group->file[i]);
        group->file[i] = fd >= 0 ? fd : -EBADF;
    }
    return 0;
}

/* `tasks` under the number that it had before, if any. */
static int open_files(struct group_v1 *group, size_t i, struct err *err)
{
    const struct cg_tree_hier *hier = &group->base.tree->hier[i];
    const char *name = group->base.name;
    AUTO_CLOSE int dir = openat(hier->dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AUTO_CLOSE int tasks = dir < 0 ? -EBADF : openat(dir, "tasks", O_WRONLY | O_CLOEXEC);
    if (tasks < 0)
        return err_set(err, -errno, "open %s/%s/tasks: %m", hier->path, name);
    if (group->join[i] < 0)
        group->join[i] = take_fd(&tasks);
    else if (dup3(tasks, group->join[i], O_CLOEXEC) < 0)
        return err_set(err, -errno, "renew the descriptor of %s/%s/tasks: %m", hier->path, name);
    /* Of no use without the tree's, with which it is compared. */
    if ((hier->controllers & CG_MEMORY) && group->base.tree->oom_event >= 0)
        group->oom_event = cg_oom_eventfd(dir);
    return cg_v1_open(group, dir, hier->controllers, err);
}

/* Make the group's directory below hierarchy @i, and open it. */
static int open_hierarchy(struct group_v1 *group, size_t i, struct err *err)
{
    const struct cg_tree_hier *hier = &group->base.tree->hier[i];
    const char *name = group->base.name;
    int made = mkdirat(hier->dir, name, 0755) == 0 ? 0 : -errno;
    group->fresh &= made == 0;
    if (made == -EEXIST) { /* of a process that was here before us */
        int r = cg_sweep(hier->dir, name, err);
        if (r < 0)
            return r;
        made = mkdirat(hier->dir, name, 0755) == 0 ? 0 : -errno;
    }
    if (made < 0)
        return err_set(err, made, "mkdir %s/%s: %m", hier->path, name);
    return open_files(group, i, err);
}

static int still_busy(const struct group_v1 *group, struct err *err)
{
    return err_set(err, -EBUSY, "group %s still has processes", group->base.name);
}

/* In the first @n hierarchies. */
static int populated_in(const struct cg_group *base, size_t n)
{
    char procs[CG_NAME_MAX + 16];
    snprintf(procs, sizeof(procs), "%s/cgroup.procs", base->name);
    for (size_t i = 0; i < n; i++) {
        AUTO_FREE char *text = NULL;
        ssize_t len = cg_read_long_at(base->tree->hier[i].dir, procs, &text);
        if (len != 0)
            return len > 0 ? 1 : (int)len;
    }
    return 0;
}

static int populated(struct cg_group *base)
{
    return populated_in(base, ((struct group_v1 *)base)->n);
}

/*
 * pids.peak of an earlier run would hide this one's, and zombies that nobody has reaped yet would
 * count against its limit: a fresh directory has neither. What is open in the old one is closed
 * before it goes: of a file that is open then, the kernel keeps inode and dentry until memory runs
 * short, 5 KiB a run. A descriptor to join by keeps its number, and leads nowhere meanwhile.
 */
static int renew_pids(struct group_v1 *group, uint64_t zombies, struct err *err)
{
    const struct cg_tree *tree = group->base.tree;
    size_t i = 0;
    while (i < tree->n && tree->hier[i].controllers != CG_PIDS)
        i++;
    if (i == tree->n)
        return zombies ? still_busy(group, err) : 0;
    uint64_t peak = 0;
    int r = group->file[V1_PIDS_PEAK] < 0
                ? 0
                : cg_read_u64(group->file[V1_PIDS_PEAK], "pids.peak", &peak, err);
    if (r < 0 || (zombies == 0 && peak <= V1_LEAST_PEAK))
        return r;
    if (dup3(tree->hier[i].dir, group->join[i], O_CLOEXEC) < 0)
        return err_set(err, -errno, "let go of pids of %s: %m", group->base.name);
    group->lost = true;
    for (int file = 0; file < V1_FILES; file++)
        if (file_kinds[file].controller == CG_PIDS)
            group->file[file] = fd_close(group->file[file]);
    group->written.pids = 0;
    if (unlinkat(tree->hier[i].dir, group->base.name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        r = errno == EBUSY ? still_busy(group, err)
                           : err_set(err, -errno, "renew pids of %s: %m", group->base.name);
    int opened = r < 0 ? open_files(group, i, NULL) : open_hierarchy(group, i, err);
    group->lost = opened < 0;
    return r < 0 ? r : opened;
}

/* pids.current is one read, and 0 proves it empty; else it may be zombies only. */
static int make_empty(struct group_v1 *group, struct err *err)
{
    uint64_t pids = UINT64_MAX;
    int r = 0;
    if (group->file[V1_PIDS_NOW] >= 0)
        r = cg_read_u64(group->file[V1_PIDS_NOW], "pids.current", &pids, err);
    if (r < 0)
        return r;
    if (pids > 0) {
        r = populated(&group->base);
        if (r != 0)
            return r < 0 ? err_set(err, r, "list group %s: %m", group->base.name)
                         : still_busy(group, err);
    }
    return group->file[V1_PIDS_NOW] < 0 ? 0 : renew_pids(group, pids, err);
}

static int limit(struct cg_group *base, const struct cg_limits *limits, struct err *err)
{
    struct group_v1 *group = (struct group_v1 *)base;
    group->prepared_bytes = limits->memory_bytes;
    return cg_v1_limit(group, limits, err);
}

static int prepare(struct cg_group *base, const struct cg_limits *limits, struct err *err)
{
    struct group_v1 *group = (struct group_v1 *)base;
    uint64_t cpu = 0;
    int r = 0;
    if (group->lost)
        return err_set(err, -EIO, "group %s has lost its pids", base->name);
    if (group->file[V1_ACCT_USAGE] < 0)
        group->fresh = false;
    else
        r = cg_read_u64(group->file[V1_ACCT_USAGE], "cpuacct.usage", &cpu, err);
    if (r == 0 && (!group->fresh || cpu > 0)) {
        group->fresh = false;
        r = make_empty(group, err);
        if (r == 0)
            r = cg_v1_reset(group, err);
    } else if (r == 0) {
        /* What was freed since the reset must not count as this run's peak. */
        r = cg_v1_reset_peak(group, err);
    }
    return r < 0 ? r : limit(base, limits, err);
}

static int raise_memory(struct cg_group *base, uint64_t bytes, struct err *err)
{
    struct group_v1 *group = (struct group_v1 *)base;
    if (bytes < group->written.memory_bytes)
        return err_set(err, -EINVAL, "group %s: the memory limit can only be raised", base->name);
    return cg_v1_limit_memory(group, bytes, err);
}

static size_t join_fds(const struct cg_group *base, const int **ret)
{
    const struct group_v1 *group = (const struct group_v1 *)base;
    *ret = group->join;
    return group->n;
}

static int clone_fd(const struct cg_group *base)
{
    (void)base;
    return -1;
}

/* The freezer's directory is the first when there is one. Most often everything is gone already. */
static int kill_all(struct cg_group *base, struct err *err)
{
    struct group_v1 *group = (struct group_v1 *)base;
    size_t n = base->tree->controllers & CG_FREEZER ? 1 : group->n;
    if (populated_in(base, n) == 0)
        return 0;
    for (size_t i = 0; i < n; i++) {
        AUTO_CLOSE int dir =
            openat(base->tree->hier[i].dir, base->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r = dir < 0 ? err_set(err, -errno, "open group %s: %m", base->name)
                        : cg_kill_pass(dir, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static void free_group(struct cg_group *base)
{
    struct group_v1 *group = (struct group_v1 *)base;
    uint64_t kills = 0;
    cg_read_flat(group->file[V1_MEM_OOM], "memory.oom_control", "oom_kill", &kills, NULL);
    for (int i = 0; i < V1_FILES; i++)
        fd_close(group->file[i]);
    fd_close(group->oom_event);
    for (size_t i = 0; i < CG_HIER_MAX; i++)
        fd_close(group->join[i]);
    for (size_t i = 0; i < group->n; i++) {
        const struct cg_tree_hier *hier = &base->tree->hier[i];
        if (cg_rmdir_soon(hier->dir, base->name) == 0 && (hier->controllers & CG_MEMORY))
            base->tree->oom_kills_gone += kills;
    }
    free(group);
}

static const struct cg_group_ops v1_ops = {
    .prepare = prepare,
    .limit = limit,
    .raise_memory = raise_memory,
    .join_fds = join_fds,
    .clone_fd = clone_fd,
    .stats = cg_v1_stats,
    .cpu_us = cg_v1_cpu_us,
    .kill = kill_all,
    .populated = populated,
    .free = free_group,
};

int cg_group_new_v1(struct cg_tree *tree, const char *name, struct cg_group **ret, struct err *err)
{
    struct group_v1 *group = calloc(1, sizeof(*group));
    if (!group)
        return err_set(err, -ENOMEM, "group %s: %m", name);
    group->base.ops = &v1_ops;
    group->base.tree = tree;
    memcpy(group->base.name, name, strlen(name) + 1);
    group->oom_event = -EBADF;
    group->fresh = true; /* what has just been made has counted nothing */
    for (int i = 0; i < V1_FILES; i++)
        group->file[i] = -EBADF;
    for (size_t i = 0; i < CG_HIER_MAX; i++)
        group->join[i] = -EBADF;
    int r = 0;
    for (size_t i = 0; i < tree->n && r == 0; i++) {
        group->n = i + 1;
        r = open_hierarchy(group, i, err);
    }
    if (r < 0) {
        free_group(&group->base);
        return r;
    }
    *ret = &group->base;
    return 0;
}
