/*
 * The inner spawner: uid 0 of U, single-threaded, the only code that forks. It serves one client
 * (execsvc, or `cloister sandbox run`) over the wire protocol of spawn_wire.h.
 *
 * Order at start-up (each step needs what the one after it takes away; ../docs/SECURITY.md):
 * configuration, cgroups while the host's tree is still there, base tree and pivot, capabilities,
 * filter, a first slot as the proof that all layers can be had, hello.
 */

#include "sandbox/inner.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "sandbox/inner_setup.h"
#include "sandbox/pool.h"

/* The longest payload is one of these two. */
#define EVENT_MAX                                                                                  \
    (64 + (sizeof(struct run_result) > sizeof(struct spawn_node) ? sizeof(struct run_result)       \
                                                                 : sizeof(struct spawn_node)))
#define PENDING_MAX 4096

struct pending {
    struct pending *next;
    int fd; /* owned; -EBADF: none */
    size_t len;
    uint8_t bytes[];
};

struct inner {
    struct node_config config;
    struct loop *loop;
    struct loop_io client_io;
    int client;
    struct cg_tree *tree;
    struct run_env env;
    struct run_events events;
    struct pool pool;
    struct run **runs; /* by slot index; NULL: none */
    struct pending *pending, **pending_tail;
    size_t n_pending;
    int exit_code;
};

/* ---- to the client ---- */

static void lose_client(struct inner *inner, int code)
{
    inner->exit_code = code;
    loop_stop(inner->loop);
}

static void watch_client(struct inner *inner)
{
    loop_io_change(&inner->client_io, EPOLLIN | (inner->pending ? EPOLLOUT : 0));
}

/* The kernel has no memory for the message, or no room for it (unix(7)): it may, a moment later. */
static bool may_try_again(int r)
{
    return r == -EAGAIN || r == -ENOMEM || r == -ENOBUFS || r == -ETOOMANYREFS;
}

static void flush_pending(struct inner *inner)
{
    while (inner->pending) {
        struct pending *p = inner->pending;
        int r = fd_send(inner->client, p->bytes, p->len, &p->fd, p->fd >= 0 ? 1 : 0);
        if (may_try_again(r))
            break;
        if (r < 0)
            lose_client(inner, 0);
        inner->pending = p->next;
        inner->n_pending--;
        fd_close(p->fd);
        free(p);
    }
    if (!inner->pending)
        inner->pending_tail = &inner->pending;
    watch_client(inner);
}

/* @fd moves in. */
static void tell(struct inner *inner, enum spawn_type type, uint64_t run, const void *payload,
                 size_t len, int fd)
{
    AUTO_CLOSE int owned = fd;
    uint8_t buf[EVENT_MAX];
    int n = spawn_wire_event_write(buf, sizeof(buf), type, run, payload, len);
    if (n < 0)
        return;
    if (!inner->pending) {
        int r = fd_send(inner->client, buf, (size_t)n, &owned, owned >= 0 ? 1 : 0);
        if (r == 0)
            return;
        if (!may_try_again(r)) {
            lose_client(inner, 0);
            return;
        }
    }
    struct pending *p = malloc(sizeof(*p) + (size_t)n);
    if (!p || inner->n_pending == PENDING_MAX) {
        free(p);
        lose_client(inner, 0);
        return;
    }
    *p = (struct pending){.fd = take_fd(&owned), .len = (size_t)n};
    memcpy(p->bytes, buf, (size_t)n);
    *inner->pending_tail = p;
    inner->pending_tail = &p->next;
    inner->n_pending++;
    watch_client(inner);
}

/* ---- runs ---- */

static void on_started(void *arg, struct run *run)
{
    struct slot *slot = run_slot(run);
    int master = slot->pty_master;
    slot->pty_master = -EBADF;
    tell(arg, SPAWN_STARTED, run_id(run), NULL, 0, master);
}

static void on_result(void *arg, struct run *run, const struct run_result *result)
{
    tell(arg, SPAWN_RESULT, run_id(run), result, sizeof(*result), -EBADF);
}

