/*
 * The emitted program means what libseccomp's own program for the same policy means: for every call
 * number, and for arguments on both sides of every comparison. libseccomp has no "everything else"
 * for one call, only a default for the whole filter: so a call that is judged by argument gets a
 * reference filter of its own, whose default is that call's "otherwise".
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <errno.h>
#include <linux/audit.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "sandbox/filter_emit.h"
#include "sandbox/policy.h"
#include "sandbox/seccomp.h"
#include "tests/support/bpf_sim.h"

#define NOTIF         SECCOMP_RET_USER_NOTIF
#define FAILS(error)  (SECCOMP_RET_ERRNO | (uint32_t)(error))
#define HIGH          (UINT64_C(0xdeadbeef) << 32)
#define REFERENCE_MAX 4096
#define VALUES_MAX    512

#if defined(__x86_64__)
#define ARCH_NATIVE AUDIT_ARCH_X86_64
#else
#define ARCH_NATIVE AUDIT_ARCH_AARCH64
#endif

struct program {
    size_t len;
    struct sock_filter insns[REFERENCE_MAX];
};

static const uint32_t policies[] = {0, SBX_POLICY_NO_SUBPROCESS};

static uint32_t run(const struct sock_filter *insns, size_t len, const struct seccomp_data *call,
                    size_t *ret_steps)
{
    uint32_t ret = 0;
    if (bpf_sim_run(insns, len, call, &ret, ret_steps) < 0)
        fail_msg("the kernel would not load this program (call %d)", call->nr);
    return ret;
}

static uint32_t answer(const struct sbx_filter *filter, long nr, uint64_t a, uint64_t b, uint64_t c)
{
    struct seccomp_data call = {.nr = (int)nr, .arch = ARCH_NATIVE, .args = {a, b, c}};
    return run(filter->insns, filter->n_insns, &call, NULL);
}

/* --- the reference --- */

static uint32_t scmp_action(struct policy_action action, bool quiet)
{
    if (action.kind == POLICY_ALLOW)
        return SCMP_ACT_ALLOW;
    if (action.kind == POLICY_ERRNO)
        return SCMP_ACT_ERRNO(action.value);
    return quiet ? SCMP_ACT_ERRNO(policy_errno_of((enum refusal_op)action.value)) : SCMP_ACT_NOTIFY;
}

static scmp_filter_ctx reference_new(uint32_t otherwise)
{
    scmp_filter_ctx ctx = seccomp_init(otherwise);
    assert_non_null(ctx);
    assert_int_equal(seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), 0);
    return ctx;
}

