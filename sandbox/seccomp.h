#pragma once
/*
 * The system call policy of a program, as a BPF program of our own emission (a range tree, five
 * times cheaper to load than a linear allow-list) whose meaning is proven equal to libseccomp's in
 * the tests (docs/adr/0006).
 *
 * Names and architectures come from libseccomp. Allow-list (policy.c):
 *   allowed            as is
 *   by argument        clone (no CLONE_NEW*; only threads under no-subprocess), ioctl (no TIOCSTI,
 *                      TIOCLINUX, TIOCSETD), socket (AF_UNIX; AF_INET, AF_INET6 stream and
 *                      datagram; AF_NETLINK NETLINK_ROUTE: harmless in the empty network
 *                      namespace), socketpair, prctl, personality, mknod, seccomp, madvise
 *   clone3             ENOSYS, so that libc falls back to clone, whose flags can be read
 *   refused, reported  SECCOMP_RET_USER_NOTIF: answered with the errno by the sandbox's pid 1
 *   unknown to us      ENOSYS (newer than this table)
 *   foreign architecture, x32   KILL_PROCESS
 */

#include <asm/unistd.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>

#include "base/result.h"
#include "sandbox/spec.h"

struct err;

#define SBX_FILTER_INSNS_MAX 1024
#define SBX_FILTER_NR_MAX    512
#define SBX_OP_NONE          255
#define SBX_NR_CLONE         __NR_clone

struct sbx_filter {
    uint16_t n_insns;
    struct sock_filter insns[SBX_FILTER_INSNS_MAX];
    uint8_t op_of[SBX_FILTER_NR_MAX]; /* enum refusal_op, SBX_OP_NONE: never refused */
    uint16_t errno_of[REFUSAL_COUNT]; /* what the program sees */
};

/** sbx_filter_build() - for @policy (enum sbx_policy bits); once per policy at start, 0.1 ms. */
int sbx_filter_build(uint32_t policy, struct sbx_filter *ret, struct err *err);

/**
 * sbx_filter_build_quiet() - the same policy with ERRNO in place of USER_NOTIF: for a launcher
 * where nobody answers notifications (seccomp_notify missing), refusals then are not reported.
 */
int sbx_filter_build_quiet(uint32_t policy, struct sbx_filter *ret, struct err *err);

/**
 * sbx_filter_op() - what kind of refusal a notified call is; SBX_OP_NONE: not one of ours
 * By the call number, except that clone is refused for two reasons. Fit for the freestanding init.
 */
static inline uint8_t sbx_filter_op(const struct sbx_filter *filter,
                                    const struct seccomp_data *call)
{
    if (call->nr < 0 || call->nr >= SBX_FILTER_NR_MAX)
        return SBX_OP_NONE;
    uint8_t op = filter->op_of[call->nr];
    uint32_t namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                          CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
    if (call->nr == SBX_NR_CLONE && op == REFUSAL_SUBPROCESS && (call->args[0] & namespaces))
        op = REFUSAL_NAMESPACE;
    return op;
}

/**
 * sbx_filter_spawner_install() - take away what spawner, init and zygotes never need, for good
 *
 * A deny-list: keyrings, bpf, io_uring, modules, ptrace, exotic sockets and their like; foreign
 * architectures are killed. A filter that answers ERRNO would be inherited by the program and win
 * over its own USER_NOTIF: nothing would be reported. So this one answers USER_NOTIF too, with no
 * listener behind it. Alone, that is ENOSYS; under the program's filter, of two equal answers the
 * kernel takes the younger filter's, whose listener is there.
 *
 * Call it before anything is started and after the last exec of a set-uid helper (newuidmap). Needs
 * CAP_SYS_ADMIN in the own user namespace, or no_new_privs.
 */
int sbx_filter_spawner_install(struct err *err);
/** sbx_filter_spawner_build() - the program alone */
int sbx_filter_spawner_build(struct sbx_filter *ret, struct err *err);

/**
 * All three as a program is built that has no time to make them (sandbox/filters_main.c writes
 * them, the unit tests compare them with sbx_filter_build()): [0] plain, [1]
 * SBX_POLICY_NO_SUBPROCESS.
 */
extern const struct sbx_filter sbx_ready_filters[2], sbx_ready_spawner_filter;
