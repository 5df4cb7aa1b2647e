#include "sandbox/launch.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "sandbox/child.h"
#include "sandbox/plan.h"
#include "sandbox/run_config.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* init counts as a process of the group too; bubblewrap's own one waits for it outside. */
uint64_t launch_own_processes(const struct run_env *env)
{
    return env->launcher == SBX_LAUNCHER_BWRAP ? 2 : 1;
}

/* ---- its cgroup ---- */

static struct cg_limits group_limits(const struct run_env *env, const struct limits *limits,
                                     uint32_t layers)
{
    return (struct cg_limits){
        .memory_bytes = layers & LAYER_BIT(LAYER_CG_MEMORY) ? limits->v[LIMIT_MEMORY] : UINT64_MAX,
        .pids = layers & LAYER_BIT(LAYER_CG_PIDS)
                    ? limits->v[LIMIT_PROCESSES] + launch_own_processes(env)
                    : UINT64_MAX,
        .cpu_weight = 100,
    };
}

/* What an earlier run has left is cleared away, unless launch_tidy() has done it already. */
static int prepare_cgroup(const struct run_env *env, struct slot *slot, const struct limits *limits,
                          uint32_t layers, struct err *err)
{
    const uint32_t by_cgroup =
        LAYER_BIT(LAYER_CG_MEMORY) | LAYER_BIT(LAYER_CG_PIDS) | LAYER_BIT(LAYER_CG_CPU);
    layers &= env->available;
    if (!slot->group) /* fail closed: this node has cgroups, so a slot without one is broken */
        return layers & by_cgroup ? err_set(err, -EIO, "slot %u has lost its cgroup", slot->index)
                                  : 0;
    struct cg_limits values = group_limits(env, limits, layers);
    return cg_group_prepare(slot->group, &values, err);
}

void launch_tidy(const struct run_env *env, struct slot *slot, const struct limits *limits)
{
    /* A fault comes again, and is reported, when a run is prepared. */
    prepare_cgroup(env, slot, limits, LAYERS_ALL, NULL);
}

/* ---- the sandbox ---- */

static int make_control(int *ret_ours, int *ret_inits, struct err *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_set(err, -errno, "socketpair: %m");
    *ret_ours = pair[0];
    *ret_inits = pair[1];
    int room = INIT_CONFIG_MAX * 2;
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    return 0;
}

static int take_inputs(const struct run_env *env, const struct slot *slot,
                       const struct sbx_spec *spec, int *ret_fd, struct err *err)
{
    if (!spec->inputs || !spec->inputs[0])
        return 0;
    if (!env->open_inputs)
        return err_set(err, -EINVAL, "inputs: there is no cache here");
    return env->open_inputs(&env->inputs, slot->index, spec->inputs, ret_fd, err);
}

/* @fds as in spawn_wire.h. */
static struct plan_facts facts_of(const struct run_env *env, const struct slot *slot,
                                  const int *fds)
{
    struct plan_facts facts = {
        .launcher = env->launcher,
        .available = env->available,
        .cgroup_clone_fd = slot->group ? cg_group_clone_fd(slot->group) : -1,
        .mount_fd = slot->views[slot->tree].mount_fd,
        .net_fd = slot->net_fd,
        .init_fd = env->init_fd,
        .stdio = {fds[SPAWN_FD_STDIN], fds[SPAWN_FD_STDOUT], fds[SPAWN_FD_STDERR]},
        .files_in_fd = fds[SPAWN_FD_IN],
        .files_out_fd = fds[SPAWN_FD_OUT],
        .inputs_fd = -EBADF,
        .uid = slot->uid,
        .gid = slot->uid,
        .masks = env->masks,
        .tmpfs_owner = env->tmpfs_owner,
        .proc = env->proc,
        .tree = env->tree,
    };
    if (slot->group)
        facts.n_join_fds = cg_group_join_fds(slot->group, &facts.join_fds);
    return facts;
}

/* Plan and child; init waits for its orders, which may be on their way already. */
static int build(const struct run_env *env, const struct slot *slot, const struct sbx_spec *spec,
                 const int *fds, int init_end, struct launched *ret, struct err *err)
{
    static struct plan plan; /* one thread, one launch at a time */
    struct plan_facts facts = facts_of(env, slot, fds);
    facts.control_fd = init_end;
    AUTO_CLOSE int inputs = -EBADF;
    int r = take_inputs(env, slot, spec, &inputs, err);
    facts.inputs_fd = inputs;
    if (r == 0)
        r = plan_build(spec, &facts, &plan, err);
    if (r < 0)
        return r;
    ret->layers = plan.layers;
    if (env->start)
        return env->start(env->start_arg, &plan, err);
    pid_t pid;
    return child_start(&plan, &ret->pidfd, &pid, err);
}

static int orders(const struct run_env *env, const struct slot *slot, const struct sbx_spec *spec,
                  const int *fds, const void **ret, struct err *err)
{
    static uint8_t config[INIT_CONFIG_MAX]; /* one thread, one launch at a time */
    *ret = config;
    return run_config_build(env, slot, spec, fds, spec->layers & env->available, config, err);
}

/* ---- ready sandboxes ---- */

