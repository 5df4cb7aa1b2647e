#include "tests/support/bpf_sim.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

struct machine {
    uint32_t a, x, mem[BPF_MEMWORDS];
    size_t pc;
    bool done;
    uint32_t ret;
};

static int load(struct machine *m, const struct sock_filter *i, const struct seccomp_data *call)
{
    uint32_t value;
    switch (BPF_MODE(i->code)) {
    case BPF_ABS:
        if (i->k % 4 || i->k > sizeof(*call) - 4)
            return -EINVAL;
        memcpy(&value, (const char *)call + i->k, 4);
        break;
    case BPF_IMM:
        value = i->k;
        break;
    case BPF_MEM:
        if (i->k >= BPF_MEMWORDS)
            return -EINVAL;
        value = m->mem[i->k];
        break;
    default:
        return -EINVAL;
    }
    if (BPF_CLASS(i->code) == BPF_LD)
        m->a = value;
    else
        m->x = value;
    return 0;
}

static int store(struct machine *m, const struct sock_filter *i)
{
    if (i->k >= BPF_MEMWORDS)
        return -EINVAL;
    m->mem[i->k] = BPF_CLASS(i->code) == BPF_ST ? m->a : m->x;
    return 0;
}

static int compute(struct machine *m, const struct sock_filter *i)
{
    uint32_t operand = BPF_SRC(i->code) == BPF_X ? m->x : i->k;
    switch (BPF_OP(i->code)) {
    case BPF_ADD:
        m->a += operand;
        return 0;
    case BPF_SUB:
        m->a -= operand;
        return 0;
    case BPF_AND:
        m->a &= operand;
        return 0;
    case BPF_OR:
        m->a |= operand;
        return 0;
    case BPF_XOR:
        m->a ^= operand;
        return 0;
    case BPF_LSH:
        m->a = operand < 32 ? m->a << operand : 0;
        return 0;
    case BPF_RSH:
        m->a = operand < 32 ? m->a >> operand : 0;
        return 0;
    default:
        return -EINVAL;
    }
}

static int jump(struct machine *m, const struct sock_filter *i)
{
    uint32_t operand = BPF_SRC(i->code) == BPF_X ? m->x : i->k;
    bool yes;
    switch (BPF_OP(i->code)) {
    case BPF_JA:
        m->pc += i->k;
        return 0;
    case BPF_JEQ:
        yes = m->a == operand;
        break;
    case BPF_JGT:
        yes = m->a > operand;
        break;
    case BPF_JGE:
        yes = m->a >= operand;
        break;
    case BPF_JSET:
        yes = m->a & operand;
        break;
    default:
        return -EINVAL;
    }
    m->pc += yes ? i->jt : i->jf;
    return 0;
}

static int step(struct machine *m, const struct sock_filter *i, const struct seccomp_data *call)
{
    switch (BPF_CLASS(i->code)) {
    case BPF_LD:
    case BPF_LDX:
        return load(m, i, call);
    case BPF_ST:
    case BPF_STX:
        return store(m, i);
    case BPF_ALU:
        return compute(m, i);
    case BPF_JMP:
        return jump(m, i);
    case BPF_RET:
        m->done = true;
        m->ret = BPF_RVAL(i->code) == BPF_A ? m->a : i->k;
        return 0;
    case BPF_MISC:
        if (BPF_MISCOP(i->code) == BPF_TAX)
            m->x = m->a;
        else
            m->a = m->x;
        return 0;
    default:
        return -EINVAL;
    }
}

int bpf_sim_run(const struct sock_filter *program, size_t len, const struct seccomp_data *call,
                uint32_t *ret, size_t *ret_steps)
{
    struct machine m = {0};
    size_t steps = 0;
    while (!m.done) {
        if (m.pc >= len)
            return -EINVAL;
        const struct sock_filter *i = &program[m.pc++]; /* jumps only go forward: this ends */
        if (step(&m, i, call) < 0)
            return -EINVAL;
        steps++;
    }
    *ret = m.ret;
    if (ret_steps)
        *ret_steps = steps;
    return 0;
}
