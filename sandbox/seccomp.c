#include "sandbox/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "sandbox/filter_emit.h"
#include "sandbox/policy.h"

#if defined(__x86_64__)
#define ARCH_NATIVE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH_NATIVE AUDIT_ARCH_AARCH64
#else
#error "seccomp.c: name the AUDIT_ARCH_* of this architecture"
#endif

static uint8_t refused_as(const struct policy_rule *rule)
{
    if (!rule)
        return SBX_OP_NONE;
    if (rule->otherwise.kind == POLICY_REFUSE)
        return (uint8_t)rule->otherwise.value;
    for (size_t i = 0; i < rule->n_cases; i++)
        if (rule->cases[i].action.kind == POLICY_REFUSE)
            return (uint8_t)rule->cases[i].action.value;
    return SBX_OP_NONE;
}

static int build(uint32_t policy, uint32_t refuse_ret, struct sbx_filter *ret, struct err *err)
{
    if (policy & ~(uint32_t)SBX_POLICY_NO_SUBPROCESS)
        return err_set(err, -EINVAL, "system call filter: unknown policy bits 0x%x", policy);
    struct filter_plan plan = {
        .arch = ARCH_NATIVE,
        .missing = policy_default(),
        .refuse_ret = refuse_ret,
    };
    policy_resolve(policy, plan.of_nr);
    struct sbx_filter filter = {0};
    for (size_t nr = 0; nr < SBX_FILTER_NR_MAX; nr++)
        filter.op_of[nr] = refused_as(plan.of_nr[nr]);
    for (int op = 0; op < REFUSAL_COUNT; op++)
        filter.errno_of[op] = policy_errno_of((enum refusal_op)op);
    int r = filter_emit(&plan, &filter, err);
    if (r == 0)
        *ret = filter;
    return r;
}

int sbx_filter_build(uint32_t policy, struct sbx_filter *ret, struct err *err)
{
    return build(policy, SECCOMP_RET_USER_NOTIF, ret, err);
}

int sbx_filter_build_quiet(uint32_t policy, struct sbx_filter *ret, struct err *err)
{
    return build(policy, 0, ret, err);
}

int sbx_filter_spawner_build(struct sbx_filter *ret, struct err *err)
{
    struct filter_plan plan = {
        .arch = ARCH_NATIVE,
        .missing = {.kind = POLICY_ALLOW},
        .refuse_ret = SECCOMP_RET_USER_NOTIF,
    };
    policy_spawner_resolve(plan.of_nr);
    *ret = (struct sbx_filter){0};
    return filter_emit(&plan, ret, err);
}

int sbx_filter_spawner_install(struct err *err)
{
    struct sbx_filter filter = {0};
    int r = sbx_filter_spawner_build(&filter, err);
    if (r < 0)
        return r;
    struct sock_fprog program = {.len = filter.n_insns, .filter = filter.insns};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
        return err_set(err, -errno, "install the spawner's system call filter: %m");
    return 0;
}
