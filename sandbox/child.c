#include "sandbox/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/err.h"
#include "sandbox/raw.h"

/* Shared with the child, which has our memory: where it stopped, and why. */
struct progress {
    const struct plan *plan;
    size_t at;
    int code;
};

static _Alignas(16) uint8_t child_stack[32768];

static int mask(const char *target)
{
    size_t len = strlen(target);
    const char *cover = target[len - 1] == '/' ? "/run" : "/dev/null"; /* /run is empty */
    int r = (int)raw_syscall5(__NR_mount, (long)cover, (long)target, 0, MS_BIND, 0);
    return r == -ENOENT || r == -ENOTDIR ? 0 : r; /* not in this kernel */
}

static int become(unsigned uid)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    int r = raw_setresgid(uid, uid, uid);
    r = r < 0 ? r : raw_setresuid(uid, uid, uid);
    return r < 0 ? r : raw_capset(&header, none);
}

/* A file system uid other than 0 has cost it; it is still permitted. */
static int override_modes(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    int r = raw_capget(&header, data);
    data[0].effective |= 1u << CAP_DAC_OVERRIDE;
    return r < 0 ? r : raw_capset(&header, data);
}

static int keep(const char *target, int number)
{
    int fd = raw_openat(AT_FDCWD, target, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd < 0 || fd == number)
        return fd;
    int r = raw_dup3(fd, number, 0);
    raw_close(fd);
    return r;
}

static int execute(const struct plan *plan, const struct plan_op *op)
{
    static const char *const argv[] = {"init", NULL}, *const envp[] = {NULL};
    int r;
    switch (op->kind) {
    case PLAN_JOIN_CGROUP:
        r = (int)raw_write(op->fd, "0", 1);
        return r == 1 ? 0 : r < 0 ? r : -EIO;
    case PLAN_ENTER:
        return (int)raw_syscall2(__NR_setns, op->fd, (long)op->flags);
    case PLAN_UNSHARE:
        return (int)raw_syscall1(__NR_unshare, (long)op->flags);
    case PLAN_MOUNT:
        return (int)raw_syscall5(__NR_mount, (long)op->type, (long)op->target, (long)op->type,
                                 (long)op->flags, (long)op->data);
    case PLAN_FSUID: /* these two have no way to fail: what needs them does */
        raw_syscall1(__NR_setfsgid, (long)op->flags);
        raw_syscall1(__NR_setfsuid, (long)op->flags);
        return 0;
    case PLAN_MKDIR:
        r = (int)raw_syscall3(__NR_mkdirat, AT_FDCWD, (long)op->target, (long)op->flags);
        return r < 0
                   ? r
                   : (int)raw_syscall3(__NR_fchmodat, AT_FDCWD, (long)op->target, (long)op->flags);
    case PLAN_MASK:
        return mask(op->target);
    case PLAN_ATTACH:
        return (int)raw_syscall5(__NR_move_mount, op->fd, (long)"", AT_FDCWD, (long)op->target,
                                 MOVE_MOUNT_F_EMPTY_PATH);
    case PLAN_DETACH:
        return (int)raw_syscall2(__NR_umount2, (long)op->target, MNT_DETACH);
    case PLAN_OVERRIDE:
        return override_modes();
    case PLAN_KEEP:
        return keep(op->target, (int)op->flags);
    case PLAN_STDIO:
        return raw_dup3(op->fd, (int)op->flags, 0);
    case PLAN_INIT:
        return raw_execveat(op->fd, "", argv, envp, AT_EMPTY_PATH);
    case PLAN_BECOME:
        return become((unsigned)op->flags);
    case PLAN_EXEC:
        return raw_execve(op->target, plan->argv, envp);
    }
    return -EINVAL;
}

/*
 * When the node's own cap is reached, or the machine's memory, a sandbox is to go before the
 * service that serves all of them, though its process be smaller: a tmpfs that fills the node is
 * nobody's resident memory. Between clone and exec the value is the child's alone, though it shares
 * our memory (__set_oom_adj() in the kernel's fs/proc/base.c). Not a layer: best effort.
 */
