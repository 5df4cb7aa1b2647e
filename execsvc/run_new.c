/* From the bytes of a request to a run in the queue. */

#include <errno.h>
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
#include "execsvc/run.h"
#include "execsvc/run_inputs.h"
#include "execsvc/run_keep.h"

/* As many files as a request may have take more memory than bytes on the wire tell. */
#define REQUEST_ARENA ((size_t)1024 * 1024)
#define SCRATCH_MAX   ((size_t)2 * 1024 * 1024)

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
    run->step = step_new(run->exs->spawner, run->exs->loop, request->terminal, &run_main_ops, run);
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

void run_free(struct run *run)
{
    struct exs *exs = run->exs;
    loop_timer_cancel(&run->again);
    loop_timer_cancel(&run->hold);
    if (run->over.loop)
        run_log_end(run);
    loop_task_cancel(&run->over);
    loop_timer_cancel(&run->tick);
    blob_pin_release(&run->inputs);
    adm_done(exs->adm, &run->ticket, clock_us());
    if (run->submitted_us) {
        *(run->prev ? &run->prev->next : &exs->runs) = run->next;
        if (run->next)
            run->next->prev = run->prev;
        exs->n_runs--;
    }
    run_keep_free(run);
    step_free(run->step);
    step_free(run->compile_step);
    compiled_unref(run->compile.made);
    for (int i = 0; i < STEP_STREAMS; i++)
        output_done(&run->output[i]);
    replay_done(&run->replay);
    arena_done(&run->arena);
    arena_done(&run->scratch);
    free(run);
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
    arena_init(&run->arena, arena_cap_for(len) + REQUEST_ARENA);
    arena_init(&run->scratch, SCRATCH_MAX);
    replay_init(&run->replay);
    int r = read_request(run, bytes, len, status);
    if (r == 0)
        r = run_resolve(run, status);
    if (r == 0 && (r = prepare(run, tenant)) < 0)
        rpc_status_set(status, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for the request");
    if (r == 0)
        r = run_inputs_take(run, status);
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
    if (run->request.detach_grace_ms > 0 && (r = run_keep_add(run, status)) < 0) {
        run_free(run);
        return r;
    }
    run->listener = listener;
    run->submitted_us = now;
    run->next = exs->runs;
    if (run->next)
        run->next->prev = run;
    exs->runs = run;
    exs->n_runs++;
    exs->stats.runs_total++;
    log_debug("run.queued", "run taken in", LOG_RUN(run), LOG_STR("tenant", run->tenant));
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
