#include "sandbox/run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "sandbox/launch.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

enum run_state { RUN_START, RUN_RUNNING, RUN_ENDED, RUN_COLLECT, RUN_DONE };

struct run {
    const struct run_env *env;
    struct run_events events;
    struct slot *slot;
    uint64_t id;
    enum run_state state;
    int control, pidfd;
    struct loop_io control_io, pid_io;
    struct loop_timer cpu_timer, wall_timer, kill_timer;
    bool collect, terminal, told; /* told: the result is out */
    uint64_t born_us, started_us;
    uint64_t waited_us; /* for terminal input */
    uint64_t watch_us;  /* of init, which is in the group: not the program's */
    struct verdict_facts facts;
    struct run_result result;
};

uint64_t run_id(const struct run *run)
{
    return run->id;
}

struct slot *run_slot(const struct run *run)
{
    return run->slot;
}

static int order(struct run *run, enum init_order_type type, uint32_t arg)
{
    struct init_order message = {.type = type, .arg = arg};
    ssize_t n = send(run->control, &message, sizeof(message), MSG_NOSIGNAL | MSG_DONTWAIT);
    return n < 0 ? -errno : 0;
}

/* Where our child is not pid 1 of the program's namespace, its end is not the end of the rest. */
static void kill_the_rest(struct run *run)
{
    bool all_gone =
        (run->result.layers & LAYER_BIT(LAYER_PID_NS)) && run->env->launcher == SBX_LAUNCHER_NATIVE;
    if (!all_gone && run->slot->group)
        cg_group_kill(run->slot->group, NULL);
}

/* The last resort: init, and with it its whole namespace. */
static void kill_all(struct run *run)
{
    syscall(SYS_pidfd_send_signal, run->pidfd, SIGKILL, NULL, 0);
    kill_the_rest(run);
}

static void on_kill_timer(struct loop_timer *timer)
{
    kill_all(container_of(timer, struct run, kill_timer));
}

static void stop_clocks(struct run *run)
{
    loop_timer_cancel(&run->cpu_timer);
    loop_timer_cancel(&run->wall_timer);
}

void run_end(struct run *run, enum end_cause cause)
{
    if (run->state > RUN_RUNNING) {
        if (cause == END_CANCELLED && run->state == RUN_COLLECT)
            kill_all(run);
        return;
    }
    if (run->facts.cause != END_NONE)
        return;
    run->facts.cause = cause;
    stop_clocks(run);
    uint64_t grace_us = RUN_KILL_GRACE_MS * UINT64_C(1000);
    if (run->state == RUN_START || loop_timer_set(run->env->loop, &run->kill_timer,
                                                  clock_us() + grace_us, on_kill_timer) < 0) {
        kill_all(run);
        return;
    }
    order(run, INIT_ORDER_KILL, 0);
    if (!(run->result.layers & LAYER_BIT(LAYER_PID_NS)))
        kill_the_rest(run);
}

/* Without a clock a program would have no limit: rather no program. */
static void end_broken(struct run *run, int code, const char *what)
{
    if (run->facts.cause == END_NONE)
        err_set(&run->facts.err, code, "%s: %s", what, strerror(-code));
    run_end(run, END_INTERNAL);
}

void run_signal(struct run *run, int signo)
{
    order(run, INIT_ORDER_SIGNAL, (uint32_t)signo);
}

void run_query(struct run *run)
{
    order(run, INIT_ORDER_QUERY, 0);
}

/* Of the group's processor time, what is not for looking whether the program waits. */
static uint64_t without_watch(const struct run *run, uint64_t cpu_us)
{
    return cpu_us > run->watch_us ? cpu_us - run->watch_us : 0;
}