static void reference_export(scmp_filter_ctx ctx, struct program *ret)
{
    int fd = memfd_create("bpf", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(seccomp_export_bpf(ctx, fd), 0);
    ssize_t n = pread(fd, ret->insns, sizeof(ret->insns), 0);
    assert_true(n > 0 && (size_t)n < sizeof(ret->insns));
    ret->len = (size_t)n / sizeof(ret->insns[0]);
    close(fd);
    seccomp_release(ctx);
}

/* All calls that are not judged by argument. */
static void reference_plain(const struct policy_rule *const *of_nr, struct policy_action missing,
                            bool quiet, struct program *ret)
{
    uint32_t otherwise = scmp_action(missing, quiet);
    scmp_filter_ctx ctx = reference_new(otherwise);
    for (int nr = 0; nr < SBX_FILTER_NR_MAX; nr++) {
        const struct policy_rule *rule = of_nr[nr];
        uint32_t action = rule ? scmp_action(rule->otherwise, quiet) : otherwise;
        if (rule && !rule->n_cases && action != otherwise)
            assert_int_equal(seccomp_rule_add_array(ctx, action, nr, 0, NULL), 0);
    }
    reference_export(ctx, ret);
}

/* libseccomp takes one comparison per argument: two halves become one of 64 bits. */
static void add_condition(struct scmp_arg_cmp *compare, unsigned *n, const struct policy_cond *cond)
{
    unsigned shift = cond->high ? 32 : 0;
    uint64_t mask = (uint64_t)cond->mask << shift, value = (uint64_t)cond->value << shift;
    for (unsigned i = 0; i < *n; i++)
        if (compare[i].arg == cond->index) {
            compare[i].datum_a |= mask;
            compare[i].datum_b |= value;
            return;
        }
    compare[(*n)++] = SCMP_CMP(cond->index, SCMP_CMP_MASKED_EQ, mask, value);
}

/* One call that is. */
static void reference_by_args(int nr, const struct policy_rule *rule, bool quiet,
                              struct program *ret)
{
    uint32_t otherwise = scmp_action(rule->otherwise, quiet);
    scmp_filter_ctx ctx = reference_new(otherwise);
    for (size_t i = 0; i < rule->n_cases; i++) {
        const struct policy_case *c = &rule->cases[i];
        struct scmp_arg_cmp compare[POLICY_CONDS_MAX];
        unsigned n = 0;
        for (size_t j = 0; j < c->n_conds; j++)
            add_condition(compare, &n, &c->conds[j]);
        uint32_t action = scmp_action(c->action, quiet);
        assert_int_not_equal(action, otherwise);
        assert_int_equal(seccomp_rule_add_array(ctx, action, nr, n, compare), 0);
    }
    reference_export(ctx, ret);
}

/* --- arguments worth trying --- */

struct values {
    size_t n;
    uint64_t v[VALUES_MAX];
};

static void add_value(struct values *values, uint64_t v)
{
    for (size_t i = 0; i < values->n; i++)
        if (values->v[i] == v)
            return;
    assert_true(values->n < VALUES_MAX);
    values->v[values->n++] = v;
}

/* Every constant that the rule compares argument @index with, its neighbours, and single bits off.
 */
static void values_for(const struct policy_rule *rule, unsigned index, struct values *ret)
{
    ret->n = 0;
    add_value(ret, 0);
    add_value(ret, UINT32_MAX);
    add_value(ret, UINT64_MAX);
    for (size_t i = 0; i < rule->n_cases; i++) {
        for (size_t j = 0; j < rule->cases[i].n_conds; j++) {
            const struct policy_cond *cond = &rule->cases[i].conds[j];
            if (cond->index != index)
                continue;
            add_value(ret, cond->value);
            add_value(ret, cond->value | HIGH);
            add_value(ret, cond->value + 1);
            add_value(ret, cond->value - 1);
            add_value(ret, cond->value | ~cond->mask);
            for (unsigned bit = 0; cond->mask != UINT32_MAX && bit < 32; bit++)
                add_value(ret, cond->value ^ (UINT32_C(1) << bit));
        }
    }
}

struct steps {
    size_t total, n, max;
};

static void compare(const struct sbx_filter *filter, const struct program *reference,
                    const struct seccomp_data *call, struct steps *steps)
{
    size_t n = 0;
    uint32_t ours = run(filter->insns, filter->n_insns, call, &n);
    uint32_t theirs = run(reference->insns, reference->len, call, NULL);
    if (ours != theirs)
        fail_msg("call %d (0x%llx, 0x%llx, 0x%llx): ours 0x%x, libseccomp's 0x%x", call->nr,
                 (unsigned long long)call->args[0], (unsigned long long)call->args[1],
                 (unsigned long long)call->args[2], ours, theirs);
    steps->total += n;
    steps->n++;
    steps->max = n > steps->max ? n : steps->max;
}

static void compare_args(const struct sbx_filter *filter, int nr, const struct policy_rule *rule,
                         bool quiet, struct steps *steps)
{
    static struct program reference;
    static struct values values[3];
    reference_by_args(nr, rule, quiet, &reference);
    for (unsigned index = 0; index < 3; index++)
        values_for(rule, index, &values[index]);
    for (size_t a = 0; a < values[0].n; a++)
        for (size_t b = 0; b < values[1].n; b++)
            for (size_t c = 0; c < values[2].n; c++) {
                struct seccomp_data call = {.nr = nr,
                                            .arch = ARCH_NATIVE,
                                            .args = {values[0].v[a], values[1].v[b],
                                                     values[2].v[c]}};
                compare(filter, &reference, &call, steps);
            }
}

static void compare_all(const struct sbx_filter *filter, const struct policy_rule *const *of_nr,
                        struct policy_action missing, bool quiet, const char *name)
{
    static struct program plain;
    struct steps direct = {0}, by_args = {0};
    reference_plain(of_nr, missing, quiet, &plain);
    for (int nr = 0; nr < SBX_FILTER_NR_MAX; nr++) {
        struct seccomp_data call = {.nr = nr, .arch = ARCH_NATIVE};
        if (of_nr[nr] && of_nr[nr]->n_cases)
            compare_args(filter, nr, of_nr[nr], quiet, &by_args);
        else
            compare(filter, &plain, &call, &direct);
    }
    static const uint32_t beyond[] = {
        512,        1000,       0x3fffffff, 0x40000000, 0x40000001,
        0x400001ff, 0x7fffffff, 0x80000000, 0xfffffffe, UINT32_MAX,
    };
    for (size_t i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++) {
        struct seccomp_data call = {.nr = (int)beyond[i], .arch = ARCH_NATIVE};
        compare(filter, &plain, &call, &direct);
    }
    static const uint32_t foreign[] = {AUDIT_ARCH_I386,    AUDIT_ARCH_X86_64,  AUDIT_ARCH_AARCH64,
                                       AUDIT_ARCH_ARM,     AUDIT_ARCH_PPC64LE, 0,
                                       AUDIT_ARCH_RISCV64, UINT32_MAX};
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
        for (int nr = 0; foreign[i] != ARCH_NATIVE && nr < SBX_FILTER_NR_MAX; nr++) {
            struct seccomp_data call = {.nr = nr, .arch = foreign[i]};
            struct steps ignored = {0};
            compare(filter, &plain, &call, &ignored);
        }
    printf("[ figure   ] %s: %u instructions (libseccomp's %zu without argument rules); path "
           "%.1f on average, %zu at most; with arguments %zu cases, %zu at most\n",
           name, filter->n_insns, plain.len, (double)direct.total / (double)direct.n, direct.max,
           by_args.n, by_args.max);
    assert_true(direct.max <= 16);
}

static void notifying_program_equals_libseccomps(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const struct policy_rule *of_nr[SBX_FILTER_NR_MAX];
        struct sbx_filter filter;
        assert_int_equal(sbx_filter_build(policies[i], &filter, NULL), 0);
        policy_resolve(policies[i], of_nr);
        compare_all(&filter, of_nr, policy_default(), false,
                    policies[i] ? "no-subprocess" : "default");
    }
}

