/* What is done with a tree: moving into it, watching it, taking it away. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "cgroups/files.h"
#include "cgroups/tree.h"

#define PLACE_TRIES 10

static int make_leaf(struct cg_tree *tree, int dir, const char *leaf, int *ret, struct err *err)
{
    bool made = mkdirat(dir, leaf, 0755) == 0;
    if (!made && errno != EEXIST)
        return err_set(err, -errno, "mkdir cgroup %s: %m", leaf);
    AUTO_CLOSE int fd = openat(dir, leaf, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, -errno, "open cgroup %s: %m", leaf);
    if (made && tree->delegated) {
        const char *const *files = tree->version == CG_V2 ? cg_given_v2 : cg_given_v1;
        int r = cg_tree_give(tree, fd, files, err);
        if (r < 0)
            return r;
    }
    *ret = take_fd(&fd);
    return 0;
}

static int place_once(struct cg_tree *tree, int dir, const char *leaf, pid_t pid, struct err *err)
{
    AUTO_CLOSE int fd = -EBADF;
    int r = make_leaf(tree, dir, leaf, &fd, err);
    if (r < 0)
        return r;
    char number[16];
    snprintf(number, sizeof(number), "%d", pid);
    return file_write_text_at(fd, "cgroup.procs", number, err);
}

int cg_tree_place(struct cg_tree *tree, const char *leaf, pid_t pid, struct err *err)
{
    if (!cg_name_ok(leaf))
        return err_set(err, -EINVAL, "'%.40s' is not a name for a cgroup", leaf);
    for (size_t i = 0; i < tree->n; i++) {
        int r = -ENOENT;
        /* cg_tree_enter() of another process may remove a leaf that is still empty. */
        for (int tries = 0; tries < PLACE_TRIES && (r == -ENOENT || r == -ENODEV); tries++)
            r = place_once(tree, tree->hier[i].dir, leaf, pid, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Groups of a process that was here before us; one that is in use refuses. */
static void remove_empty_groups(int dir)
{
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AUTO_DIR DIR *list = copy >= 0 ? fdopendir(copy) : NULL;
    if (!list) {
        fd_close(copy);
        return;
    }
    for (struct dirent *entry; (entry = readdir(list));)
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
            unlinkat(dir, entry->d_name, AT_REMOVEDIR);
}

static int enter_v2(struct cg_tree *tree, struct err *err)
{
    AUTO_CLOSE int leaf = -EBADF;
    int r = make_leaf(tree, tree->hier[0].dir, "spawner", &leaf, err);
    if (r == 0)
        r = file_write_text_at(leaf, "cgroup.procs", "0", err);
    if (r < 0)
        return err_prefix(err, "move into %s/spawner", tree->hier[0].path);
    remove_empty_groups(tree->hier[0].dir);
    cg_enable_controllers(tree->hier[0].dir, tree->hier[0].controllers);
    cg_tree_refresh_v2(tree);
    return 0;
}

int cg_tree_enter(struct cg_tree *tree, struct err *err)
{
    if (tree->version == CG_V2)
        return enter_v2(tree, err);
    for (size_t i = 0; i < tree->n; i++) {
        int r = file_write_text_at(tree->hier[i].dir, "tasks", "0", err);
        if (r < 0)
            return err_prefix(err, "move into %s", tree->hier[i].path);
        remove_empty_groups(tree->hier[i].dir);
    }
    return 0;
}

/* v1 counts a kill in the victim's own group only: sum over the groups there are. */
static uint64_t oom_kills_v1(const struct cg_tree *tree, int dir)
{
    uint64_t sum = tree->oom_kills_gone, one = 0;
    if (cg_read_flat_at(dir, "memory.oom_control", "oom_kill", &one))
        sum += one;
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AUTO_DIR DIR *list = copy >= 0 ? fdopendir(copy) : NULL;
    if (!list) {
        fd_close(copy);
        return sum;
    }
    for (struct dirent *entry; (entry = readdir(list));) {
        char file[sizeof(entry->d_name) + 32];
        snprintf(file, sizeof(file), "%s/memory.oom_control", entry->d_name);
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.' &&
            cg_read_flat_at(dir, file, "oom_kill", &one))
            sum += one;
    }
    return sum;
}

static void memory_stats(struct cg_tree *tree, const struct cg_tree_hier *hier,
                         struct cg_tree_stats *ret)
{
    bool v2 = tree->version == CG_V2;
    cg_read_u64_at(hier->dir, v2 ? "memory.current" : "memory.usage_in_bytes", &ret->memory_bytes);
    uint64_t limit = 0;
    cg_read_u64_at(hier->dir, v2 ? "memory.max" : "memory.limit_in_bytes", &limit);
    /* v1 shows "none" as the largest multiple of a page in a long. */
    ret->memory_limit_bytes = limit >= (uint64_t)INT64_MAX - 0xffff ? 0 : limit;
    if (v2) {
        cg_read_flat_at(hier->dir, "memory.events", "oom_kill", &ret->oom_kills);
        cg_read_flat_at(hier->dir, "memory.events.local", "oom", &ret->oom_own);
    } else {
        ret->oom_kills = oom_kills_v1(tree, hier->dir);
        ret->oom_own = cg_tree_oom_events(tree);
    }
}

static uint32_t pressure(int fd)
{
    char text[CG_FILE_MAX];
    uint32_t centi;
    ssize_t len = fd >= 0 ? cg_pread(fd, text) : -EBADF;
    return len > 0 && cg_parse_psi(text, (size_t)len, "some", &centi) ? centi : UINT32_MAX;
}

int cg_tree_stats(struct cg_tree *tree, struct cg_tree_stats *ret, struct err *err)
{
    struct cg_tree_stats stats = {0};
    if (tree->n == 0)
        return err_set(err, -ENOENT, "the tree has no cgroup");
    const struct cg_tree_hier *memory = cg_tree_with(tree, CG_MEMORY);
    if (memory)
        memory_stats(tree, memory, &stats);
    stats.psi_memory_some_avg10_centi = pressure(tree->psi_memory);
    stats.psi_cpu_some_avg10_centi = pressure(tree->psi_cpu);
    *ret = stats;
    return 0;
}

static int remove_from(const struct cg_tree_hier *hier, struct err *err)
{
    AUTO_CLOSE int parent = openat(hier->dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return parent < 0 ? err_set(err, -errno, "open above %s: %m", hier->path)
                      : cg_sweep(parent, strrchr(hier->path, '/') + 1, err);
}

int cg_tree_remove(struct cg_tree *tree, struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < tree->n; i++) {
        int one = remove_from(&tree->hier[i], err);
        if (one == -EMFILE || one == -ENFILE || one == -ENOMEM) /* there may be room by now */
            one = remove_from(&tree->hier[i], err);
        r = r < 0 ? r : one;
    }
    cg_tree_free(tree);
    return r;
}
