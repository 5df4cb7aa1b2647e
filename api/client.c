#include "api/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include <cloister/exec/v1/exec.pb-c.h>

#include "api/client_internal.h"
#include "api/proto_model.h"
#include "api/rpc_client.h"
#include "api/rpc_cq.h"
#include "base/err.h"
#include "base/trace.h"

#define EXECUTE     "/cloister.exec.v1.Execution/Execute"
#define INTERACT    "/cloister.exec.v1.Execution/Interact"
#define ATTACH      "/cloister.exec.v1.Execution/Attach"

#define SIGNALS_MAX 8
#define REQUEST_CAP ((size_t)4 << 20)
#define EVENT_CAP   ((size_t)8 << 20)

/* What is still to be said while a message is on its way, in the order in which it is said. */
struct pending {
    bool cancel, resize, close_input;
    int signals[SIGNALS_MAX];
    size_t n_signals;
    uint32_t rows, cols;
};

struct client_run {
    struct client *client;
    struct client_run *prev, *next;
    struct rpc_client_call *call;
    const struct client_events *events;
    void *arg;
    struct pending pending;
    char run_id[MODEL_RUN_ID_MAX + 1];
    uint64_t offset[2]; /* behind what has come of stdout and stderr */
    uint32_t files_done;
    bool interactive, input_closed, wants_writable;
    bool held, got_result;
};

/* ---- the client --------------------------------------------------------------------------- */

static int add_header(struct client *client, const char *key, const char *value, char **ret,
                      struct err *err)
{
    if (!value)
        return 0;
    *ret = strdup(value);
    if (!*ret)
        return err_set(err, -ENOMEM, "client: %m");
    client->headers[client->n_headers++] = (struct rpc_client_header){key, *ret};
    return 0;
}

static int set_headers(struct client *client, const struct client_options *options, struct err *err)
{
    char trace_id[TRACE_ID_SIZE];
    const char *parent = options->traceparent;
    if (parent && !trace_parse(parent, strlen(parent), trace_id))
        return err_set(err, -EINVAL, "'%.64s' is no traceparent", parent);
    int rc = add_header(client, "cloister-subject", options->subject, &client->subject, err);
    return rc < 0 ? rc : add_header(client, "traceparent", parent, &client->traceparent, err);
}

