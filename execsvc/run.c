#include "execsvc/run.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <cloister/exec/v1/exec.pb-c.h>

#include "api/proto_model.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "execsvc/exs.h"

#define SCRATCH_MAX ((size_t)2 * 1024 * 1024)
#define AHEAD_MAX                                                                                  \
    ((size_t)32 * 1024) /* of the listener; REPLAY_MAX leaves room for a read and two tails more   \
                         */
#define INPUT_MAX   ((size_t)128 * 1024)
#define AGAIN_US    UINT64_C(20000)
#define AGAIN_TRIES 500

static const struct step_ops main_ops;

/* ---- birth ---- */

static int make_id(struct run *run)
{
    uint8_t random[(RUN_ID_SIZE - 1) / 2];
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return -EIO;
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(run->id + 2 * i, 3, "%02x", random[i]);
    return 0;
}

static int decode(struct run *run, const uint8_t *bytes, size_t len, struct model_fault *fault)
{
    if (!run->interactive)
        return run_request_decode(bytes, len, &run->arena, &run->request, fault);
    Cloister__Exec__V1__InteractRequest *message =
        cloister__exec__v1__interact_request__unpack(&run->arena.allocator, len, bytes);
    if (!message || message->action_case != CLOISTER__EXEC__V1__INTERACT_REQUEST__ACTION_START)
        return err_set(&fault->err, -EINVAL, "the first message is `start`");
    return run_request_from_proto(message->start, &run->arena, &run->request, fault);
}

static int read_request(struct run *run, const uint8_t *bytes, size_t len,
                        struct rpc_status *status)
{
    struct model_fault fault = {0};
    int r = decode(run, bytes, len, &fault);
    if (r == 0)
        r = run_request_check(&run->request, &fault);
    if (r == 0)
        return 0;
    rpc_status_of_fault(&fault.err, status);
    if (*fault.field)
        rpc_status_field(status, "%s", fault.field);
    return r;
}

static int prepare(struct run *run, const char *tenant)
{
    const struct run_request *request = &run->request;
    run->rows = (uint16_t)(request->rows ? request->rows : 24);
    run->cols = (uint16_t)(request->cols ? request->cols : 80);
    run->tenant = arena_string(&run->scratch, tenant, strlen(tenant));
    run->step = step_new(run->exs->spawner, run->exs->loop, request->terminal, &main_ops, run);
    if (!run->tenant || !run->step || make_id(run) < 0)
        return -ENOMEM;
    if (step_input(run->step, request->stdin_data, request->stdin_len) < 0)
        return -ENOMEM;
    if (!run->interactive)
        step_input_close(run->step);
    for (int i = 0; i < STEP_STREAMS; i++)
        output_init(&run->output[i], run->limits.v[LIMIT_OUTPUT], request->terminal);
    return 0;
}

static void run_free(struct run *run)
{
    struct exs *exs = run->exs;
    loop_timer_cancel(&run->again);
    loop_timer_cancel(&run->tick);
    adm_done(exs->adm, &run->ticket, clock_us());
    if (run->submitted_us) {
        *(run->prev ? &run->prev->next : &exs->runs) = run->next;
        if (run->next)
            run->next->prev = run->prev;
        exs->n_runs--;
    }
    step_free(run->step);
    step_free(run->compile_step);
    free(run->compile.text);
    free(run->compile.artifact);
    for (int i = 0; i < STEP_STREAMS; i++)
        output_done(&run->output[i]);
    replay_done(&run->replay);
    arena_done(&run->arena);
    arena_done(&run->scratch);
    free(run);
}

void run_forget(struct run *run)
{
    run_free(run);
}

