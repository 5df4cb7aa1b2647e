/*
 * The base tree: what remains of the host once the spawner has pivoted.
 *
 *   /lower/root   skeleton of every sandbox's root: directories, synthesised /etc, links
 *   /host/N       read-only views of the runtime's paths
 *   /binds/N      the operator's binds, and the roots of runtimes that have their own
 *   /trees/N      skeleton of a runtime's own tree: mount points, and an /etc over its root's
 *   /dev          device nodes, a directory per slot
 *   /inputs/N     slot N's view of the input sets; soon moved out of here (inputs.c)
 *   /empty /new   for overlays and for building slots
 *   /proc         of U's own pid namespace; a sandbox may mount its own only while one is visible
 * here
 *
 * Host files stay the host's: no idmap, so they show as nobody's, and what only root may read stays
 * unreadable (docs/adr). The views are read-only mounts; overlays of slots lie on top.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "sandbox/etc_files.h"
#include "sandbox/mounts.h"
#include "sandbox/slot.h"
#include "sandbox/stage.h"

#define BASE_MODE "mode=0755,size=64m"

static int make_skeleton(int base, const struct node_config *config, struct err *err)
{
    static const char *const dirs[] = {"empty", "new",   "proc", "host",
                                       "binds", "trees", "dev",  "lower/root"};
    for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
        int r = make_dirs(base, dirs[i], err);
        if (r < 0)
            return r;
    }
    AUTO_CLOSE int root = openat(base, "lower/root", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return err_set(err, -errno, "open the skeleton: %m");
    int r = skeleton_make(root, config, err);
    return r < 0 ? r : etc_files_make(root, config, ETC_HOST_COPIES, err);
}

/* Of a runtime's own tree: what its root need not have, and what it had better not show. */
static int make_tree_skeleton(int base, const struct node_config *config, uint32_t index,
                              struct err *err)
{
    static const char *const dirs[] = {"proc", "dev", "tmp", "workspace", "run", "etc"};
    char at[32];
    snprintf(at, sizeof(at), "trees/%u", index);
    int r = make_dirs(base, at, err);
    AUTO_CLOSE int root = r < 0 ? -EBADF : openat(base, at, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (r == 0 && root < 0)
        return err_set(err, -errno, "open %s: %m", at);
    if (!config->trees[index].rootfs)
        return r;
    for (size_t i = 0; r == 0 && i < sizeof(dirs) / sizeof(dirs[0]); i++)
        r = make_dirs(root, dirs[i], err);
    return r < 0 ? r : etc_files_make(root, config, 0, err);
}

/* Where binds are held, and where they will be mounted. */
static int make_bind_places(int base, const struct node_config *config, uint32_t index,
                            struct err *err)
{
    const struct node_bind *bind = &config->binds[index];
    char path[128];
    struct stat st;
    snprintf(path, sizeof(path), "%s/binds/%u", config->staging, index);
    if (stat(path, &st) < 0)
        return err_set(err, -errno, "bind %s: %m", bind->source);
    bool is_dir = S_ISDIR(st.st_mode);
    snprintf(path, sizeof(path), "/binds/%u", index);
    int r = make_mount_point(base, path, is_dir, err);
    snprintf(path, sizeof(path), bind->tree ? "trees/%u" : "lower/root", bind->tree);
    AUTO_CLOSE int root = openat(base, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (r == 0 && root < 0)
        r = err_set(err, -errno, "open %s: %m", path);
    return r < 0 || strcmp(bind->target, "/") == 0
               ? r
               : make_mount_point(root, bind->target, is_dir, err);
}

static int make_trees(int base, const struct node_config *config, struct err *err)
{
    int r = 0;
    for (uint32_t i = 1; r == 0 && i < config->n_trees; i++)
        if (node_tree_usable(&config->trees[i]))
            r = make_tree_skeleton(base, config, i, err);
    for (uint32_t i = 0; r == 0 && i < config->n_binds; i++)
        if (node_tree_usable(&config->trees[config->binds[i].tree]))
            r = make_bind_places(base, config, i, err);
    return r;
}

static int attach_views(int base, const struct node_config *config, struct err *err)
{
    int r = 0;
    char from[512], to[64];
    for (uint32_t i = 0; r == 0 && i < config->n_root_paths; i++) {
        snprintf(to, sizeof(to), "host/%u", i);
        r = make_dirs(base, to, err);
        if (r == 0)
            r = mount_view(config->root_paths[i], base, to, VIEW_READ_ONLY, err);
    }
    for (uint32_t i = 0; r == 0 && i < config->n_binds; i++) {
        if (!node_tree_usable(&config->trees[config->binds[i].tree]))
            continue;
        snprintf(from, sizeof(from), "%s/binds/%u", config->staging, i);
        snprintf(to, sizeof(to), "binds/%u", i);
        r = mount_view(from, base, to, config->binds[i].writable ? VIEW_WRITABLE : VIEW_READ_ONLY,
                       err);
    }
    if (r == 0 && !config->inputs_fault[0]) {
        snprintf(from, sizeof(from), "%s/inputs", config->staging);
        r = make_dirs(base, "inputs", err);
        if (r == 0)
            r = mount_view(from, base, "inputs", VIEW_READ_ONLY, err);
    }
    if (r == 0 && config->own_dev) {
        snprintf(from, sizeof(from), "%s/dev", config->staging);
        r = mount_view(from, base, "dev", VIEW_WRITABLE | VIEW_DEVICES, err);
    }
    return r;
}

/* Without real root no nodes can be made: the host's own, one by one. They are shared by all slots.
 */
static int borrow_devices(int base, struct err *err)
{
    static const char *const names[] = {"null", "zero", "full", "random", "urandom", "tty"};
    int r = make_dirs(base, "dev/slot", err);
    if (r == 0)
        r = make_dirs(base, "dev/slot/pts", err);
    if (r == 0)
        r = make_dirs(base, "dev/slot/shm", err);
    for (size_t i = 0; r == 0 && i < sizeof(names) / sizeof(names[0]); i++) {
        char from[32], to[32];
        snprintf(from, sizeof(from), "/dev/%s", names[i]);
        snprintf(to, sizeof(to), "dev/slot/%s", names[i]);
        AUTO_CLOSE int fd = openat(base, to, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0)
            return err_set(err, -errno, "create %s: %m", to);
        r = mount_view(from, base, to, VIEW_WRITABLE | VIEW_DEVICES, err);
    }
    AUTO_CLOSE int slot = openat(base, "dev/slot", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (r == 0 && slot < 0)
        r = err_set(err, -errno, "open dev/slot: %m");
    return r < 0 ? r : make_device_links(slot, err);
}

int pivot_into(const char *root, struct err *err)
{
    /* pivot_root(2): with "." for both, the old root ends up stacked on the new one, and goes. */
    if (chdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
        return err_set(err, -errno, "pivot_root into %s: %m", root);
    if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return err_set(err, -errno, "let go of the tree before %s: %m", root);
    return 0;
}

int base_tree_build(const struct node_config *config, struct err *err)
{
    char root[128];
    snprintf(root, sizeof(root), "%s/base", config->staging);
    if (mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NOATIME, BASE_MODE) < 0)
        return err_set(err, -errno, "mount the base tree on %s: %m", root);
    AUTO_CLOSE int base = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (base < 0)
        return err_set(err, -errno, "open %s: %m", root);
    int r = make_skeleton(base, config, err);
    if (r == 0)
        r = make_trees(base, config, err);
    if (r == 0)
        r = attach_views(base, config, err);
    if (r == 0 && !config->own_dev)
        r = borrow_devices(base, err);
    if (r < 0)
        return r;
    char proc[160];
    snprintf(proc, sizeof(proc), "%s/proc", root);
    if (mount("proc", proc, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "") < 0 &&
        (config->layers & LAYER_BIT(LAYER_PID_NS)))
        return err_set(err, -errno,
                       "mount proc for the user namespace: %m (is the host's /proc "
                       "covered in places? then it can't be had)");
    /* Without a pid namespace of our own (a test takes it away) only the host's can be shown. */
    if (!(config->layers & LAYER_BIT(LAYER_PID_NS)))
        r = mount_view("/proc", base, "proc", VIEW_WRITABLE, err);
    return r < 0 ? r : pivot_into(root, err);
}
