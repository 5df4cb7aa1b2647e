/*
 * Kernel surface: calls that must not reach the kernel's code behind them. Their arguments are
 * harmless even to a host whose root runs this (bad addresses, wrong magics): reached, they fail
 * with EFAULT or EINVAL, which is told apart from a refusal.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/net.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "probe.h"

/* Newer than Debian 12's headers. */
#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443
#endif
#ifndef AF_VSOCK
#define AF_VSOCK 40
#endif
#define X32_BIT  0x40000000
#define BAD      ((long)0x1000) /* an address where nothing is mapped */
#define HIGH_BIT (1L << 32)

static enum outcome judge_call(const char *what, long result)
{
    int error = errno;
    if (result >= 0)
        return escaped("%s worked", what);
    if (!is_refusal(error))
        return escaped("%s reached the kernel: %s", what, strerror(error));
    return contained("%s: %s", what, strerror(error));
}

#define CALL(function, what, ...)                                                                  \
    static enum outcome function(void)                                                             \
    {                                                                                              \
        return judge_call(what, syscall(__VA_ARGS__));                                             \
    }

CALL(unshare_user, "unshare(CLONE_NEWUSER)", SYS_unshare, CLONE_NEWUSER)
CALL(unshare_mount, "unshare(CLONE_NEWNS)", SYS_unshare, CLONE_NEWNS)
CALL(unshare_net, "unshare(CLONE_NEWUSER | CLONE_NEWNET)", SYS_unshare,
     CLONE_NEWUSER | CLONE_NEWNET)
