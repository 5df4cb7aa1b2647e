#include "sandbox/spawn_wire.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "sandbox/inputs.h"

enum run_flag { RUN_TERMINAL = 1, RUN_COLLECT = 2 };

static void put_head(struct wire_writer *w, enum spawn_type type, uint64_t run)
{
    wire_put_u32(w, SPAWN_MAGIC);
    wire_put_u32(w, type);
    wire_put_u64(w, run);
}

static uint32_t put_strings(struct wire_writer *w, const char *const *strings)
{
    uint32_t n = 0;
    for (; strings && strings[n]; n++)
        wire_put_string(w, strings[n]);
    return n;
}

static uint32_t count_strings(const char *const *strings)
{
    uint32_t n = 0;
    while (strings && strings[n])
        n++;
    return n;
}

int spawn_wire_run_write(void *buf, size_t cap, uint64_t run, const struct sbx_spec *spec,
                         const struct spawn_fds *fds, int *ret_fds, size_t *ret_n_fds,
                         struct err *err)
{
    const int given[SPAWN_FDS] = {fds->stdin_fd, fds->stdout_fd, fds->stderr_fd, fds->files_in_fd,
                                  fds->files_out_fd};
    uint32_t present = 0;
    *ret_n_fds = 0;
    for (unsigned i = 0; i < SPAWN_FDS; i++) {
        if (given[i] < 0)
            continue;
        present |= 1u << i;
        ret_fds[(*ret_n_fds)++] = given[i];
    }
    struct wire_writer w;
    wire_writer_init(&w, buf, cap);
    put_head(&w, SPAWN_RUN, run);
    wire_put_u32(&w, present);
    wire_put_u32(&w, (spec->terminal ? RUN_TERMINAL : 0) | (spec->collect ? RUN_COLLECT : 0));
    wire_put_u32(&w, spec->policy);
    wire_put_u32(&w, spec->layers);
    wire_put_u32(&w, (uint32_t)spec->rows << 16 | spec->cols);
    wire_put_u32(&w, LIMIT_COUNT);
    for (int i = 0; i < LIMIT_COUNT; i++)
        wire_put_u64(&w, spec->limits.v[i]);
    wire_put_string(&w, spec->tenant ? spec->tenant : "");
    wire_put_string(&w, spec->cwd ? spec->cwd : SBX_WORKSPACE);
    wire_put_string(&w, spec->tree ? spec->tree : "");
    wire_put_string(&w, spec->inputs ? spec->inputs : "");
    wire_put_u32(&w, count_strings(spec->argv));
    wire_put_u32(&w, count_strings(spec->envp));
    put_strings(&w, spec->argv);
    put_strings(&w, spec->envp);
    if (w.bad)
        return err_set(err, -E2BIG, "arguments and environment take more than %d KiB",
                       SPAWN_MESSAGE_MAX / 1024);
    return (int)w.used;
}

int spawn_wire_plain_write(void *buf, size_t cap, enum spawn_type type, uint64_t run, uint32_t arg)
{
    struct wire_writer w;
    wire_writer_init(&w, buf, cap);
    put_head(&w, type, run);
    wire_put_u32(&w, arg);
    return w.bad ? -E2BIG : (int)w.used;
}

int spawn_wire_event_write(void *buf, size_t cap, enum spawn_type type, uint64_t run,
                           const void *payload, size_t len)
{
    struct wire_writer w;
    wire_writer_init(&w, buf, cap);
    put_head(&w, type, run);
    if (len)
        wire_put_bytes(&w, payload, len);
    return w.bad ? -E2BIG : (int)w.used;
}

static int read_strings(struct wire_reader *r, struct spawn_request *q, struct err *err)
{
    uint32_t argc = wire_u32(r), envc = wire_u32(r);
    if (r->bad)
        return err_set(err, -EBADMSG, "spawner request: cut off");
    if (argc < 1)
        return err_set(err, -EINVAL, "argv: nothing to run");
    if (argc > SBX_ARGS_MAX || envc > SBX_ARGS_MAX - argc)
        return err_set(err, -E2BIG, "argv and env: more than %d entries", SBX_ARGS_MAX);
    size_t n = 0, bytes = 0;
    for (uint32_t i = 0; i < argc + envc; i++) {
        const char *text = wire_string(r, SBX_ARGS_BYTES_MAX);
        if (!text)
            return err_set(err, -EBADMSG, "spawner request: bad string");
        bytes += strlen(text) + 1;
        q->strings[n++] = text;
        if (i + 1 == argc)
            q->strings[n++] = NULL;
    }
    q->strings[n] = NULL;
    q->spec.argv = q->strings;
    q->spec.envp = q->strings + argc + 1;
    if (bytes > SBX_ARGS_BYTES_MAX)
        return err_set(err, -E2BIG, "argv and env: more than %d KiB", SBX_ARGS_BYTES_MAX / 1024);
    return 0;
}

