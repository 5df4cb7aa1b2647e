#include "execsvc/run.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "execsvc/exs.h"
#include "execsvc/run_inputs.h"
#include "execsvc/run_keep.h"

#define AHEAD_MAX                                                                                  \
    ((size_t)32 * 1024) /* of the listener; REPLAY_MAX has room for a read and two tails more */
#define HOLD_US     UINT64_C(1000) /* of `started` */
#define AGAIN_US    UINT64_C(20000)
#define AGAIN_TRIES 500

void run_begin(struct run *run)
{
    run->state = RUN_STARTING;
    run->begun_us = clock_us();
    run->tell_queued = run_is_kept(run) && !run->listed; /* its id is known before all else */
    stats_waited(&run->exs->stats, run->ticket.class, run->begun_us - run->submitted_us,
                 run->listed);
    if (run->runtime && run->runtime->compile.n > 0)
        run_compile_start(run);
    else
        run_start_main(run);
}

/* ---- steps ---- */

static void on_again(struct loop_timer *timer)
{
    run_start_step(container_of(timer, struct run, again));
}

bool run_try_again(struct run *run)
{
    return ++run->tries < AGAIN_TRIES &&
           loop_timer_set(run->exs->loop, &run->again, clock_us() + AGAIN_US, on_again) == 0;
}

void run_start_step(struct run *run)
{
    if (!run_inputs_ready(run))
        return;
    struct step *step = run->compile_step ? run->compile_step : run->step;
    const struct collect_rules *rules = run->compile_step ? &run->compile.rules : &run->rules;
    const struct step_order order = {.spec = &run->plan.spec,
                                     .files = run->plan.files,
                                     .n_files = run->plan.n_files,
                                     .collect = run->plan.spec.collect ? rules : NULL};
    struct err err = {0};
    int r = step_start(step, &order, &err);
    if (r == 0 || (r == -EAGAIN && run_try_again(run)))
        return;
    struct rpc_status status;
    rpc_status_of_fault(&err, &status);
    run_fail(run, &status);
}

void run_start_main(struct run *run)
{
    struct err err = {0};
    struct rpc_status status;
    if (run_plan_main(run, &run->plan, &err) == 0) {
        run_start_step(run);
        return;
    }
    rpc_status_of_fault(&err, &status);
    run_fail(run, &status);
}

static void on_hold(struct loop_timer *timer)
{
    run_wake(container_of(timer, struct run, hold));
}

/* Many a run is over before its listener could have been told of its start, and would then have to
 * wait until that is written and read: it is told a moment later, or with what comes next. */
static void on_started(struct step *step)
{
    struct run *run = step->owner;
    run->state = RUN_RUNNING;
    run->tell_started = run->has_started = true;
    if (run->request.terminal)
        run_terminal_started(run);
    if (loop_timer_set(run->exs->loop, &run->hold, clock_us() + HOLD_US, on_hold) < 0)
        run_wake(run);
}

void run_put(struct run *run, int stream, const uint8_t *bytes, size_t len)
{
    size_t forward;
    uint64_t offset;
    struct output *output = &run->output[stream];
    int r = output_feed(output, bytes, len, &forward, &offset);
    if (r == 0 && forward > 0)
        r = replay_add(&run->replay, stream, offset, bytes, forward);
    if (r < 0) {
        step_end(run->step, SPAWN_END_CANCELLED);
        return;
    }
    if (forward < len && !run->output_told[stream]) {
        run->output_told[stream] = true;
        run_notice(run, RUN_NOTICE_OUTPUT_DROPPED, 0,
                   "%s is longer than its limit: only its beginning and its end are kept",
                   stream == STEP_STDERR ? "stderr" : "stdout");
    }
}

static void on_output(struct step *step, int stream, const uint8_t *bytes, size_t len)
{
    struct run *run = step->owner;
    run_put(run, stream, bytes, len);
    if (output_must_end(&run->output[stream]))
        step_end(step, SPAWN_END_OUTPUT);
    if (run->request.terminal)
        run_terminal_active(run);
    run_wake(run);
    run_flow(run);
}

void run_flow(struct run *run)
{
    bool full = run->listener && replay_unread(&run->replay, run->position) > AHEAD_MAX;
    if (full == run->paused)
        return;
    run->paused = full;
    step_pause(run->step, full);
}

static void on_files(struct step *step)
{
    struct run *run = step->owner;
    if (run->state != RUN_COLLECTING)
        run->taken_us = clock_us();
    run->state = RUN_COLLECTING;
    if (run_is_kept(run))
        run_keep_files(run);
    run_wake(run);
}

/* No permit is held for the sake of a client that is slow to take what there was to say. */
static void on_gone(struct step *step)
{
    struct run *run = step->owner;
    adm_done(run->exs->adm, &run->ticket, clock_us());
    exs_schedule(run->exs);
}