int client_new(const struct client_options *options, struct client **ret, struct err *err)
{
    char target[512];
    const char *where = options->socket ? options->socket : options->target;
    if (!where)
        return err_set(err, -EINVAL, "neither a socket nor a target is given");
    if (options->socket && strlen(where) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return err_set(err, -ENAMETOOLONG, "a socket's path has at most %zu bytes: %.60s...",
                       sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1, where);
    int n = snprintf(target, sizeof(target), "%s%s", options->socket ? "unix:" : "", where);
    if (n < 0 || (size_t)n >= sizeof(target))
        return err_set(err, -ENAMETOOLONG, "the service's address is too long");
    const struct rpc_channel_tls tls = {options->ca, options->certificate, options->key};
    struct client *client = calloc(1, sizeof(*client));
    if (!client)
        return err_set(err, -ENOMEM, "client: %m");
    int rc = set_headers(client, options, err);
    if (rc == 0)
        rc = rpc_cq_new(NULL, &client->cq, err);
    if (rc == 0)
        rc = rpc_channel_new(client->cq, target, options->ca ? &tls : NULL, &client->channel, err);
    if (rc < 0) {
        client_free(client);
        return rc;
    }
    *ret = client;
    return 0;
}

struct client *client_free(struct client *client)
{
    if (!client)
        return NULL;
    for (struct client_run *run = client->runs; run; run = run->next)
        rpc_client_cancel(run->call);
    while (client->runs)
        rpc_cq_wait(client->cq, 100);
    rpc_channel_free(client->channel);
    rpc_cq_free(client->cq);
    free(client->subject);
    free(client->traceparent);
    free(client);
    return NULL;
}

int client_fd(struct client *client)
{
    return rpc_cq_fd(client->cq);
}

void client_dispatch(struct client *client)
{
    rpc_cq_dispatch(client->cq);
}

void client_wait(struct client *client, int timeout_ms)
{
    rpc_cq_wait(client->cq, timeout_ms);
}

/* ---- events of a run ---------------------------------------------------------------------- */

static void learn_id(struct client_run *run, const char *run_id)
{
    if (model_run_id_valid(run_id))
        snprintf(run->run_id, sizeof(run->run_id), "%s", run_id);
}

bool client_run_place(const struct client_run *run, struct client_attach *ret)
{
    *ret = (struct client_attach){.run_id = run->run_id,
                                  .stdout_offset = run->offset[0],
                                  .stderr_offset = run->offset[1],
                                  .files_done = run->files_done,
                                  .interactive = run->interactive};
    return *run->run_id != 0;
}

#define EVENT(kind) CLOISTER__EXEC__V1__EXECUTE_EVENT__EVENT_##kind

static void deliver_queued(struct client_run *run, const Cloister__Exec__V1__Queued *in)
{
    learn_id(run, in->run_id);
    if (run->events->on_queued)
        run->events->on_queued(run->arg, in->run_id, in->position, in->expected_wait_ms);
}

static void deliver_started(struct client_run *run, const Cloister__Exec__V1__Started *in)
{
    learn_id(run, in->run_id);
    if (!run->events->on_started)
        return;
    struct client_started started = {
        .run_id = in->run_id,
        .node = in->node,
        .runtime_name = in->runtime ? in->runtime->name : "",
        .runtime_version = in->runtime ? in->runtime->version : "",
        .start =
            in->start == CLOISTER__EXEC__V1__START__START_WARM ? RUN_START_WARM : RUN_START_COLD,
    };
    run->events->on_started(run->arg, &started);
}

static void deliver_output(struct client_run *run, const Cloister__Exec__V1__Output *in)
{
    int stream = in->stream == CLOISTER__EXEC__V1__STREAM__STREAM_STDERR ? 2 : 1;
    run->offset[stream - 1] = in->offset + in->data.len;
    if (run->events->on_output)
        run->events->on_output(run->arg, stream, in->offset, in->data.data, in->data.len);
}

/* Return: false when the service sent a path that it must not send. */
static bool deliver_file(struct client_run *run, const Cloister__Exec__V1__FileChunk *in,
                         struct arena *arena)
{
    if (model_path_fault(in->path.data, in->path.len))
        return false;
    struct client_file_chunk chunk = {
        .path = arena_string(arena, in->path.data, in->path.len),
        .offset = in->offset,
        .size = in->size,
        .data = in->data.data,
        .len = in->data.len,
        .last = in->last,
        .sha256 = in->last && in->sha256.len == MODEL_SHA256 ? in->sha256.data : NULL,
    };
    if (!chunk.path)
        return false;
    if (run->events->on_file)
        run->events->on_file(run->arg, &chunk);
    run->files_done += chunk.last;
    return true;
}

static void deliver_notice(struct client_run *run, const Cloister__Exec__V1__Notice *in)
{
    struct client_notice notice = {.kind = (int)in->kind,
                                   .message = in->message,
                                   .remaining_ms = in->remaining_ms};
    if (run->events->on_notice)
        run->events->on_notice(run->arg, &notice);
}

static bool deliver_result(struct client_run *run, const Cloister__Exec__V1__Result *in,
                           struct arena *arena)
{
    struct run_report report;
    if (run_report_from_proto(in, arena, &report, NULL) < 0)
        return false;
    run->got_result = true;
    if (run->events->on_result)
        run->events->on_result(run->arg, &report);
    return true;
}

/* Return: false when the service talks nonsense; the call is then given up. */
static bool deliver(struct client_run *run, const Cloister__Exec__V1__ExecuteEvent *event,
                    struct arena *arena)
{
    switch (event->event_case) {
    case EVENT(QUEUED):
        deliver_queued(run, event->queued);
        return true;
    case EVENT(STARTED):
        deliver_started(run, event->started);
        return true;
    case EVENT(OUTPUT):
        deliver_output(run, event->output);
        return true;
    case EVENT(FILE):
        return deliver_file(run, event->file, arena);
    case EVENT(NOTICE):
        deliver_notice(run, event->notice);
        return true;
    case EVENT(RESULT):
        return deliver_result(run, event->result, arena);
    default:
        return true; /* an event of a later version */
    }
}

static void on_message(struct rpc_client_call *call, const uint8_t *bytes, size_t len)
{
    struct client_run *run = rpc_client_user(call);
    AUTO_ARENA struct arena arena;
    arena_init(&arena, EVENT_CAP);
    Cloister__Exec__V1__ExecuteEvent *event =
        cloister__exec__v1__execute_event__unpack(&arena.allocator, len, bytes);
    if (!event || !deliver(run, event, &arena))
        rpc_client_cancel(call);
    if (!run->held)
        rpc_client_read(call);
}

static void run_free(struct client_run *run)
{
    if (run->prev)
        run->prev->next = run->next;
    else
        run->client->runs = run->next;
    if (run->next)
        run->next->prev = run->prev;
    free(run);
}

static void on_end(struct rpc_client_call *call, const struct rpc_status *status)
{
    struct client_run *run = rpc_client_user(call);
    struct rpc_status lost;
    if (status->code == RPC_OK && !run->got_result)
        status = rpc_status_set(&lost, RPC_DATA_LOSS, "NO_RESULT",
                                "the service ended the call without a result");
    run->events->on_end(run->arg, status);
    run_free(run);
}

/* ---- saying things ------------------------------------------------------------------------ */

typedef Cloister__Exec__V1__InteractRequest action;
#define ACTION(kind) CLOISTER__EXEC__V1__INTERACT_REQUEST__ACTION_##kind

static void send_action(struct client_run *run, action *message,
                        Cloister__Exec__V1__InteractRequest__ActionCase which)
{
    message->action_case = which;
    (void)rpc_client_send(run->call, &message->base); /* -EPIPE: its end will be told */
}

/* Say the most urgent thing that is pending. Return: false when there is none. */
static bool flush_one(struct client_run *run)
{
    struct pending *p = &run->pending;
    action message = CLOISTER__EXEC__V1__INTERACT_REQUEST__INIT;
    if (p->cancel) {
        Cloister__Exec__V1__Cancel cancel = CLOISTER__EXEC__V1__CANCEL__INIT;
        message.cancel = &cancel;
        p->cancel = false;
        send_action(run, &message, ACTION(CANCEL));
    } else if (p->n_signals > 0) {
        Cloister__Exec__V1__Signal sig = CLOISTER__EXEC__V1__SIGNAL__INIT;
        sig.name = (char *)(uintptr_t)signal_name(p->signals[0]);
        memmove(p->signals, p->signals + 1, --p->n_signals * sizeof(p->signals[0]));
        message.signal = &sig;
        send_action(run, &message, ACTION(SIGNAL));
    } else if (p->resize) {
        Cloister__Exec__V1__Terminal size = CLOISTER__EXEC__V1__TERMINAL__INIT;
        size.rows = p->rows;
        size.cols = p->cols;
        message.resize = &size;
        p->resize = false;
        send_action(run, &message, ACTION(RESIZE));
    } else if (p->close_input) {
        Cloister__Exec__V1__CloseStdin close_stdin = CLOISTER__EXEC__V1__CLOSE_STDIN__INIT;
        message.close_stdin = &close_stdin;
        p->close_input = false;
        send_action(run, &message, ACTION(CLOSE_STDIN));
    } else {
        return false;
    }
    return true;
}

static void flush(struct client_run *run)
{
    while (run->interactive && rpc_client_writable(run->call) && flush_one(run))
        ;
}

static void on_writable(struct rpc_client_call *call)
{
    struct client_run *run = rpc_client_user(call);
    flush(run);
    if (!rpc_client_writable(call) || !run->wants_writable)
        return;
    run->wants_writable = false;
    if (run->events->on_writable)
        run->events->on_writable(run->arg);
}

int client_run_input(struct client_run *run, const void *bytes, size_t len)
{
    if (!run->interactive || run->input_closed)
        return -EPIPE;
    action message = CLOISTER__EXEC__V1__INTERACT_REQUEST__INIT;
    message.action_case = ACTION(STDIN_DATA);
    message.stdin_data.data = (uint8_t *)(uintptr_t)bytes;
    message.stdin_data.len = len;
    int rc = rpc_client_send(run->call, &message.base);
    run->wants_writable = rc == -EAGAIN;
    return rc;
}

void client_run_close_input(struct client_run *run)
{
    if (run->input_closed)
        return;
    run->input_closed = true;
    run->pending.close_input = true;
    flush(run);
}

void client_run_signal(struct client_run *run, int signo)
{
    if (run->pending.n_signals == SIGNALS_MAX || !signal_name(signo))
        return;
    run->pending.signals[run->pending.n_signals++] = signo;
    flush(run);
}

void client_run_resize(struct client_run *run, uint32_t rows, uint32_t cols)
{
    run->pending.resize = true;
    run->pending.rows = rows;
    run->pending.cols = cols;
    flush(run);
}

void client_run_cancel(struct client_run *run)
{
    if (!run->interactive) {
        client_run_drop(run);
        return;
    }
    run->pending.cancel = true;
    flush(run);
}

void client_run_drop(struct client_run *run)
{
    rpc_client_cancel(run->call);
}

void client_run_hold(struct client_run *run)
{
    run->held = true;
}

void client_run_resume(struct client_run *run)
{
    run->held = false;
    rpc_client_read(run->call);
}

/* ---- beginning a run ---------------------------------------------------------------------- */

static const struct rpc_client_events run_events = {
    .on_message = on_message,
    .on_writable = on_writable,
    .on_end = on_end,
};

struct beginning {
    const char *path;
    const ProtobufCMessage *first;
    bool interactive;
};

static int run_begin(struct client *client, const struct beginning *what,
                     const struct client_events *events, void *arg, struct client_run **ret,
                     struct model_fault *fault)
{
    struct client_run *run = calloc(1, sizeof(*run));
    if (!run)
        return err_set(&fault->err, -ENOMEM, "run: %m");
    run->client = client;
    run->events = events;
    run->arg = arg;
    run->interactive = what->interactive;
    struct rpc_client_options options = {
        .path = what->path,
        .headers = client->headers,
        .n_headers = client->n_headers,
        .first = what->first,
        .only = !what->interactive,
        .events = &run_events,
        .user = run,
    };
    int rc = rpc_client_call_new(client->channel, &options, &run->call, &fault->err);
    if (rc < 0) {
        free(run);
        return rc;
    }
    run->next = client->runs;
    if (run->next)
        run->next->prev = run;
    client->runs = run;
    rpc_client_read(run->call); /* a failed send ends the call, and that is told by on_end */
    *ret = run;
    return 0;
}

static int run_request_begin(struct client *client, const struct run_request *request,
                             bool interactive, const struct client_events *events, void *arg,
                             struct client_run **ret, struct model_fault *fault)
{
    fault->field[0] = '\0';
    int rc = run_request_check(request, fault);
    if (rc < 0)
        return rc;
    AUTO_ARENA struct arena arena;
    arena_init(&arena, REQUEST_CAP);
    Cloister__Exec__V1__ExecuteRequest *message = run_request_to_proto(request, &arena);
    if (!message)
        return err_set(&fault->err, -ENOMEM, "the request needs too much memory");
    action first = CLOISTER__EXEC__V1__INTERACT_REQUEST__INIT;
    first.action_case = ACTION(START);
    first.start = message;
    struct beginning what = {
        .path = interactive ? INTERACT : EXECUTE,
        .first = interactive ? &first.base : &message->base,
        .interactive = interactive,
    };
    return run_begin(client, &what, events, arg, ret, fault);
}

int client_execute(struct client *client, const struct run_request *request,
                   const struct client_events *events, void *arg, struct client_run **ret,
                   struct model_fault *fault)
{
    return run_request_begin(client, request, false, events, arg, ret, fault);
}

int client_interact(struct client *client, const struct run_request *request,
                    const struct client_events *events, void *arg, struct client_run **ret,
                    struct model_fault *fault)
{
    return run_request_begin(client, request, true, events, arg, ret, fault);
}

int client_attach(struct client *client, const struct client_attach *attach,
                  const struct client_events *events, void *arg, struct client_run **ret,
                  struct model_fault *fault)
{
    fault->field[0] = '\0';
    if (!model_run_id_valid(attach->run_id))
        return err_set(&fault->err, -EINVAL, "run_id: is not the id of a run");
    Cloister__Exec__V1__AttachRequest message = CLOISTER__EXEC__V1__ATTACH_REQUEST__INIT;
    message.run_id = (char *)(uintptr_t)attach->run_id;
    message.stdout_offset = attach->stdout_offset;
    message.stderr_offset = attach->stderr_offset;
    message.files_done = attach->files_done;
    action first = CLOISTER__EXEC__V1__INTERACT_REQUEST__INIT;
    first.action_case = ACTION(ATTACH);
    first.attach = &message;
    struct beginning what = {
        .path = attach->interactive ? INTERACT : ATTACH,
        .first = attach->interactive ? &first.base : &message.base,
        .interactive = attach->interactive,
    };
    int rc = run_begin(client, &what, events, arg, ret, fault);
    if (rc < 0)
        return rc;
    learn_id(*ret, attach->run_id);
    (*ret)->offset[0] = attach->stdout_offset;
    (*ret)->offset[1] = attach->stderr_offset;
    (*ret)->files_done = attach->files_done;
    return 0;
}
