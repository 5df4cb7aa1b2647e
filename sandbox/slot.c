#include "sandbox/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "sandbox/go_home.h"
#include "sandbox/mounts.h"
#include "sandbox/net.h"

#define OVERLAY_FLAGS (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOATIME)

/* The slot's own view of @lower: an overlay, so that its inodes, and the locks on them, are its
 * own. */
static int own_view(const struct node_config *config, const char *lower, const char *target,
                    uint32_t *missing, struct err *err)
{
    const uint32_t layer = LAYER_BIT(LAYER_ROOT_OVERLAY);
    if (!(config->layers & layer) || (*missing & layer))
        return mount_view(lower, AT_FDCWD, target, VIEW_READ_ONLY, err);
    char options[512];
    snprintf(options, sizeof(options), "lowerdir=%s:/empty", lower);
    if (mount("overlay", target, "overlay", OVERLAY_FLAGS, options) == 0)
        return 0;
    if (!(config->allow_missing & layer))
        return err_set(err, -errno, "layer root-overlay: mount an overlay on %s: %m%s", target,
                       errno == EINVAL ? " (is something mounted inside it on the host?)" : "");
    *missing |= layer;
    return mount_view(lower, AT_FDCWD, target, VIEW_READ_ONLY, err);
}

static int mount_devices(const struct node_config *config, const struct slot *slot, struct err *err)
{
    char from[64] = "/dev/slot";
    if (config->own_dev)
        snprintf(from, sizeof(from), "/dev/slot-%u", slot->index);
    int r = mount_view(from, AT_FDCWD, "/new/dev",
                       VIEW_DEVICES | (config->own_dev ? VIEW_WRITABLE : VIEW_READ_ONLY), err);
    if (r < 0)
        return r;
    if (mount("devpts", "/new/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
              "newinstance,ptmxmode=0666,mode=0600") < 0)
        return err_set(err, -errno, "mount devpts: %m");
    return 0;
}

/* A runtime's root, and over it the skeleton of its tree. */
static int mount_root(const struct node_config *config, uint32_t tree, uint32_t *missing,
                      struct err *err)
{
    char lower[64];
    uint32_t root = 0;
    if (tree == 0)
        return own_view(config, "/lower/root", "/new", missing, err);
    if (!(config->layers & ~*missing & LAYER_BIT(LAYER_ROOT_OVERLAY)))
        return err_set(err, -ENOTSUP, "a runtime's own tree needs the layer root-overlay");
    if (config->trees[tree].rootfs && config->launcher == SBX_LAUNCHER_BWRAP)
        return err_set(err, -ENOTSUP, "a runtime's own rootfs needs the launcher native");
    while (root < config->n_binds &&
           (config->binds[root].tree != tree || strcmp(config->binds[root].target, "/") != 0))
        root++;
    if (config->trees[tree].rootfs)
        snprintf(lower, sizeof(lower), "/trees/%u:/binds/%u", tree, root);
    else
        snprintf(lower, sizeof(lower), "/trees/%u:/lower/root", tree);
    return own_view(config, lower, "/new", missing, err);
}

static int mount_binds(const struct node_config *config, uint32_t tree, uint32_t *missing,
                       struct err *err)
{
    int r = 0;
    for (uint32_t i = 0; r == 0 && i < config->n_binds; i++) {
        const struct node_bind *bind = &config->binds[i];
        char from[32], target[300];
        if (bind->tree != tree || strcmp(bind->target, "/") == 0)
            continue;
        snprintf(from, sizeof(from), "/binds/%u", i);
        snprintf(target, sizeof(target), "/new%s", bind->target);
        r = tree ? own_view(config, from, target, missing, err)
                 : mount_view(from, AT_FDCWD, target,
                              bind->writable ? VIEW_WRITABLE : VIEW_READ_ONLY, err);
    }
    return r;
}

static int mount_tree(const struct node_config *config, const struct slot *slot, uint32_t tree,
                      uint32_t *missing, struct err *err)
{
    int r = mount_root(config, tree, missing, err);
    for (uint32_t i = 0; r == 0 && !config->trees[tree].rootfs && i < config->n_root_paths; i++) {
        char lower[32], target[300];
        snprintf(lower, sizeof(lower), "/host/%u", i);
        snprintf(target, sizeof(target), "/new%s", config->root_paths[i]);
        r = own_view(config, lower, target, missing, err);
    }
    if (r == 0)
        r = mount_devices(config, slot, err);
    if (r == 0)
        r = mount_view("/proc", AT_FDCWD, "/new/proc", VIEW_WRITABLE, err);
    return r < 0 ? r : mount_binds(config, tree, missing, err);
}

