/*
 * Theory of operation
 *
 * Loading a filter is what costs: the kernel walks the program once for each of its ~460 call
 * numbers to learn which are always allowed (and later skips the filter for those), then compiles
 * it. So the length of a path matters, not the length of the program. Numbers with the same answer
 * are merged into ranges (allowed neighbours become one), and a binary search over the range starts
 * ends in a return, or in a snippet that looks at arguments: about nine instructions a path.
 *
 * BPF jumps only go forward, so the program is written from its end to its start: every target is
 * in place before the jump to it. Positions below count from the end. A conditional jump reaches
 * 255 instructions; a target further away gets a copy (returns) or an unconditional jump.
 */
#include "sandbox/filter_emit.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <string.h>

#include "base/err.h"

#define X32_BIT     UINT32_C(0x40000000)
#define RANGES_MAX  (SBX_FILTER_NR_MAX + 8)
#define JUMP_MAX    255
#define RETS_MAX    32

#define ARG_LOW(i)  ((uint32_t)(offsetof(struct seccomp_data, args) + 8U * (i)))
#define ARG_HIGH(i) (ARG_LOW(i) + 4U)
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "ARG_LOW: the low half comes first");

/* The numbers from `first` up to the next range's: either one answer, or one call with a snippet.
 */
struct range {
    uint32_t first;
    uint32_t ret;
    const struct policy_rule *by_args; /* NULL: `ret` */
};

struct emitter {
    const struct filter_plan *plan;
    struct sock_filter insns[SBX_FILTER_INSNS_MAX]; /* [0] is the last instruction */
    size_t n;
    struct {
        uint32_t ret;
        size_t at;
    } rets[RETS_MAX]; /* the nearest copy of each return */
    size_t n_rets;
    bool full;
};

uint32_t filter_ret(const struct filter_plan *plan, struct policy_action action)
{
    switch ((enum policy_kind)action.kind) {
    case POLICY_ALLOW:
        return SECCOMP_RET_ALLOW;
    case POLICY_ERRNO:
        return SECCOMP_RET_ERRNO | action.value;
    case POLICY_REFUSE:
        break;
    }
    if (plan->refuse_ret)
        return plan->refuse_ret;
    return SECCOMP_RET_ERRNO | policy_errno_of((enum refusal_op)action.value);
}

/* Return: its position. */
static size_t put(struct emitter *e, uint16_t code, uint8_t jt, uint8_t jf, uint32_t k)
{
    if (e->n == SBX_FILTER_INSNS_MAX) {
        e->full = true;
        return 0;
    }
    e->insns[e->n] = (struct sock_filter){.code = code, .jt = jt, .jf = jf, .k = k};
    return e->n++;
}

/* Instructions between one that is put @ahead from now and the target. */
static size_t distance(const struct emitter *e, size_t target, size_t ahead)
{
    return e->n + ahead - target - 1;
}

/* The target itself if a conditional jump @ahead from now reaches it, else a jump to it. */
static size_t within_reach(struct emitter *e, size_t target, size_t ahead)
{
    if (distance(e, target, ahead) <= JUMP_MAX)
        return target;
    return put(e, BPF_JMP | BPF_JA, 0, 0, (uint32_t)distance(e, target, 0));
}

static size_t put_ret(struct emitter *e, uint32_t ret)
{
    size_t i = 0;
    while (i < e->n_rets && e->rets[i].ret != ret)
        i++;
    /* Half the reach: whoever asks for a return puts some instructions before it jumps there. */
    if (i < e->n_rets && distance(e, e->rets[i].at, 0) <= JUMP_MAX / 2)
        return e->rets[i].at;
    size_t at = put(e, BPF_RET | BPF_K, 0, 0, ret);
    if (i < RETS_MAX) {
        e->rets[i].ret = ret;
        e->rets[i].at = at;
        if (i == e->n_rets)
            e->n_rets++;
    }
    return at;
}

/* Put "if (A op k) goto yes; else goto no". Return: its position. */
static size_t put_jump(struct emitter *e, uint16_t op, uint32_t k, size_t yes, size_t no)
{
    yes = within_reach(e, yes, 1); /* the other may take one more instruction in between */
    no = within_reach(e, no, 0);
    return put(e, (uint16_t)(BPF_JMP | op | BPF_K), (uint8_t)distance(e, yes, 0),
               (uint8_t)distance(e, no, 0), k);
}

static size_t put_load(struct emitter *e, const struct policy_cond *cond)
{
    if (cond->mask != UINT32_MAX)
        put(e, BPF_ALU | BPF_AND | BPF_K, 0, 0, cond->mask);
    return put(e, BPF_LD | BPF_W | BPF_ABS, 0, 0,
               cond->high ? ARG_HIGH(cond->index) : ARG_LOW(cond->index));
}

static bool same_load(const struct policy_cond *a, const struct policy_cond *b)
{
    return a->index == b->index && a->high == b->high && a->mask == b->mask;
}

