/*
 * Theory of operation
 *
 * An allow-list, wide enough for an unmodified Python, Node, gcc and shell, and narrow where a call
 * reaches kernel code that no program of that kind needs. Four answers:
 *
 * - allowed: the kernel decides. Calls that need a capability are mostly here too (setuid, chown
 *   ...): the program has none, and the kernel's own answer is the one that libraries know.
 * - refused and reported: a program that asks for this tried something that the sandbox forbids.
 * - quiet errno: libraries probe for it, or the call has no meaning here; a report would be noise.
 * - no rule: ENOSYS, as from a kernel that is older than the call. So it is for what is newer than
 *   this table, and on purpose for: io_setup ... io_getevents (aio-max-nr is one budget for the
 * whole host), process_madvise, move_pages, migrate_pages, memfd_secret, remap_file_pages, uselib,
 * sysfs, ustat, _sysctl, cachestat (page cache spying), and everything that no kernel implements.
 *
 * Sockets answer EAFNOSUPPORT, all other refusals EPERM: "no such family" is what asyncio, OpenSSL,
 * CPython's own probes (AF_VSOCK, AF_ALG, AF_CAN) and libc fall back from.
 */
#include "sandbox/policy.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* Newer than the headers that we build with. */
#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

#define ALLOW                                                                                      \
    {                                                                                              \
        POLICY_ALLOW, 0                                                                            \
    }
#define QUIET(error)                                                                               \
    {                                                                                              \
        POLICY_ERRNO, (error)                                                                      \
    }
#define REFUSE(op)                                                                                 \
    {                                                                                              \
        POLICY_REFUSE, (op)                                                                        \
    }

/* clone(2) knows all of these; CLONE_NEWTIME is an exit signal there, and clone3 is not to be had.
 */
#define CLONE_NAMESPACES                                                                           \
    ((uint32_t)(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |      \
                CLONE_NEWPID) |                                                                    \
     (uint32_t)CLONE_NEWNET)

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

struct group {
    struct policy_rule rule; /* without a name: the same for all of them */
    const char *const *names;
};