CALL(set_ns, "setns", SYS_setns, -1, 0)
CALL(mount_call, "mount", SYS_mount, BAD, BAD, BAD, 0, 0)
CALL(umount_call, "umount2", SYS_umount2, BAD, 0)
CALL(pivot_root_call, "pivot_root", SYS_pivot_root, BAD, BAD)
CALL(chroot_call, "chroot", SYS_chroot, BAD)
CALL(open_tree_call, "open_tree", SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */)
CALL(move_mount_call, "move_mount", SYS_move_mount, -1, "", -1, "", 0)
CALL(fsopen_call, "fsopen", SYS_fsopen, "tmpfs", 0)
CALL(fsconfig_call, "fsconfig", SYS_fsconfig, -1, 0, 0, 0, 0)
CALL(fsmount_call, "fsmount", SYS_fsmount, -1, 0, 0)
CALL(fspick_call, "fspick", SYS_fspick, AT_FDCWD, "/", 0)
CALL(mount_setattr_call, "mount_setattr", SYS_mount_setattr, -1, "", 0, BAD, 32)
CALL(bpf_call, "bpf", SYS_bpf, 0 /* BPF_MAP_CREATE */, BAD, 48)
CALL(io_uring_setup_call, "io_uring_setup", SYS_io_uring_setup, 4, BAD)
CALL(io_uring_enter_call, "io_uring_enter", SYS_io_uring_enter, -1, 0, 0, 0, 0, 0)
CALL(io_uring_register_call, "io_uring_register", SYS_io_uring_register, -1, 0, 0, 0)
CALL(userfaultfd_call, "userfaultfd", SYS_userfaultfd, 1 /* UFFD_USER_MODE_ONLY */)
CALL(perf_call, "perf_event_open", SYS_perf_event_open, BAD, 0, -1, -1, 0)
CALL(add_key_call, "add_key", SYS_add_key, "user", "cloister-probe", "x", 1, -3 /* the session's */)
CALL(request_key_call, "request_key", SYS_request_key, "user", "cloister-probe", 0, 0)
CALL(keyctl_call, "keyctl", SYS_keyctl, 0 /* KEYCTL_GET_KEYRING_ID */, -3, 1)
CALL(init_module_call, "init_module", SYS_init_module, BAD, 0, BAD)
CALL(finit_module_call, "finit_module", SYS_finit_module, -1, BAD, 0)
CALL(delete_module_call, "delete_module", SYS_delete_module, BAD, 0)
CALL(kexec_load_call, "kexec_load", SYS_kexec_load, 0, 17, BAD, 0)
CALL(kexec_file_call, "kexec_file_load", SYS_kexec_file_load, -1, -1, 0, BAD, 0xff00)
CALL(reboot_call, "reboot", SYS_reboot, 1, 2, 3, 0)
CALL(swapon_call, "swapon", SYS_swapon, BAD, 0)
CALL(swapoff_call, "swapoff", SYS_swapoff, BAD)
CALL(clock_settime_call, "clock_settime", SYS_clock_settime, 0, BAD)
CALL(settimeofday_call, "settimeofday", SYS_settimeofday, BAD, 0)
CALL(adjtimex_call, "adjtimex", SYS_adjtimex, BAD)
CALL(clock_adjtime_call, "clock_adjtime", SYS_clock_adjtime, 0, BAD)
CALL(name_to_handle_call, "name_to_handle_at", SYS_name_to_handle_at, AT_FDCWD, "/", BAD, BAD, 0)
CALL(open_by_handle_call, "open_by_handle_at", SYS_open_by_handle_at, AT_FDCWD, BAD, 0)
CALL(fanotify_call, "fanotify_init", SYS_fanotify_init, 0x200 /* FAN_REPORT_FID */, 0)
CALL(quotactl_call, "quotactl", SYS_quotactl, 0, 0, 0, BAD)
CALL(quotactl_fd_call, "quotactl_fd", SYS_quotactl_fd, -1, 0, 0, 0)
CALL(acct_call, "acct", SYS_acct, BAD)
CALL(iopl_call, "iopl", SYS_iopl, 4)
CALL(ioperm_call, "ioperm", SYS_ioperm, 0xffffff, 1, 1)
CALL(syslog_call, "syslog", SYS_syslog, 3, BAD, -1)
CALL(sethostname_call, "sethostname", SYS_sethostname, BAD, 5)
CALL(setdomainname_call, "setdomainname", SYS_setdomainname, BAD, 5)
CALL(ptrace_call, "ptrace(PTRACE_TRACEME)", SYS_ptrace, PTRACE_TRACEME, 0, 0, 0)
CALL(vm_readv_call, "process_vm_readv", SYS_process_vm_readv, getpid(), BAD, 1, BAD, 1, 0)
CALL(vm_writev_call, "process_vm_writev", SYS_process_vm_writev, getpid(), BAD, 1, BAD, 1, 0)
CALL(kcmp_call, "kcmp", SYS_kcmp, getpid(), getpid(), 0, 0, 1)
CALL(pidfd_getfd_call, "pidfd_getfd", SYS_pidfd_getfd, -1, 0, 0)
CALL(process_madvise_call, "process_madvise", SYS_process_madvise, -1, BAD, 1, 4, 0)
CALL(move_pages_call, "move_pages", SYS_move_pages, 0, 0, 0, 0, 0, 0)
CALL(migrate_pages_call, "migrate_pages", SYS_migrate_pages, 0, 0, 0, 0)
CALL(modify_ldt_call, "modify_ldt", SYS_modify_ldt, 0, BAD, 16)
CALL(uselib_call, "uselib", SYS_uselib, BAD)
CALL(io_setup_call, "io_setup", SYS_io_setup, 0, BAD)
CALL(sched_core_call, "prctl(PR_SCHED_CORE)", SYS_prctl, 62 /* PR_SCHED_CORE */, 1, 0, 0, BAD)
CALL(personality_call, "personality(READ_IMPLIES_EXEC | MMAP_PAGE_ZERO)", SYS_personality,
     READ_IMPLIES_EXEC | MMAP_PAGE_ZERO)
CALL(tiocsti_call, "ioctl(TIOCSTI)", SYS_ioctl, 0, TIOCSTI, "x")
CALL(tiocsti_high, "ioctl(TIOCSTI) with a high bit", SYS_ioctl, 0, TIOCSTI | HIGH_BIT, "x")
CALL(tioclinux_call, "ioctl(TIOCLINUX)", SYS_ioctl, 0, TIOCLINUX, "\1")
CALL(tiocsetd_call, "ioctl(TIOCSETD)", SYS_ioctl, 0, TIOCSETD, BAD)

/* A new process in new namespaces: @flags with the exit signal; the child, if there is one, ends at
 * once. */
