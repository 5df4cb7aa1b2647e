#pragma once
/*
 * The system call policy of a program, as a BPF program of our own emission (a range tree, ten times
 * cheaper to load than a linear allow-list) whose meaning is proven equal to libseccomp's in the tests.
 *
 * Names and architectures come from libseccomp. Allow-list:
 *   allowed               as is
 *   allowed by argument   clone (no CLONE_NEW*; only threads under no-subprocess), ioctl (no TIOCSTI,
 *                         TIOCLINUX, TIOCSETD), socket (AF_UNIX; AF_INET, AF_INET6 stream and datagram;
 *                         AF_NETLINK NETLINK_ROUTE: all harmless in the empty network namespace), socketpair, prctl,
 *                         personality, arch_prctl ...
 *   clone3                ENOSYS, so that libc falls back to clone, whose flags can be read
 *   refused, reported     SECCOMP_RET_USER_NOTIF: answered with the errno by the sandbox's pid 1
 *   unknown to us         ENOSYS (newer than this table)
 *   foreign architecture, x32   KILL_PROCESS
 */

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

#include "base/result.h"

struct err;

#define SBX_FILTER_INSNS_MAX 1024
#define SBX_FILTER_NR_MAX    512
#define SBX_OP_NONE          255

struct sbx_filter {
    uint16_t n_insns;
    struct sock_filter insns[SBX_FILTER_INSNS_MAX];
    uint8_t op_of[SBX_FILTER_NR_MAX];       /* enum refusal_op per call number, SBX_OP_NONE: never refused */
    uint16_t errno_of[REFUSAL_COUNT];       /* what the program sees */
};

/** sbx_filter_build() - for @policy (enum sbx_policy bits). Once per policy at start: about a millisecond. */
int sbx_filter_build(uint32_t policy, struct sbx_filter *ret, struct err *err);

/**
 * sbx_filter_build_quiet() - the same policy with ERRNO in place of USER_NOTIF: for a launcher
 * where nobody answers notifications (seccomp_notify missing), refusals then are not reported.
 */
int sbx_filter_build_quiet(uint32_t policy, struct sbx_filter *ret, struct err *err);

/** sbx_filter_spawner_install() - on the calling process, for good: what spawner, init and every child never need. */
int sbx_filter_spawner_install(struct err *err);