static void on_gone(void *arg, struct run *run)
{
    struct inner *inner = arg;
    struct slot *slot = run_slot(run);
    slot->pty_master = fd_close(slot->pty_master);
    inner->runs[slot->index] = run_free(run);
    pool_give_back(&inner->pool, slot);
}

static void on_usage(void *arg, struct run *run, const struct run_usage *usage, bool waits)
{
    struct {
        struct run_usage usage;
        uint32_t waits;
    } payload = {*usage, waits};
    tell(arg, SPAWN_USAGE, run_id(run), &payload, sizeof(payload.usage) + sizeof(uint32_t), -EBADF);
}

static struct run *find_run(struct inner *inner, uint64_t id)
{
    for (uint32_t i = 0; i < inner->pool.n_slots; i++)
        if (inner->runs[i] && run_id(inner->runs[i]) == id)
            return inner->runs[i];
    return NULL;
}

/* What may be wrong with the request, or for now too much. */
static int judge_run(struct inner *inner, struct spawn_request *q, struct err *err)
{
    struct sbx_spec *spec = &q->spec;
    uint32_t wanted = inner->config.layers;
    if (spec->layers != wanted && !inner->config.one_shot)
        return err_set(err, -EINVAL, "layers: this service runs nothing with layers left out");
    spec->layers &= wanted;
    struct limits limits;
    int r = limits_resolve(&spec->limits, &inner->config.defaults, &inner->config.ceilings, &limits,
                           err);
    if (r < 0)
        return r;
    spec->limits = limits;
    if (find_run(inner, q->run))
        return err_set(err, -EINVAL, "run: this number is in use");
    r = node_tree_find(&inner->config, spec->tree, err);
    if (r < 0)
        return r;
    if (pool_is_full(&inner->pool))
        return err_set(err, -EAGAIN, "all %u slots are busy", inner->config.slots_max);
    return 0;
}

/* Its own group, or a new one where that could not be made ready: v1 refuses a limit below what the
 * last run's memory still weighs, for one. */
static int start_in_slot(struct inner *inner, struct slot *slot, const struct spawn_request *q,
                         uint64_t slot_us, struct err *err)
{
    int r = 0;
    for (int tries = 0; tries < 2; tries++) {
        if (pool_is_broken(&inner->pool, slot))
            r = slot_renew_group(inner->tree, slot, err);
        if (r == 0)
            r = run_start(&inner->env, &inner->events, slot, q->run, &q->spec, q->fds, slot_us,
                          &inner->runs[slot->index], err);
        if (r == 0 || !pool_is_broken(&inner->pool, slot))
            break;
    }
    return r;
}

/* A fault from here on is ours. */
static int start_run(struct inner *inner, struct spawn_request *q, struct err *err)
{
    uint64_t begin = clock_us();
    struct sbx_spec *spec = &q->spec;
    struct slot *slot;
    const int tree = node_tree_find(&inner->config, spec->tree, err);
    int r = tree < 0 ? tree : 0;
    if (r == 0 && (spec->layers & LAYER_BIT(LAYER_SECCOMP)))
        r = inner_filter_build(spec->policy, err);
    if (r == 0)
        r = pool_take(&inner->pool, spec, (uint32_t)tree, &slot, err);
    if (r < 0)
        return r;
    AUTO_CLOSE int slave = -EBADF;
    if (spec->terminal) {
        r = slot_open_pty(slot, spec->rows, spec->cols, &slot->pty_master, &slave, err);
        q->fds[SPAWN_FD_STDIN] = q->fds[SPAWN_FD_STDOUT] = q->fds[SPAWN_FD_STDERR] = slave;
    }
    inner->env.alone = pool_is_quiet(&inner->pool);
    if (r == 0)
        r = start_in_slot(inner, slot, q, clock_us() - begin, err);
    if (r < 0) {
        slot->pty_master = fd_close(slot->pty_master);
        pool_give_back(&inner->pool, slot);
    }
    return r;
}

