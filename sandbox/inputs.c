#include "sandbox/inputs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "sandbox/go_home.h"
#include "sandbox/mounts.h"
#include "sandbox/node.h"

#define VIEWS "inputs"
#define SETS  "sets"

/* ---- outer ---- */

static int write_map(pid_t pid, const char *file, unsigned from, unsigned to, struct err *err)
{
    char path[64], text[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
    snprintf(text, sizeof(text), "%u %u 1", from, to);
    return file_write_text(path, text, err);
}

/* A user namespace that does nothing but carry a map: a mount keeps it. */
static int make_map(const struct node_config *config, unsigned slot, struct err *err)
{
    unsigned to = config->uid_base + NODE_SLOT_UID + slot;
    pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, 0);
    if (pid < 0)
        return err_set(err, -errno, "make a user namespace: %m");
    while (pid == 0)
        pause(); /* until it is killed */
    int r = write_map(pid, "uid_map", config->cache_uid, to, err);
    if (r == 0)
        r = write_map(pid, "gid_map", config->cache_gid, to, err);
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
    int fd = r < 0 ? r : open(path, O_RDONLY | O_CLOEXEC);
    if (r == 0 && fd < 0)
        fd = err_set(err, -errno, "open %s: %m", path);
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return fd;
}

static int stage_view(int staging, int sets, const struct node_config *config, unsigned slot,
                      struct err *err)
{
    char place[32];
    snprintf(place, sizeof(place), VIEWS "/%u", slot);
    int r = make_dirs(staging, place, err);
    AUTO_CLOSE int map = r < 0 ? r : make_map(config, slot, err);
    if (map < 0)
        return map;
    AUTO_CLOSE int view =
        (int)syscall(SYS_open_tree, sets, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    if (view < 0)
        return err_set(err, -errno, "open the cache: %m");
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
                                          MOUNT_ATTR_NODEV | MOUNT_ATTR_NOATIME,
                              .attr_clr = MOUNT_ATTR__ATIME,
                              .userns_fd = (__u64)map};
    if (syscall(SYS_mount_setattr, view, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
        return err_set(err, -errno,
                       "map the cache's owner: %m (its file system must allow mapped mounts: "
                       "ext4, xfs or btrfs, and Linux 5.19)");
    if (syscall(SYS_move_mount, view, "", staging, place, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return err_set(err, -errno, "attach %s: %m", place);
    return 0;
}

/* The directory belongs to execsvc, which may have fallen when it was here last: nothing of its
 * making is followed, and what we make is made with its rights. */
static int open_sets(const struct node_config *config, struct err *err)
{
    struct stat st;
    AUTO_CLOSE int cache = open(config->cache_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (cache < 0 || fstat(cache, &st) < 0)
        return err_set(err, -errno, "open %s: %m", config->cache_dir);
    if (st.st_uid != config->cache_uid)
        return err_set(err, -EPERM, "%s belongs to uid %u, and not to the service's, %u",
                       config->cache_dir, st.st_uid, config->cache_uid);
    setfsgid(config->cache_gid);
    setfsuid(config->cache_uid);
    int code = mkdirat(cache, SETS, 0700) < 0 && errno != EEXIST ? -errno : 0;
    setfsuid(0);
    setfsgid(0);
    /* That has made us undumpable: /proc/PID/ns of a child would take CAP_SYS_PTRACE (make_map()),
     * which the unit does not leave. */
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    AUTO_CLOSE int sets = openat(cache, SETS, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (code == 0 && (sets < 0 || fstat(sets, &st) < 0))
        code = -errno;
    if (code < 0)
        return err_set(err, code, "open %s/" SETS ": %m", config->cache_dir);
    if (st.st_uid != config->cache_uid)
        return err_set(err, -EPERM, "%s/" SETS " is not the service's", config->cache_dir);
    return take_fd(&sets);
}

static int stage(int staging, const struct node_config *config, struct err *err)
{
    if (!config->cache_dir[0])
        return err_set(err, -ENOENT, "no cache_dir is set");
    if (config->launcher != SBX_LAUNCHER_NATIVE)
        return err_set(err, -EOPNOTSUPP, "the launcher bwrap can't show them");
    if (!config->user_ns || !config->many_uids || !config->own_dev)
        return err_set(err, -EOPNOTSUPP, "only a service that root has started can show them");
    AUTO_CLOSE int sets = open_sets(config, err);
    if (sets < 0)
        return sets;
    int r = 0;
    for (unsigned slot = 0; r == 0 && slot < config->slots_max; slot++)
        r = stage_view(staging, sets, config, slot, err);
    return r;
}

void inputs_stage(int staging_fd, struct node_config *config)
{
    struct err err = {0};
    config->inputs_fault[0] = 0;
    if (stage(staging_fd, config, &err) < 0)
        snprintf(config->inputs_fault, sizeof(config->inputs_fault), "%.*s",
                 (int)sizeof(config->inputs_fault) - 1, err.text);
}

/* ---- inner ---- */

/* Among the views: what makes them safe is that nobody here can do this. */
static int check_locked(struct err *err)
{
    struct mount_attr writable = {.attr_clr = MOUNT_ATTR_RDONLY};
    struct mount_attr devices = {.attr_clr = MOUNT_ATTR_NODEV};
    if (syscall(SYS_mount_setattr, AT_FDCWD, "/" VIEWS "/0", 0, &writable, sizeof(writable)) == 0 ||
        syscall(SYS_mount_setattr, AT_FDCWD, "/" VIEWS "/0", 0, &devices, sizeof(devices)) == 0)
        return err_set(err, -EPERM, "the view of the input sets could be made writable");
    return 0;
}

int inputs_keep(const struct node_config *config, struct inputs *ret, struct err *err)
{
    *ret = (struct inputs){-EBADF, -EBADF};
    if (config->inputs_fault[0])
        return 0;
    ret->home_ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (ret->home_ns < 0 || unshare(CLONE_NEWNS) < 0)
        return err_set(err, -errno, "a mount namespace for input sets: %m");
    ret->views_ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    int r = ret->views_ns < 0 ? err_set(err, -errno, "open the mount namespace of input sets: %m")
                              : check_locked(err);
    go_home(ret->home_ns);
    if (r < 0)
        return r;
    if (umount2("/" VIEWS, MNT_DETACH) < 0)
        return err_set(err, -errno, "unmount /" VIEWS ": %m");
    return 0;
}

bool inputs_name_valid(const char *name)
{
    return strspn(name, "0123456789abcdef") == SBX_INPUTS_NAME && !name[SBX_INPUTS_NAME];
}

/* Among the views. */
static int open_set(unsigned slot, const char *name, struct err *err)
{
    struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
                                      RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV};
    char place[32];
    snprintf(place, sizeof(place), "/" VIEWS "/%u", slot);
    AUTO_CLOSE int view = open(place, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (view < 0)
        return err_set(err, -errno, "open %s: %m", place);
    AUTO_CLOSE int set = (int)syscall(SYS_openat2, view, name, &how, sizeof(how));
    if (set < 0)
        return err_set(err, -EIO, "the input set is not there");
    int fd =
        (int)syscall(SYS_open_tree, set, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    return fd < 0 ? err_set(err, -errno, "take the input set along: %m") : fd;
}

int inputs_open(const struct inputs *inputs, unsigned slot, const char *name, int *ret_fd,
                struct err *err)
{
    if (inputs->views_ns < 0)
        return err_set(err, -EINVAL, "inputs: this node shows no input sets");
    if (!inputs_name_valid(name))
        return err_set(err, -EINVAL, "inputs: not the name of a set");
    if (setns(inputs->views_ns, CLONE_NEWNS) < 0)
        return err_set(err, -errno, "go to the input sets: %m");
    int fd = open_set(slot, name, err);
    go_home(inputs->home_ns);
    if (fd < 0)
        return fd;
    *ret_fd = fd;
    return 0;
}