static enum outcome try_clone(const char *what, unsigned long flags)
{
    long pid = syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0)
        _exit(0);
    int error = errno;
    if (pid > 0)
        waitpid((pid_t)pid, NULL, 0);
    errno = error;
    return judge_call(what, pid);
}

static enum outcome clone_user(void)
{
    return try_clone("clone(CLONE_NEWUSER)", CLONE_NEWUSER);
}

static enum outcome clone_high(void)
{
    return try_clone("clone(CLONE_NEWUSER) with a high bit", CLONE_NEWUSER | (1UL << 33));
}

static enum outcome clone_all(void)
{
    static const unsigned long kinds[] = {CLONE_NEWNS,  CLONE_NEWPID, CLONE_NEWNET,
                                          CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        long pid = syscall(SYS_clone, kinds[i] | SIGCHLD, NULL, NULL, NULL, NULL);
        if (pid == 0)
            _exit(0);
        if (pid > 0) {
            waitpid((pid_t)pid, NULL, 0);
            return escaped("clone(%lx) worked", kinds[i]);
        }
    }
    return contained("clone with each kind of namespace: %s", strerror(errno));
}

/* clone3's flags are in memory where no filter can read them. */
static enum outcome clone3_call(void)
{
    long result = syscall(SYS_clone3, NULL, 0);
    if (result >= 0 || errno != ENOSYS)
        return escaped("clone3 exists: %s", strerror(errno));
    return contained("clone3: %s", strerror(errno));
}

/* A socket of a family that loads or reaches code that no program of a sandbox needs. */
static enum outcome try_socket(const char *what, long family, long type, long protocol)
{
    long fd = syscall(SYS_socket, family, type, protocol);
    int error = errno;
    if (fd >= 0) {
        close((int)fd);
        return escaped("%s was opened", what);
    }
    if (!is_refusal(error) && error != EAFNOSUPPORT && error != EPROTONOSUPPORT &&
        error != ESOCKTNOSUPPORT)
        return escaped("%s reached the kernel: %s", what, strerror(error));
    return contained("%s: %s", what, strerror(error));
}

#define SOCKET(function, what, family, type, protocol)                                             \
    static enum outcome function(void)                                                             \
    {                                                                                              \
        return try_socket(what, family, type, protocol);                                           \
    }

SOCKET(af_packet, "AF_PACKET", AF_PACKET, SOCK_RAW, 0x0300)
SOCKET(af_vsock, "AF_VSOCK", AF_VSOCK, SOCK_STREAM, 0)
SOCKET(af_alg, "AF_ALG", AF_ALG, SOCK_SEQPACKET, 0)
SOCKET(raw_inet, "a raw IPv4 socket", AF_INET, SOCK_RAW, 1)
SOCKET(raw_inet6, "a raw IPv6 socket", AF_INET6, SOCK_RAW, 58)
SOCKET(ping_socket, "an ICMP datagram socket", AF_INET, SOCK_DGRAM, 1)
SOCKET(sctp, "SCTP", AF_INET, SOCK_STREAM, 132)
SOCKET(netfilter, "NETLINK_NETFILTER", AF_NETLINK, SOCK_RAW, 12)
SOCKET(netlink_audit, "NETLINK_AUDIT", AF_NETLINK, SOCK_RAW, 9)
SOCKET(kobject_uevent, "NETLINK_KOBJECT_UEVENT", AF_NETLINK, SOCK_RAW, 15)
SOCKET(af_key, "AF_KEY", AF_KEY, SOCK_RAW, 2)
SOCKET(bluetooth, "AF_BLUETOOTH", AF_BLUETOOTH, SOCK_RAW, 1)
SOCKET(af_xdp, "AF_XDP", 44, SOCK_RAW, 0)
SOCKET(af_can, "AF_CAN", AF_CAN, SOCK_RAW, 1)
SOCKET(af_tipc, "AF_TIPC", 30, SOCK_RDM, 0)
SOCKET(socket_high, "AF_PACKET with high bits", AF_PACKET | HIGH_BIT, SOCK_RAW | HIGH_BIT, 0x0300)