static const struct group groups[] = {
    /* Descriptors and their content. */
    {{NULL, ALLOW, 0, NULL},
     NAMES("read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev",
           "preadv2", "pwritev2", "open", "openat", "openat2", "creat", "close", "close_range",
           "lseek", "dup", "dup2", "dup3", "fcntl", "flock", "pipe", "pipe2", "sendfile", "splice",
           "tee", "vmsplice", "copy_file_range", "fallocate", "ftruncate", "truncate", "fadvise64",
           "readahead", "fsync", "fdatasync", "sync_file_range", "memfd_create")},
    /* Names, attributes, directories. */
    {{NULL, ALLOW, 0, NULL},
     NAMES("stat", "fstat", "lstat", "newfstatat", "statx", "statfs", "fstatfs", "access",
           "faccessat", "faccessat2", "getdents", "getdents64", "getcwd", "chdir", "fchdir",
           "rename", "renameat", "renameat2", "mkdir", "mkdirat", "rmdir", "link", "linkat",
           "unlink", "unlinkat", "symlink", "symlinkat", "readlink", "readlinkat", "chmod",
           "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat", "umask",
           "utime", "utimes", "futimesat", "utimensat", "setxattr", "lsetxattr", "fsetxattr",
           "getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr",
           "removexattr", "lremovexattr", "fremovexattr", "inotify_init", "inotify_init1",
           "inotify_add_watch", "inotify_rm_watch")},
    /* Waiting, clocks and timers. */
    {{NULL, ALLOW, 0, NULL},
     NAMES("poll", "ppoll", "select", "pselect6", "epoll_create", "epoll_create1", "epoll_ctl",
           "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd", "eventfd2", "signalfd",
           "signalfd4", "timerfd_create", "timerfd_settime", "timerfd_gettime", "timer_create",
           "timer_settime", "timer_gettime", "timer_getoverrun", "timer_delete", "getitimer",
           "setitimer", "alarm", "pause", "nanosleep", "clock_nanosleep", "clock_gettime",
           "clock_getres", "gettimeofday", "time", "times", "restart_syscall", "sched_yield")},
    /* Memory. */
    {{NULL, ALLOW, 0, NULL},
     NAMES("mmap", "munmap", "mprotect", "mremap", "msync", "mincore", "brk", "mlock", "mlock2",
           "munlock", "mlockall", "munlockall", "membarrier", "pkey_alloc", "pkey_free",
           "pkey_mprotect", "mbind", "get_mempolicy", "set_mempolicy")},
    /* Processes, threads, signals. */
    {{NULL, ALLOW, 0, NULL},
     NAMES("fork", "vfork", "execve", "execveat", "exit", "exit_group", "wait4", "waitid", "kill",
           "tkill", "tgkill", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending",
           "rt_sigsuspend", "rt_sigtimedwait", "rt_sigqueueinfo", "rt_tgsigqueueinfo",
           "sigaltstack", "pidfd_open", "pidfd_send_signal", "futex", "futex_waitv",
           "set_robust_list", "get_robust_list", "set_tid_address", "rseq", "getpid", "getppid",
           "gettid", "getpgid", "getpgrp", "setpgid", "getsid", "setsid", "arch_prctl",
           "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self")},
    /* Who and where am I, and what may I use. */
    {{NULL, ALLOW, 0, NULL},
     NAMES("getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups",
           "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups",
           "setfsuid", "setfsgid", "capget", "capset", "uname", "sysinfo", "getrusage", "getrlimit",
           "getcpu", "getrandom", "getpriority", "setpriority", "ioprio_get", "ioprio_set",
           "sched_getaffinity", "sched_setaffinity", "sched_getparam", "sched_setparam",
           "sched_getscheduler", "sched_setscheduler", "sched_getattr", "sched_setattr",
           "sched_get_priority_max", "sched_get_priority_min", "sched_rr_get_interval")},
    /* Sockets that exist, and IPC (both namespaces are the sandbox's own). */
    {{NULL, ALLOW, 0, NULL},
     NAMES("bind", "listen", "accept", "accept4", "connect", "shutdown", "getsockname",
           "getpeername", "getsockopt", "setsockopt", "sendto", "recvfrom", "sendmsg", "recvmsg",
           "sendmmsg", "recvmmsg", "shmget", "shmat", "shmdt", "shmctl", "semget", "semop",
           "semtimedop", "semctl", "msgget", "msgsnd", "msgrcv", "msgctl", "mq_open", "mq_unlink",
           "mq_timedsend", "mq_timedreceive", "mq_notify", "mq_getsetattr")},

    /* libc falls back to clone, whose flags a filter can read. */
    {{NULL, QUIET(ENOSYS), 0, NULL}, NAMES("clone3")},
    /* A flush of the host's disks is nobody's to ask for; all that is writable here is in memory.
     */
    {{NULL, QUIET(0), 0, NULL}, NAMES("sync", "syncfs")},
    /* The kernel's own answer to a program without capabilities, without asking it. */
    {{NULL, QUIET(EPERM), 0, NULL}, NAMES("sethostname", "setdomainname", "vhangup")},

    {{NULL, REFUSE(REFUSAL_PTRACE), 0, NULL},
     NAMES("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp")},
    {{NULL, REFUSE(REFUSAL_MOUNT), 0, NULL},
     NAMES("mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "fsopen",
           "fsconfig", "fsmount", "fspick", "mount_setattr")},
    {{NULL, REFUSE(REFUSAL_NAMESPACE), 0, NULL}, NAMES("unshare", "setns")},
    {{NULL, REFUSE(REFUSAL_KEYRING), 0, NULL}, NAMES("add_key", "request_key", "keyctl")},
    {{NULL, REFUSE(REFUSAL_KERNEL), 0, NULL},
     NAMES("bpf", "io_uring_setup", "io_uring_enter", "io_uring_register", "userfaultfd",
           "perf_event_open", "init_module", "finit_module", "delete_module", "kexec_load",
           "kexec_file_load", "reboot", "swapon", "swapoff", "acct", "quotactl", "quotactl_fd",
           "nfsservctl", "lookup_dcookie", "fanotify_init", "fanotify_mark", "name_to_handle_at",
           "open_by_handle_at", "syslog", "modify_ldt", "vm86", "vm86old")},
    {{NULL, REFUSE(REFUSAL_TIME), 0, NULL},
     NAMES("settimeofday", "clock_settime", "adjtimex", "clock_adjtime")},
    {{NULL, REFUSE(REFUSAL_DEVICE), 0, NULL}, NAMES("iopl", "ioperm")},
};

