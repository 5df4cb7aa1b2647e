#include "execsvc/run_keep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "execsvc/exs.h"
#include "execsvc/run.h"
#include "execsvc/run_events.h"

#define RETRY_MS 1000

static void drop(struct keep_entry *entry)
{
    struct run *run = container_of(entry, struct run_keep, entry)->run;
    run->exs->stats.detach_evicted++;
    log_info("run.evicted", "its result made room for others", LOG_RUN(run),
             LOG_STR("tenant", run->tenant));
    run_free(run);
}

int run_keep_table(struct exs *exs, struct err *err)
{
    const struct exs_config *config = exs->config;
    const struct keep_limits limits = {.runs_max = config->detached_max,
                                       .runs_per_tenant = config->detached_per_tenant,
                                       .bytes_max = config->detached_bytes,
                                       .bytes_per_tenant = config->detached_bytes_per_tenant};
    return keep_new(&limits, drop, &exs->keeps, err);
}

bool run_is_kept(const struct run *run)
{
    return run->keep && run->keep->entry.tenant;
}

bool run_is_wanted(const struct run *run)
{
    return run->listener || run_is_kept(run);
}

/* ---- while it runs ---- */

static bool room(void *arg, uint64_t size, size_t path_len)
{
    struct run *run = arg;
    struct run_keep *keep = run->keep;
    uint64_t bytes = spool_bytes(&keep->spool) + spool_cost(size, path_len);
    return run_is_kept(run) && keep_charge(run->exs->keeps, &keep->entry, bytes) == 0;
}

static int refuse(struct run *run, int why, struct rpc_status *status)
{
    const struct exs_config *config = run->exs->config;
    bool own = why == KEEP_E_TENANT_FULL;
    rpc_status_set(status, RPC_RESOURCE_EXHAUSTED, own ? "TENANT_DETACHED_FULL" : "DETACHED_FULL",
                   own ? "you have %lu runs with detach_grace_ms under way: let one of them end"
                       : "%lu runs with detach_grace_ms are under way here: try again later",
                   (unsigned long)(own ? config->detached_per_tenant : config->detached_max));
    status->retry_ms = RETRY_MS;
    return -EAGAIN;
}