/* Neighbouring cases that agree in their first @depth conditions; @fail: where to go if none
 * applies. */
struct cases {
    const struct policy_case *at;
    size_t n, depth;
    size_t fail;
};

static size_t put_cases(struct emitter *e, struct cases cases);

/* Cases that look at the same bits of the same argument: one load, then a comparison per value. */
static size_t put_run(struct emitter *e, struct cases run)
{
    size_t test = run.fail;
    for (size_t from, to = run.n; to > 0; to = from) {
        const struct policy_cond *cond = &run.at[to - 1].conds[run.depth];
        for (from = to - 1; from > 0; from--)
            if (run.at[from - 1].conds[run.depth].value != cond->value)
                break;
        struct cases inner = {run.at + from, to - from, run.depth + 1, run.fail};
        size_t yes = inner.at->n_conds == inner.depth
                         ? put_ret(e, filter_ret(e->plan, inner.at->action))
                         : put_cases(e, inner);
        test = put_jump(e, BPF_JEQ, cond->value, yes, test);
    }
    return put_load(e, &run.at[0].conds[run.depth]);
}

/* Runs in their order; a value that no case of a run has, or whose inner cases fail, goes to the
 * next run. */
static size_t put_cases(struct emitter *e, struct cases cases)
{
    size_t next = cases.fail;
    for (size_t from, to = cases.n; to > 0; to = from) {
        const struct policy_cond *cond = &cases.at[to - 1].conds[cases.depth];
        for (from = to - 1; from > 0; from--)
            if (!same_load(&cases.at[from - 1].conds[cases.depth], cond))
                break;
        next = put_run(e, (struct cases){cases.at + from, to - from, cases.depth, next});
    }
    return next;
}

static size_t put_range(struct emitter *e, const struct range *range)
{
    const struct policy_rule *rule = range->by_args;
    if (!rule)
        return put_ret(e, range->ret);
    size_t fail = put_ret(e, filter_ret(e->plan, rule->otherwise));
    return put_cases(e, (struct cases){rule->cases, rule->n_cases, 0, fail});
}

/* Depth is log2 of the ranges, ten at most. */
static size_t put_tree(struct emitter *e, const struct range *ranges, size_t n)
{
    if (n == 1)
        return put_range(e, ranges);
    size_t half = n / 2;
    size_t upper = put_tree(e, ranges + half, n - half);
    size_t lower = put_tree(e, ranges, half);
    return put_jump(e, BPF_JGE, ranges[half].first, upper, lower);
}

static void add_range(struct range *ranges, size_t *n, struct range range)
{
    const struct range *last = *n ? &ranges[*n - 1] : NULL;
    if (last && !last->by_args && !range.by_args && last->ret == range.ret)
        return;
    ranges[(*n)++] = range;
}

static size_t make_ranges(const struct filter_plan *plan, struct range ranges[RANGES_MAX])
{
    uint32_t missing = filter_ret(plan, plan->missing);
    size_t n = 0;
    for (uint32_t nr = 0; nr < SBX_FILTER_NR_MAX; nr++) {
        const struct policy_rule *rule = plan->of_nr[nr];
        struct range range = {.first = nr, .ret = missing};
        if (rule && rule->n_cases)
            range.by_args = rule;
        else if (rule)
            range.ret = filter_ret(plan, rule->otherwise);
        add_range(ranges, &n, range);
    }
    add_range(ranges, &n, (struct range){.first = SBX_FILTER_NR_MAX, .ret = missing});
    if (plan->arch == AUDIT_ARCH_X86_64) {
        /* -1 is what a tracer writes to skip a call; the kernel's answer to it is ENOSYS. */
        add_range(ranges, &n, (struct range){.first = X32_BIT, .ret = SECCOMP_RET_KILL_PROCESS});
        add_range(ranges, &n, (struct range){.first = UINT32_MAX, .ret = missing});
    }
    return n;
}

int filter_emit(const struct filter_plan *plan, struct sbx_filter *ret, struct err *err)
{
    struct range ranges[RANGES_MAX];
    size_t n_ranges = make_ranges(plan, ranges);
    struct emitter e = {.plan = plan};

    size_t tree = put_tree(&e, ranges, n_ranges);
    size_t nr = put(&e, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr));
    if (tree + 1 != nr && !e.full)
        return err_set(err, -EINVAL, "system call filter: its search tree is not last written");
    size_t kill = put(&e, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS);
    put_jump(&e, BPF_JEQ, plan->arch, nr, kill);
    put(&e, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, arch));
    if (e.full)
        return err_set(err, -E2BIG, "system call filter: longer than %d instructions",
                       SBX_FILTER_INSNS_MAX);

    ret->n_insns = (uint16_t)e.n;
    for (size_t i = 0; i < e.n; i++)
        ret->insns[i] = e.insns[e.n - 1 - i];
    return 0;
}
