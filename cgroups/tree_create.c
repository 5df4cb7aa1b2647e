/*
 * Making a tree: the directories by libcgroup (host_libcgroup.c), the caps and the ownership by
 * hand.
 *
 * libcgroup hands a v2 controller down from the top of the mount through every directory on the
 * way, which a delegated subtree may not do (EACCES above it): there the one mkdir is ours.
 */
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
#include "cgroups/host.h"
#include "cgroups/limits.h"
#include "cgroups/tree.h"

/* cgroup.event_control only takes notice of files that may be read anyway: OOM events (tree.h). */
const char *const cg_given_v1[] = {"tasks", "cgroup.procs", "cgroup.event_control", NULL};
const char *const cg_given_v2[] = {"cgroup.procs", "cgroup.threads", "cgroup.subtree_control",
                                   NULL};

static int make_directory(const struct cg_host *host, const struct cg_hierarchy *hier,
                          const char *path, uint32_t controllers, struct err *err)
{
    bool by_library = host->make && !(hier->v2 && hier->delegated);
    if (by_library && (!hier->v2 || (controllers & (CG_MEMORY | CG_PIDS | CG_CPU))))
        return host->make(hier, path, controllers, err);
    return mkdir(path, 0755) == 0 ? 0 : err_set(err, -errno, "mkdir %s: %m", path);
}

void cg_enable_controllers(int dir, uint32_t controllers)
{
    static const char *const words[] = {"+memory", "+pids", "+cpu"};
    for (size_t i = 0; i < 3; i++) /* one by one: +cpu fails while real-time tasks exist */
        if (controllers & cg_controller_bit(words[i] + 1, strlen(words[i] + 1)))
            file_write_text_at(dir, "cgroup.subtree_control", words[i], NULL);
}

/* What the directory hands to groups below it. */
static uint32_t handed_down(int dir)
{
    char text[CG_FILE_MAX];
    ssize_t len = cg_read_at(dir, "cgroup.subtree_control", text);
    return len < 0 ? 0 : cg_parse_controllers(text, (size_t)len, ' ');
}

void cg_tree_refresh_v2(struct cg_tree *tree)
{
    struct cg_tree_hier *hier = &tree->hier[0];
    uint32_t limited = CG_MEMORY | CG_PIDS | CG_CPU;
    hier->controllers &= ~limited | handed_down(hier->dir);
    if (!(hier->controllers & CG_MEMORY))
        hier->controllers &= ~(uint32_t)CG_SWAP;
    tree->controllers = hier->controllers;
}

/* Everything in @base itself, ourselves included, moves to its leaf CG_SUPERVISOR. */
static int vacate(int base, struct err *err)
{
    if (mkdirat(base, CG_SUPERVISOR, 0755) < 0 && errno != EEXIST)
        return err_set(err, -errno, "mkdir " CG_SUPERVISOR " in our own cgroup: %m");
    AUTO_FREE char *text = NULL;
    ssize_t len = cg_read_long_at(base, "cgroup.procs", &text);
    if (len < 0)
        return err_set(err, (int)len, "read cgroup.procs of our own cgroup: %m");
    const char *at = text;
    pid_t pid;
    while (cg_parse_pid(&at, text + len, &pid)) {
        char number[16];
        snprintf(number, sizeof(number), "%d", pid);
        int r = file_write_text_at(base, CG_SUPERVISOR "/cgroup.procs", number, err);
        if (r < 0 && r != -ESRCH)
            return r;
    }
    return 0;
}

/*
 * v2: the directory that the tree will be made in hands its controllers down. A group other than
 * the real top may only do that while no process is in it (no internal processes, cgroup-v2.rst).
 */