int run_new(struct exs *exs, const char *tenant, const uint8_t *bytes, size_t len, bool interactive,
            struct run **ret, struct rpc_status *status)
{
    struct run *run = calloc(1, sizeof(*run));
    if (!run) {
        rpc_status_set(status, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for the request");
        return -ENOMEM;
    }
    run->exs = exs;
    run->interactive = interactive;
    arena_init(&run->arena, arena_cap_for(len));
    arena_init(&run->scratch, SCRATCH_MAX);
    replay_init(&run->replay);
    int r = read_request(run, bytes, len, status);
    if (r == 0)
        r = run_resolve(run, status);
    if (r == 0 && (r = prepare(run, tenant)) < 0)
        rpc_status_set(status, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for the request");
    if (r < 0 && interactive && *status->field) {
        char field[RPC_FIELD_MAX];
        snprintf(field, sizeof(field), "%s", status->field);
        rpc_status_field(status, "start.%s", field);
    }
    if (r < 0) {
        exs->stats.refused_bad++;
        run_free(run);
        return r;
    }
    *ret = run;
    return 0;
}

/* ---- the queue ---- */

static void refuse(struct run *run, int why, struct rpc_status *status)
{
    struct exs *exs = run->exs;
    struct adm_counts counts;
    adm_counts(exs->adm, &counts);
    rpc_status_set(status, RPC_RESOURCE_EXHAUSTED,
                   why == ADM_E_TENANT_FULL ? "TENANT_QUEUE_FULL" : "QUEUE_FULL",
                   why == ADM_E_TENANT_FULL
                       ? "you have %lu runs waiting already: let one of them start first"
                       : "the queue of %lu runs is full: try again later",
                   why == ADM_E_TENANT_FULL ? (unsigned long)exs->config->queue_per_tenant
                                            : (unsigned long)exs->config->queue_max);
    status->retry_ms = (uint32_t)adm_retry_ms(exs->adm, run->tenant, clock_us());
    rpc_status_meta(status, "queue_position", "%u", counts.waiting + 1);
    exs->stats.refused_full++;
}

int run_submit(struct run *run, struct run_listener *listener, struct rpc_status *status)
{
    struct exs *exs = run->exs;
    uint64_t now = clock_us();
    enum adm_class class = run->request.class == MODEL_CLASS_BATCH ? ADM_BATCH : ADM_INTERACTIVE;
    int r = adm_submit(exs->adm, &run->ticket, run->tenant, class, now);
    if (r != 0) {
        refuse(run, r, status);
        run_free(run);
        return -EAGAIN;
    }
    run->listener = listener;
    run->submitted_us = now;
    run->next = exs->runs;
    if (run->next)
        run->next->prev = run;
    exs->runs = run;
    exs->n_runs++;
    exs->stats.runs_total++;
    log_debug("run.queued", "run taken in", LOG_STR("run_id", run->id),
              LOG_STR("tenant", run->tenant));
    exs_schedule(exs);
    if (run->state == RUN_QUEUED && run->ticket.state == ADM_WAITING) {
        struct adm_place place;
        adm_place(exs->adm, &run->ticket, now, &place);
        run_on_place(run, &place);
    }
    return 0;
}

void run_on_place(struct run *run, const struct adm_place *place)
{
    if (run->listed && run->place.ahead == place->ahead)
        return;
    run->listed = true;
    run->place = *place;
    run->tell_queued = true;
    run_wake(run);
}

void run_begin(struct run *run)
{
    run->state = RUN_STARTING;
    run->begun_us = clock_us();
    run->tell_queued = false;
    if (run->listed)
        stats_waited(&run->exs->stats, run->begun_us - run->submitted_us);
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

static void on_started(struct step *step)
{
    struct run *run = step->owner;
    run->state = RUN_RUNNING;
    run->tell_started = true;
    if (run->request.terminal)
        run_terminal_started(run);
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
    run_terminal_usage(step->owner, usage, waits_for_input);
}

static void on_input_drained(struct step *step)
{
    run_wake(step->owner);
}

/* ---- the end ---- */

static void end(struct run *run)
{
    struct exs *exs = run->exs;
    run->state = RUN_ENDED;
    run->tell_queued = false;
    loop_timer_cancel(&run->tick);
    loop_timer_cancel(&run->again);
    adm_done(exs->adm, &run->ticket, clock_us());
    if (run->listener) {
        run->tell_result = true;
        run_wake(run);
    } else {
        run_free(run);
    }
    exs_schedule(exs);
}

static void log_end(const struct run *run)
{
    const struct run_result *r = &run->result;
    log_info("run.ended", "run ended", LOG_STR("run_id", run->id), LOG_STR("tenant", run->tenant),
             LOG_STR("runtime", run->runtime ? run->runtime->name : ""),
             LOG_STR("verdict", verdict_name(r->verdict)), LOG_I64("exit_code", r->exit_code),
             LOG_U64("queued_us", r->timing.queued), LOG_U64("total_us", r->timing.total),
             LOG_U64("cpu_us", r->usage.cpu_user_us + r->usage.cpu_system_us),
             LOG_U64("memory_peak_bytes", r->usage.memory_peak_bytes));
    if (r->verdict == VERDICT_INTERNAL)
        log_error("run.failed", r->err.text, LOG_STR("run_id", run->id),
                  LOG_I64("code", r->err.code));
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
    r->timing.queued = (run->begun_us ? run->begun_us : now) - run->submitted_us;
    r->timing.total = now - run->submitted_us;
    r->limits_hit |= cut ? 1u << LIMIT_OUTPUT : 0;
    if (cut || r->verdict != VERDICT_EXITED) /* else the sandbox has said all, and maybe more */
        result_explain(r);
    stats_ended(&run->exs->stats, r);
    log_end(run);
    end(run);
}

void run_fail(struct run *run, const struct rpc_status *status)
{
    run->failed = true;
    run->status = *status;
    log_warn("run.refused", status->message, LOG_STR("run_id", run->id),
             LOG_STR("tenant", run->tenant), LOG_STR("code", rpc_code_name((int)status->code)));
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
    if (step->result.err.code == -EAGAIN && run->listener && run_try_again(run))
        return;
    struct rpc_status status;
    rpc_status_of_fault(&step->result.err, &status);
    run_fail(run, &status);
}

static const struct step_ops main_ops = {.on_started = on_started,
                                         .on_output = on_output,
                                         .on_files = on_files,
                                         .on_usage = on_usage,
                                         .on_input_drained = on_input_drained,
                                         .on_gone = on_gone,
                                         .on_ended = on_ended};

/* ---- the listener ---- */

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

void run_leave(struct run *run)
{
    struct exs *exs = run->exs;
    run->listener = NULL;
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
    if (run->state != RUN_COLLECTING || now_us < run->taken_us + run->exs->config->stall_ms * 1000)
        return;
    log_warn("run.stalled", "its client takes no files", LOG_STR("run_id", run->id),
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
