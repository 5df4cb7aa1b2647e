#include "tests/integration/sandbox/world.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

int world_main(int argc, char **argv)
{
    if (node_is_inner(argc, argv))
        return node_inner_main();
    if (geteuid() == 0)
        return -1;
    const char *must = getenv("TESTS_MUST_RUN");
    printf("skipped: only root can start such a node\n");
    return must && strcmp(must, "1") == 0 ? 1 : 77;
}

static void on_started(void *arg, uint64_t run, int pty_master)
{
    (void)arg, (void)run;
    fd_close(pty_master);
}

static void on_result(void *arg, uint64_t run, const struct run_result *result)
{
    struct world *w = arg;
    (void)run;
    w->result = *result;
    w->done = true;
}

static void on_refused(void *arg, uint64_t run, const struct err *err)
{
    struct world *w = arg;
    (void)run;
    w->refused = *err;
    w->done = true;
}

static void on_node_stats(void *arg, const struct spawn_node_stats *stats)
{
    struct world *w = arg;
    w->stats = *stats;
    w->have_stats = true;
}

void world_config(struct world *w, const char *name)
{
    node_config_default(&w->config);
    snprintf(w->config.instance, sizeof(w->config.instance), "%s-%d", name, getpid());
    w->config.slots_max = 8; /* a slot is free a moment after its result */
}

void world_start(struct world *w)
{
    static const struct spawn_events events = {.on_started = on_started,
                                               .on_result = on_result,
                                               .on_refused = on_refused,
                                               .on_node_stats = on_node_stats};
    struct err err = {0};
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    AUTO_CLOSE int spawner_end = pair[0];
    if (node_start(&w->config, spawner_end, &w->node, &err) < 0 ||
        spawn_client_new(pair[1], &events, w, &w->client, &err) < 0)
        fail_msg("%s", err.text);
}

void world_stop(struct world *w)
{
    spawn_client_free(w->client);
    node_stop(w->node);
}

static void read_some(int *fd, char *into, size_t *len)
{
    ssize_t n = read(*fd, into + *len, OUT_MAX - 1 - *len);
    if (n <= 0)
        *fd = fd_close(*fd);
    else
        *len += (size_t)n;
    into[*len] = 0;
}

void world_attend(struct world *w, int *out, int *files)
{
    while (*out >= 0 || *files >= 0 || !w->done) {
        struct pollfd p[] = {{.fd = *out, .events = POLLIN},
                             {.fd = *files, .events = POLLIN},
                             {.fd = spawn_client_fd(w->client), .events = POLLIN}};
        if (poll(p, 3, 60000) <= 0)
            fail_msg("the run does not end: %s", w->out);
        if (p[0].revents)
            read_some(out, w->out, &w->out_len);
        if (p[1].revents)
            read_some(files, w->files, &w->files_len);
        if (p[2].revents && spawn_client_dispatch(w->client, NULL) < 0)
            fail_msg("the spawner is gone");
        if (w->refused.code) {
            *out = fd_close(*out);
            *files = fd_close(*files);
        }
    }
}

bool world_run(struct world *w, const struct sbx_spec *what, const char *script)
{
    const char *argv[] = {"/bin/sh", "-c", script, NULL}, *envp[] = {"PATH=/usr/bin:/bin", NULL};
    struct sbx_spec spec = *what;
    spec.argv = argv;
    spec.envp = envp;
    spec.layers = w->config.layers;
    spec.collect = true;
    spec.tenant = what->tenant ? what->tenant : "test";
    struct err err = {0};
    int out[2], files[2];
    AUTO_CLOSE int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(files, O_CLOEXEC), 0);
    const struct spawn_fds fds = {.stdin_fd = null,
                                  .stdout_fd = out[1],
                                  .stderr_fd = out[1],
                                  .files_in_fd = -1,
                                  .files_out_fd = files[1]};
    w->done = false;
    w->out_len = w->files_len = 0;
    w->refused = (struct err){0};
    if (spawn_client_run(w->client, ++w->runs, &spec, &fds, &err) < 0)
        fail_msg("%s", err.text);
    fd_close(out[1]);
    fd_close(files[1]);
    world_attend(w, &out[0], &files[0]);
    return w->refused.code == 0 && w->result.verdict != VERDICT_INTERNAL;
}

const struct spawn_node_stats *world_stats(struct world *w)
{
    struct err err = {0};
    w->have_stats = false;
    if (spawn_client_query_node(w->client, &err) < 0)
        fail_msg("%s", err.text);
    while (!w->have_stats) {
        struct pollfd p = {.fd = spawn_client_fd(w->client), .events = POLLIN};
        if (poll(&p, 1, 60000) <= 0 || spawn_client_dispatch(w->client, NULL) < 0)
            fail_msg("the spawner does not answer");
    }
    return &w->stats;
}