static int read_stats(struct run *run, struct err *err)
{
    struct cg_stats *cg = &run->facts.cg;
    int r = run->slot->group ? cg_group_stats(run->slot->group, cg, err) : 0;
    bool counted = run->slot->group && r == 0;
    if (counted)
        cg->cpu_system_us = without_watch(run, cg->cpu_system_us);
    run->facts.tree_cpu_counted = counted && (run->result.layers & LAYER_BIT(LAYER_CG_CPU));
    run->result.usage = (struct run_usage){
        .cpu_user_us = cg->cpu_user_us,
        .cpu_system_us = cg->cpu_system_us,
        .wall_us = run->started_us ? clock_us() - run->started_us : 0,
        .memory_bytes = cg->memory_bytes,
        .memory_peak_bytes = cg->memory_peak_bytes,
        .processes_peak = cg->pids_peak > launch_own_processes(run->env)
                              ? cg->pids_peak - launch_own_processes(run->env)
                              : cg->pids_peak,
    };
    run->facts.wall_us = run->result.usage.wall_us - run->waited_us;
    return r;
}

/* ---- the clocks ---- */

static void on_cpu_timer(struct loop_timer *timer);

static void arm_cpu(struct run *run)
{
    uint64_t limit_us = run->facts.limits.v[LIMIT_CPU] * 1000, used_us = 0;
    if (!(run->result.layers & LAYER_BIT(LAYER_CG_CPU)) || !run->slot->group)
        return; /* RLIMIT_CPU is left */
    int r = cg_group_cpu_us(run->slot->group, &used_us, NULL);
    if (r < 0) {
        end_broken(run, r, "read the CPU time");
        return;
    }
    used_us = without_watch(run, used_us);
    if (used_us >= limit_us) {
        run_end(run, END_CPU);
        return;
    }
    uint64_t in_us = (limit_us - used_us) / run->env->cpus;
    if (in_us < 1000)
        in_us = 1000;
    r = loop_timer_set(run->env->loop, &run->cpu_timer, clock_us() + in_us, on_cpu_timer);
    if (r < 0)
        end_broken(run, r, "set the CPU clock");
}

static void on_cpu_timer(struct loop_timer *timer)
{
    arm_cpu(container_of(timer, struct run, cpu_timer));
}

static void on_wall_timer(struct loop_timer *timer)
{
    struct run *run = container_of(timer, struct run, wall_timer);
    if (run->terminal)
        order(run, INIT_ORDER_QUERY, 0); /* goes on in on_waits() */
    else
        run_end(run, END_WALL);
}

static void arm_wall(struct run *run, uint64_t due_us)
{
    int r = loop_timer_set(run->env->loop, &run->wall_timer, due_us, on_wall_timer);
    if (r < 0)
        end_broken(run, r, "set the wall clock");
}

static uint64_t wall_due(const struct run *run)
{
    return run->started_us + run->facts.limits.v[LIMIT_WALL] * 1000 + run->waited_us;
}

/* While a terminal program waits for a person its wall clock stands still. */
static void on_waits(struct run *run, const struct init_report *report)
{
    if (run->state != RUN_RUNNING)
        return;
    run->waited_us = report->waited_us;
    run->watch_us = report->watch_us;
    if (run->events.usage) {
        read_stats(run, NULL);
        run->events.usage(run->events.arg, run, &run->result.usage, report->value != 0);
    }
    if (run->facts.cause != END_NONE || run->wall_timer.loop)
        return;
    uint64_t due = wall_due(run), now = clock_us();
    if (due <= now && !report->value)
        run_end(run, END_WALL);
    else
        arm_wall(run, due > now ? due : now + 200000);
}

/* ---- the end ---- */

static void tell_result(struct run *run)
{
    if (run->told)
        return;
    run->told = true;
    struct run_timing *t = &run->result.timing;
    t->total = clock_us() - run->born_us + t->slot;
    run->events.result(run->events.arg, run, &run->result);
}

static void decide(struct run *run)
{
    struct err err = {0};
    stop_clocks(run);
    if (read_stats(run, &err) < 0 && run->facts.cause == END_NONE) {
        /* Which limit a program has touched can't be known any more; if it did well, none. */
        run->facts.cause = END_INTERNAL;
        run->facts.err = err;
    }
    verdict_decide(&run->facts, &run->result);
}

static void on_collect_timer(struct loop_timer *timer)
{
    struct run *run = container_of(timer, struct run, kill_timer);
    kill_all(run);
}