static enum end_cause cause_of(uint32_t why)
{
    static const enum end_cause causes[] = {
        [SPAWN_END_CANCELLED] = END_CANCELLED,
        [SPAWN_END_OUTPUT] = END_OUTPUT,
        [SPAWN_END_IDLE] = END_IDLE,
        [SPAWN_END_MAX_AGE] = END_MAX_AGE,
    };
    return causes[why];
}

static void tell_node_stats(struct inner *inner)
{
    struct pool_counts slots;
    pool_count(&inner->pool, &slots);
    struct spawn_node_stats stats = {.slots_made = slots.made,
                                     .slots_busy = slots.busy,
                                     .slots_ready = slots.ready,
                                     .ready_used = slots.ready_used};
    struct cg_tree_stats cg = {0};
    if (inner->tree && cg_tree_stats(inner->tree, &cg, NULL) == 0) {
        stats.memory_bytes = cg.memory_bytes;
        stats.memory_limit_bytes = cg.memory_limit_bytes;
        stats.oom_kills = cg.oom_kills;
    }
    stats.psi_memory_some_avg10_centi = inner->tree ? cg.psi_memory_some_avg10_centi : UINT32_MAX;
    stats.psi_cpu_some_avg10_centi = inner->tree ? cg.psi_cpu_some_avg10_centi : UINT32_MAX;
    tell(inner, SPAWN_NODE_STATS, 0, &stats, sizeof(stats), -EBADF);
}

static void obey(struct inner *inner, const struct spawn_request *q)
{
    struct run *run = find_run(inner, q->run);
    if (q->type == SPAWN_QUERY_NODE)
        tell_node_stats(inner);
    else if (run && q->type == SPAWN_END)
        run_end(run, cause_of(q->arg));
    else if (run && q->type == SPAWN_SIGNAL)
        run_signal(run, (int)q->arg);
    else if (run && q->type == SPAWN_QUERY)
        run_query(run);
}

/* ---- from the client ---- */

static void on_message(struct inner *inner, const void *bytes, size_t len, const int *fds,
                       size_t n_fds)
{
    static struct spawn_request q;
    struct err err = {0};
    int r = spawn_wire_request_read(bytes, len, fds, n_fds, &q, &err);
    if (r == -EBADMSG) { /* a framing fault: the peer is lost, its supervisor starts both again */
        fprintf(stderr, "cloister-spawner: %s\n", err.text);
        lose_client(inner, 1);
        return;
    }
    if (r == 0 && q.type != SPAWN_RUN) {
        obey(inner, &q);
        return;
    }
    if (r == 0)
        r = judge_run(inner, &q, &err);
    if (r < 0) {
        if (q.type == SPAWN_RUN)
            tell(inner, SPAWN_REFUSED, q.run, &err, sizeof(err), -EBADF);
        return;
    }
    if (start_run(inner, &q, &err) < 0) {
        struct run_result result;
        run_fault(&inner->env, &q.spec, &err, &result);
        tell(inner, SPAWN_RESULT, q.run, &result, sizeof(result), -EBADF);
    }
}

/* The table was full when its descriptors came. The next run may find room. */
static void on_lost_fds(struct inner *inner, const void *bytes, size_t len)
{
    struct err err = {0};
    const struct sbx_spec none = {.argv = NULL};
    struct run_result result;
    uint64_t number;
    if (spawn_wire_run_number(bytes, len, &number) < 0) {
        lose_client(inner, 1);
        return;
    }
    err_set(&err, -EMFILE, "the spawner has no descriptors left");
    run_fault(&inner->env, &none, &err, &result);
    tell(inner, SPAWN_RESULT, number, &result, sizeof(result), -EBADF);
}

static void on_client(struct loop_io *io, uint32_t events)
{
    struct inner *inner = container_of(io, struct inner, client_io);
    static uint8_t buf[SPAWN_MESSAGE_MAX];
    if (events & EPOLLOUT)
        flush_pending(inner);
    for (;;) {
        int fds[FD_PASS_MAX];
        size_t n_fds = 0;
        bool lost = false;
        ssize_t n = fd_recv_or_lose(inner->client, buf, sizeof(buf), fds, &n_fds, &lost);
        if (may_try_again((int)n))
            return;
        if (n <= 0) {
            lose_client(inner, 0);
            return;
        }
        if (lost) {
            on_lost_fds(inner, buf, (size_t)n);
            continue;
        }
        on_message(inner, buf, (size_t)n, fds, n_fds);
        for (size_t i = 0; i < n_fds; i++)
            fd_close(fds[i]);
    }
}