static void quiet_program_equals_libseccomps(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const struct policy_rule *of_nr[SBX_FILTER_NR_MAX];
        struct sbx_filter filter;
        assert_int_equal(sbx_filter_build_quiet(policies[i], &filter, NULL), 0);
        policy_resolve(policies[i], of_nr);
        compare_all(&filter, of_nr, policy_default(), true,
                    policies[i] ? "no-subprocess, quiet" : "default, quiet");
    }
}

static void spawner_program_equals_libseccomps(void **state)
{
    (void)state;
    struct filter_plan plan = {.arch = ARCH_NATIVE,
                               .missing = {POLICY_ALLOW, 0},
                               .refuse_ret = NOTIF};
    struct sbx_filter filter;
    policy_spawner_resolve(plan.of_nr);
    assert_int_equal(filter_emit(&plan, &filter, NULL), 0);
    compare_all(&filter, plan.of_nr, plan.missing, false, "spawner");
}

/* Far jumps: a policy that alternates on every number, with a snippet on many, exceeds 255
 * instructions. */
static void long_program_equals_libseccomps(void **state)
{
    (void)state;
    static const struct policy_case cases[] = {
        {2,
         {{.index = 0, .mask = UINT32_MAX, .value = 7}, {.index = 1, .mask = 0xf0, .value = 0x10}},
         {POLICY_ALLOW, 0}},
        {1, {{.index = 0, .mask = UINT32_MAX, .value = 9}}, {POLICY_ERRNO, EBUSY}},
    };
    static const struct policy_rule allow = {NULL, {POLICY_ALLOW, 0}, 0, NULL};
    static const struct policy_rule refuse = {NULL, {POLICY_REFUSE, REFUSAL_KERNEL}, 0, NULL};
    static const struct policy_rule judge = {"x", {POLICY_REFUSE, REFUSAL_OTHER}, 2, cases};
    static const struct policy_rule *const pattern[] = {&allow, &refuse, &allow, NULL, &judge};
    struct filter_plan plan = {.arch = ARCH_NATIVE,
                               .missing = {POLICY_ERRNO, ENOSYS},
                               .refuse_ret = NOTIF};
    struct sbx_filter filter;
    for (size_t nr = 0; nr < 300; nr++)
        plan.of_nr[nr] = pattern[nr % 5];
    assert_int_equal(filter_emit(&plan, &filter, NULL), 0);
    assert_true(filter.n_insns > 2 * 255);
    compare_all(&filter, plan.of_nr, plan.missing, false, "alternating");
}

