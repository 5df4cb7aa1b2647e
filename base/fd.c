#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

ssize_t fd_read_all(int fd, void *buf, size_t size)
{
    size_t used = 0;
    while (used < size) {
        ssize_t n = read(fd, (char *)buf + used, size - used);
        if (n == 0)
            break;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        used += (size_t)n;
    }
    return (ssize_t)used;
}

int fd_write_all(int fd, const void *buf, size_t size)
{
    size_t used = 0;
    while (used < size) {
        ssize_t n = write(fd, (const char *)buf + used, size - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        used += (size_t)n;
    }
    return 0;
}

ssize_t fd_pread_text(int fd, char *buf, size_t size)
{
    /* More than one read: a seq_file hands out whole records, a page at a time
     * (Documentation/filesystems/seq_file.rst). */
    size_t used = 0;
    while (used < size) {
        ssize_t n = pread(fd, buf + used, size - used, (off_t)used);
        if (n == 0)
            break;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        used += (size_t)n;
    }
    if (used == size)
        return -EFBIG;
    if (used > 0 && buf[used - 1] == '\n')
        used--;
    buf[used] = 0;
    return (ssize_t)used;
}

/* Kernel files say that their size is 0, so the end is found by reading. */
static ssize_t read_growing(int fd, size_t max, char **ret)
{
    AUTO_FREE char *text = NULL;
    size_t used = 0, cap = 0;
    for (;;) {
        if (used == cap) {
            cap = cap ? cap * 2 : 4096;
            if (cap > max + 1)
                cap = max + 1;
            if (used == cap)
                return -EFBIG;
            char *grown = realloc(text, cap + 1);
            if (!grown)
                return -ENOMEM;
            text = grown;
        }
        ssize_t n = fd_read_all(fd, text + used, cap - used);
        if (n < 0)
            return n;
        used += (size_t)n;
        if (used < cap)
            break;
    }
    text[used] = 0;
    *ret = take_ptr(text);
    return (ssize_t)used;
}

ssize_t file_read_text(const char *path, size_t max, char **ret, struct err *err)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, -errno, "open %s: %m", path);
    ssize_t len = read_growing(fd, max, ret);
    if (len == -EFBIG)
        return err_set(err, -EFBIG, "%s is larger than %zu bytes", path, max);
    if (len < 0)
        return err_set(err, (int)len, "read %s: %m", path);
    return len;
}

int file_write_text_at(int dir_fd, const char *name, const char *text, struct err *err)
{
    AUTO_CLOSE int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, -errno, "open %s for writing: %m", name);
    size_t len = strlen(text);
    ssize_t n;
    do
        n = write(fd, text, len);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_set(err, -errno, "write '%s' to %s: %m", text, name);
    if ((size_t)n != len)
        return err_set(err, -EIO, "write '%s' to %s: only %zd bytes taken", text, name, n);
    return 0;
}

int file_write_text(const char *path, const char *text, struct err *err)
{
    return file_write_text_at(AT_FDCWD, path, text, err);
}

int fd_open_stdio(void)
{
    static const int modes[] = {O_RDONLY, O_RDONLY, O_WRONLY};
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        if (open("/dev/null", modes[fd]) != fd) /* the lowest that is free: this one */
            return errno ? -errno : -EBADF;
    }
    return 0;
}

void fd_let_reopen(int fd, bool writing)
{
    struct stat st;
    struct statfs fs;
    if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode) || fstatfs(fd, &fs) < 0 ||
        fs.f_type != PIPEFS_MAGIC)
        return;
    (void)fchmod(fd, (st.st_mode & 07777) | (writing ? 0222 : 0444));
}

int fd_pipe_for_others(int ret[2], bool we_write)
{
    if (pipe2(ret, O_CLOEXEC) < 0)
        return -errno;
    (void)fchmod(ret[!we_write], we_write ? 0644 : 0622);
    return 0;
}

int fd_set_nonblock(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    return 0;
}

int fd_memfd(const char *name, const void *bytes, size_t len)
{
    AUTO_CLOSE int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    int r = fd_write_all(fd, bytes, len);
    if (r < 0)
        return r;
    if (lseek(fd, 0, SEEK_SET) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return -errno;
    return take_fd(&fd);
}

/* Room for FD_PASS_MAX descriptors, aligned as the kernel wants control data. */
union fd_control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * FD_PASS_MAX)];
};

int fd_send(int sock, const void *buf, size_t len, const int *fds, size_t n_fds)
{
    if (n_fds > FD_PASS_MAX)
        return -E2BIG;
    union fd_control control = {0};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (n_fds > 0) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * n_fds);
    }
    ssize_t n;
    do
        n = sendmsg(sock, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    return (size_t)n == len ? 0 : -EMSGSIZE;
}

static size_t received_fds(struct msghdr *msg, int *fds)
{
    size_t n_fds = 0;
    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds + n_fds, CMSG_DATA(cmsg), n * sizeof(int));
        n_fds += n; /* the control buffer holds FD_PASS_MAX in all */
    }
    return n_fds;
}

ssize_t fd_recv_or_lose(int sock, void *buf, size_t size, int *fds, size_t *ret_n_fds,
                        bool *ret_lost)
{
    union fd_control control;
    struct iovec iov = {.iov_base = buf, .iov_len = size};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof(control.bytes),
    };
    *ret_n_fds = 0;
    *ret_lost = false;
    ssize_t n;
    do
        n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;

    size_t n_fds = received_fds(&msg, fds);
    /* The control buffer holds FD_PASS_MAX: if it is not full the kernel had room to say more, and
     * stopped because it could not install the next one (scm_detach_fds() in net/core/scm.c). */
    bool too_many = msg.msg_flags & MSG_CTRUNC && n_fds == FD_PASS_MAX;
    bool cut = msg.msg_flags & MSG_TRUNC || too_many;
    *ret_lost = !cut && n > 0 && msg.msg_flags & MSG_CTRUNC;
    if (cut || n == 0 || *ret_lost) {
        for (size_t i = 0; i < n_fds; i++)
            fds[i] = fd_close(fds[i]);
        return cut ? -EMSGSIZE : n;
    }
    *ret_n_fds = n_fds;
    return n;
}

ssize_t fd_recv(int sock, void *buf, size_t size, int *fds, size_t *ret_n_fds)
{
    bool lost = false;
    ssize_t n = fd_recv_or_lose(sock, buf, size, fds, ret_n_fds, &lost);
    return lost ? -EMSGSIZE : n;
}
