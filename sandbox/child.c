#include "sandbox/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "sandbox/caps.h"
#include "sandbox/inner.h"
#include "sandbox/raw.h"

#ifndef MOVE_MOUNT_F_EMPTY_PATH /* a libc without move_mount(2) */
#define MOVE_MOUNT_F_EMPTY_PATH 4
#endif

/* Below INNER_FDS_LOW, above what init is started with. */
enum { LENT_STDIO = 6, LENT_INIT = 9 };

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

static int become_root(void)
{
    int r = raw_setgroups(0, NULL);
    r = r < 0 ? r : raw_setresgid(0, 0, 0);
    return r < 0 ? r : raw_setresuid(0, 0, 0);
}

/* pivot_root(2): with "." for both, the old root ends up stacked on the new one, and goes. */
static int pivot(const char *root)
{
    int r = raw_chdir(root);
    r = r < 0 ? r : (int)raw_syscall2(__NR_pivot_root, (long)".", (long)".");
    r = r < 0 ? r : (int)raw_syscall2(__NR_umount2, (long)".", MNT_DETACH);
    return r < 0 ? r : raw_chdir("/");
}

static int execute(const struct child_walk *p, const struct plan_op *op)
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
        return raw_execveat(p->shares_table ? LENT_INIT : op->fd, "", argv, envp, AT_EMPTY_PATH);
    case PLAN_BECOME:
        return become((unsigned)op->flags);
    case PLAN_EXEC:
        return raw_execve(op->target, p->plan->argv, envp);
    case PLAN_ROOT:
        return become_root();
    case PLAN_PIVOT:
        return pivot(op->target);
    case PLAN_HOSTNAME:
        return (int)raw_syscall2(__NR_sethostname, (long)op->target, (long)strlen(op->target));
    case PLAN_RIGHTS:
        return caps_keep(op->flags, op->flags);
    case PLAN_CONTINUE:
        break;
    }
    return -EINVAL;
}

/*
 * The program's descriptors, when the child shares the spawner's table (CLONE_FILES): a copy of it
 * would be made at clone and closed again at exec, which is 3 us for each of the twenty that every
 * slot keeps open. What the child needs goes to the numbers that are kept free for that, with a
 * duplicate of stdio above them; then the table becomes its own, and only as far as these numbers.
 * The spawner takes them back (child_lent_back()).
 */
static int take_descriptors(struct child_walk *p)
{
    const struct plan_op *first = &p->plan->ops[p->at], *op = first;
    int r = 0;
    for (; r >= 0 && op->kind == PLAN_STDIO; op++)
        r = op->flags <= 2 ? raw_dup3(op->fd, LENT_STDIO + (int)op->flags, O_CLOEXEC)
                           : raw_dup3(op->fd, (int)op->flags, 0);
    if (r >= 0)
        r = raw_dup3(op->fd, LENT_INIT, O_CLOEXEC);
    if (r >= 0)
        r = raw_close_range(INNER_FDS_LOW, ~0u, 2 /* CLOSE_RANGE_UNSHARE */);
    for (op = first; r >= 0 && op->kind == PLAN_STDIO; op++)
        if (op->flags <= 2)
            r = raw_dup3(LENT_STDIO + (int)op->flags, (int)op->flags, 0);
    p->at += (size_t)(op - first) - 1; /* init is next */
    return r;
}

void child_lent_back(int null)
{
    for (int fd = STDERR_FILENO + 1; fd < INNER_FDS_LOW; fd++) {
        if (raw_dup3(null, fd, O_CLOEXEC) >= 0)
            continue;
        raw_close(fd); /* of a pipe's end, whoever waits for it must not wait for us */
        raw_dup3(null, fd, O_CLOEXEC);
    }
}

