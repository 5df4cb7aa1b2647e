/*
 * Execution.Execute, Interact and Attach: one call is the listener of one run. Everything on the
 * loop's thread; the call object lives from on_start to on_close.
 */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <cloister/exec/v1/exec.pb-c.h>

#include "api/proto_text.h"
#include "api/rpc_server.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "execsvc/exs.h"
#include "execsvc/identity.h"
#include "execsvc/run.h"
#include "execsvc/run_events.h"
#include "execsvc/run_keep.h"
#include "execsvc/services.h"

#define INPUT_MESSAGE_MAX (64u << 10)
#define MESSAGE_ARENA     ((size_t)256 * 1024)
#define HALF_CLOSE_US     UINT64_C(200000)

typedef Cloister__Exec__V1__InteractRequest interact_msg;

struct exec_call {
    struct run_listener listener;
    struct exs *exs;
    struct rpc_call *call;
    struct run *run; /* NULL until it is taken in or attached to, and when it was taken away */
    bool interactive;
    struct loop_timer half_close;
    bool read_waits; /* the run's input is full: the next message is read later */
    char tenant[TENANT_SIZE];
    struct trace trace;
};

/* ---- to the client ---- */

static void read_on(struct exec_call *e)
{
    if (!e->interactive || !e->read_waits || (e->run && run_input_full(e->run)))
        return;
    e->read_waits = false;
    rpc_call_read(e->call);
}

static void pull(struct exec_call *e)
{
    int r = RUN_EVENTS_SENT;
    struct rpc_status status;
    while (e->run && r == RUN_EVENTS_SENT && rpc_call_writable(e->call))
        r = run_events_send(e->run, e->call, &status);
    if (r == RUN_EVENTS_OVER)
        rpc_call_finish(e->call, &status);
    else if (r < 0 && r != -EPIPE)
        rpc_call_finish_code(e->call, RPC_INTERNAL, "the answer could not be sent");
    read_on(e);
}

static void wake(struct run_listener *listener)
{
    pull(container_of(listener, struct exec_call, listener));
}

static void taken_away(struct run_listener *listener, const struct rpc_status *status)
{
    struct exec_call *e = container_of(listener, struct exec_call, listener);
    e->run = NULL;
    rpc_call_finish(e->call, status);
}

static void on_writable(struct rpc_call *call)
{
    struct exec_call *e = rpc_call_user(call);
    if (e)
        pull(e);
}

/* ---- beginning and end ---- */

/* Return: false when no run can begin now; the call is then finished. */
static bool may_begin(struct rpc_call *call, const struct exs *exs)
{
    struct rpc_status status;
    if (exs->ready && !exs->draining)
        return true;
    rpc_status_set(&status, RPC_UNAVAILABLE, exs->draining ? "DRAINING" : "STARTING",
                   "the service is %s: try again", exs->draining ? "being shut down" : "starting");
    status.retry_ms = 1000;
    rpc_call_finish(call, &status);
    return false;
}

static void open_call(struct rpc_call *call, struct exs *exs, bool interactive)
{
    struct rpc_status status;
    struct exec_call *e = calloc(1, sizeof(*e));
    if (!e) {
        rpc_call_finish_code(call, RPC_RESOURCE_EXHAUSTED, "no memory for the call");
        return;
    }
    rpc_call_set_user(call, e);
    e->listener.wake = wake;
    e->listener.taken_away = taken_away;
    e->exs = exs;
    e->call = call;
    e->interactive = interactive;
    size_t len;
    const char *parent = rpc_call_metadata(call, "traceparent", &len);
    trace_begin(parent, len, &e->trace);
    if (identity_tenant(exs->config, call, e->tenant, &status) < 0)
        rpc_call_finish(call, &status);
    else if (interactive)
        rpc_call_read(call);
}

static void on_execute_start(struct rpc_call *call, void *arg)
{
    if (may_begin(call, arg))
        open_call(call, arg, false);
}

/* What goes on can be come back to until the end of a drain. */
static void on_attach_start(struct rpc_call *call, void *arg)
{
    open_call(call, arg, false);
}

static void on_interact_start(struct rpc_call *call, void *arg)
{
    open_call(call, arg, true);
}

static void on_close(struct rpc_call *call, bool cancelled)
{
    struct exec_call *e = rpc_call_user(call);
    if (!e)
        return;
    loop_timer_cancel(&e->half_close);
    if (e->run)
        run_leave(e->run, !cancelled);
    free(e);
}

