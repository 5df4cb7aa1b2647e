/* What the spawner reads from execsvc, which may be lost: a run that is accepted is whole, lies
 * within the message, and means the same when it is written again. First byte: descriptors. */

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "sandbox/spawn_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int condition)
{
    if (!condition)
        abort();
}

static void check_fds(const struct spawn_request *q, const int *fds, size_t n_fds)
{
    size_t used = 0;
    for (int i = 0; i < SPAWN_FDS; i++) {
        if (q->fds[i] < 0)
            continue;
        must(used < n_fds && q->fds[i] == fds[used]);
        used++;
    }
    must(used == n_fds);
}

static void check_strings(const struct sbx_spec *spec)
{
    size_t n = 0, bytes = 0;
    for (; spec->argv[n]; n++)
        bytes += strlen(spec->argv[n]) + 1;
    must(n >= 1);
    for (size_t i = 0; spec->envp[i]; i++, n++)
        bytes += strlen(spec->envp[i]) + 1;
    must(n <= SBX_ARGS_MAX && bytes <= SBX_ARGS_BYTES_MAX);
    must(spec->cwd[0] == '/' && strlen(spec->cwd) <= 4096);
    must(strlen(spec->tenant) <= SPAWN_TENANT_MAX && strlen(spec->tree) <= SBX_TREE_MAX);
    must(!spec->inputs[0] || (strlen(spec->inputs) == SBX_INPUTS_NAME &&
                              strspn(spec->inputs, "0123456789abcdef") == SBX_INPUTS_NAME));
}

static int same_strings(const char *const *a, const char *const *b)
{
    for (; *a && *b; a++, b++)
        if (strcmp(*a, *b) != 0)
            return 0;
    return !*a && !*b;
}

static void check_again(const struct spawn_request *q)
{
    static uint8_t buf[SPAWN_MESSAGE_MAX];
    static struct spawn_request again;
    int fds[SPAWN_FDS];
    size_t n_fds;
    struct err err = {0};
    const struct spawn_fds given = {q->fds[0], q->fds[1], q->fds[2], q->fds[3], q->fds[4]};
    int n = spawn_wire_run_write(buf, sizeof(buf), q->run, &q->spec, &given, fds, &n_fds, &err);
    must(n > 0);
    must(spawn_wire_request_read(buf, (size_t)n, fds, n_fds, &again, &err) == 0);
    const struct sbx_spec *a = &q->spec, *b = &again.spec;
    must(again.run == q->run && memcmp(again.fds, q->fds, sizeof(q->fds)) == 0);
    must(same_strings(a->argv, b->argv) && same_strings(a->envp, b->envp));
    must(strcmp(a->cwd, b->cwd) == 0 && strcmp(a->tenant, b->tenant) == 0);
    must(strcmp(a->tree, b->tree) == 0 && strcmp(a->inputs, b->inputs) == 0);
    must(memcmp(&a->limits, &b->limits, sizeof(a->limits)) == 0);
    must(a->policy == b->policy && a->layers == b->layers && a->rows == b->rows &&
         a->cols == b->cols && a->terminal == b->terminal && a->collect == b->collect);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct spawn_request q;
    static const int fds[8] = {50, 51, 52, 53, 54, 55, 56, 57};
    struct err err = {0};
    if (size == 0)
        return 0;
    size_t n_fds = data[0] % 8;
    int r = spawn_wire_request_read(data + 1, size - 1, fds, n_fds, &q, &err);
    if (r < 0) {
        must(r == -EBADMSG || r == -EINVAL || r == -E2BIG);
        must(err.code == r && *err.text);
        return 0;
    }
    must(r == 0);
    if (q.type != SPAWN_RUN) {
        must(n_fds == 0 && size == 21);
        must(q.type != SPAWN_SIGNAL || (q.arg >= 1 && q.arg <= (uint32_t)SIGRTMAX));
        must(q.type != SPAWN_END || q.arg <= SPAWN_END_MAX_AGE);
        return 0;
    }
    check_fds(&q, fds, n_fds);
    check_strings(&q.spec);
    must((q.spec.layers & ~LAYERS_ALL) == 0);
    check_again(&q);
    return 0;
}