static void too_long_a_program_is_a_fault(void **state)
{
    (void)state;
    static const struct policy_case cases[] = {
        {1, {{.index = 0, .mask = 0xff, .value = 7}}, {POLICY_ALLOW, 0}},
        {1, {{.index = 1, .mask = 0xff, .value = 9}}, {POLICY_ALLOW, 0}},
    };
    static const struct policy_rule judge = {"x", {POLICY_REFUSE, REFUSAL_OTHER}, 2, cases};
    struct filter_plan plan = {.arch = ARCH_NATIVE, .missing = {POLICY_ERRNO, ENOSYS}};
    struct sbx_filter filter;
    struct err err = {0};
    for (size_t nr = 0; nr < SBX_FILTER_NR_MAX; nr++)
        plan.of_nr[nr] = &judge;
    assert_int_equal(filter_emit(&plan, &filter, &err), -E2BIG);
    assert_non_null(strstr(err.text, "1024"));
}

/* --- the policy itself, in words of its own --- */

static void every_name_is_known_to_libseccomp(void **state)
{
    (void)state;
    const char *name = policy_unknown_name();
    if (name)
        fail_msg("no such system call: %s", name);
}

static void unknown_policy_bits_are_refused(void **state)
{
    (void)state;
    struct sbx_filter filter;
    struct err err = {0};
    assert_int_equal(sbx_filter_build(1U << 7, &filter, &err), -EINVAL);
    assert_non_null(strstr(err.text, "0x80"));
}

