#include "sandbox/direct_child.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/time_types.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "sandbox/inner.h"
#include "sandbox/net.h"
#include "sandbox/raw.h"

enum { STATE_BORN, STATE_USER_NS, STATE_OVER };
enum { GO_WAIT, GO_CLONE, GO_FINISH, GO_AWAY };

#define REST_MAX_S  60 /* an owner who died before the child could ask to be told */
#define RMDIR_TRIES 1000
#define RMDIR_PAUSE 1000000 /* ns */

static struct direct_helper {
    pid_t pid;
    struct sock_fprog filter;
    /* Futex words. The helper writes state, the owner go. */
    uint32_t state, go;
    int code; /* of what failed, 0: nothing */
    const char *what;
    struct child_walk walk;
    const struct plan *rest;
    int child_pidfd;
    long child_pid;
    bool moved;     /* it is kept away from its owner's processor ... */
    cpu_set_t cpus; /* ... of all these */
} helper;

/* Static: it is needed when main() is over. */
static struct direct_sweeper {
    int owner, sandbox; /* pidfds */
    size_t n_places;
    int places[CG_PLACES_MAX];
    char group[128];
} sweeper;

static _Alignas(16) uint8_t helper_stack[16384], sweeper_stack[16384];

static void wake(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
    raw_syscall6(__NR_futex, (long)word, FUTEX_WAKE, 1, 0, 0, 0);
}

/* Sleeps while @word is @value, a second at most. */
static void doze(uint32_t *word, uint32_t value)
{
    struct __kernel_timespec second = {.tv_sec = 1};
    raw_syscall6(__NR_futex, (long)word, FUTEX_WAIT, (long)value, (long)&second, 0, 0);
}

/* ---- in the helper ---- */

static int unshare_one(unsigned long flags)
{
    return (int)raw_syscall1(__NR_unshare, (long)flags);
}

/* What our owner ignores would stay ignored in the sandbox. */
static void default_signals(void)
{
    static const struct {
        unsigned long handler, flags, restorer, mask;
    } plain;
    for (long signo = 1; signo <= 64; signo++)
        raw_syscall4(__NR_rt_sigaction, signo, (long)&plain, 0, sizeof(uint64_t));
}

static int prepare(struct direct_helper *h)
{

    h->what = "layer user-namespace: unshare";
    int r = unshare_one(CLONE_NEWUSER);
    if (r < 0)
        return r;
    wake(&h->state, STATE_USER_NS);
    h->what = "layer net-namespace: unshare";
    r = unshare_one(CLONE_NEWNET);
    if (r < 0)
        return r;
    h->what = "layer net-namespace: bring lo up";
    r = net_loopback_up();
    if (r < 0)
        return r;
    default_signals();
    h->what = "layer no-new-privs";
    r = raw_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (r < 0)
        return r;
    h->what = "install the spawner's system call filter";
    return raw_seccomp(SECCOMP_SET_MODE_FILTER, 0, &h->filter);
}

/* In the child, which shares its owner's descriptors: the later ones are among them. */
static const struct plan *wait_for_rest(struct child_walk *walk_state)
{
    struct direct_helper *h = &helper;
    raw_prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    for (int i = 0; i < REST_MAX_S && __atomic_load_n(&h->go, __ATOMIC_ACQUIRE) == GO_CLONE; i++)
        doze(&h->go, GO_CLONE);
    raw_prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
    bool go_on = __atomic_load_n(&h->go, __ATOMIC_ACQUIRE) == GO_FINISH;
    walk_state->code = go_on ? 0 : -ECANCELED;
    return walk_state->code == 0 ? h->rest : NULL;
}

/* Its owner's end is its own: nobody else would let it go. */
static int helper_main(void *arg)
{
    struct direct_helper *h = arg;
    raw_prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    int r = prepare(h);
    while (r == 0 && __atomic_load_n(&h->go, __ATOMIC_ACQUIRE) == GO_WAIT)
        doze(&h->go, GO_WAIT);
    if (r == 0 && h->moved) {
        h->what = "sched_setaffinity";
        r = (int)raw_syscall6(__NR_sched_setaffinity, 0, sizeof(h->cpus), (long)&h->cpus, 0, 0, 0);
    }
    if (r == 0 && h->go != GO_AWAY) {
        h->what = "clone3";
        h->child_pid = child_clone(&h->walk, CLONE_PARENT | CLONE_FILES, 0, &h->child_pidfd);
        r = h->child_pid < 0 ? (int)h->child_pid : 0;
    }
    h->code = r;
    wake(&h->state, STATE_OVER);
    return 0;
}

/* ---- in the sweeper ---- */

static void wait_for_end(int pidfd)
{
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    while (raw_ppoll(&end, 1, NULL, NULL) < 0)
        ;
}

static int sweeper_main(void *arg)
{
    const struct direct_sweeper *s = arg;
    uint64_t all = ~UINT64_C(0);
    raw_rt_sigprocmask(SIG_SETMASK, &all, 0);
    raw_syscall2(__NR_setpgid, 0, 0); /* whoever kills all of a job does not mean us */
    wait_for_end(s->owner);
    raw_syscall4(__NR_pidfd_send_signal, s->sandbox, SIGKILL, 0, 0);
    wait_for_end(s->sandbox);
    struct timespec pause = {.tv_nsec = RMDIR_PAUSE};
    for (size_t i = 0; i < s->n_places; i++)
        for (int tries = 0; tries < RMDIR_TRIES; tries++) {
            if (raw_unlinkat(s->places[i], s->group, AT_REMOVEDIR) != -EBUSY)
                break;
            raw_syscall2(__NR_nanosleep, (long)&pause, 0);
        }
    return 0;
}

