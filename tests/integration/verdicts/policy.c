/* Steps that policy forbids. Each demands its errno: the program sees an ordinary failure. */

#include "tests/integration/verdicts/steps.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static long try_fork(void)
{
    return fork();
}

static long try_raw_clone(void)
{
    return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static long try_spawn(void)
{
    char *argv[] = {(char *)(uintptr_t) "true", NULL};
    pid_t pid;
    errno = posix_spawn(&pid, "/usr/bin/true", NULL, NULL, argv, environ);
    return errno ? -1 : 0;
}

static long try_socket(void)
{
    return socket(AF_PACKET, SOCK_RAW, 0);
}

static long try_raw_socket(void)
{
    return socket(AF_INET, SOCK_RAW, 1);
}

static long try_unshare(void)
{
    return unshare(CLONE_NEWUSER);
}

static long try_setns(void)
{
    int fd = open("/proc/self/ns/mnt", O_RDONLY);
    return setns(fd, CLONE_NEWNS);
}

static long try_clone_namespace(void)
{
    return syscall(SYS_clone, CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0);
}

static long try_ptrace(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static long try_process_vm(void)
{
    return syscall(SYS_process_vm_readv, getpid(), NULL, 0, NULL, 0, 0);
}

static long try_mount(void)
{
    return mount("none", "/tmp", "tmpfs", 0, NULL);
}

static long try_chroot(void)
{
    return chroot("/tmp");
}

static long try_keyctl(void)
{
    return syscall(SYS_keyctl, 0, -3, 0, 0, 0);
}

static long try_bpf(void)
{
    return syscall(SYS_bpf, 0, NULL, 0);
}

static long try_io_uring(void)
{
    char params[256] = {0};
    return syscall(SYS_io_uring_setup, 4, params);
}

static long try_settime(void)
{
    struct timespec now = {1, 0};
    return clock_settime(CLOCK_REALTIME, &now);
}

static long try_mknod(void)
{
    return mknod("/tmp/device", S_IFCHR | 0600, makedev(1, 3));
}

static long try_tiocsti(void)
{
    return ioctl(0, TIOCSTI, "x");
}

/* refused:NAME[,TIMES] */
static void step_refused(const char *arg)
{
    static const struct {
        const char *name;
        long (*call)(void);
    } calls[] = {
        {"fork", try_fork},
        {"raw-clone", try_raw_clone},
        {"spawn", try_spawn},
        {"socket", try_socket},
        {"raw-socket", try_raw_socket},
        {"unshare", try_unshare},
        {"setns", try_setns},
        {"clone-namespace", try_clone_namespace},
        {"ptrace", try_ptrace},
        {"process-vm", try_process_vm},
        {"mount", try_mount},
        {"chroot", try_chroot},
        {"keyctl", try_keyctl},
        {"bpf", try_bpf},
        {"io-uring", try_io_uring},
        {"settime", try_settime},
        {"mknod", try_mknod},
        {"tiocsti", try_tiocsti},
    };
    const char *comma = strchr(arg, ',');
    size_t len = comma ? (size_t)(comma - arg) : strlen(arg);
    uint64_t times = comma ? number(comma + 1) : 1;
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (strlen(calls[i].name) != len || memcmp(calls[i].name, arg, len) != 0)
            continue;
        for (; times; times--)
            if (calls[i].call() >= 0)
                unmet("%s was not refused", calls[i].name);
        return;
    }
    unmet("there is no call '%s'", arg);
}

static void step_int80(const char *arg)
{
    (void)arg;
    long number_getpid = 20;
    __asm__ volatile("int $0x80" : "+a"(number_getpid) : : "memory", "r8", "r9", "r10", "r11");
    unmet("a call of the 32-bit table worked");
}

static void step_x32(const char *arg)
{
    (void)arg;
    syscall(0x40000000 | SYS_getpid);
    unmet("a call of the x32 table worked");
}

const struct step policy_steps[] = {
    {"refused", step_refused},
    {"int80", step_int80},
    {"x32", step_x32},
    {NULL, NULL},
};