#define IS(index, v)                                                                               \
    {                                                                                              \
        index, UINT32_MAX, (uint32_t)(v), false                                                    \
    }
#define IS_HIGH(index, v)                                                                          \
    {                                                                                              \
        index, UINT32_MAX, (uint32_t)(v), true                                                     \
    }
#define MASKED(index, mask, v)                                                                     \
    {                                                                                              \
        index, (uint32_t)(mask), (uint32_t)(v), false                                              \
    }
#define CASES(cases) (uint16_t)(sizeof(cases) / sizeof((cases)[0])), cases

/* Threads and processes, but in the namespaces that there are. */
static const struct policy_case clone_cases[] = {
    {1, {MASKED(0, CLONE_NAMESPACES, 0)}, ALLOW},
};

static const struct policy_case clone_thread_cases[] = {
    {1, {MASKED(0, CLONE_NAMESPACES | CLONE_THREAD, CLONE_THREAD)}, ALLOW},
};

/*
 * Typing into a terminal that others read, the console's variant of it, and line disciplines (old
 * kernel code that anyone may load by naming it). File attributes (FS_IOC_SETFLAGS) are left to the
 * kernel: what matters there needs a capability.
 */
static const struct policy_case ioctl_cases[] = {
    {1, {IS(1, TIOCSTI)}, REFUSE(REFUSAL_TERMINAL)},
    {1, {IS(1, TIOCLINUX)}, REFUSE(REFUSAL_TERMINAL)},
    {1, {IS(1, TIOCSETD)}, REFUSE(REFUSAL_TERMINAL)},
};

/* The kernel cuts the type to its lower four bits; the rest are SOCK_CLOEXEC and SOCK_NONBLOCK. */
#define SOCKET_TYPE(t) MASKED(1, 0xf, t)
#define SOCKET(family, type, proto, act)                                                           \
    {                                                                                              \
        3, {IS(0, family), SOCKET_TYPE(type), IS(2, proto)}, act                                   \
    }

/*
 * The network namespace is empty but for the loopback. Protocols are named because others would be
 * loaded as modules by asking for them (SCTP, ICMP aside). MPTCP (Go) and the audit log (su, sudo
 * by way of PAM) are probed by libraries that take "no such protocol" for an answer: refused in
 * silence. UDP-Lite is part of IP itself and of CPython's test suite.
 */
static const struct policy_case socket_cases[] = {
    {1, {IS(0, AF_UNIX)}, ALLOW},
    SOCKET(AF_INET, SOCK_STREAM, 0, ALLOW),
    SOCKET(AF_INET, SOCK_STREAM, IPPROTO_TCP, ALLOW),
    SOCKET(AF_INET, SOCK_STREAM, IPPROTO_MPTCP, QUIET(EPROTONOSUPPORT)),
    SOCKET(AF_INET, SOCK_DGRAM, 0, ALLOW),
    SOCKET(AF_INET, SOCK_DGRAM, IPPROTO_UDP, ALLOW),
    SOCKET(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE, ALLOW),
    SOCKET(AF_INET6, SOCK_STREAM, 0, ALLOW),
    SOCKET(AF_INET6, SOCK_STREAM, IPPROTO_TCP, ALLOW),
    SOCKET(AF_INET6, SOCK_STREAM, IPPROTO_MPTCP, QUIET(EPROTONOSUPPORT)),
    SOCKET(AF_INET6, SOCK_DGRAM, 0, ALLOW),
    SOCKET(AF_INET6, SOCK_DGRAM, IPPROTO_UDP, ALLOW),
    SOCKET(AF_INET6, SOCK_DGRAM, IPPROTO_UDPLITE, ALLOW),
    {2, {IS(0, AF_NETLINK), IS(2, NETLINK_ROUTE)}, ALLOW},
    {2, {IS(0, AF_NETLINK), IS(2, NETLINK_AUDIT)}, QUIET(EPROTONOSUPPORT)},
};

