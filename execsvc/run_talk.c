/* What a run's listener may do, and what it is told. */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "execsvc/exs.h"
#include "execsvc/run.h"
#include "execsvc/run_keep.h"

#define INPUT_MAX ((size_t)128 * 1024)

void run_wake(struct run *run)
{
    if (run->listener)
        run->listener->wake(run->listener);
}

void run_notice(struct run *run, enum run_notice_kind kind, uint64_t remaining_ms,
                const char *format, ...)
{
    if (run->n_notices == RUN_NOTICES_MAX)
        return;
    struct run_notice *notice = &run->notices[run->n_notices++];
    va_list args;
    notice->kind = kind;
    notice->remaining_ms = remaining_ms;
    va_start(args, format);
    vsnprintf(notice->message, sizeof(notice->message), format, args);
    va_end(args);
    run_wake(run);
}

/* Is there something in the spawner's hands whose end will be told? */
static struct step *alive(const struct run *run)
{
    struct step *step = run->compile_step ? run->compile_step : run->step;
    return step->number && !step->ended ? step : NULL;
}

void run_leave(struct run *run, bool well)
{
    run->listener = NULL;
    if (!run_keep_leave(run, well && !run->tell_result))
        run_abandon(run);
}

void run_abandon(struct run *run)
{
    struct exs *exs = run->exs;
    run_keep_let_go(run);
    if (run->state == RUN_ENDED) {
        run_free(run);
        return;
    }
    struct step *step = alive(run);
    if (step) {
        step_abandon(step);
        return;
    }
    run_free(run);
    exs_schedule(exs);
}

void run_cancel(struct run *run)
{
    struct step *step = alive(run);
    if (run->state == RUN_ENDED)
        return;
    if (step) {
        step_end(step, SPAWN_END_CANCELLED);
        return;
    }
    struct run_result result = {.verdict = VERDICT_CANCELLED, .exit_code = -1};
    result.explanation.limit = -1;
    run_finish(run, &result);
}

int run_input(struct run *run, const void *bytes, size_t len)
{
    run_terminal_active(run);
    adm_resume(run->exs->adm, &run->ticket, clock_us());
    return step_input(run->step, bytes, len);
}

void run_input_close(struct run *run)
{
    adm_resume(run->exs->adm, &run->ticket, clock_us());
    step_input_close(run->step);
}

bool run_input_full(const struct run *run)
{
    return step_input_queued(run->step) > INPUT_MAX;
}

void run_signal(struct run *run, int signo)
{
    struct step *step = alive(run);
    if (step)
        step_signal(step, signo);
}

void run_resize(struct run *run, uint16_t rows, uint16_t cols)
{
    run->rows = rows;
    run->cols = cols;
    run->plan.spec.rows = rows;
    run->plan.spec.cols = cols;
    step_resize(run->step, rows, cols);
}

void run_check_stall(struct run *run, uint64_t now_us)
{
    bool kept = run_is_kept(run),
         waits = kept ? run->state == RUN_ENDED && run->listener : run->state == RUN_COLLECTING;
    if (!waits || now_us < run->taken_us + run->exs->config->stall_ms * 1000)
        return;
    if (kept) {
        run_keep_stalled(run);
        return;
    }
    log_warn("run.stalled", "its client takes no files", LOG_RUN(run),
             LOG_STR("tenant", run->tenant));
    run->taken_us = now_us;
    step_abandon(run->step);
}

void run_on_drain(struct run *run, uint64_t remaining_ms)
{
    if (run->state == RUN_QUEUED) {
        struct rpc_status status;
        rpc_status_set(&status, RPC_UNAVAILABLE, "DRAINING",
                       "this node is being shut down: try again, or another node");
        run_fail(run, &status);
    } else if (run->state != RUN_ENDED) {
        run_notice(run, RUN_NOTICE_DRAIN, remaining_ms,
                   "this node is being shut down and ends what runs in %lu s",
                   (unsigned long)(remaining_ms / 1000));
    }
}