static void on_usage(struct step *step, const struct run_usage *usage, bool waits_for_input)
{
    struct run *run = step->owner;
    if (run->request.terminal)
        run_terminal_usage(run, usage, waits_for_input);
    run->cpu_us = usage->cpu_user_us + usage->cpu_system_us;
    run->memory_bytes = usage->memory_bytes;
}

static void on_input_drained(struct step *step)
{
    run_wake(step->owner);
}

/* ---- the end ---- */

static void log_result(const struct run *run)
{
    const struct run_result *r = &run->result;
    log_info("run.ended", "run ended", LOG_RUN(run), LOG_STR("tenant", run->tenant),
             LOG_STR("runtime", run->runtime ? run->runtime->name : ""),
             LOG_STR("verdict", verdict_name(r->verdict)), LOG_I64("exit_code", r->exit_code),
             LOG_U64("queued_us", r->timing.queued), LOG_U64("total_us", r->timing.total),
             LOG_U64("cpu_us", r->usage.cpu_user_us + r->usage.cpu_system_us),
             LOG_U64("memory_peak_bytes", r->usage.memory_peak_bytes));
    if (r->verdict == VERDICT_INTERNAL)
        log_error("run.failed", r->err.text, LOG_RUN(run), LOG_I64("code", r->err.code));
}

static void log_failure(const struct run *run)
{
    log_warn("run.refused", run->status.message, LOG_RUN(run), LOG_STR("tenant", run->tenant),
             LOG_STR("code", rpc_code_name((int)run->status.code)));
}

void run_log_end(const struct run *run)
{
    if (run->failed)
        log_failure(run);
    else
        log_result(run);
}

static void on_over(struct loop_task *task)
{
    struct run *run = container_of(task, struct run, over);
    run_log_end(run);
    if (!run->listener && !run_is_kept(run))
        run_free(run);
}

/* Whoever waits for it comes first, the next in the queue second. */
static void end(struct run *run)
{
    struct exs *exs = run->exs;
    run->state = RUN_ENDED;
    run->tell_queued = false;
    loop_timer_cancel(&run->tick);
    loop_timer_cancel(&run->again);
    loop_timer_cancel(&run->hold);
    blob_pin_release(&run->inputs);
    adm_done(exs->adm, &run->ticket, clock_us());
    if (run_is_kept(run))
        run_keep_over(run);
    run->tell_result = run->listener;
    run_wake(run);
    exs_schedule(exs);
    loop_soon(exs->loop, &run->over, on_over);
}

void run_finish(struct run *run, const struct run_result *result)
{
    struct run_result *r = &run->result;
    *r = *result;
    uint64_t now = clock_us();
    bool cut = false;
    for (int i = 0; i < STEP_STREAMS; i++) {
        run->dropped[i] += output_dropped(&run->output[i]);
        cut |= output_limit_hit(&run->output[i]);
        run->exs->stats.dropped_bytes += run->dropped[i];
    }
    r->timing.compile = run->compile.us;
    r->compile_cached = run->compile.cached;
    r->timing.queued = (run->begun_us ? run->begun_us : now) - run->submitted_us;
    r->timing.total = now - run->submitted_us;
    r->limits_hit |= cut ? 1u << LIMIT_OUTPUT : 0;
    if (cut || r->verdict != VERDICT_EXITED) /* else the sandbox has said all, and maybe more */
        result_explain(r);
    stats_ended(&run->exs->stats, r, runtimes_index(&run->exs->config->runtimes, run->runtime));
    end(run);
}

void run_fail(struct run *run, const struct rpc_status *status)
{
    run->failed = true;
    run->status = *status;
    end(run);
}

static void put_tails(struct run *run)
{
    for (int i = 0; i < STEP_STREAMS; i++) {
        struct output_piece tail[2];
        uint64_t offset = output_tail(&run->output[i], tail);
        for (int j = 0; j < 2; j++) {
            if (tail[j].len > 0)
                replay_add(&run->replay, i, offset, tail[j].bytes, tail[j].len);
            offset += tail[j].len;
        }
    }
}

static void on_ended(struct step *step)
{
    struct run *run = step->owner;
    if (!step->refused) {
        put_tails(run);
        run_finish(run, &step->result);
        return;
    }
    if (step->result.err.code == -EAGAIN && run_is_wanted(run) && run_try_again(run))
        return;
    struct rpc_status status;
    rpc_status_of_fault(&step->result.err, &status);
    run_fail(run, &status);
}

const struct step_ops run_main_ops = {.on_started = on_started,
                                      .on_output = on_output,
                                      .on_files = on_files,
                                      .on_usage = on_usage,
                                      .on_input_drained = on_input_drained,
                                      .on_gone = on_gone,
                                      .on_ended = on_ended};