/* The kernel makes pairs of AF_UNIX only (and of TIPC, a module); to AF_INET it says EOPNOTSUPP. */
static const struct policy_case socketpair_cases[] = {
    {1, {IS(0, AF_UNIX)}, ALLOW},
    {1, {IS(0, AF_INET)}, QUIET(EOPNOTSUPP)},
    {1, {IS(0, AF_INET6)}, QUIET(EOPNOTSUPP)},
};

/* A character device, also the 0:0 one that an overlay takes for "deleted". */
static const struct policy_case mknod_cases[] = {
    {1, {MASKED(1, S_IFMT, S_IFCHR)}, REFUSE(REFUSAL_DEVICE)},
    {1, {MASKED(1, S_IFMT, S_IFBLK)}, REFUSE(REFUSAL_DEVICE)},
};

static const struct policy_case mknodat_cases[] = {
    {1, {MASKED(2, S_IFMT, S_IFCHR)}, REFUSE(REFUSAL_DEVICE)},
    {1, {MASKED(2, S_IFMT, S_IFBLK)}, REFUSE(REFUSAL_DEVICE)},
};

/* Sharing equal pages with the neighbours tells what the neighbours have in memory. */
static const struct policy_case madvise_cases[] = {
    {1, {IS(2, MADV_MERGEABLE)}, QUIET(EINVAL)},
};

/* A sandbox within the sandbox is welcome; notifications have one listener, and that is ours. */
static const struct policy_case seccomp_cases[] = {
    {2, {IS(0, SECCOMP_SET_MODE_FILTER), MASKED(1, SECCOMP_FILTER_FLAG_NEW_LISTENER, 0)}, ALLOW},
    {1, {IS(0, SECCOMP_SET_MODE_STRICT)}, ALLOW},
    {1, {IS(0, SECCOMP_GET_ACTION_AVAIL)}, ALLOW},
    {1, {IS(0, SECCOMP_GET_NOTIF_SIZES)}, ALLOW},
};

/* setarch and debuggers switch address randomisation off; queries; nothing that maps page zero. */
static const struct policy_case personality_cases[] = {
    {1, {IS(0, PER_LINUX)}, ALLOW},
    {1, {IS(0, PER_LINUX32)}, ALLOW},
    {1, {IS(0, ADDR_NO_RANDOMIZE)}, ALLOW},
    {1, {IS(0, UINT32_MAX)}, ALLOW},
};

/*
 * Core dumps: no limit but exactly 1 keeps the kernel from starting a host's handler (core_pattern
 * with a pipe), which is root and outside. Init has set it; a program that sets it, to whatever, is
 * told yes.
 */
static const struct policy_case setrlimit_cases[] = {
    {1, {IS(0, RLIMIT_CORE)}, QUIET(0)},
};

#define LIMIT(resource)                                                                            \
    {                                                                                              \
        1, {IS(1, resource)}, ALLOW                                                                \
    }

static const struct policy_case prlimit_cases[] = {
    LIMIT(RLIMIT_CPU),
    LIMIT(RLIMIT_FSIZE),
    LIMIT(RLIMIT_DATA),
    LIMIT(RLIMIT_STACK),
    LIMIT(RLIMIT_RSS),
    LIMIT(RLIMIT_NPROC),
    LIMIT(RLIMIT_NOFILE),
    LIMIT(RLIMIT_MEMLOCK),
    LIMIT(RLIMIT_AS),
    LIMIT(RLIMIT_LOCKS),
    LIMIT(RLIMIT_SIGPENDING),
    LIMIT(RLIMIT_MSGQUEUE),
    LIMIT(RLIMIT_NICE),
    LIMIT(RLIMIT_RTPRIO),
    LIMIT(RLIMIT_RTTIME),
    {3, {IS(1, RLIMIT_CORE), IS(2, 0), IS_HIGH(2, 0)}, ALLOW}, /* only asks */
};

#define PRCTL(option)                                                                              \
    {                                                                                              \
        1, {IS(0, option)}, ALLOW                                                                  \
    }

