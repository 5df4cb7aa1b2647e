/* By this process itself (sandbox/direct.h). */

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "cli/sandbox_engine.h"
#include "sandbox/direct.h"
#include "sandbox/spawn_wire.h"

struct by_hand {
    struct direct *direct;
    struct engine_events events;
};

static void by_hand_free(void *engine)
{
    struct by_hand *e = engine;
    if (e)
        direct_free(e->direct);
    free(e);
}

static int by_hand_begin(struct sandbox_options *options, const struct engine_events *events,
                         void **ret, struct err *err)
{
    if (!direct_fits(&options->node))
        return ENGINE_E_UNFIT;
    struct by_hand *e = calloc(1, sizeof(*e));
    if (!e)
        return err_set(err, -ENOMEM, "no memory for a sandbox");
    e->events = *events;
    int r = direct_begin(&options->node, &e->direct, err);
    if (r != 0) {
        free(e);
        return r == DIRECT_E_CGROUPS ? ENGINE_E_UNFIT : r;
    }
    *ret = e;
    return 0;
}

static int by_hand_run(void *engine, const struct sbx_spec *spec, const struct spawn_fds *fds,
                       struct err *err)
{
    struct by_hand *e = engine;
    const struct direct_events events = {e->events.result, e->events.arg};
    const int numbers[SPAWN_FDS] = {[SPAWN_FD_STDIN] = fds->stdin_fd,
                                    [SPAWN_FD_STDOUT] = fds->stdout_fd,
                                    [SPAWN_FD_STDERR] = fds->stderr_fd,
                                    [SPAWN_FD_IN] = fds->files_in_fd,
                                    [SPAWN_FD_OUT] = fds->files_out_fd};
    return direct_run(e->direct, spec, numbers, &events, err);
}

static int by_hand_fd(const void *engine)
{
    return direct_fd(((const struct by_hand *)engine)->direct);
}

static int by_hand_dispatch(void *engine, struct err *err)
{
    return direct_dispatch(((struct by_hand *)engine)->direct, err);
}

static void by_hand_end(void *engine, enum spawn_end why)
{
    static const enum end_cause causes[] = {[SPAWN_END_CANCELLED] = END_CANCELLED,
                                            [SPAWN_END_OUTPUT] = END_OUTPUT,
                                            [SPAWN_END_IDLE] = END_IDLE,
                                            [SPAWN_END_MAX_AGE] = END_MAX_AGE};
    direct_end(((struct by_hand *)engine)->direct, causes[why]);
}

static void by_hand_signal(void *engine, int signo)
{
    direct_signal(((struct by_hand *)engine)->direct, signo);
}

const struct sandbox_engine sandbox_direct_engine = {
    .begin = by_hand_begin,
    .run = by_hand_run,
    .fd = by_hand_fd,
    .dispatch = by_hand_dispatch,
    .end = by_hand_end,
    .signal = by_hand_signal,
    .free = by_hand_free,
};
