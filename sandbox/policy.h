#pragma once
/*
 * What a program may ask of the kernel, as data: one rule per system call name. filter_emit.c turns
 * it into BPF, the unit test turns it into a libseccomp filter and compares. Internal to sandbox/.
 *
 * Arguments are compared in their lower 32 bits, under a mask. Every number that a rule
 * looks at is an int, an unsigned int or (clone) cut to 32 bits by the kernel itself: comparing all
 * 64 bits would let ioctl(fd, TIOCSTI | 1 << 32) pass as another request.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sandbox/seccomp.h"

enum policy_kind {
    POLICY_ALLOW,
    POLICY_ERRNO,  /* quiet: the program sees errno `value` (0: success without effect) */
    POLICY_REFUSE, /* reported: `value` is an enum refusal_op */
};

struct policy_action {
    uint8_t kind;
    uint16_t value;
};

#define POLICY_CONDS_MAX 3

/* (arg[index] & mask) == value; the same of its upper half with @high, for what is a pointer */
struct policy_cond {
    uint8_t index;
    uint32_t mask, value;
    bool high;
};

/* All of its conditions, then the action. At most one condition per half of an argument. */
struct policy_case {
    uint8_t n_conds;
    struct policy_cond conds[POLICY_CONDS_MAX];
    struct policy_action action;
};

/*
 * The first case that applies, else `otherwise`. Cases with different actions never overlap, so
 * their order has no meaning (libseccomp's rules have none). Cases that compare the same bits of an
 * argument with the same value stand together: filter_emit.c compares once for all of them.
 */
struct policy_rule {
    const char *name;
    struct policy_action otherwise;
    uint16_t n_cases;
    const struct policy_case *cases;
};

/** policy_default() - the answer to calls without a rule: ENOSYS, as an older kernel would. */
struct policy_action policy_default(void);

/**
 * policy_resolve() - the rule of every call number under @policy (enum sbx_policy bits)
 * @ret: NULL where there is none. Points into constant tables.
 *
 * Names come from libseccomp for the native architecture; names that it does not have are left out
 * (allowed ones then answer ENOSYS, which is safe).
 */
void policy_resolve(uint32_t policy, const struct policy_rule *ret[SBX_FILTER_NR_MAX]);

/** policy_spawner_resolve() - the deny-list that the spawner puts on itself; without a rule:
 * allowed. */
void policy_spawner_resolve(const struct policy_rule *ret[SBX_FILTER_NR_MAX]);

/** policy_unknown_name() - the first name in any table that libseccomp does not know at all; NULL:
 * none. */
const char *policy_unknown_name(void);

/** policy_errno_of() - what the program sees for a refused call of that kind. */
uint16_t policy_errno_of(enum refusal_op op);