static int prepare_base(const struct cg_hierarchy *hier, uint32_t *ret_controllers, struct err *err)
{
    AUTO_CLOSE int base = open(hier->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (base < 0)
        return err_set(err, -errno, "open cgroup %s: %m", hier->base);
    char text[CG_FILE_MAX];
    ssize_t len = cg_read_at(base, "cgroup.controllers", text);
    if (len < 0)
        return err_set(err, (int)len, "read %s/cgroup.controllers: %m", hier->base);
    uint32_t wanted = cg_parse_controllers(text, (size_t)len, ' ');
    bool real_top = !cg_exists_at(base, "cgroup.type");
    for (int tries = 0; !real_top && wanted && tries < 5; tries++) {
        int r = vacate(base, err); /* again: a process may have forked meanwhile */
        if (r < 0)
            return r;
        cg_enable_controllers(base, wanted);
        if ((handed_down(base) & wanted) == wanted)
            break;
    }
    if (real_top)
        cg_enable_controllers(base, wanted);
    *ret_controllers = (handed_down(base) & wanted) | (hier->controllers & CG_CPUACCT);
    if (cg_exists_at(base, "cgroup.freeze") || real_top)
        *ret_controllers |= CG_FREEZER;
    return 0;
}

int cg_tree_give(const struct cg_tree *tree, int dir, const char *const files[], struct err *err)
{
    if (fchown(dir, tree->owner, tree->group) < 0)
        return err_set(err, -errno, "hand the cgroup to uid %u: %m", tree->owner);
    for (; *files; files++)
        if (fchownat(dir, *files, tree->owner, tree->group, 0) < 0 && errno != ENOENT)
            return err_set(err, -errno, "hand %s of the cgroup to uid %u: %m", *files, tree->owner);
    return 0;
}

/* Before Linux 5.11 a v1 memory group counts what is below it only when told to. */
static void make_hierarchical(int dir)
{
    uint64_t now;
    if (cg_read_u64_at(dir, "memory.use_hierarchy", &now) && now == 0)
        file_write_text_at(dir, "memory.use_hierarchy", "1", NULL);
}

static int make_hierarchy(struct cg_tree *tree, const struct cg_host *host,
                          const struct cg_hierarchy *hier, const char *name, struct err *err)
{
    char path[CG_PATH_MAX + CG_NAME_MAX + 2];
    snprintf(path, sizeof(path), "%s/%s", hier->base, name);
    AUTO_CLOSE int base = open(hier->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (base < 0)
        return err_set(err, -errno, "open cgroup %s: %m", hier->base);
    int r = cg_sweep(base, name, err);
    if (r < 0)
        return r;
    uint32_t controllers = hier->controllers;
    if (hier->v2) {
        r = prepare_base(hier, &controllers, err);
        if (r < 0)
            return r;
    }
    r = make_directory(host, hier, path, controllers, err);
    if (r == 0)
        r = cg_tree_add(tree, path, controllers, err);
    if (r < 0)
        cg_sweep(base, name, NULL); /* no tree will remove it */
    if (r == 0 && !hier->v2 && (controllers & CG_MEMORY))
        make_hierarchical(cg_tree_with(tree, CG_MEMORY)->dir);
    return r;
}

static int finish(struct cg_tree *tree, const struct cg_node_caps *caps, struct err *err)
{
    for (size_t i = 0; i < tree->n; i++) {
        const char *const *files = tree->version == CG_V2 ? cg_given_v2 : cg_given_v1;
        int r = cg_caps_write(&tree->hier[i], tree->version == CG_V2, caps, err);
        if (r == 0)
            r = cg_tree_give(tree, tree->hier[i].dir, files, err);
        if (r < 0)
            return r;
    }
    cg_tree_watch(tree);
    return 0;
}

int cg_tree_create(struct cg_host *host, const char *name, const struct cg_node_caps *caps,
                   uid_t owner, gid_t group, struct cg_tree **ret, struct err *err)
{
    if (!cg_name_ok(name))
        return err_set(err, -EINVAL, "'%.40s' is not a name for a cgroup", name);
    struct cg_tree *tree = cg_tree_alloc(host->version);
    if (!tree)
        return err_set(err, -ENOMEM, "cgroup tree %s: %m", name);
    tree->delegated = true;
    tree->owner = owner;
    tree->group = group;
    int r = host->n ? 0 : err_set(err, -EACCES, "no cgroup hierarchy may be written by us");
    for (size_t i = 0; i < host->n; i++) {
        int made = make_hierarchy(tree, host, &host->hier[i], name, err);
        r = made < 0 && r == 0 ? made : r;
    }
    if (tree->n > 0)
        r = finish(tree, caps, err);
    if (r < 0) {
        if (tree->n > 0)
            cg_tree_remove(tree, NULL);
        else
            cg_tree_free(tree);
        return r;
    }
    err_clear(err);
    *ret = tree;
    return 0;
}

int cg_group_alone(struct cg_host *host, const char *name, struct cg_tree **ret_tree,
                   struct cg_group **ret, struct err *err)
{
    if (host->version == CG_V2)
        return err_set(err, -EOPNOTSUPP, "cgroup v2: a group has its place in a tree");
    struct cg_tree *tree = cg_tree_alloc(host->version);
    if (!tree)
        return err_set(err, -ENOMEM, "cgroup %s: %m", name);
    int r = 0;
    for (size_t i = 0; r == 0 && i < host->n; i++)
        r = cg_tree_add(tree, host->hier[i].base, host->hier[i].controllers, err);
    if (r == 0)
        r = cg_group_new(tree, name, ret, err);
    if (r < 0) {
        cg_tree_free(tree);
        return r;
    }
    *ret_tree = tree;
    return 0;
}