static void start_collecting(struct run *run)
{
    run->state = RUN_COLLECT;
    if (run->slot->group)
        cg_group_raise_memory(run->slot->group,
                              run->facts.limits.v[LIMIT_MEMORY] + RUN_COLLECT_RESERVE, NULL);
    uint64_t due = clock_us() + RUN_COLLECT_MS * UINT64_C(1000);
    if (loop_timer_set(run->env->loop, &run->kill_timer, due, on_collect_timer) < 0 ||
        order(run, INIT_ORDER_COLLECT, 1) < 0)
        kill_all(run);
}

static void on_main_ended(struct run *run, const struct init_report *report)
{
    loop_timer_cancel(&run->kill_timer);
    run->facts.have_status = true;
    run->facts.status = report->status;
    run->facts.fs_hits = report->hits;
    run->waited_us = report->waited_us;
    run->watch_us = report->watch_us;
    memcpy(run->facts.refusals, report->refusals, sizeof(run->facts.refusals));
    decide(run);
    run->result.timing.run = report->at_us - run->started_us;
    run->result.usage.wall_us = run->result.timing.run;
    run->state = RUN_ENDED;
    if (run->collect)
        start_collecting(run);
    else
        tell_result(run);
}

/* Of execve(2): what no program can be the cause of. */
static bool is_machines_fault(int code)
{
    return code == -EAGAIN || code == -ENOMEM || code == -EMFILE || code == -ENFILE ||
           code == -ENOSYS;
}

/* Why there is no program: something of the caller's (no such program, inputs that do not fit), or
 * ours. */
static void on_failed(struct run *run, const struct init_report *report)
{
    struct verdict_facts *facts = &run->facts;
    run->result.timing.files_in = report->files_in_us;
    facts->no_program = true;
    if (report->stage == INIT_STAGE_EXEC && !is_machines_fault(report->code)) {
        err_set(&facts->err, report->code, "%.120s: %s", report->text,
                report->code == -ENOENT ? "no such program in the sandbox"
                                        : strerror(-report->code));
    } else if (report->stage == INIT_STAGE_CWD && !is_machines_fault(report->code)) {
        err_set(&facts->err, report->code, "the working directory %.120s: %s", report->text,
                strerror(-report->code));
    } else if (report->stage == INIT_STAGE_FILES_IN && report->code == -ENOSPC) {
        facts->fs_hits = INIT_HIT_WORKSPACE;
        err_set(&facts->err, report->code,
                "the input files do not fit into the workspace (limits workspace, inodes)");
    } else {
        facts->no_program = false;
        if (facts->cause == END_NONE)
            facts->cause = END_INTERNAL;
        err_set(&facts->err, report->code, "%s%.120s: %s",
                report->stage == INIT_STAGE_EXEC ? "execute " : "", report->text,
                strerror(-report->code));
    }
    decide(run);
    run->state = RUN_DONE;
    tell_result(run);
}

static void on_report(struct run *run, const struct init_report *report)
{
    switch (report->type) {
    case INIT_REPORT_STARTED:
        if (run->state != RUN_START)
            return;
        run->state = RUN_RUNNING;
        run->started_us = report->at_us;
        run->result.timing.files_in = report->files_in_us;
        run->result.timing.spawn = report->at_us - run->born_us - report->files_in_us;
        run->events.started(run->events.arg, run);
        if (run->facts.cause == END_NONE) {
            arm_cpu(run);
            arm_wall(run, wall_due(run));
        }
        return;
    case INIT_REPORT_FAILED:
        on_failed(run, report);
        return;
    case INIT_REPORT_MAIN_ENDED:
        if (run->state == RUN_RUNNING)
            on_main_ended(run, report);
        return;
    case INIT_REPORT_COLLECTED:
        run->result.timing.collect = clock_us() - run->started_us - run->result.timing.run;
        run->state = RUN_DONE;
        tell_result(run);
        return;
    case INIT_REPORT_WAITS:
        on_waits(run, report);
        return;
    default:
        return;
    }
}