int run_keep_add(struct run *run, struct rpc_status *status)
{
    struct run_keep *keep = calloc(1, sizeof(*keep));
    if (!keep) {
        rpc_status_set(status, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for the request");
        return -ENOMEM;
    }
    run->keep = keep;
    keep->run = run;
    spool_init(&keep->spool);
    snprintf(keep->tenant, sizeof(keep->tenant), "%s", run->tenant);
    run->tenant = keep->tenant;
    run->rules.room = room;
    run->rules.room_arg = run;
    int r = keep_add(run->exs->keeps, &keep->entry, run->id, run->tenant);
    return r == 0 ? 0 : refuse(run, r, status);
}

void run_keep_free(struct run *run)
{
    struct run_keep *keep = run->keep;
    if (!keep)
        return;
    loop_timer_cancel(&keep->timer);
    keep_remove(run->exs->keeps, &keep->entry);
    spool_done(&keep->spool);
    free(keep->result);
    free(keep);
    run->keep = NULL;
}

void run_keep_files(struct run *run)
{
    struct collect_chunk chunk;
    struct err err = {0};
    while (step_next_chunk(run->step, &chunk, &err) == COLLECT_CHUNK) {
        if (spool_put(&run->keep->spool, &chunk, &err) < 0) {
            step_files_failed(run->step, &err);
            return;
        }
    }
}

/* ---- nobody listens ---- */

void run_keep_let_go(struct run *run)
{
    if (!run_is_kept(run))
        return;
    loop_timer_cancel(&run->keep->timer);
    keep_remove(run->exs->keeps, &run->keep->entry);
}

static void on_grace_over(struct loop_timer *timer)
{
    struct run *run = container_of(timer, struct run_keep, timer)->run;
    if (run->state != RUN_ENDED) {
        run->exs->stats.detach_expired++;
        log_info("run.expired", "nobody came back for it", LOG_RUN(run),
                 LOG_STR("tenant", run->tenant));
    }
    run_abandon(run);
}

/* Return: false when it can't wait. */
static bool wait_for_caller(struct run *run)
{
    uint64_t until = clock_us() + run->request.detach_grace_ms * UINT64_C(1000);
    if (!run->exs->closing &&
        loop_timer_set(run->exs->loop, &run->keep->timer, until, on_grace_over) == 0)
        return true;
    run_keep_let_go(run);
    return false;
}

bool run_keep_leave(struct run *run, bool taken)
{
    if (!run_is_kept(run) || !wait_for_caller(run))
        return false;
    if (run->state == RUN_ENDED) {
        keep_idle(&run->keep->entry, taken);
        return true;
    }
    run->exs->stats.detached++;
    log_info("run.detached", "it goes on without its caller", LOG_RUN(run),
             LOG_STR("tenant", run->tenant), LOG_U64("grace_ms", run->request.detach_grace_ms));
    run_flow(run);
    return true;
}

static void take_away(struct run *run, const char *reason, const char *words)
{
    struct rpc_status status;
    rpc_status_set(&status, RPC_ABORTED, reason, "%s", words);
    run->listener->taken_away(run->listener, &status);
    run->listener = NULL;
}

void run_keep_stalled(struct run *run)
{
    log_warn("run.stalled", "its client takes nothing of its result", LOG_RUN(run),
             LOG_STR("tenant", run->tenant));
    take_away(run, "STALLED", "nothing was taken for too long: come back with Attach");
    if (!run_keep_leave(run, false))
        run_abandon(run);
}

/* ---- it is over ---- */

/* Nothing of this is needed to tell a result once more. */
static void slim(struct run *run)
{
    run->request = (struct run_request){.runtime = "",
                                        .entry = "",
                                        .terminal = run->request.terminal,
                                        .detach_grace_ms = run->request.detach_grace_ms};
    run->plan = (struct run_plan){0};
    arena_done(&run->arena);
    arena_done(&run->scratch);
    step_forget_files(run->step);
    run->compile.made = compiled_unref(run->compile.made);
    for (int i = 0; i < STEP_STREAMS; i++)
        output_done(&run->output[i]);
}

/* What is left of a run that never began (refused, no room for its sandbox) costs next to nothing
 * and makes nobody else's result go. */
static uint64_t cost_of(const struct run *run)
{
    const struct run_keep *keep = run->keep;
    return run->failed ? 0
                       : sizeof(*run) + sizeof(*run->step) + sizeof(*keep) + run->replay.cap +
                             keep->result_len + spool_bytes(&keep->spool);
}

void run_keep_over(struct run *run)
{
    struct run_keep *keep = run->keep;
    spool_trim(&keep->spool);
    if (!run->failed && run_events_pack_result(run, &keep->result, &keep->result_len) < 0) {
        run_keep_let_go(run);
        return;
    }
    slim(run);
    if (keep_charge(run->exs->keeps, &keep->entry, cost_of(run)) != 0 ||
        (!run->listener && !wait_for_caller(run))) {
        log_warn("run.not_kept", "no room to keep its result", LOG_RUN(run),
                 LOG_STR("tenant", run->tenant));
        run->exs->stats.detach_evicted++;
        run_keep_let_go(run);
        return;
    }
    if (!run->listener)
        keep_idle(&keep->entry, false);
}

/* ---- somebody comes back ---- */

int run_attach(struct exs *exs, const char *tenant, const struct run_attach *attach,
               struct run_listener *listener, struct run **ret, struct rpc_status *status)
{
    struct keep_entry *entry = keep_find(exs->keeps, attach->run_id, tenant);
    if (!entry) {
        rpc_status_set(status, RPC_NOT_FOUND, "NO_SUCH_RUN",
                       "there is no such run of yours: it is over, or it was not begun with "
                       "detach_grace_ms");
        rpc_status_field(status, "run_id");
        return -ENOENT;
    }
    struct run_keep *keep = container_of(entry, struct run_keep, entry);
    struct run *run = keep->run;
    if (run->listener)
        take_away(run, "TAKEN_OVER", "another connection has come for this run");
    loop_timer_cancel(&keep->timer);
    keep_busy(entry);
    exs->stats.attached++;
    log_info("run.attached", "its caller is back", LOG_RUN(run), LOG_STR("tenant", run->tenant));
    run->listener = listener;
    run->position = 0;
    memcpy(run->have, attach->offset, sizeof(run->have));
    keep->file = attach->files_done;
    keep->file_offset = 0;
    run->tell_started = run->has_started;
    run->tell_queued = !run->has_started && run->state != RUN_ENDED;
    run->tell_result = run->state == RUN_ENDED;
    run->taken_us = clock_us();
    run_flow(run);
    *ret = run;
    return 0;
}