/* How a child that runs @attempt ends: it must be killed, or told that there is no such call. */
static enum outcome foreign_call(const char *what, void (*attempt)(void))
{
    int status = in_child(attempt);
    if (status < 0)
        return broken("fork: %s", strerror(errno));
    if (WIFSIGNALED(status))
        return contained("%s: the caller is killed (%s)", what, strsignal(WTERMSIG(status)));
    if (WEXITSTATUS(status) == 0)
        return escaped("%s works", what);
    return contained("%s: %s", what, strerror(WEXITSTATUS(status)));
}

static void x32_getpid(void)
{
    long result = syscall(X32_BIT | 39 /* getpid */);
    _exit(result > 0 ? 0 : errno);
}

static enum outcome x32_call(void)
{
    return foreign_call("an x32 call", x32_getpid);
}

static void x32_unshare(void)
{
    _exit(syscall(X32_BIT | SYS_unshare, CLONE_NEWUSER) == 0 ? 0 : errno);
}

static enum outcome x32_refused(void)
{
    return foreign_call("unshare as an x32 call", x32_unshare);
}

static void i386_getpid(void)
{
    long result;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(20L /* getpid */)
                     : "memory", "r8", "r9", "r10", "r11");
    _exit(result > 0 ? 0 : (int)-result);
}

static enum outcome i386_call(void)
{
    return foreign_call("int 0x80", i386_getpid);
}

/* Call numbers beyond the table and negative ones: nothing may be let through by range. */
static long odd_number;

static void odd_call(void)
{
    long result = syscall(odd_number, 0, 0, 0, 0, 0, 0);
    _exit(result >= 0 ? 0 : errno);
}

static enum outcome odd_numbers(void)
{
    static const long numbers[] = {1023, 2000, 0x7fffffff, -1, 512, 547, 0x80000000L};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        odd_number = numbers[i];
        int status = in_child(odd_call);
        if (status < 0)
            return broken("fork: %s", strerror(errno));
        if (WIFEXITED(status) && !is_refusal(WEXITSTATUS(status)))
            return escaped("call %ld: %s", numbers[i],
                           WEXITSTATUS(status) ? strerror(WEXITSTATUS(status)) : "works");
    }
    return contained("unknown call numbers are refused, or their caller is killed");
}

/* A second listener would take our reports and answer other processes' calls. */
static enum outcome seccomp_listener(void)
{
    struct {
        unsigned short len;
        void *filter;
    } program = {1, (void *)BAD};
    long result =
        syscall(SYS_seccomp, 1 /* SET_MODE_FILTER */, 1UL << 3 /* NEW_LISTENER */, &program);
    return judge_call("seccomp(NEW_LISTENER)", result);
}

static enum outcome filter_kept(void)
{
    int mode = prctl(PR_GET_SECCOMP, 0, 0, 0, 0);
    if (mode != 2)
        return escaped("seccomp mode is %d", mode);
    return contained("a filter is in force, it can only be added to");
}

#define KERNEL(n, function)                                                                        \
    {                                                                                              \
        .name = "kernel." n, .run = function                                                       \
    }
#define CONTROLLED(n, function)                                                                    \
    {                                                                                              \
        .name = "kernel." n, .run = function, .flags = PROBE_CONTROL                               \
    }