static void drain_reports(struct run *run)
{
    struct init_report report;
    for (;;) {
        ssize_t n = recv(run->control, &report, sizeof(report), MSG_DONTWAIT);
        if (n != (ssize_t)sizeof(report))
            break;
        report.text[sizeof(report.text) - 1] = 0;
        on_report(run, &report);
    }
}

static void on_control(struct loop_io *io, uint32_t events)
{
    struct run *run = container_of(io, struct run, control_io);
    drain_reports(run);
    if (events & (EPOLLHUP | EPOLLERR))
        loop_io_remove(io); /* the pidfd tells the rest */
}

static void on_pid(struct loop_io *io, uint32_t events)
{
    (void)events;
    struct run *run = container_of(io, struct run, pid_io);
    siginfo_t info = {0};
    drain_reports(run);
    int r = waitid((idtype_t)P_PIDFD, (id_t)run->pidfd, &info, WEXITED | WNOHANG);
    if ((r < 0 && errno == EINTR) || (r == 0 && !info.si_pid))
        return; /* in the second case a debugger has not let go of it */
    loop_io_remove(&run->pid_io);
    loop_io_remove(&run->control_io);
    loop_timer_cancel(&run->kill_timer);
    kill_the_rest(run);
    if (run->state <= RUN_RUNNING)
        decide(run); /* init went without a report: killed, by us or for memory */
    run->state = RUN_DONE;
    tell_result(run);
    run->events.gone(run->events.arg, run);
}

struct run *run_free(struct run *run)
{
    if (!run)
        return NULL;
    stop_clocks(run);
    loop_timer_cancel(&run->kill_timer);
    loop_io_remove(&run->control_io);
    loop_io_remove(&run->pid_io);
    fd_close(run->control);
    fd_close(run->pidfd);
    free(run);
    return NULL;
}

/* ---- the start ---- */

static int watch(struct run *run, struct err *err)
{
    int r = loop_io_add(run->env->loop, &run->control_io, run->control, EPOLLIN, on_control, err);
    if (r == 0)
        r = loop_io_add(run->env->loop, &run->pid_io, run->pidfd, EPOLLIN, on_pid, err);
    if (r < 0) {
        siginfo_t info;
        kill_all(run);
        while (waitid((idtype_t)P_PIDFD, (id_t)run->pidfd, &info, WEXITED) < 0 && errno == EINTR)
            ;
    }
    return r;
}

void run_fault(const struct run_env *env, const struct sbx_spec *spec, const struct err *err,
               struct run_result *ret)
{
    const struct verdict_facts facts = {.cause = END_INTERNAL,
                                        .limits = spec->limits,
                                        .policy = spec->policy,
                                        .err = *err};
    *ret = (struct run_result){.layers_missing = env->missing};
    snprintf(ret->launcher, sizeof(ret->launcher), "%s", sbx_launcher_name(env->launcher));
    verdict_decide(&facts, ret);
}

int run_start(const struct run_env *env, const struct run_events *events, struct slot *slot,
              uint64_t id, const struct sbx_spec *spec, const int *fds, uint64_t slot_us,
              struct run **ret, struct err *err)
{
    struct run *run = calloc(1, sizeof(*run));
    if (!run)
        return err_set(err, -ENOMEM, "no memory for a run");
    run->env = env;
    run->events = *events;
    run->slot = slot;
    run->id = id;
    run->control = run->pidfd = -EBADF;
    run->collect = spec->collect;
    run->terminal = spec->terminal;
    run->born_us = clock_us();
    run->facts.limits = spec->limits;
    run->facts.cpus = env->cpus;
    run->facts.policy = spec->policy;
    run->result.timing.slot = slot_us;
    snprintf(run->result.launcher, sizeof(run->result.launcher), "%s",
             sbx_launcher_name(env->launcher));

    struct launched sandbox;
    int r = launch(env, slot, spec, fds, &sandbox, err);
    if (r == 0) {
        run->control = sandbox.control;
        run->pidfd = sandbox.pidfd;
        run->result.layers = sandbox.layers;
        run->result.layers_missing = (spec->layers & ~sandbox.layers) | env->missing;
        r = watch(run, err);
    }
    if (r < 0) {
        run_free(run);
        return r;
    }
    *ret = run;
    return 0;
}