bool launch_fits(const struct slot *slot, const struct sbx_spec *spec, uint32_t tree)
{
    const struct ready *ready = &slot->ready;
    return ready->made && ready->tree == tree && ready->wanted == spec->layers &&
           ready->workspace == spec->limits.v[LIMIT_WORKSPACE] &&
           ready->inodes == spec->limits.v[LIMIT_INODES] && !(spec->inputs && spec->inputs[0]);
}

int launch_ahead(const struct run_env *env, struct slot *slot, const struct sbx_spec *spec,
                 struct err *err)
{
    /* Nobody's stdio: init gets the program's with its orders. */
    static const int none[SPAWN_FDS] = {[SPAWN_FD_STDIN] = STDIN_FILENO,
                                        [SPAWN_FD_STDOUT] = STDIN_FILENO,
                                        [SPAWN_FD_STDERR] = STDIN_FILENO,
                                        [SPAWN_FD_IN] = -EBADF,
                                        [SPAWN_FD_OUT] = -EBADF};
    struct launched sandbox;
    AUTO_CLOSE int ours = -EBADF;
    AUTO_CLOSE int inits = -EBADF;
    int r = prepare_cgroup(env, slot, &spec->limits, spec->layers, err);
    if (r == 0)
        r = make_control(&ours, &inits, err);
    if (r == 0)
        r = build(env, slot, spec, none, inits, &sandbox, err);
    if (r < 0)
        return r;
    sandbox.control = take_fd(&ours);
    slot->ready = (struct ready){.made = true,
                                 .sandbox = sandbox,
                                 .wanted = spec->layers,
                                 .tree = slot->tree,
                                 .workspace = spec->limits.v[LIMIT_WORKSPACE],
                                 .inodes = spec->limits.v[LIMIT_INODES]};
    return 0;
}

void launch_end(int pidfd)
{
    siginfo_t info;
    syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    while (waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0 && errno == EINTR)
        ;
}

void launch_forget(struct slot *slot)
{
    struct launched *sandbox = &slot->ready.sandbox;
    if (!slot->ready.made)
        return;
    launch_end(sandbox->pidfd);
    fd_close(sandbox->control);
    fd_close(sandbox->pidfd);
    slot->ready = (struct ready){0};
}

/* Whatever fails here, a sandbox of the run's own is still to be had. */
static bool use_ready(const struct run_env *env, struct slot *slot, const struct sbx_spec *spec,
                      const int *fds, const void *config, size_t len, struct launched *ret)
{
    if (!launch_fits(slot, spec, slot->tree))
        return false;
    if (slot->group) {
        struct cg_limits limits = group_limits(env, &spec->limits, spec->layers & env->available);
        if (cg_group_limit(slot->group, &limits, NULL) < 0)
            return false;
    }
    int passed[SPAWN_FDS];
    size_t n = 0;
    for (int i = 0; i < SPAWN_FDS; i++)
        if (fds[i] >= 0)
            passed[n++] = fds[i];
    if (fd_send(slot->ready.sandbox.control, config, len, passed, n) < 0)
        return false;
    *ret = slot->ready.sandbox;
    slot->ready = (struct ready){0};
    slot->n_ready_used++;
    return true;
}

static int give_orders(int control, const void *config, size_t len, struct err *err)
{
    return send(control, config, len, MSG_NOSIGNAL) == (ssize_t)len
               ? 0
               : err_set(err, -errno, "send init its orders: %m");
}

/* What start() has begun. Without its orders it would wait for ever. */
static int finish(const struct run_env *env, int given, struct launched *ret, struct err *err)
{
    int r = env->finish(env->start_arg, &ret->pidfd, given < 0 ? NULL : err);
    if (r == 0 && given < 0) {
        launch_end(ret->pidfd);
        fd_close(ret->pidfd);
    }
    return given < 0 ? given : r;
}

/* Orders wait for init, so that it need not wait for them. */
static int launch_new(const struct run_env *env, const struct slot *slot,
                      const struct sbx_spec *spec, const int *fds, const void *config, size_t len,
                      struct launched *ret, struct err *err)
{
    AUTO_CLOSE int ours = -EBADF;
    AUTO_CLOSE int inits = -EBADF;
    int r = make_control(&ours, &inits, err);
    if (r == 0 && !env->start)
        r = give_orders(ours, config, len, err);
    if (r == 0)
        r = build(env, slot, spec, fds, inits, ret, err);
    if (r == 0 && env->start)
        r = finish(env, give_orders(ours, config, len, err), ret, err);
    if (r == 0)
        ret->control = take_fd(&ours);
    return r;
}

int launch(const struct run_env *env, struct slot *slot, const struct sbx_spec *spec,
           const int *fds, struct launched *ret, struct err *err)
{
    const void *config = NULL;
    int n = orders(env, slot, spec, fds, &config, err);
    if (n < 0)
        return n;
    if (use_ready(env, slot, spec, fds, config, (size_t)n, ret))
        return 0;
    launch_forget(slot);
    int r = prepare_cgroup(env, slot, &spec->limits, spec->layers, err);
    if (r < 0) {
        slot->group = cg_group_free(slot->group); /* half prepared: it is not used any more */
        return r;
    }
    return launch_new(env, slot, spec, fds, config, (size_t)n, ret, err);
}