/* Options that nobody knows get EINVAL, as from a kernel that is older than they are. */
static const struct policy_case prctl_cases[] = {
    PRCTL(PR_SET_NAME),
    PRCTL(PR_GET_NAME),
    PRCTL(PR_SET_VMA),
    PRCTL(PR_SET_PDEATHSIG),
    PRCTL(PR_GET_PDEATHSIG),
    PRCTL(PR_SET_DUMPABLE),
    PRCTL(PR_GET_DUMPABLE),
    PRCTL(PR_SET_NO_NEW_PRIVS),
    PRCTL(PR_GET_NO_NEW_PRIVS),
    PRCTL(PR_SET_SECCOMP),
    PRCTL(PR_GET_SECCOMP),
    PRCTL(PR_SET_CHILD_SUBREAPER),
    PRCTL(PR_GET_CHILD_SUBREAPER),
    PRCTL(PR_SET_TIMERSLACK),
    PRCTL(PR_GET_TIMERSLACK),
    PRCTL(PR_SET_THP_DISABLE),
    PRCTL(PR_GET_THP_DISABLE),
    PRCTL(PR_SET_KEEPCAPS),
    PRCTL(PR_GET_KEEPCAPS),
    PRCTL(PR_CAPBSET_READ),
    PRCTL(PR_CAPBSET_DROP),
    PRCTL(PR_CAP_AMBIENT),
    PRCTL(PR_GET_SECUREBITS),
    PRCTL(PR_SET_SECUREBITS),
    PRCTL(PR_GET_TID_ADDRESS),
    PRCTL(PR_SET_MDWE),
    PRCTL(PR_GET_MDWE),
    PRCTL(PR_GET_TSC),
    PRCTL(PR_SET_TSC),
    PRCTL(PR_GET_TIMING),
    PRCTL(PR_SET_TIMING),
    PRCTL(PR_MCE_KILL),
    PRCTL(PR_MCE_KILL_GET),
    PRCTL(PR_GET_SPECULATION_CTRL),
    PRCTL(PR_SET_SPECULATION_CTRL),
    PRCTL(PR_TASK_PERF_EVENTS_DISABLE),
    PRCTL(PR_TASK_PERF_EVENTS_ENABLE),
    PRCTL(PR_SVE_SET_VL),
    PRCTL(PR_SVE_GET_VL),
    PRCTL(PR_PAC_RESET_KEYS),
    PRCTL(PR_SET_TAGGED_ADDR_CTRL),
    PRCTL(PR_GET_TAGGED_ADDR_CTRL),
    /* Other people's threads kept off a core; forged /proc/self/exe, memory maps and arguments. */
    {1, {IS(0, PR_SCHED_CORE)}, REFUSE(REFUSAL_OTHER)},
    {1, {IS(0, PR_SET_MM)}, REFUSE(REFUSAL_OTHER)},
};

static const struct policy_rule by_args[] = {
    {"clone", REFUSE(REFUSAL_NAMESPACE), CASES(clone_cases)},
    {"ioctl", ALLOW, CASES(ioctl_cases)},
    {"socket", REFUSE(REFUSAL_SOCKET), CASES(socket_cases)},
    {"socketpair", REFUSE(REFUSAL_SOCKET), CASES(socketpair_cases)},
    {"mknod", ALLOW, CASES(mknod_cases)},
    {"mknodat", ALLOW, CASES(mknodat_cases)},
    {"madvise", ALLOW, CASES(madvise_cases)},
    {"seccomp", REFUSE(REFUSAL_OTHER), CASES(seccomp_cases)},
    {"personality", REFUSE(REFUSAL_OTHER), CASES(personality_cases)},
    {"prctl", QUIET(EINVAL), CASES(prctl_cases)},
    {"setrlimit", ALLOW, CASES(setrlimit_cases)},
    {"prlimit64", QUIET(0), CASES(prlimit_cases)},
};

/* In place of the rules above. The first exec needs execve; to replace oneself starts nothing. */
static const struct policy_rule no_subprocess[] = {
    {"fork", REFUSE(REFUSAL_SUBPROCESS), 0, NULL},
    {"vfork", REFUSE(REFUSAL_SUBPROCESS), 0, NULL},
    {"clone", REFUSE(REFUSAL_SUBPROCESS), CASES(clone_thread_cases)},
};