/* ---- in its owner ---- */

/*
 * A new process now and then has to wait for the processor that its owner is busy on, beside an
 * idle one: the kernel had something else there a moment ago. It is told not to. The helper takes
 * that back before it is a parent: it is told to go on after this.
 */
static void put_elsewhere(pid_t pid)
{
    int here = sched_getcpu();
    cpu_set_t others;
    if (here < 0 || here >= CPU_SETSIZE ||
        sched_getaffinity(0, sizeof(helper.cpus), &helper.cpus) < 0)
        return;
    others = helper.cpus;
    CPU_CLR((unsigned)here, &others);
    helper.moved = CPU_COUNT(&others) > 0 && sched_setaffinity(pid, sizeof(others), &others) == 0;
}

int direct_helper_start(const struct sbx_filter *filter, struct err *err)
{
    helper = (struct direct_helper){
        .filter = {.len = filter->n_insns,
                   .filter = (struct sock_filter *)(uintptr_t)filter->insns},
        .child_pidfd = -EBADF,
        .child_pid = -1,
    };
    struct clone_args args = {
        .flags = CLONE_VM | CLONE_FILES,
        .exit_signal = SIGCHLD,
        .stack = (uint64_t)(uintptr_t)helper_stack,
        .stack_size = sizeof(helper_stack),
    };
    long pid = child_clone3(&args, helper_main, &helper);
    if (pid < 0)
        return err_set(err, (int)pid, "clone3: %m");
    helper.pid = (pid_t)pid;
    put_elsewhere(helper.pid);
    return 0;
}

bool direct_helper_is_there(void)
{
    return helper.pid > 0;
}

/* It may also have been killed, which is nobody's state. */
static bool is_dead(void)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)helper.pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == helper.pid;
}

static int wait_for(uint32_t state, struct err *err)
{
    uint32_t now;
    while ((now = __atomic_load_n(&helper.state, __ATOMIC_ACQUIRE)) < state) {
        doze(&helper.state, now);
        if (__atomic_load_n(&helper.state, __ATOMIC_ACQUIRE) == now && is_dead())
            return err_set(err, -EIO, "the helper that makes the namespaces was killed");
    }
    if (now == STATE_OVER && helper.code < 0)
        return err_set(err, helper.code, "%s: %m", helper.what);
    return 0;
}

int direct_helper_user_ns(pid_t *ret_pid, struct err *err)
{
    *ret_pid = helper.pid;
    return wait_for(STATE_USER_NS, err);
}

void direct_helper_clone(const struct plan *tree)
{
    helper.walk = (struct child_walk){.plan = tree, .shares_table = true, .next = wait_for_rest};
    wake(&helper.go, GO_CLONE);
}

void direct_helper_go_on(const struct plan *rest)
{
    helper.rest = rest;
    wake(&helper.go, GO_FINISH);
}

int direct_helper_finish(int *ret_pidfd, struct err *err)
{
    int r = wait_for(STATE_OVER, err);
    /* What was lent to the child. The ends of its pipes among it would keep us waiting for ever. */
    if (raw_close_range(STDERR_FILENO + 1, INNER_FDS_LOW - 1, 0) < 0)
        for (int fd = STDERR_FILENO + 1; fd < INNER_FDS_LOW; fd++)
            raw_close(fd);
    if (r == 0 && helper.walk.code < 0)
        r = child_explain(&helper.walk, err);
    if (r < 0)
        return r;
    *ret_pidfd = helper.child_pidfd;
    helper.child_pid = -1;
    direct_helper_end();
    return 0;
}

static void reap(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

void direct_helper_end(void)
{
    if (helper.pid <= 0)
        return;
    wake(&helper.go, GO_AWAY);
    reap(helper.pid);
    helper.pid = 0;
    if (helper.child_pid <= 0)
        return;
    reap((pid_t)helper.child_pid);
    raw_close(helper.child_pidfd);
}

/* The number of the host's own is fixed (PROC_PID_INIT_INO in the kernel's proc_ns.h). */
static bool somebody_reaps_orphans(void)
{
    struct stat st;
    return stat("/proc/self/ns/pid", &st) == 0 && st.st_ino == 0xEFFFFFFC;
}

bool direct_sweeper_start(int pidfd, const struct cg_group *group)
{
    const char *name;
    sweeper = (struct direct_sweeper){.sandbox = pidfd};
    sweeper.n_places = cg_group_places(group, sweeper.places, &name);
    if (strlen(name) >= sizeof(sweeper.group) || !somebody_reaps_orphans())
        return false;
    memcpy(sweeper.group, name, strlen(name) + 1);
    sweeper.owner = (int)raw_syscall2(__NR_pidfd_open, raw_getpid(), 0);
    struct clone_args args = {
        .flags = CLONE_VM | CLONE_FILES,
        .exit_signal = SIGCHLD,
        .stack = (uint64_t)(uintptr_t)sweeper_stack,
        .stack_size = sizeof(sweeper_stack),
    };
    return sweeper.owner >= 0 && child_clone3(&args, sweeper_main, &sweeper) > 0;
}