static void first_to_go(void)
{
    int fd = raw_openat(AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return;
    raw_write(fd, "1000", 4);
    raw_close(fd);
}

/* In the child: raw calls only, nothing allocates, errno is not touched. */
static int walk(void *arg)
{
    struct progress *p = arg;
    first_to_go();
    for (; p->at < p->plan->n_ops; p->at++) {
        p->code = execute(p->plan, &p->plan->ops[p->at]);
        if (p->code < 0)
            return 1;
    }
    return 1; /* the last one does not come back */
}

/* clone3(2) onto a stack of its own, for which glibc has no wrapper. */
static long clone3_call(struct clone_args *args, int (*fn)(void *), void *arg)
{
#if defined(__x86_64__)
    long ret;
    register int (*r8)(void *) __asm__("r8") = fn;
    register void *r9 __asm__("r9") = arg;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "mov %%r9, %%rdi\n\t"
                     "call *%%r8\n\t"
                     "mov %%eax, %%edi\n\t"
                     "mov %[exit], %%eax\n\t"
                     "syscall\n\t"
                     "hlt\n"
                     "1:"
                     : "=a"(ret)
                     : "a"((long)__NR_clone3), "D"(args), "S"(sizeof(*args)), "r"(r8),
                       "r"(r9), [exit] "i"(__NR_exit_group)
                     : "rcx", "r11", "memory");
    return ret;
#else
    register long x8 __asm__("x8") = __NR_clone3;
    register long x0 __asm__("x0") = (long)args;
    register long x1 __asm__("x1") = sizeof(*args);
    register int (*x2)(void *) __asm__("x2") = fn;
    register void *x3 __asm__("x3") = arg;
    __asm__ volatile("svc #0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, xzr\n\t"
                     "mov x0, x3\n\t"
                     "blr x2\n\t"
                     "mov x8, %[exit]\n\t"
                     "svc #0\n"
                     "1:"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), [exit] "i"(__NR_exit_group)
                     : "memory", "x30");
    return x0;
#endif
}

static int explain(const struct progress *p, struct err *err)
{
    static const char *const words[] = {
        [PLAN_JOIN_CGROUP] = "join the slot's cgroup",
        [PLAN_ENTER] = "enter the slot's namespace",
        [PLAN_UNSHARE] = "make namespaces",
        [PLAN_MOUNT] = "mount",
        [PLAN_FSUID] = "make files for the slot's user",
        [PLAN_MKDIR] = "make the directory",
        [PLAN_MASK] = "mask",
        [PLAN_ATTACH] = "attach the input set on",
        [PLAN_DETACH] = "unmount",
        [PLAN_OVERRIDE] = "take CAP_DAC_OVERRIDE",
        [PLAN_KEEP] = "open",
        [PLAN_STDIO] = "set up descriptors",
        [PLAN_INIT] = "execute init",
        [PLAN_BECOME] = "become the slot's user",
        [PLAN_EXEC] = "execute",
    };
    const struct plan_op *op = &p->plan->ops[p->at];
    if (op->target)
        return err_set(err, p->code, "%s %s: %m", words[op->kind], op->target);
    return err_set(err, p->code, "%s: %m", words[op->kind]);
}

int child_start(const struct plan *plan, int *ret_pidfd, pid_t *ret_pid, struct err *err)
{
    struct progress progress = {.plan = plan};
    int pidfd = -EBADF;
    struct clone_args args = {
        .flags = plan->clone_flags | (uint64_t)CLONE_VM | (uint64_t)CLONE_VFORK |
                 (uint64_t)CLONE_PIDFD | (uint64_t)CLONE_CLEAR_SIGHAND,
        .pidfd = (uint64_t)(uintptr_t)&pidfd,
        .exit_signal = SIGCHLD,
        .stack = (uint64_t)(uintptr_t)child_stack,
        .stack_size = sizeof(child_stack),
    };
    if (plan->clone_flags & CLONE_INTO_CGROUP)
        args.cgroup = (__u64)plan->clone_cgroup_fd;
    long pid = clone3_call(&args, walk, &progress);
    if (pid < 0)
        return err_set(err, (int)pid, "clone3: %m");
    if (progress.code < 0) {
        int status;
        while (waitpid((pid_t)pid, &status, 0) < 0 && errno == EINTR)
            ;
        raw_close(pidfd);
        return explain(&progress, err);
    }
    *ret_pidfd = pidfd;
    *ret_pid = (pid_t)pid;
    return 0;
}
