/* By a node of its own, as a service has it, and the spawner's wire protocol. */

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "cli/sandbox_engine.h"

#define RUN_NUMBER 1

struct by_node {
    struct node *node;
    struct spawn_client *client;
    struct engine_events events;
};

static void on_started(void *arg, uint64_t run, int pty_master)
{
    (void)arg, (void)run;
    fd_close(pty_master);
}

static void on_result(void *arg, uint64_t run, const struct run_result *result)
{
    struct by_node *e = arg;
    (void)run;
    e->events.result(e->events.arg, result);
}

static void on_refused(void *arg, uint64_t run, const struct err *err)
{
    struct by_node *e = arg;
    (void)run;
    e->events.refused(e->events.arg, err);
}

static void by_node_free(void *engine)
{
    struct by_node *e = engine;
    if (!e)
        return;
    spawn_client_free(e->client);
    node_stop(e->node);
    free(e);
}

static int by_node_begin(struct sandbox_options *options, const struct engine_events *events,
                         void **ret, struct err *err)
{
    static const struct spawn_events mine = {.on_started = on_started,
                                             .on_result = on_result,
                                             .on_refused = on_refused};
    struct by_node *e = calloc(1, sizeof(*e));
    if (!e)
        return err_set(err, -ENOMEM, "no memory for a sandbox");
    e->events = *events;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        free(e);
        return err_set(err, -errno, "socketpair: %m");
    }
    int r = node_start(&options->node, pair[1], &e->node, err);
    fd_close(pair[1]);
    if (r == 0)
        r = spawn_client_new(pair[0], &mine, e, &e->client, err);
    else
        fd_close(pair[0]);
    if (r < 0) {
        by_node_free(e);
        return r;
    }
    *ret = e;
    return 0;
}

static int by_node_run(void *engine, const struct sbx_spec *spec, const struct spawn_fds *fds,
                       struct err *err)
{
    struct by_node *e = engine;
    return spawn_client_run(e->client, RUN_NUMBER, spec, fds, err);
}

static int by_node_fd(const void *engine)
{
    return spawn_client_fd(((const struct by_node *)engine)->client);
}

static int by_node_dispatch(void *engine, struct err *err)
{
    struct by_node *e = engine;
    if (spawn_client_dispatch(e->client, err) < 0)
        return err_set(err, -EPIPE, "the inner spawner ended; its words are above");
    return 0;
}

static void by_node_end(void *engine, enum spawn_end why)
{
    struct by_node *e = engine;
    spawn_client_end(e->client, RUN_NUMBER, why, NULL);
}

static void by_node_signal(void *engine, int signo)
{
    struct by_node *e = engine;
    spawn_client_signal(e->client, RUN_NUMBER, signo, NULL);
}

const struct sandbox_engine sandbox_node_engine = {
    .begin = by_node_begin,
    .run = by_node_run,
    .fd = by_node_fd,
    .dispatch = by_node_dispatch,
    .end = by_node_end,
    .signal = by_node_signal,
    .free = by_node_free,
};