/* The reason and the field are words of ours; the message may repeat the caller's. */
static void log_refusal(const struct exec_call *e, const struct rpc_status *status)
{
    log_info("request.refused", "a run was not taken in", LOG_STR("trace_id", e->trace.trace_id),
             LOG_STR("tenant", e->tenant), LOG_STR("code", rpc_code_name((int)status->code)),
             LOG_STR("reason", status->reason), LOG_STR("field", status->field));
}

static void begin(struct exec_call *e, const uint8_t *bytes, size_t len)
{
    struct rpc_status status;
    int r = run_new(e->exs, e->tenant, bytes, len, e->interactive, &e->run, &status);
    if (r == 0) {
        memcpy(e->run->trace_id, e->trace.trace_id, sizeof(e->run->trace_id));
        r = run_submit(e->run, &e->listener, &status);
    }
    if (r == 0) {
        pull(e);
        rpc_call_open(e->call);
        return;
    }
    e->run = NULL;
    log_refusal(e, &status);
    rpc_call_finish(e->call, &status);
}

static void on_execute_message(struct rpc_call *call, const uint8_t *bytes, size_t len)
{
    struct exec_call *e = rpc_call_user(call);
    if (e)
        begin(e, bytes, len);
}

static void attach(struct exec_call *e, const Cloister__Exec__V1__AttachRequest *message)
{
    struct rpc_status status;
    const struct run_attach attach = {.run_id = message->run_id,
                                      .offset = {message->stdout_offset, message->stderr_offset},
                                      .files_done = message->files_done};
    if (run_attach(e->exs, e->tenant, &attach, &e->listener, &e->run, &status) < 0)
        rpc_call_finish(e->call, &status);
    else
        pull(e);
}

/* For messages that unpack. Return: false, and the call is over. */
static bool text_is_good(struct exec_call *e, const ProtobufCMessageDescriptor *descriptor,
                         const uint8_t *bytes, size_t len)
{
    struct model_fault fault = {0};
    struct rpc_status status;
    if (proto_text_check(descriptor, bytes, len, &fault) == 0)
        return true;
    rpc_status_of_fault(&fault.err, &status);
    rpc_status_field(&status, "%s", fault.field);
    rpc_call_finish(e->call, &status);
    return false;
}

static void on_attach_message(struct rpc_call *call, const uint8_t *bytes, size_t len)
{
    struct exec_call *e = rpc_call_user(call);
    AUTO_ARENA struct arena arena;
    arena_init(&arena, arena_cap_for(len) + MESSAGE_ARENA);
    if (!e)
        return;
    Cloister__Exec__V1__AttachRequest *message =
        cloister__exec__v1__attach_request__unpack(&arena.allocator, len, bytes);
    if (!message)
        rpc_call_finish_code(call, RPC_INVALID_ARGUMENT, "not an AttachRequest");
    else if (text_is_good(e, &cloister__exec__v1__attach_request__descriptor, bytes, len))
        attach(e, message);
}

/* ---- from the client ---- */

static void refuse(struct exec_call *e, const char *field, const char *words)
{
    struct rpc_status status;
    rpc_status_set(&status, RPC_INVALID_ARGUMENT, "BAD_REQUEST", "%s: %s", field, words);
    rpc_status_field(&status, "%s", field);
    rpc_call_finish(e->call, &status);
}

static void do_input(struct exec_call *e, const ProtobufCBinaryData *data)
{
    if (data->len > INPUT_MESSAGE_MAX)
        refuse(e, "stdin_data", "at most 64 KiB a message");
    else if (run_input(e->run, data->data, data->len) < 0)
        rpc_call_finish_code(e->call, RPC_RESOURCE_EXHAUSTED, "no memory for the input");
}

static void do_signal(struct exec_call *e, const char *name)
{
    static const int allowed[] = {SIGINT,  SIGTERM, SIGHUP,  SIGQUIT, SIGUSR1,
                                  SIGUSR2, SIGKILL, SIGSTOP, SIGCONT, SIGWINCH};
    int signo = strncmp(name, "SIG", 3) == 0 ? signal_by_name(name) : -1;
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
        if (allowed[i] != signo)
            continue;
        run_signal(e->run, signo);
        return;
    }
    refuse(e, "signal.name", "not one of the signals that can be sent");
}

static void do_resize(struct exec_call *e, const Cloister__Exec__V1__Terminal *size)
{
    struct rpc_status status;
    if (!e->run->request.terminal)
        rpc_call_finish(e->call, rpc_status_set(&status, RPC_FAILED_PRECONDITION, "NO_TERMINAL",
                                                "the run has no terminal"));
    else if (size->rows == 0 || size->rows > MODEL_TERMINAL_MAX)
        refuse(e, "resize.rows", "1 to 1000");
    else if (size->cols == 0 || size->cols > MODEL_TERMINAL_MAX)
        refuse(e, "resize.cols", "1 to 1000");
    else
        run_resize(e->run, (uint16_t)size->rows, (uint16_t)size->cols);
}