static const struct probe probes[] = {
    {.name = "kernel.unshare-user",
     .layer = "seccomp",
     .run = unshare_user,
     .flags = PROBE_CONTROL},
    CONTROLLED("unshare-mount", unshare_mount),
    CONTROLLED("unshare-net", unshare_net),
    CONTROLLED("setns", set_ns),
    CONTROLLED("mount", mount_call),
    CONTROLLED("umount2", umount_call),
    CONTROLLED("pivot-root", pivot_root_call),
    CONTROLLED("chroot", chroot_call),
    CONTROLLED("open-tree", open_tree_call),
    CONTROLLED("move-mount", move_mount_call),
    CONTROLLED("fsopen", fsopen_call),
    CONTROLLED("fsconfig", fsconfig_call),
    CONTROLLED("fsmount", fsmount_call),
    CONTROLLED("fspick", fspick_call),
    CONTROLLED("mount-setattr", mount_setattr_call),
    CONTROLLED("bpf", bpf_call),
    CONTROLLED("io-uring-setup", io_uring_setup_call),
    CONTROLLED("io-uring-enter", io_uring_enter_call),
    KERNEL("io-uring-register", io_uring_register_call),
    CONTROLLED("userfaultfd", userfaultfd_call),
    CONTROLLED("perf-event-open", perf_call),
    KERNEL("add-key", add_key_call),
    CONTROLLED("request-key", request_key_call),
    CONTROLLED("keyctl", keyctl_call),
    KERNEL("init-module", init_module_call),
    KERNEL("finit-module", finit_module_call),
    KERNEL("delete-module", delete_module_call),
    KERNEL("kexec-load", kexec_load_call),
    KERNEL("kexec-file-load", kexec_file_call),
    CONTROLLED("reboot", reboot_call),
    CONTROLLED("swapon", swapon_call),
    CONTROLLED("swapoff", swapoff_call),
    CONTROLLED("clock-settime", clock_settime_call),
    CONTROLLED("settimeofday", settimeofday_call),
    CONTROLLED("adjtimex", adjtimex_call),
    CONTROLLED("clock-adjtime", clock_adjtime_call),
    CONTROLLED("name-to-handle", name_to_handle_call),
    CONTROLLED("open-by-handle", open_by_handle_call),
    KERNEL("fanotify", fanotify_call),
    CONTROLLED("quotactl", quotactl_call),
    CONTROLLED("quotactl-fd", quotactl_fd_call),
    KERNEL("acct", acct_call),
    KERNEL("iopl", iopl_call),
    KERNEL("ioperm", ioperm_call),
    CONTROLLED("syslog", syslog_call),
    CONTROLLED("sethostname", sethostname_call),
    CONTROLLED("setdomainname", setdomainname_call),
    CONTROLLED("ptrace", ptrace_call),
    CONTROLLED("process-vm-readv", vm_readv_call),
    CONTROLLED("process-vm-writev", vm_writev_call),
    CONTROLLED("kcmp", kcmp_call),
    CONTROLLED("pidfd-getfd", pidfd_getfd_call),
    CONTROLLED("process-madvise", process_madvise_call),
    CONTROLLED("move-pages", move_pages_call),
    CONTROLLED("migrate-pages", migrate_pages_call),
    KERNEL("modify-ldt", modify_ldt_call),
    KERNEL("uselib", uselib_call),
    CONTROLLED("io-setup", io_setup_call),
    KERNEL("sched-core", sched_core_call),
    CONTROLLED("personality", personality_call),
    CONTROLLED("tiocsti", tiocsti_call),
    CONTROLLED("tiocsti-high-bit", tiocsti_high),
    CONTROLLED("tioclinux", tioclinux_call),
    CONTROLLED("tiocsetd", tiocsetd_call),
    CONTROLLED("clone-user", clone_user),
    CONTROLLED("clone-high-bit", clone_high),
    CONTROLLED("clone-namespaces", clone_all),
    CONTROLLED("clone3", clone3_call),
    CONTROLLED("af-packet", af_packet),
    KERNEL("af-vsock", af_vsock),
    KERNEL("af-alg", af_alg),
    CONTROLLED("raw-inet", raw_inet),
    CONTROLLED("raw-inet6", raw_inet6),
    KERNEL("ping-socket", ping_socket),
    KERNEL("sctp", sctp),
    KERNEL("netlink-netfilter", netfilter),
    KERNEL("netlink-audit", netlink_audit),
    CONTROLLED("netlink-uevent", kobject_uevent),
    KERNEL("af-key", af_key),
    KERNEL("af-bluetooth", bluetooth),
    KERNEL("af-xdp", af_xdp),
    KERNEL("af-can", af_can),
    KERNEL("af-tipc", af_tipc),
    CONTROLLED("socket-high-bits", socket_high),
    KERNEL("x32", x32_call),
    KERNEL("x32-unshare", x32_refused),
    KERNEL("int80", i386_call),
    KERNEL("odd-numbers", odd_numbers),
    CONTROLLED("seccomp-listener", seccomp_listener),
    CONTROLLED("filter-in-force", filter_kept),
};

const struct probe_table kernel_probes = {probes, sizeof(probes) / sizeof(*probes)};