static void judges_by_argument(void **state)
{
    (void)state;
    const uint32_t yes = SECCOMP_RET_ALLOW;
    const uint64_t thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
    const struct {
        long nr;
        uint64_t a, b, c;
        uint32_t want;
    } table[] = {
        {SYS_clone, SIGCHLD, 0, 0, yes},
        {SYS_clone, thread, 0, 0, yes},
        {SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0, yes},
        {SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, NOTIF},
        {SYS_clone, CLONE_NEWNET | thread, 0, 0, NOTIF},
        {SYS_clone, CLONE_NEWCGROUP, 0, 0, NOTIF},
        {SYS_clone, CLONE_NEWPID | HIGH, 0, 0, NOTIF},
        {SYS_clone3, 0, 0, 0, FAILS(ENOSYS)},
        {SYS_setrlimit, RLIMIT_CORE, 0x1000, 0, FAILS(0)},
        {SYS_setrlimit, RLIMIT_NOFILE, 0x1000, 0, yes},
        {SYS_prlimit64, 0, RLIMIT_CORE, 0, yes},
        {SYS_prlimit64, 0, RLIMIT_CORE, 0x1000, FAILS(0)},
        {SYS_prlimit64, 0, RLIMIT_CORE, HIGH, FAILS(0)},
        {SYS_prlimit64, 0, RLIMIT_NOFILE, 0x1000, yes},
        {SYS_ioctl, 0, TIOCGWINSZ, 0, yes},
        {SYS_ioctl, 0, TIOCSCTTY, 0, yes},
        {SYS_ioctl, 0, TIOCSTI, 0, NOTIF},
        {SYS_ioctl, 0, TIOCSTI | HIGH, 0, NOTIF},
        {SYS_ioctl, 0, TIOCLINUX, 0, NOTIF},
        {SYS_ioctl, 0, TIOCSETD, 0, NOTIF},
        {SYS_socket, AF_UNIX, SOCK_STREAM, 0, yes},
        {SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, yes},
        {SYS_socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0, yes},
        {SYS_socket, AF_INET6, SOCK_DGRAM, IPPROTO_UDP, yes},
        {SYS_socket, AF_INET, SOCK_RAW, 1, NOTIF},
        {SYS_socket, AF_INET, SOCK_DGRAM, 1, NOTIF},
        {SYS_socket, AF_INET, SOCK_STREAM, 132, NOTIF},
        {SYS_socket, AF_INET, SOCK_STREAM, 262, FAILS(EPROTONOSUPPORT)},
        {SYS_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0, yes},
        {SYS_socket, AF_NETLINK, SOCK_RAW, 12, NOTIF},
        {SYS_socket, AF_NETLINK, SOCK_RAW, 9, FAILS(EPROTONOSUPPORT)},
        {SYS_socket, AF_PACKET, SOCK_RAW, 0, NOTIF},
        {SYS_socket, AF_VSOCK, SOCK_STREAM, 0, NOTIF},
        {SYS_socket, AF_ALG, SOCK_SEQPACKET, 0, NOTIF},
        {SYS_socket, AF_KEY, SOCK_RAW, 2, NOTIF},
        {SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, yes},
        {SYS_socketpair, AF_TIPC, SOCK_STREAM, 0, NOTIF},
        {SYS_mknodat, 0, 0, S_IFIFO | 0600, yes},
        {SYS_mknodat, 0, 0, S_IFREG | 0600, yes},
        {SYS_mknodat, 0, 0, 0600, yes},
        {SYS_mknodat, 0, 0, S_IFCHR | 0600, NOTIF},
        {SYS_mknodat, 0, 0, S_IFBLK | 0600, NOTIF},
        {SYS_prctl, PR_SET_NAME, 0, 0, yes},
        {SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, yes},
        {SYS_prctl, PR_SET_MM, 0, 0, NOTIF},
        {SYS_prctl, PR_SCHED_CORE, 1, 0, NOTIF},
        {SYS_prctl, PR_SET_PTRACER, 1, 0, FAILS(EINVAL)},
        {SYS_personality, 0xffffffff, 0, 0, yes},
        {SYS_personality, 0x0040000, 0, 0, yes},
        {SYS_personality, 0x0400000, 0, 0, NOTIF},
        {SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, 0, yes},
        {SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, 0, NOTIF},
        {SYS_madvise, 0, 0, MADV_DONTNEED, yes},
        {SYS_madvise, 0, 0, MADV_MERGEABLE, FAILS(EINVAL)},
        {SYS_sync, 0, 0, 0, FAILS(0)},
        {SYS_io_setup, 0, 0, 0, FAILS(ENOSYS)},
    };
    struct sbx_filter filter;
    assert_int_equal(sbx_filter_build(0, &filter, NULL), 0);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        uint32_t got = answer(&filter, table[i].nr, table[i].a, table[i].b, table[i].c);
        if (got != table[i].want)
            fail_msg("line %zu, call %ld: 0x%x, not 0x%x", i, table[i].nr, got, table[i].want);
    }
}

static void refusals_carry_their_kind(void **state)
{
    (void)state;
    const struct {
        long nr;
        uint8_t op;
    } table[] = {
        {SYS_ptrace, REFUSAL_PTRACE},      {SYS_pidfd_getfd, REFUSAL_PTRACE},
        {SYS_kcmp, REFUSAL_PTRACE},        {SYS_process_vm_readv, REFUSAL_PTRACE},
        {SYS_mount, REFUSAL_MOUNT},        {SYS_chroot, REFUSAL_MOUNT},
        {SYS_fsopen, REFUSAL_MOUNT},       {SYS_unshare, REFUSAL_NAMESPACE},
        {SYS_setns, REFUSAL_NAMESPACE},    {SYS_keyctl, REFUSAL_KEYRING},
        {SYS_bpf, REFUSAL_KERNEL},         {SYS_io_uring_setup, REFUSAL_KERNEL},
        {SYS_userfaultfd, REFUSAL_KERNEL}, {SYS_open_by_handle_at, REFUSAL_KERNEL},
        {SYS_clock_settime, REFUSAL_TIME}, {SYS_adjtimex, REFUSAL_TIME},
        {SYS_ioctl, REFUSAL_TERMINAL},     {SYS_mknodat, REFUSAL_DEVICE},
        {SYS_socket, REFUSAL_SOCKET},      {SYS_prctl, REFUSAL_OTHER},
        {SYS_personality, REFUSAL_OTHER},  {SYS_clone, REFUSAL_NAMESPACE},
        {SYS_read, SBX_OP_NONE},           {SYS_clone3, SBX_OP_NONE},
        {SYS_execve, SBX_OP_NONE},
    };
    struct sbx_filter filter;
    assert_int_equal(sbx_filter_build(0, &filter, NULL), 0);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct seccomp_data call = {.nr = (int)table[i].nr};
        if (filter.op_of[table[i].nr] != table[i].op ||
            sbx_filter_op(&filter, &call) != table[i].op)
            fail_msg("call %ld is of kind %d", table[i].nr, filter.op_of[table[i].nr]);
    }
    assert_int_equal(filter.errno_of[REFUSAL_SOCKET], EAFNOSUPPORT);
    assert_int_equal(filter.errno_of[REFUSAL_MOUNT], EPERM);
    struct seccomp_data none = {.nr = -1};
    assert_int_equal(sbx_filter_op(&filter, &none), SBX_OP_NONE);
}

