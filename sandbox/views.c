/*
 * Mounts by descriptor: copies of trees and new file systems that are nowhere until they are
 * attached. Only the kernel's own header: <sys/mount.h> knows these calls in some libcs only.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "sandbox/mounts.h"

#define VIEW_AT_RECURSIVE                                                                          \
    0x8000 /* AT_RECURSIVE of <linux/fcntl.h>, which no libc header admits                         \
            */

int view_open(const char *source, unsigned flags, int *ret, struct err *err)
{
    AUTO_CLOSE int tree = (int)syscall(SYS_open_tree, AT_FDCWD, source,
                                       OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | VIEW_AT_RECURSIVE);
    if (tree < 0)
        return err_set(err, -errno, "open %s: %m", source);
    /* Only additions: clearing a flag that came locked from the host would be refused. */
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_NOSUID |
                                          (flags & VIEW_DEVICES ? 0 : MOUNT_ATTR_NODEV) |
                                          (flags & VIEW_WRITABLE ? 0 : MOUNT_ATTR_RDONLY)};
    const unsigned at = AT_EMPTY_PATH | VIEW_AT_RECURSIVE;
    if (syscall(SYS_mount_setattr, tree, "", at, &attr, sizeof(attr)) < 0)
        return err_set(err, -errno, "make the view of %s read-only: %m", source);
    attr = (struct mount_attr){.attr_set = MOUNT_ATTR_NOATIME, .attr_clr = MOUNT_ATTR__ATIME};
    if (syscall(SYS_mount_setattr, tree, "", at, &attr, sizeof(attr)) < 0 && errno != EPERM)
        return err_set(err, -errno, "view of %s without access times: %m", source);
    *ret = take_fd(&tree);
    return 0;
}

int mount_view(const char *source, int dir_fd, const char *target, unsigned flags, struct err *err)
{
    AUTO_CLOSE int tree = -EBADF;
    int r = view_open(source, flags, &tree, err);
    if (r == 0 && syscall(SYS_move_mount, tree, "", dir_fd, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        r = err_set(err, -errno, "attach %s: %m", source);
    return r;
}

int tmpfs_open(const char *const options[][2], unsigned flags, int *ret, struct err *err)
{
    AUTO_CLOSE int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
    if (fs < 0)
        return err_set(err, -errno, "open a new tmpfs: %m");
    for (; (*options)[0]; options++)
        if (syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, (*options)[0], (*options)[1], 0) < 0)
            return err_set(err, -errno, "tmpfs: %s=%s: %m", (*options)[0], (*options)[1]);
    if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return err_set(err, -errno, "make a tmpfs: %m");
    unsigned attrs = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOATIME |
                     (flags & VIEW_DEVICES ? MOUNT_ATTR_NOEXEC : MOUNT_ATTR_NODEV);
    int mounted = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attrs);
    if (mounted < 0)
        return err_set(err, -errno, "mount a tmpfs: %m");
    *ret = mounted;
    return 0;
}

int view_again(int mount_fd)
{
    return (int)syscall(SYS_open_tree, mount_fd, "",
                        OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
}

int view_lock(int mount_fd, struct err *err)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
    if (syscall(SYS_mount_setattr, mount_fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
        return err_set(err, -errno, "make a tree read-only: %m");
    return 0;
}