static int take_fds(uint32_t present, const int *fds, size_t n_fds, struct spawn_request *q)
{
    size_t used = 0;
    for (unsigned i = 0; i < SPAWN_FDS; i++) {
        q->fds[i] = -EBADF;
        if (!(present & (1u << i)))
            continue;
        if (used == n_fds)
            return -EBADMSG;
        q->fds[i] = fds[used++];
    }
    return used == n_fds ? 0 : -EBADMSG;
}

static int read_run(struct wire_reader *r, const int *fds, size_t n_fds, struct spawn_request *q,
                    struct err *err)
{
    uint32_t present = wire_u32(r), flags = wire_u32(r);
    struct sbx_spec *spec = &q->spec;
    spec->policy = wire_u32(r);
    spec->layers = wire_u32(r);
    uint32_t size = wire_u32(r);
    spec->rows = (uint16_t)(size >> 16);
    spec->cols = (uint16_t)size;
    spec->terminal = flags & RUN_TERMINAL;
    spec->collect = flags & RUN_COLLECT;
    if (wire_u32(r) != LIMIT_COUNT || take_fds(present, fds, n_fds, q) < 0)
        return err_set(err, -EBADMSG, "spawner request: malformed run");
    for (int i = 0; i < LIMIT_COUNT; i++)
        spec->limits.v[i] = wire_u64(r);
    spec->tenant = wire_string(r, SPAWN_TENANT_MAX);
    spec->cwd = wire_string(r, 4096);
    spec->tree = wire_string(r, SBX_TREE_MAX);
    spec->inputs = wire_string(r, SBX_INPUTS_NAME);
    if (!spec->tenant || !spec->cwd || !spec->tree || !spec->inputs)
        return err_set(err, -EBADMSG, "spawner request: malformed strings");
    int result = read_strings(r, q, err);
    if (result < 0)
        return result;
    if (!wire_done(r))
        return err_set(err, -EBADMSG, "spawner request: trailing bytes");
    if (spec->cwd[0] != '/')
        return err_set(err, -EINVAL, "cwd: must be an absolute path");
    if ((spec->policy & ~(uint32_t)SBX_POLICY_NO_SUBPROCESS) || (spec->layers & ~LAYERS_ALL))
        return err_set(err, -EINVAL, "policy or layers: unknown bits");
    if (spec->inputs[0] && !inputs_name_valid(spec->inputs))
        return err_set(err, -EINVAL, "inputs: not the name of a set");
    bool stdio =
        q->fds[SPAWN_FD_STDIN] >= 0 && q->fds[SPAWN_FD_STDOUT] >= 0 && q->fds[SPAWN_FD_STDERR] >= 0;
    if (stdio == spec->terminal || (q->fds[SPAWN_FD_OUT] >= 0) != spec->collect)
        return err_set(err, -EBADMSG, "spawner request: descriptors do not fit the run");
    return 0;
}

int spawn_wire_run_number(const void *bytes, size_t len, uint64_t *ret)
{
    struct wire_reader r;
    wire_reader_init(&r, bytes, len);
    bool is_run = wire_u32(&r) == SPAWN_MAGIC && wire_u32(&r) == SPAWN_RUN;
    *ret = wire_u64(&r);
    return r.bad || !is_run ? -EBADMSG : 0;
}

int spawn_wire_request_read(const void *bytes, size_t len, const int *fds, size_t n_fds,
                            struct spawn_request *ret, struct err *err)
{
    struct wire_reader r;
    wire_reader_init(&r, bytes, len);
    uint32_t magic = wire_u32(&r), type = wire_u32(&r);
    memset(&ret->spec, 0, sizeof(ret->spec));
    ret->type = type;
    ret->run = wire_u64(&r);
    ret->arg = 0;
    if (r.bad || magic != SPAWN_MAGIC)
        return err_set(err, -EBADMSG, "spawner request: bad magic");
    if (type == SPAWN_RUN)
        return read_run(&r, fds, n_fds, ret, err);
    if (type != SPAWN_END && type != SPAWN_SIGNAL && type != SPAWN_QUERY &&
        type != SPAWN_QUERY_NODE)
        return err_set(err, -EBADMSG, "spawner request: type %u is not for clients", type);
    ret->arg = wire_u32(&r);
    if (!wire_done(&r) || n_fds)
        return err_set(err, -EBADMSG, "spawner request: malformed order");
    if (type == SPAWN_SIGNAL && (ret->arg < 1 || ret->arg > (uint32_t)SIGRTMAX))
        return err_set(err, -EINVAL, "signal: %u is no signal", ret->arg);
    if (type == SPAWN_END && ret->arg > SPAWN_END_MAX_AGE)
        return err_set(err, -EBADMSG, "spawner request: unknown reason to end");
    return 0;
}