static void act(struct exec_call *e, const interact_msg *message)
{
    switch (message->action_case) {
    case CLOISTER__EXEC__V1__INTERACT_REQUEST__ACTION_STDIN_DATA:
        do_input(e, &message->stdin_data);
        break;
    case CLOISTER__EXEC__V1__INTERACT_REQUEST__ACTION_CLOSE_STDIN:
        run_input_close(e->run);
        break;
    case CLOISTER__EXEC__V1__INTERACT_REQUEST__ACTION_SIGNAL:
        do_signal(e, message->signal->name);
        break;
    case CLOISTER__EXEC__V1__INTERACT_REQUEST__ACTION_RESIZE:
        do_resize(e, message->resize);
        break;
    case CLOISTER__EXEC__V1__INTERACT_REQUEST__ACTION_CANCEL:
        run_cancel(e->run);
        break;
    default:
        refuse(e, "action", "not one that can follow `start`");
    }
}

static void first_message(struct exec_call *e, const interact_msg *message, const uint8_t *bytes,
                          size_t len)
{
    if (message->action_case == CLOISTER__EXEC__V1__INTERACT_REQUEST__ACTION_ATTACH)
        attach(e, message->attach);
    else if (message->action_case != CLOISTER__EXEC__V1__INTERACT_REQUEST__ACTION_START)
        refuse(e, "action", "the first message is `start` or `attach`");
    else if (may_begin(e->call, e->exs))
        begin(e, bytes, len);
}

static void on_interact_message(struct rpc_call *call, const uint8_t *bytes, size_t len)
{
    struct exec_call *e = rpc_call_user(call);
    AUTO_ARENA struct arena arena;
    arena_init(&arena, arena_cap_for(len) + MESSAGE_ARENA);
    interact_msg *message =
        cloister__exec__v1__interact_request__unpack(&arena.allocator, len, bytes);
    const bool good =
        message && text_is_good(e, &cloister__exec__v1__interact_request__descriptor, bytes, len);
    if (!message)
        refuse(e, "action", "not an InteractRequest");
    else if (good && e->run)
        act(e, message);
    else if (good)
        first_message(e, message, bytes, len);
    e->read_waits = true;
    read_on(e);
}

static void on_half_close_sure(struct loop_timer *timer)
{
    struct exec_call *e = container_of(timer, struct exec_call, half_close);
    if (e->run)
        run_input_close(e->run);
}

/*
 * gRPC says the same when a client dies, and a moment later that the call is over. That must not
 * end the input of a run that goes on without its client: it is waited for.
 */
static void on_half_close(struct rpc_call *call)
{
    struct exec_call *e = rpc_call_user(call);
    if (e->run && run_is_kept(e->run))
        loop_timer_set(e->exs->loop, &e->half_close, clock_us() + HALF_CLOSE_US,
                       on_half_close_sure);
    else if (e->run)
        run_input_close(e->run);
    else
        refuse(e, "action", "the first message is `start` or `attach`");
}

static const struct rpc_method execute = {.path = "/cloister.exec.v1.Execution/Execute",
                                          .shape = RPC_ONE_REQUEST,
                                          .on_start = on_execute_start,
                                          .on_message = on_execute_message,
                                          .on_writable = on_writable,
                                          .on_close = on_close};

static const struct rpc_method interact = {.path = "/cloister.exec.v1.Execution/Interact",
                                           .shape = RPC_STREAM_REQUEST,
                                           .on_start = on_interact_start,
                                           .on_message = on_interact_message,
                                           .on_half_close = on_half_close,
                                           .on_writable = on_writable,
                                           .on_close = on_close};

static const struct rpc_method attach_method = {.path = "/cloister.exec.v1.Execution/Attach",
                                                .shape = RPC_ONE_REQUEST,
                                                .on_start = on_attach_start,
                                                .on_message = on_attach_message,
                                                .on_writable = on_writable,
                                                .on_close = on_close};

int service_execution_add(struct exs *exs, struct err *err)
{
    int r = rpc_server_add(exs->rpc, &execute, exs, err);
    if (r == 0)
        r = rpc_server_add(exs->rpc, &interact, exs, err);
    return r < 0 ? r : rpc_server_add(exs->rpc, &attach_method, exs, err);
}
