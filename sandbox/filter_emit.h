#pragma once
/*
 * From a rule per call number to a BPF program: a binary search over ranges of numbers with equal
 * answers, with snippets for the calls that are judged by argument. Internal to sandbox/.
 */

#include <stdint.h>

#include "sandbox/policy.h"

struct filter_plan {
    uint32_t arch;                /* AUDIT_ARCH_*; anything else is killed */
    struct policy_action missing; /* calls without a rule */
    const struct policy_rule *of_nr[SBX_FILTER_NR_MAX];
    uint32_t refuse_ret; /* SECCOMP_RET_USER_NOTIF, or 0: ERRNO of the kind */
};

/** filter_emit() - into @ret (n_insns, insns). Return: 0, or -E2BIG when it does not fit. */
int filter_emit(const struct filter_plan *plan, struct sbx_filter *ret, struct err *err);

/** filter_ret() - the SECCOMP_RET_* value of an action. */
uint32_t filter_ret(const struct filter_plan *plan, struct policy_action action);
