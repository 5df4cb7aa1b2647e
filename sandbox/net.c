#include "sandbox/net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <net/if.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "base/err.h"
#include "sandbox/child.h"
#include "sandbox/raw.h"

struct making {
    int fd;
    int code;
    const char *what;
};

static _Alignas(16) uint8_t stack[16384];

int net_loopback_up(void)
{
    int fd = (int)raw_syscall3(__NR_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {.ifr_flags = IFF_UP | IFF_RUNNING};
    memcpy(request.ifr_name, "lo", sizeof("lo"));
    int r = fd < 0 ? fd : raw_ioctl(fd, SIOCSIFFLAGS, &request);
    if (fd >= 0)
        raw_close(fd);
    return r;
}

/* In a child that has our memory and descriptors, and the new network: we ourselves stay where we
 * are. */
static int make(void *arg)
{
    struct making *m = arg;
    m->what = "bring lo up";
    m->code = net_loopback_up();
    if (m->code < 0)
        return 1;
    m->what = "open it";
    m->fd = raw_openat(AT_FDCWD, "/proc/self/ns/net", O_RDONLY | O_CLOEXEC, 0);
    m->code = m->fd < 0 ? m->fd : 0;
    return 0;
}

int net_new(int *ret, struct err *err)
{
    struct making m = {.fd = -EBADF, .code = -EIO, .what = "its process was killed"};
    struct clone_args args = {
        .flags = CLONE_VM | CLONE_FILES | CLONE_VFORK | CLONE_NEWNET,
        .exit_signal = SIGCHLD,
        .stack = (uint64_t)(uintptr_t)stack,
        .stack_size = sizeof(stack),
    };
    long pid = child_clone3(&args, make, &m);
    if (pid < 0)
        return err_set(err, (int)pid, "layer net-namespace: clone3: %m");
    while (waitpid((pid_t)pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (m.code < 0)
        return err_set(err, m.code, "layer net-namespace: %s: %m", m.what);
    *ret = m.fd;
    return 0;
}