static void on_signal(struct loop *loop, int signo, void *arg)
{
    (void)arg;
    if (signo == SIGTERM || signo == SIGINT)
        loop_stop(loop);
}

static int say_hello(struct inner *inner, struct err *err)
{
    struct spawn_node node = {
        .slots_max = inner->config.slots_max,
        .layers = inner->env.available & inner->config.layers,
        .layers_missing = inner->env.missing,
        .defaults = inner->config.defaults,
        .ceilings = inner->config.ceilings,
    };
    snprintf(node.cgroup_version, sizeof(node.cgroup_version), "%s",
             inner->tree ? cg_version_name(cg_tree_version(inner->tree)) : "none");
    snprintf(node.cache_dir, sizeof(node.cache_dir), "%s", inner->config.cache_dir);
    snprintf(node.inputs_fault, sizeof(node.inputs_fault), "%s", inner->config.inputs_fault);
    snprintf(node.launcher, sizeof(node.launcher), "%s", sbx_launcher_name(inner->env.launcher));
    tell(inner, SPAWN_HELLO, 0, &node, sizeof(node), -EBADF);
    int r = fd_set_nonblock(inner->client);
    return r < 0 ? err_set(err, r, "set O_NONBLOCK: %m") : 0;
}

static int prepare_loop(struct inner *inner, struct err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    int r = loop_new(&inner->loop, err);
    if (r == 0)
        r = loop_signals(inner->loop, &set, on_signal, inner, err);
    if (r == 0)
        r = loop_io_add(inner->loop, &inner->client_io, inner->client, EPOLLIN, on_client, err);
    return r;
}

static int prepare(struct inner *inner, struct err *err)
{
    int r = inner_setup(&inner->config, &inner->client, &inner->tree, &inner->env, err);
    if (r < 0)
        return r;
    inner->pending_tail = &inner->pending;
    inner->runs = calloc(inner->config.slots_max, sizeof(struct run *));
    if (!inner->runs)
        return err_set(err, -ENOMEM, "no memory for %u runs", inner->config.slots_max);
    uint32_t missing = inner->env.missing;
    r = pool_init(&inner->pool, &inner->config, inner->tree, &missing, err);
    if (r < 0)
        return r;
    inner->env.missing = missing & inner->config.layers;
    inner->env.available = LAYERS_ALL & ~missing;
    inner->events = (struct run_events){on_started, on_result, on_gone, on_usage, inner};
    r = prepare_loop(inner, err);
    if (r == 0)
        r = say_hello(inner, err);
    inner->env.loop = inner->loop;
    if (r == 0)
        pool_serve(&inner->pool, &inner->env, inner->loop);
    return r;
}

/* Instead of hello: why there will be none. The client has the words, so stderr need not have them
 * too. */
static void say_sorry(const struct inner *inner, const struct err *err)
{
    uint8_t buf[sizeof(*err) + 64];
    int n = spawn_wire_event_write(buf, sizeof(buf), SPAWN_REFUSED, 0, err, sizeof(*err));
    int fd = inner->client > 0 ? inner->client : INNER_FD_CLIENT;
    if (n < 0 || fd_send(fd, buf, (size_t)n, NULL, 0) < 0)
        fprintf(stderr, "cloister-spawner: %s\n", err->text);
}

/* Every sandbox ends with us: init's control socket closes, and U's pid namespace with its pid 1.
 */
int node_inner_main(void)
{
    static struct inner inner;
    struct err err = {0};
    int r = prepare(&inner, &err);
    if (r < 0) {
        say_sorry(&inner, &err);
        return INNER_EXIT_NO_START;
    }
    r = loop_run(inner.loop, &err);
    if (r < 0) {
        fprintf(stderr, "cloister-spawner: %s\n", err.text);
        return 1;
    }
    return inner.exit_code;
}