static void no_subprocess_leaves_threads_and_exec(void **state)
{
    (void)state;
    const uint64_t thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
    struct sbx_filter filter;
    assert_int_equal(sbx_filter_build(SBX_POLICY_NO_SUBPROCESS, &filter, NULL), 0);
    assert_int_equal(answer(&filter, SYS_clone, thread, 0, 0), SECCOMP_RET_ALLOW);
    assert_int_equal(answer(&filter, SYS_clone, SIGCHLD, 0, 0), NOTIF);
    assert_int_equal(answer(&filter, SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0), NOTIF);
    assert_int_equal(answer(&filter, SYS_clone, thread | CLONE_NEWUTS, 0, 0), NOTIF);
    assert_int_equal(answer(&filter, SYS_execve, 0, 0, 0), SECCOMP_RET_ALLOW);
    assert_int_equal(answer(&filter, SYS_execveat, 0, 0, 0), SECCOMP_RET_ALLOW);
#ifdef SYS_fork
    assert_int_equal(answer(&filter, SYS_fork, 0, 0, 0), NOTIF);
    assert_int_equal(answer(&filter, SYS_vfork, 0, 0, 0), NOTIF);
#endif
    struct seccomp_data call = {.nr = SYS_clone, .args = {SIGCHLD}};
    assert_int_equal(sbx_filter_op(&filter, &call), REFUSAL_SUBPROCESS);
    call.args[0] = CLONE_NEWUSER | SIGCHLD;
    assert_int_equal(sbx_filter_op(&filter, &call), REFUSAL_NAMESPACE);
}

static void assert_same_filter(const struct sbx_filter *ready, const struct sbx_filter *made)
{
    assert_int_equal(ready->n_insns, made->n_insns);
    assert_memory_equal(ready->insns, made->insns, made->n_insns * sizeof(made->insns[0]));
    assert_memory_equal(ready->op_of, made->op_of, sizeof(made->op_of));
    assert_memory_equal(ready->errno_of, made->errno_of, sizeof(made->errno_of));
}

static void what_is_made_at_build_time_is_what_would_be_made_now(void **state)
{
    (void)state;
    static struct sbx_filter made;
    assert_int_equal(sbx_filter_build(0, &made, NULL), 0);
    assert_same_filter(&sbx_ready_filters[0], &made);
    assert_int_equal(sbx_filter_build(SBX_POLICY_NO_SUBPROCESS, &made, NULL), 0);
    assert_same_filter(&sbx_ready_filters[1], &made);
    assert_int_equal(sbx_filter_spawner_build(&made, NULL), 0);
    assert_same_filter(&sbx_ready_spawner_filter, &made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notifying_program_equals_libseccomps),
        cmocka_unit_test(quiet_program_equals_libseccomps),
        cmocka_unit_test(spawner_program_equals_libseccomps),
        cmocka_unit_test(what_is_made_at_build_time_is_what_would_be_made_now),
        cmocka_unit_test(long_program_equals_libseccomps),
        cmocka_unit_test(too_long_a_program_is_a_fault),
        cmocka_unit_test(every_name_is_known_to_libseccomp),
        cmocka_unit_test(unknown_policy_bits_are_refused),
        cmocka_unit_test(judges_by_argument),
        cmocka_unit_test(refusals_carry_their_kind),
        cmocka_unit_test(no_subprocess_leaves_threads_and_exec),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
