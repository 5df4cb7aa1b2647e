/*
 * Runs at a terminal wait for people. Once a second the spawner is asked how much processor time
 * such a run has used and whether it waits for input. One that waits gives its permit back (its
 * sandbox stays), and takes it again with the next key. One where nothing happens at all for `idle`
 * is warned a minute before and then ended.
 */

#include "base/clock.h"
#include "execsvc/exs.h"
#include "execsvc/run.h"

#define TICK_US      UINT64_C(1000000)
#define WARN_US      UINT64_C(60000000)
#define CPU_NOISE_US UINT64_C(2000) /* what a sleeping program's timers may cost a second */

static uint64_t idle_us(const struct run *run)
{
    return run->limits.v[LIMIT_IDLE] * 1000;
}

/* A minute before the end; half way, if the limit is short. */
static uint64_t warn_us(const struct run *run)
{
    uint64_t limit = idle_us(run);
    return limit > 2 * WARN_US ? limit - WARN_US : limit / 2;
}

static void on_tick(struct loop_timer *timer)
{
    struct run *run = container_of(timer, struct run, tick);
    if (run->state != RUN_RUNNING)
        return;
    uint64_t now = clock_us(), quiet = now - run->active_us;
    if (quiet >= idle_us(run)) {
        step_end(run->step, SPAWN_END_IDLE);
        return;
    }
    if (quiet >= warn_us(run) && !run->idle_told) {
        uint64_t left_ms = (idle_us(run) - quiet) / 1000;
        run->idle_told = true;
        run_notice(run, RUN_NOTICE_IDLE, left_ms,
                   "nothing has happened for a while: the program is ended in %lu s",
                   (unsigned long)((left_ms + 999) / 1000));
    }
    step_query(run->step);
    loop_timer_set(run->exs->loop, &run->tick, now + TICK_US, on_tick);
}

void run_terminal_started(struct run *run)
{
    run->active_us = clock_us();
    loop_timer_set(run->exs->loop, &run->tick, run->active_us + TICK_US, on_tick);
}

void run_terminal_active(struct run *run)
{
    run->active_us = clock_us();
    run->idle_told = false;
}

void run_terminal_usage(struct run *run, const struct run_usage *usage, bool waits_for_input)
{
    uint64_t cpu_us = usage->cpu_user_us + usage->cpu_system_us;
    if (cpu_us > run->cpu_us + CPU_NOISE_US)
        run_terminal_active(run);
    if (waits_for_input && run->ticket.state == ADM_RUNNING) {
        adm_pause(run->exs->adm, &run->ticket, clock_us());
        exs_schedule(run->exs);
    } else if (!waits_for_input) {
        adm_resume(run->exs->adm, &run->ticket, clock_us());
    }
}
