#include "sandbox/doctor_try.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

/* Makes the caller, alone in a new user namespace, its root. */
static int become_root_inside(uid_t uid, gid_t gid)
{
    char map[64];
    int r = file_write_text("/proc/self/setgroups", "deny", NULL);
    if (r < 0)
        return r;
    snprintf(map, sizeof(map), "0 %u 1", (unsigned)uid);
    r = file_write_text("/proc/self/uid_map", map, NULL);
    if (r < 0)
        return r;
    snprintf(map, sizeof(map), "0 %u 1", (unsigned)gid);
    return file_write_text("/proc/self/gid_map", map, NULL);
}

/* Runs @attempt (0 or negative errno; may be NULL) in a child made with @flags. Return: 0 or a
 * positive errno. */
static int try_in_child(uint64_t flags, int (*attempt)(void))
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    long pid = syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid < 0)
        return errno;
    if (pid == 0) {
        int r = 0;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (attempt && (flags & CLONE_NEWUSER))
            r = become_root_inside(uid, gid);
        if (attempt && r == 0)
            r = attempt();
        _exit(-r);
    }

    int status;
    while (waitpid((pid_t)pid, &status, 0) < 0)
        if (errno != EINTR)
            return errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}

int doctor_try_clone(uint64_t flags)
{
    return try_in_child(flags, NULL);
}

static int attempt_proc(void)
{
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        return -errno;
    return 0;
}

int doctor_try_proc(void)
{
    return try_in_child(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID, attempt_proc);
}

static int attempt_overlay(void)
{
    static const char *const dirs[] = {"/tmp/lower", "/tmp/upper", "/tmp/work", "/tmp/merged"};

    if (mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, NULL) < 0)
        return -errno;
    for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++)
        if (mkdir(dirs[i], 0755) < 0)
            return -errno;
    if (mount("overlay", "/tmp/merged", "overlay", 0,
              "lowerdir=/tmp/lower,upperdir=/tmp/upper,workdir=/tmp/work,userxattr") < 0)
        return -errno;
    return 0;
}

int doctor_try_overlay(void)
{
    return try_in_child(CLONE_NEWUSER | CLONE_NEWNS, attempt_overlay);
}

/* A user namespace that maps a range as the service's does. Return: a descriptor or a negative
 * errno. */
static int throw_away_userns(void)
{
    AUTO_CLOSE int hold_read = -EBADF, hold_write = -EBADF;
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return -errno;
    hold_read = pipe_fds[0];
    hold_write = pipe_fds[1];

    long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid < 0)
        return -errno;
    if (pid == 0) {
        char end;
        close(hold_write);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(read(hold_read, &end, 1) == 0 ? 0 : 1);
    }

    char path[64];
    snprintf(path, sizeof(path), "/proc/%ld/uid_map", pid);
    int fd = file_write_text(path, "0 100000 65536", NULL);
    snprintf(path, sizeof(path), "/proc/%ld/gid_map", pid);
    if (fd == 0)
        fd = file_write_text(path, "0 100000 65536", NULL);
    snprintf(path, sizeof(path), "/proc/%ld/ns/user", pid);
    if (fd == 0) {
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            fd = -errno;
    }
    hold_write = fd_close(hold_write);
    waitpid((pid_t)pid, NULL, 0);
    return fd;
}

int doctor_try_idmap(const char *path)
{
    AUTO_CLOSE int userns = throw_away_userns();
    if (userns < 0)
        return -userns;
    AUTO_CLOSE int tree =
        (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree < 0)
        return errno;
    struct mount_attr attr = {
        .attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_RDONLY,
        .userns_fd = (__u64)userns,
    };
    if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
        return errno;
    return 0;
}
