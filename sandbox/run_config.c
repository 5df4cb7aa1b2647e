#include "sandbox/run_config.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/wire.h"

_Static_assert((int)REFUSAL_COUNT <= (int)INIT_OPS_MAX, "a count per kind of refusal");
_Static_assert((int)SBX_FILTER_NR_MAX == (int)INIT_NR_MAX, "a kind per call number");

static void put_text(struct wire_writer *w, const char *text)
{
    wire_put_bytes(w, text, strlen(text) + 1);
}

static uint32_t put_all(struct wire_writer *w, const char *const *texts)
{
    uint32_t n = 0;
    for (; texts && texts[n]; n++)
        put_text(w, texts[n]);
    return n;
}

int run_config_build(const struct run_env *env, const struct slot *slot,
                     const struct sbx_spec *spec, const int *fds, uint32_t layers, void *buf,
                     struct err *err)
{
    const struct sbx_filter *filter =
        &env->filters[spec->policy & SBX_POLICY_NO_SUBPROCESS ? 1 : 0];
    bool tree = layers & LAYER_BIT(LAYER_MOUNT_NS);
    static const uint8_t number_of[SPAWN_FDS] = {[SPAWN_FD_STDIN] = 0,
                                                 [SPAWN_FD_STDOUT] = 1,
                                                 [SPAWN_FD_STDERR] = 2,
                                                 [SPAWN_FD_IN] = INIT_FD_FILES_IN,
                                                 [SPAWN_FD_OUT] = INIT_FD_FILES_OUT};
    struct init_config config = {
        .magic = INIT_MAGIC,
        .layers = layers,
        .uid = slot->uid,
        .gid = slot->uid,
        .file_size = spec->limits.v[LIMIT_FILE_SIZE],
        .open_files = spec->limits.v[LIMIT_OPEN_FILES],
        .cpu_s = spec->limits.v[LIMIT_CPU] / 1000 + 2,
        .collect_bytes = RUN_COLLECT_BYTES,
        .collect_files = RUN_COLLECT_FILES,
        .n_insns = layers & LAYER_BIT(LAYER_SECCOMP) ? filter->n_insns : 0,
    };
    config.flags =
        (fds[SPAWN_FD_IN] >= 0 && tree ? INIT_FILES_IN : 0) |
        (spec->collect && tree ? INIT_COLLECT : 0) | (spec->terminal ? INIT_TERMINAL : 0) |
        (layers & LAYER_BIT(LAYER_PID_NS) ? INIT_OWN_PID_NS : 0) | (env->notify ? INIT_NOTIFY : 0) |
        (layers & LAYER_BIT(LAYER_SLOT_UID) && env->launcher == SBX_LAUNCHER_NATIVE
             ? 0
             : INIT_SAME_UID) |
        (env->alone ? INIT_ALONE : 0) | (tree ? INIT_WORKSPACE : 0) |
        (spec->inputs && spec->inputs[0] ? INIT_LAYERED : 0);
    for (int i = 0; i < SPAWN_FDS; i++)
        if (fds[i] >= 0)
            config.descriptors |= UINT32_C(1) << number_of[i];
    memcpy(config.errno_of, filter->errno_of, sizeof(filter->errno_of));
    memcpy(config.op_of, filter->op_of, sizeof(config.op_of));

    struct wire_writer w;
    wire_writer_init(&w, buf, INIT_CONFIG_MAX);
    wire_put_bytes(&w, &config, sizeof(config));
    wire_put_bytes(&w, filter->insns, config.n_insns * sizeof(filter->insns[0]));
    put_text(&w, !tree ? "/" : spec->cwd ? spec->cwd : SBX_WORKSPACE);
    config.argc = put_all(&w, spec->argv);
    config.envc = put_all(&w, spec->envp);
    if (config.argc + config.envc > SBX_ARGS_MAX)
        return err_set(err, -E2BIG, "arguments and environment: more than %d in all", SBX_ARGS_MAX);
    if (w.bad)
        return err_set(err, -E2BIG, "arguments and environment are too long");
    config.size = (uint32_t)w.used;
    memcpy(buf, &config, sizeof(config));
    return (int)w.used;
}
