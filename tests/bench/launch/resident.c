/* Our spawner, by the same door as execsvc's: the socket and the wire protocol. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "bench.h"
#include "sandbox/node.h"
#include "sandbox/spawn_client.h"
#include "sandbox/spawner_config.h"

struct resident {
    struct spawner_config config;
    struct node *node;
    struct spawn_client *client;
    int null;
    uint64_t serial;
    unsigned live;
    uint64_t ended;
    struct run_result last;
    struct err fault;
};

int attested(const struct run_result *result, struct err *err)
{
    char missing[160] = "";
    if (result->verdict != VERDICT_EXITED || result->exit_code != 0)
        return err_set(err, -EIO, "%s, exit code %d: %.120s%.80s", verdict_name(result->verdict),
                       result->exit_code, result->err.text, result->explanation.message);
    for (int i = 0; i < LAYER_COUNT; i++)
        if (!(result->layers & LAYER_BIT(i))) {
            size_t used = strlen(missing);
            snprintf(missing + used, sizeof(missing) - used, " %s", layer_name((enum layer)i));
        }
    return missing[0] ? err_set(err, -EPERM, "these layers were not active:%s", missing) : 0;
}

static void on_started(void *arg, uint64_t run, int pty_master)
{
    (void)arg, (void)run;
    fd_close(pty_master);
}

static void on_result(void *arg, uint64_t run, const struct run_result *result)
{
    struct resident *r = arg;
    (void)run;
    r->live--;
    r->ended++;
    r->last = *result;
    if (r->fault.code == 0)
        attested(result, &r->fault);
}

static void on_refused(void *arg, uint64_t run, const struct err *err)
{
    struct resident *r = arg;
    (void)run;
    r->live--;
    r->fault = *err;
}

int resident_start(const struct bench *bench, const char *name, bool ready, struct resident **ret,
                   struct err *err)
{
    static const struct spawn_events events = {.on_started = on_started,
                                               .on_result = on_result,
                                               .on_refused = on_refused};
    struct resident *resident = calloc(1, sizeof(*resident));
    if (!resident)
        return err_set(err, -ENOMEM, "no memory");
    struct node_config *node = &resident->config.node;
    int pair[2];
    int r = spawner_config_load(&resident->config, NULL, err);
    if (r == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        r = err_set(err, -errno, "socketpair: %m");
    if (r < 0) {
        free(resident);
        return r;
    }
    snprintf(node->instance, sizeof(node->instance), "bench-%d-%s", getpid(), name);
    node->ready_max = ready ? node->ready_max : 0;
    struct node_bind *bind = &node->binds[node->n_binds++];
    snprintf(bind->source, sizeof(bind->source), "%.255s", bench->tiny_dir);
    snprintf(bind->target, sizeof(bind->target), INSIDE_DIR);
    resident->null = open("/dev/null", O_RDWR | O_CLOEXEC);
    r = node_start(node, pair[1], &resident->node, err);
    fd_close(pair[1]);
    if (r < 0)
        fd_close(pair[0]);
    else
        r = spawn_client_new(pair[0], &events, resident, &resident->client, err);
    if (r < 0) {
        resident_stop(resident);
        return r;
    }
    *ret = resident;
    return 0;
}

static int begin(struct resident *resident, enum program program, struct err *err)
{
    static const char *const env[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/workspace", NULL};
    struct sbx_spec spec = {.argv = program_argv(program, INSIDE_DIR "/tiny"),
                            .envp = env,
                            .layers = LAYERS_ALL,
                            .tenant = "bench"};
    struct spawn_fds fds = {.stdin_fd = resident->null,
                            .stdout_fd = resident->null,
                            .stderr_fd = resident->null,
                            .files_in_fd = -EBADF,
                            .files_out_fd = -EBADF};
    int r = spawn_client_run(resident->client, ++resident->serial, &spec, &fds, err);
    resident->live += r == 0;
    return r;
}

static int step(struct resident *resident, struct err *err)
{
    struct pollfd p = {.fd = spawn_client_fd(resident->client), .events = POLLIN};
    if (poll(&p, 1, 20000) <= 0)
        return err_set(err, -ETIMEDOUT, "the spawner does not answer");
    int r = spawn_client_dispatch(resident->client, err);
    if (r == 0 && resident->fault.code) {
        *err = resident->fault;
        r = err->code;
    }
    return r;
}

int resident_run(struct launcher *launcher, enum program program, struct err *err)
{
    struct resident *resident = launcher->data;
    int r = begin(resident, program, err);
    while (r == 0 && resident->live > 0)
        r = step(resident, err);
    return r;
}

int resident_rate(struct launcher *launcher, unsigned clients, uint64_t for_us, double *ret,
                  struct err *err)
{
    struct resident *resident = launcher->data;
    uint64_t start = clock_us(), before = resident->ended, now = start;
    int r = 0;
    while (r == 0 && (now - start < for_us || resident->live > 0)) {
        while (r == 0 && now - start < for_us && resident->live < clients)
            r = begin(resident, PROGRAM_TINY, err);
        if (r == 0)
            r = step(resident, err);
        now = clock_us();
    }
    *ret = (double)(resident->ended - before) * 1e6 / (double)(now - start);
    return r;
}

const struct run_timing *resident_timing(const struct launcher *launcher)
{
    return &((const struct resident *)launcher->data)->last.timing;
}

struct resident *resident_stop(struct resident *resident)
{
    if (!resident)
        return NULL;
    spawn_client_free(resident->client);
    node_stop(resident->node);
    fd_close(resident->null);
    free(resident);
    return NULL;
}