/* Those with an input set open a descriptor before that; bubblewrap is not ours to lend to. */
static bool can_share_table(const struct plan *plan)
{
    for (size_t i = 0; i < plan->n_ops; i++)
        if (plan->ops[i].kind == PLAN_KEEP)
            return false;
    return plan->n_ops > 1 && plan->ops[plan->n_ops - 1].kind == PLAN_INIT &&
           plan->ops[plan->n_ops - 2].kind == PLAN_STDIO;
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
    struct child_walk *p = arg;
    first_to_go();
    for (; p->at < p->plan->n_ops; p->at++) {
        const struct plan_op *op = &p->plan->ops[p->at];
        if (op->kind == PLAN_CONTINUE) {
            const struct plan *next = p->next ? p->next(p) : NULL;
            if (!next)
                return 1;
            p->plan = next;
            p->at = 0;
            op = next->ops;
        }
        p->code = p->shares_table && op->kind == PLAN_STDIO ? take_descriptors(p) : execute(p, op);
        if (p->code < 0)
            return 1;
    }
    return 1; /* the last one does not come back */
}

/* clone3(2) onto a stack of its own, for which glibc has no wrapper. */
long child_clone3(struct clone_args *args, int (*fn)(void *), void *arg)
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

int child_explain(const struct child_walk *p, struct err *err)
{
    static const char *const words[] = {
        [PLAN_JOIN_CGROUP] = "join the slot's cgroup",
        [PLAN_ENTER] = "enter the slot's namespace",
        [PLAN_UNSHARE] = "make namespaces",
        [PLAN_MOUNT] = "mount",
        [PLAN_FSUID] = "make files for the slot's user",
        [PLAN_MKDIR] = "make the directory",
        [PLAN_MASK] = "mask",
        [PLAN_DETACH] = "unmount",
        [PLAN_OVERRIDE] = "take CAP_DAC_OVERRIDE",
        [PLAN_KEEP] = "open",
        [PLAN_STDIO] = "set up descriptors",
        [PLAN_INIT] = "execute init",
        [PLAN_BECOME] = "become the slot's user",
        [PLAN_EXEC] = "execute",
        [PLAN_ROOT] = "become uid 0 of the user namespace",
        [PLAN_ATTACH] = "attach",
        [PLAN_PIVOT] = "pivot_root into",
        [PLAN_HOSTNAME] = "set the host name",
        [PLAN_RIGHTS] = "drop capabilities",
        [PLAN_CONTINUE] = "wait for the rest of the plan",
    };
    const struct plan_op *op = &p->plan->ops[p->at];
    if (op->target)
        return err_set(err, p->code, "%s %s: %m", words[op->kind], op->target);
    return err_set(err, p->code, "%s: %m", words[op->kind]);
}

long child_clone(struct child_walk *walk_state, uint64_t flags, int exit_signal, int *ret_pidfd)
{
    const struct plan *plan = walk_state->plan;
    struct clone_args args = {
        .flags = plan->clone_flags | flags | (uint64_t)CLONE_VM | (uint64_t)CLONE_VFORK |
                 (uint64_t)CLONE_PIDFD | (uint64_t)CLONE_CLEAR_SIGHAND,
        .pidfd = (uint64_t)(uintptr_t)ret_pidfd,
        .exit_signal = (__u64)(unsigned)exit_signal,
        .stack = (uint64_t)(uintptr_t)child_stack,
        .stack_size = sizeof(child_stack),
    };
    if (plan->clone_flags & CLONE_INTO_CGROUP)
        args.cgroup = (__u64)plan->clone_cgroup_fd;
    return child_clone3(&args, walk, walk_state);
}

int child_start(const struct plan *plan, int *ret_pidfd, pid_t *ret_pid, struct err *err)
{
    struct child_walk progress = {.plan = plan, .shares_table = can_share_table(plan)};
    int pidfd = -EBADF;
    uint64_t flags = progress.shares_table ? CLONE_FILES : 0;
    long pid = child_clone(&progress, flags, SIGCHLD, &pidfd);
    if (progress.shares_table)
        child_lent_back(STDIN_FILENO);
    if (pid < 0)
        return err_set(err, (int)pid, "clone3: %m");
    if (progress.code < 0) {
        int status;
        while (waitpid((pid_t)pid, &status, 0) < 0 && errno == EINTR)
            ;
        raw_close(pidfd);
        return child_explain(&progress, err);
    }
    *ret_pidfd = pidfd;
    *ret_pid = (pid_t)pid;
    return 0;
}
