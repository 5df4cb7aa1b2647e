/* The whole service: a spawner of its own, execsvc as its own user, a client on its socket. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "api/client.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "bench.h"
#include "sandbox/service.h"

#define READY_US UINT64_C(30000000)

struct grpc {
    struct spawner_config config;
    struct node *node;
    pid_t pid;
    int pidfd, lock;
    struct client *client;
    unsigned live;
    uint64_t ended;
    struct run_timing timing;
    struct err fault;
};

static int start_service(struct grpc *g, const struct bench *bench, struct err *err)
{
    int pair[2];
    char log[96];
    snprintf(log, sizeof(log), "%s/execsvc.log", bench->work);
    int r = service_prepare(&g->config, &g->lock, err);
    if (r < 0)
        return r;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_set(err, -errno, "socketpair: %m");
    int room = 1 << 20; /* as cloister-spawner does */
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    r = node_start(&g->config.node, pair[1], &g->node, err);
    int words = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    int file = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (r == 0 && file >= 0) {
        dup2(file, STDERR_FILENO);
        r = service_start(&g->config, pair[0], -EBADF, &g->pid, &g->pidfd, err);
        dup2(words, STDERR_FILENO);
    }
    fd_close(words);
    fd_close(file);
    fd_close(pair[0]);
    fd_close(pair[1]);
    return r;
}

int grpc_start(const struct bench *bench, struct grpc **ret, struct err *err)
{
    char socket[128];
    struct grpc *g = calloc(1, sizeof(*g));
    if (!g)
        return err_set(err, -ENOMEM, "no memory");
    g->pidfd = g->lock = -EBADF;
    snprintf(socket, sizeof(socket), "%s/service/execsvc.sock", bench->work);
    setenv("CLOISTER_SOCKET", socket, 1);
    int r = spawner_config_load(&g->config, NULL, err);
    if (r == 0) {
        struct node_config *node = &g->config.node;
        struct node_bind *bind = &node->binds[node->n_binds++];
        snprintf(node->instance, sizeof(node->instance), "bench-%d-grpc", getpid());
        snprintf(g->config.node.cache_dir, sizeof(g->config.node.cache_dir), "%s/cache",
                 bench->work);
        snprintf(g->config.run_dir, sizeof(g->config.run_dir), "%s/run", bench->work);
        snprintf(g->config.execsvc, sizeof(g->config.execsvc), "%.480s/execsvc", bench->bin);
        snprintf(bind->source, sizeof(bind->source), "%.255s", bench->tiny_dir);
        snprintf(bind->target, sizeof(bind->target), INSIDE_DIR);
        r = start_service(g, bench, err);
    }
    if (r < 0) {
        grpc_stop(g);
        return r;
    }
    *ret = g;
    return 0;
}

int grpc_connect(struct grpc *g, struct err *err)
{
    uint64_t begin = clock_us();
    struct rpc_status status;
    int r = client_new(&(struct client_options){.socket = g->config.socket}, &g->client, err);
    if (r < 0)
        return r;
    while (client_health(g->client, "", 2000, &status) != 1) {
        if (clock_us() - begin > READY_US || waitpid(g->pid, NULL, WNOHANG) == g->pid)
            return err_set(err, -ETIMEDOUT, "the service does not answer on %.100s",
                           g->config.socket);
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
    return 0;
}

static void on_result(void *arg, const struct run_report *report)
{
    struct grpc *g = arg;
    g->ended++;
    g->timing = report->result.timing;
    if (g->fault.code == 0)
        attested(&report->result, &g->fault);
}

static void on_end(void *arg, const struct rpc_status *status)
{
    struct grpc *g = arg;
    g->live--;
    if (status->code != 0 && g->fault.code == 0)
        err_set(&g->fault, -EIO, "gRPC status %d: %.180s", (int)status->code, status->message);
}

static int begin(struct grpc *g, enum program program, struct err *err)
{
    static const struct client_events events = {.on_result = on_result, .on_end = on_end};
    struct run_request request = {.runtime = "", .entry = ""};
    struct model_fault fault = {0};
    struct client_run *run;
    request.argv = program_argv(program, INSIDE_DIR "/tiny");
    while (request.argv[request.n_argv])
        request.n_argv++;
    int r = client_execute(g->client, &request, &events, g, &run, &fault);
    if (r < 0)
        return err_set(err, r, "%.60s: %.160s", fault.field, fault.err.text);
    g->live++;
    return 0;
}

static int step(struct grpc *g, struct err *err)
{
    client_wait(g->client, 20000);
    if (g->fault.code)
        *err = g->fault;
    return g->fault.code;
}

int grpc_run(struct launcher *launcher, enum program program, struct err *err)
{
    struct grpc *g = launcher->data;
    int r = begin(g, program, err);
    while (r == 0 && g->live > 0)
        r = step(g, err);
    return r;
}

int grpc_ask(struct launcher *launcher, enum program program, struct err *err)
{
    (void)program;
    struct grpc *g = launcher->data;
    struct rpc_status status;
    return client_health(g->client, "", 2000, &status) == 1
               ? 0
               : err_set(err, -EIO, "health check: %.180s", status.message);
}

int grpc_rate(struct launcher *launcher, unsigned clients, uint64_t for_us, double *ret,
              struct err *err)
{
    struct grpc *g = launcher->data;
    uint64_t start = clock_us(), before = g->ended, now = start;
    int r = 0;
    while (r == 0 && (now - start < for_us || g->live > 0)) {
        while (r == 0 && now - start < for_us && g->live < clients)
            r = begin(g, PROGRAM_TINY, err);
        if (r == 0)
            r = step(g, err);
        now = clock_us();
    }
    *ret = (double)(g->ended - before) * 1e6 / (double)(now - start);
    return r;
}

const struct run_timing *grpc_timing(const struct launcher *launcher)
{
    return &((const struct grpc *)launcher->data)->timing;
}

struct grpc *grpc_stop(struct grpc *g)
{
    if (!g)
        return NULL;
    client_free(g->client);
    if (g->pidfd >= 0) {
        kill(g->pid, SIGKILL);
        waitpid(g->pid, NULL, 0);
    }
    node_stop(g->node);
    fd_close(g->pidfd);
    fd_close(g->lock);
    free(g);
    return NULL;
}