/*
 * What spawner, init and zygotes never need; sockets as for the program (so no nftables, no packet
 * sockets). Refused there without a listener, see sbx_filter_spawner_install().
 */
static const struct group spawner_groups[] = {
    {{NULL, REFUSE(REFUSAL_PTRACE), 0, NULL},
     NAMES("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd")},
    {{NULL, REFUSE(REFUSAL_KEYRING), 0, NULL}, NAMES("add_key", "request_key", "keyctl")},
    {{NULL, REFUSE(REFUSAL_KERNEL), 0, NULL},
     NAMES("bpf", "io_uring_setup", "io_uring_enter", "io_uring_register", "userfaultfd",
           "perf_event_open", "init_module", "finit_module", "delete_module", "kexec_load",
           "kexec_file_load", "reboot", "swapon", "swapoff", "acct", "quotactl", "quotactl_fd",
           "nfsservctl", "lookup_dcookie", "fanotify_init", "fanotify_mark", "name_to_handle_at",
           "open_by_handle_at", "syslog", "modify_ldt", "vm86", "vm86old")},
    {{NULL, REFUSE(REFUSAL_TIME), 0, NULL},
     NAMES("settimeofday", "clock_settime", "adjtimex", "clock_adjtime")},
    {{NULL, REFUSE(REFUSAL_DEVICE), 0, NULL}, NAMES("iopl", "ioperm")},
};

static const struct policy_rule spawner_by_args[] = {
    {"socket", REFUSE(REFUSAL_SOCKET), CASES(socket_cases)},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void set_rule(const struct policy_rule **of_nr, const char *name,
                     const struct policy_rule *rule)
{
    int nr = seccomp_syscall_resolve_name(name);
    if (nr >= 0 && nr < SBX_FILTER_NR_MAX) /* negative: unknown, or not on this architecture */
        of_nr[nr] = rule;
}

static void set_groups(const struct policy_rule **of_nr, const struct group *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (const char *const *name = list[i].names; *name; name++)
            set_rule(of_nr, *name, &list[i].rule);
}

static void set_rules(const struct policy_rule **of_nr, const struct policy_rule *rules, size_t n)
{
    for (size_t i = 0; i < n; i++)
        set_rule(of_nr, rules[i].name, &rules[i]);
}

struct policy_action policy_default(void)
{
    return (struct policy_action)QUIET(ENOSYS);
}

void policy_resolve(uint32_t policy, const struct policy_rule *ret[SBX_FILTER_NR_MAX])
{
    for (size_t i = 0; i < SBX_FILTER_NR_MAX; i++)
        ret[i] = NULL;
    set_groups(ret, groups, COUNT(groups));
    set_rules(ret, by_args, COUNT(by_args));
    if (policy & SBX_POLICY_NO_SUBPROCESS)
        set_rules(ret, no_subprocess, COUNT(no_subprocess));
}

void policy_spawner_resolve(const struct policy_rule *ret[SBX_FILTER_NR_MAX])
{
    for (size_t i = 0; i < SBX_FILTER_NR_MAX; i++)
        ret[i] = NULL;
    set_groups(ret, spawner_groups, COUNT(spawner_groups));
    set_rules(ret, spawner_by_args, COUNT(spawner_by_args));
}

static bool known(const char *name)
{
    return seccomp_syscall_resolve_name(name) != __NR_SCMP_ERROR;
}

static const char *unknown_in(const struct group *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (const char *const *name = list[i].names; *name; name++)
            if (!known(*name))
                return *name;
    return NULL;
}

const char *policy_unknown_name(void)
{
    const char *name = unknown_in(groups, COUNT(groups));
    if (!name)
        name = unknown_in(spawner_groups, COUNT(spawner_groups));
    for (size_t i = 0; !name && i < COUNT(by_args); i++)
        name = known(by_args[i].name) ? NULL : by_args[i].name;
    for (size_t i = 0; !name && i < COUNT(no_subprocess); i++)
        name = known(no_subprocess[i].name) ? NULL : no_subprocess[i].name;
    return name;
}

uint16_t policy_errno_of(enum refusal_op op)
{
    return op == REFUSAL_SOCKET ? EAFNOSUPPORT : EPERM;
}
