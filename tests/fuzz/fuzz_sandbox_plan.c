/* plan_build() from any spec and facts: it fits or is refused with words; what it claims is what
 * was asked for and can be had; pid 1 is its last operation, and every text lies within it. */

#include <errno.h>
#include <linux/sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/wire.h"
#include "sandbox/plan_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WORDS_MAX 64

static void must(int condition)
{
    if (!condition)
        abort();
}

/* Strings of the input, NULL-terminated; "x" where it is at its end. */
static void read_words(struct wire_reader *r, size_t n, char store[][32], const char **words)
{
    for (size_t i = 0; i < n; i++) {
        const void *bytes = wire_bytes(r, 16);
        snprintf(store[i], sizeof(store[i]), "/%.16s", bytes ? (const char *)bytes : "x");
        words[i] = store[i];
    }
    words[n] = NULL;
}

static void check_op(const struct plan_op *op)
{
    switch (op->kind) {
    case PLAN_MOUNT:
        must(op->target && op->type && op->data && op->target[0] == '/');
        break;
    case PLAN_MASK:
    case PLAN_MKDIR:
    case PLAN_EXEC:
        must(op->target && op->target[0] == '/');
        break;
    case PLAN_STDIO:
        must(op->flags <= PLAN_BWRAP_INIT_FD && op->fd >= 0);
        break;
    default:
        break;
    }
}

static void check(const struct plan *plan, const struct sbx_spec *spec,
                  const struct plan_facts *facts)
{
    must((plan->layers & ~(spec->layers & facts->available)) == 0);
    must(plan->n_ops >= 1 && plan->n_ops <= PLAN_OPS_MAX);
    must(plan->text_used <= PLAN_TEXT_MAX);
    enum plan_kind last = facts->launcher == SBX_LAUNCHER_BWRAP ? PLAN_EXEC : PLAN_INIT;
    for (size_t i = 0; i < plan->n_ops; i++) {
        check_op(&plan->ops[i]);
        must((plan->ops[i].kind == last) == (i + 1 == plan->n_ops));
    }
    must(plan->n_argv < PLAN_ARGS_MAX);
    if (last == PLAN_EXEC)
        must(plan->n_argv > 0 && !plan->argv[plan->n_argv]);
    for (size_t i = 0; i < plan->n_argv; i++)
        must(plan->argv[i] != NULL);
    must(!(plan->clone_flags & CLONE_INTO_CGROUP) || plan->clone_cgroup_fd >= 0);
    FILE *null = fopen("/dev/null", "w");
    must(null != NULL);
    plan_print(plan, spec, null);
    fclose(null);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct plan plan;
    static char store[3][WORDS_MAX][32];
    const char *argv[WORDS_MAX + 1], *envp[WORDS_MAX + 1], *masks[WORDS_MAX + 1];
    static const int joins[WORDS_MAX];
    struct wire_reader r;
    wire_reader_init(&r, data, size);
    uint32_t flags = wire_u32(&r), counts = wire_u32(&r);
    struct sbx_spec spec = {.argv = argv, .envp = envp, .layers = wire_u32(&r) & LAYERS_ALL};
    struct plan_facts facts = {
        .launcher = flags & 1 ? SBX_LAUNCHER_BWRAP : SBX_LAUNCHER_NATIVE,
        .available = wire_u32(&r) & LAYERS_ALL,
        .join_fds = joins,
        .n_join_fds = counts % WORDS_MAX,
        .cgroup_clone_fd = flags & 2 ? 9 : -1,
        .mount_fd = 10,
        .net_fd = 11,
        .init_fd = 12,
        .control_fd = flags & 4 ? 13 : -EBADF,
        .files_in_fd = flags & 8 ? 14 : -EBADF,
        .files_out_fd = flags & 16 ? 15 : -EBADF,
        .masks = flags & 32 ? masks : NULL,
        .tmpfs_owner = flags & 64,
        .proc = flags & 128,
    };
    facts.uid = facts.gid = wire_u32(&r);
    spec.cwd = flags & 256 ? NULL : "/tmp";
    for (int i = 0; i < LIMIT_COUNT; i++)
        spec.limits.v[i] = wire_u64(&r);
    read_words(&r, 1 + (counts >> 8) % (WORDS_MAX - 1), store[0], argv);
    read_words(&r, (counts >> 16) % WORDS_MAX, store[1], envp);
    read_words(&r, (counts >> 24) % WORDS_MAX, store[2], masks);

    struct err err = {0};
    int result = plan_build(&spec, &facts, &plan, &err);
    if (result < 0)
        must(result == -E2BIG && err.code == result && *err.text);
    else
        check(&plan, &spec, &facts);
    return 0;
}
