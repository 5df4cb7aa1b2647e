/* A tree as an object: opening it, describing it, what it has. */
#include "cgroups/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "cgroups/files.h"

struct cg_tree *cg_tree_alloc(enum cg_version version)
{
    struct cg_tree *tree = calloc(1, sizeof(*tree));
    if (!tree)
        return NULL;
    tree->version = version;
    tree->psi_memory = tree->psi_cpu = tree->oom_event = -EBADF;
    for (size_t i = 0; i < CG_HIER_MAX; i++)
        tree->hier[i].dir = -EBADF;
    return tree;
}

struct cg_tree *cg_tree_free(struct cg_tree *tree)
{
    if (!tree)
        return NULL;
    for (size_t i = 0; i < tree->n; i++) {
        fd_close(tree->hier[i].dir);
        free(tree->hier[i].path);
    }
    fd_close(tree->psi_memory);
    fd_close(tree->psi_cpu);
    fd_close(tree->oom_event);
    free(tree);
    return NULL;
}

/* Only a file that is not there means that there is no swap to limit. */
static int swap_bit(const struct cg_tree *tree, int dir, uint32_t controllers, uint32_t *ret)
{
    const char *file = tree->version == CG_V2 ? "memory.swap.max" : "memory.memsw.limit_in_bytes";
    *ret = 0;
    if (!(controllers & CG_MEMORY))
        return 0;
    if (faccessat(dir, file, F_OK, 0) == 0)
        *ret = CG_SWAP;
    return *ret || errno == ENOENT ? 0 : -errno;
}

int cg_tree_add(struct cg_tree *tree, const char *path, uint32_t controllers, struct err *err)
{
    if (tree->n == CG_HIER_MAX)
        return err_set(err, -E2BIG, "more than %d cgroup hierarchies", CG_HIER_MAX);
    AUTO_CLOSE int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_set(err, -errno, "open cgroup %s: %m", path);
    AUTO_FREE char *copy = strdup(path);
    if (!copy)
        return err_set(err, -ENOMEM, "cgroup %s: %m", path);
    uint32_t swap;
    int r = swap_bit(tree, dir, controllers, &swap);
    if (r < 0)
        return err_set(err, r, "look for the swap limit of %s: %m", path);
    controllers = (controllers & ~(uint32_t)CG_SWAP) | swap;
    struct cg_tree_hier *hier = &tree->hier[tree->n++];
    *hier = (struct cg_tree_hier){controllers, take_fd(&dir), take_ptr(copy)};
    tree->controllers |= controllers;
    if ((controllers & CG_FREEZER) && hier != &tree->hier[0]) {
        struct cg_tree_hier freezer = *hier;
        *hier = tree->hier[0];
        tree->hier[0] = freezer;
    }
    return 0;
}

const struct cg_tree_hier *cg_tree_with(const struct cg_tree *tree, uint32_t controller)
{
    for (size_t i = 0; i < tree->n; i++)
        if (tree->hier[i].controllers & controller)
            return &tree->hier[i];
    return NULL;
}

int cg_oom_eventfd(int dir)
{
    AUTO_CLOSE int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    AUTO_CLOSE int control = cg_open_if_any(dir, "memory.oom_control", O_RDONLY);
    AUTO_CLOSE int target = cg_open_if_any(dir, "cgroup.event_control", O_WRONLY);
    char text[32];
    int len = snprintf(text, sizeof(text), "%d %d", event, control);
    if (event < 0 || control < 0 || target < 0 || write(target, text, (size_t)len) != len)
        return -EBADF;
    return take_fd(&event);
}

uint64_t cg_tree_oom_events(struct cg_tree *tree)
{
    uint64_t more;
    if (tree->oom_event >= 0 && read(tree->oom_event, &more, sizeof(more)) == sizeof(more))
        tree->oom_seen += more;
    return tree->oom_seen;
}

static int open_pressure(const struct cg_tree *tree, const char *file, const char *proc)
{
    int fd = tree->version == CG_V2 ? cg_open_if_any(tree->hier[0].dir, file, O_RDONLY) : -EBADF;
    return fd >= 0 ? fd : cg_open_if_any(AT_FDCWD, proc, O_RDONLY);
}

void cg_tree_watch(struct cg_tree *tree)
{
    tree->psi_memory = open_pressure(tree, "memory.pressure", "/proc/pressure/memory");
    tree->psi_cpu = open_pressure(tree, "cpu.pressure", "/proc/pressure/cpu");
    const struct cg_tree_hier *memory = cg_tree_with(tree, CG_MEMORY);
    if (tree->version != CG_V2 && memory)
        tree->oom_event = cg_oom_eventfd(memory->dir);
}

enum cg_version cg_tree_version(const struct cg_tree *tree)
{
    return tree->version;
}

uint32_t cg_tree_controllers(const struct cg_tree *tree)
{
    return tree->controllers;
}

int cg_tree_describe(const struct cg_tree *tree, char *buf, size_t size)
{
    int used = snprintf(buf, size, "%s", cg_version_name(tree->version));
    for (size_t i = 0; i < tree->n && used >= 0 && (size_t)used < size; i++) {
        char names[64];
        cg_format_controllers(tree->hier[i].controllers, '+', names, sizeof(names));
        used += snprintf(buf + used, size - (size_t)used, " %s=%s", names, tree->hier[i].path);
    }
    return used >= 0 && (size_t)used < size ? 0 : -ENOSPC;
}

int cg_tree_open(const char *description, struct cg_tree **ret, struct err *err)
{
    AUTO_FREE struct cg_described *described = malloc(sizeof(*described));
    if (!described)
        return err_set(err, -ENOMEM, "cgroup tree: %m");
    if (!cg_parse_description(description, strlen(description), described))
        return err_set(err, -EINVAL, "not a description of a cgroup tree: '%.80s'", description);
    struct cg_tree *tree = cg_tree_alloc((enum cg_version)described->version);
    if (!tree)
        return err_set(err, -ENOMEM, "cgroup tree: %m");
    for (size_t i = 0; i < described->n; i++) {
        int r = cg_tree_add(tree, described->hier[i].path, described->hier[i].controllers, err);
        if (r < 0) {
            cg_tree_free(tree);
            return r;
        }
    }
    cg_tree_watch(tree);
    *ret = tree;
    return 0;
}