/* Builds it in a copy of the base tree's namespace and comes back. */
static int make_view(const struct node_config *config, struct slot *slot, uint32_t tree,
                     uint32_t *missing, struct err *err)
{
    AUTO_CLOSE int home = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (home < 0)
        return err_set(err, -errno, "open the base tree's namespace: %m");
    if (unshare(CLONE_NEWNS) < 0)
        return err_set(err, -errno, "layer mount-namespace: unshare: %m");
    int r = mount_tree(config, slot, tree, missing, err);
    if (r == 0)
        r = pivot_into("/new", err);
    if (r == 0) {
        struct slot_view *view = &slot->views[tree];
        view->mount_fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
        view->pts_fd = open("/dev/pts", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (view->mount_fd < 0 || view->pts_fd < 0)
            r = err_set(err, -errno, "open a slot's tree: %m");
    }
    go_home(home);
    return r;
}

int spare_nets_add(struct spare_nets *spare, struct err *err)
{
    if (spare->n == SPARE_NETS)
        return 0;
    int r = net_new(&spare->fds[spare->n], err);
    spare->n += r == 0;
    return r < 0 ? r : 1;
}

static int renew_net(struct slot *slot, struct spare_nets *spare, struct err *err)
{
    int fd = -EBADF;
    if (spare->n > 0)
        fd = spare->fds[--spare->n];
    int r = fd < 0 ? net_new(&fd, err) : 0;
    if (r < 0)
        return r;
    fd_close(slot->net_fd);
    slot->net_fd = fd;
    return 0;
}

static int make_group(struct cg_tree *tree, struct slot *slot, struct err *err)
{
    if (!tree)
        return 0;
    char name[32];
    snprintf(name, sizeof(name), "slot-%u", slot->index);
    return cg_group_new(tree, name, &slot->group, err);
}

int slot_renew_group(struct cg_tree *tree, struct slot *slot, struct err *err)
{
    slot->group = cg_group_free(slot->group);
    return make_group(tree, slot, err);
}

int slot_make(const struct node_config *config, struct cg_tree *tree, unsigned index,
              uint32_t *missing, struct slot *ret, struct err *err)
{
    uint32_t wanted = config->layers;
    *ret = (struct slot){.index = index,
                         .uid = config->many_uids ? NODE_SLOT_UID + index : 0,
                         .net_fd = -EBADF,
                         .pty_master = -EBADF};
    for (int i = 0; i < NODE_TREES_MAX; i++)
        ret->views[i] = (struct slot_view){-EBADF, -EBADF};
    int r = make_group(tree, ret, err);
    if (r == 0 && (wanted & LAYER_BIT(LAYER_NET_NS)))
        r = net_new(&ret->net_fd, err);
    ret->fresh_net = ret->net_fd >= 0;
    if (r == 0 && (wanted & LAYER_BIT(LAYER_MOUNT_NS)))
        r = make_view(config, ret, 0, missing, err);
    if (r < 0)
        slot_done(ret);
    return r;
}

static void view_done(struct slot_view *view)
{
    view->mount_fd = fd_close(view->mount_fd);
    view->pts_fd = fd_close(view->pts_fd);
}

int slot_for_tree(const struct node_config *config, struct slot *slot, uint32_t tree,
                  uint32_t missing, struct err *err)
{
    slot->tree = tree;
    if (tree == 0 || slot->views[tree].mount_fd >= 0)
        return 0;
    int r = make_view(config, slot, tree, &missing, err);
    if (r < 0)
        view_done(&slot->views[tree]);
    return r;
}

int slot_refresh_net(struct slot *slot, struct spare_nets *spare, struct err *err)
{
    int r = slot->net_fd < 0 ? 0 : renew_net(slot, spare, err);
    if (r < 0)
        return r;
    slot->fresh_net = slot->net_fd >= 0;
    slot->tenant[0] = 0;
    return 0;
}

int slot_for_tenant(struct slot *slot, const char *tenant, uint32_t layers,
                    struct spare_nets *spare, struct err *err)
{
    if (strcmp(slot->tenant, tenant) == 0 && slot->tenant[0])
        return 0;
    if ((layers & LAYER_BIT(LAYER_NET_NS)) && !slot->fresh_net) {
        int r = renew_net(slot, spare, err);
        if (r < 0)
            return r;
    }
    slot->fresh_net = false;
    snprintf(slot->tenant, sizeof(slot->tenant), "%s", tenant);
    return 0;
}

void slot_done(struct slot *slot)
{
    launch_forget(slot);
    slot->group = cg_group_free(slot->group);
    for (int i = 0; i < NODE_TREES_MAX; i++)
        view_done(&slot->views[i]);
    slot->net_fd = fd_close(slot->net_fd);
    slot->pty_master = fd_close(slot->pty_master);
}

int slot_open_pty(const struct slot *slot, uint16_t rows, uint16_t cols, int *ret_master,
                  int *ret_slave, struct err *err)
{
    const int pts_fd = slot->views[slot->tree].pts_fd;
    if (pts_fd < 0)
        return err_set(err, -ENOSYS, "a terminal needs the layer mount-namespace");
    /* A slave belongs to whoever opens its master. */
    setfsuid(slot->uid);
    setfsgid(slot->uid);
    AUTO_CLOSE int master = openat(pts_fd, "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    int code = -errno, unlock = 0;
    setfsuid(0);
    setfsgid(0);
    if (master < 0)
        return err_set(err, code, "open a terminal: %m");
    struct winsize size = {.ws_row = rows ? rows : 24, .ws_col = cols ? cols : 80};
    AUTO_CLOSE int slave = -EBADF;
    if (ioctl(master, TIOCSPTLCK, &unlock) == 0 && ioctl(master, TIOCSWINSZ, &size) == 0)
        slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return err_set(err, -errno, "open the program's end of a terminal: %m");
    *ret_master = take_fd(&master);
    *ret_slave = take_fd(&slave);
    return 0;
}
