/*
 * `cloister run`: a request, and then a loop between the service, our stdin and the signals. Every
 * run is an Interact call, so that Ctrl-C can be passed on.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "cli/commands.h"
#include "cli/run_runtime.h"
#include "cli/run_session.h"
#include "cli/run_upload.h"
#include "cli/service.h"

/* ---- events of the run -------------------------------------------------------------------- */

static void on_queued(void *arg, const char *run_id, uint32_t position, uint64_t wait_ms)
{
    struct run_session *s = arg;
    s->give_up_us = 0;
    if (s->options.detach && !s->left)
        run_detached(s, run_id);
    if (position == 0 || s->left)
        return;
    if (wait_ms > 0)
        run_say(s, "waiting: position %u in the queue, about %llu s", position,
                (unsigned long long)(wait_ms + 999) / 1000);
    else
        run_say(s, "waiting: position %u in the queue", position);
}

static void on_started(void *arg, const struct client_started *started)
{
    (void)started;
    struct run_session *s = arg;
    uint32_t rows, cols;
    s->give_up_us = 0;
    if (s->started) {
        run_stdin_go_on(s);
        return;
    }
    s->started = true;
    if (s->options.attach && s->options.terminal) {
        run_terminal_size(&rows, &cols);
        client_run_resize(s->run, rows, cols);
    }
    run_stdin_begin(s);
}

static void on_output(void *arg, int stream, uint64_t offset, const uint8_t *data, size_t len)
{
    (void)offset;
    struct run_session *s = arg;
    if (s->options.json) {
        if (run_buffer_add(&s->streams[stream - 1], data, len) < 0)
            run_say(s, "no memory for the output: it is not whole");
        return;
    }
    int rc = s->stdout_gone ? 0 : fd_write_all(stream, data, len);
    if (rc == 0)
        return;
    if (rc != -EPIPE)
        run_say(s, "pass on the program's output: %s", strerror(-rc));
    s->output_fault = rc == -EPIPE ? 0 : rc;
    s->stdout_gone = true; /* whoever read our output has gone, as in `cloister run x | head` */
    if (run_may_leave(s))
        run_leave(s, 128 + SIGPIPE);
    else
        client_run_cancel(s->run);
}

static void on_file(void *arg, const struct client_file_chunk *chunk)
{
    struct run_session *s = arg;
    run_outputs_take(&s->outputs, chunk);
}

static void on_notice(void *arg, const struct client_notice *notice)
{
    if (notice->kind != CLIENT_NOTICE_COMPILING && notice->kind != CLIENT_NOTICE_COMPILER_WARNING)
        run_say(arg, "%s", notice->message);
}

static void on_writable(void *arg)
{
    run_stdin_go_on(arg);
}

static void on_result(void *arg, const struct run_report *report)
{
    run_tell_result(arg, report);
}

static void on_end(void *arg, const struct rpc_status *status)
{
    struct run_session *s = arg;
    bool over = s->exit_status >= 0; /* the Result was here, or we have left */
    if (!over && run_come_back(s, status)) {
        s->run = NULL;
        return;
    }
    run_terminal_restore(&s->terminal);
    run_stdin_stop(s);
    s->run = NULL;
    loop_stop(s->loop);
    if (!over)
        run_fail_status(s, status);
}

const struct client_events run_session_events = {
    .on_queued = on_queued,
    .on_started = on_started,
    .on_output = on_output,
    .on_file = on_file,
    .on_notice = on_notice,
    .on_result = on_result,
    .on_writable = on_writable,
    .on_end = on_end,
};

/* ---- signals ------------------------------------------------------------------------------ */

/* The first Ctrl-C is the program's, the second ends the run and still waits for its Result, the
 * third ends us. */
static void on_interrupt(struct run_session *s)
{
    s->interrupts++;
    if (s->interrupts == 1 && s->started) {
        client_run_signal(s->run, SIGINT);
        return;
    }
    if (s->interrupts < 3) {
        client_run_cancel(s->run);
        return;
    }
    client_run_drop(s->run);
}

static void on_signal(struct loop *loop, int signo, void *arg)
{
    struct run_session *s = arg;
    uint32_t rows, cols;
    if (!s->run && s->give_up_us > 0 && signo != SIGWINCH) { /* trying to come back */
        run_fail_status(s, &s->lost);
        loop_stop(loop);
    }
    if (!s->run)
        return;
    switch (signo) {
    case SIGINT:
        on_interrupt(s);
        return;
    case SIGWINCH:
        run_terminal_size(&rows, &cols);
        if (s->options.terminal)
            client_run_resize(s->run, rows, cols);
        return;
    case SIGQUIT:
        client_run_signal(s->run, signo);
        return;
    default: /* SIGTERM, SIGHUP: we are to end, and the run with us if it can't go on alone */
        if (run_may_leave(s))
            run_leave(s, 128 + signo);
        else
            client_run_cancel(s->run);
        return;
    }
}

static int watch_signals(struct run_session *s, struct err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGQUIT);
    sigaddset(&set, SIGWINCH);
    signal(SIGPIPE, SIG_IGN);
    return loop_signals(s->loop, &set, on_signal, s, err);
}

/* ---- beginning ---------------------------------------------------------------------------- */

static int gather_files(struct run_session *s, struct err *err)
{
    int rc = 0;
    if (!s->options.command)
        rc = run_files_add(&s->files, s->options.rest[0], err);
    if (rc == -ENOENT && !strpbrk(s->options.rest[0], "./"))
        return err_set(err, rc,
                       "%s: No such file or directory. A command of the sandbox? cloister run "
                       "--command -- %s",
                       s->options.rest[0], s->options.rest[0]);
    for (size_t i = 0; i < s->options.n_inputs && rc == 0; i++)
        rc = run_files_add(&s->files, s->options.inputs[i], err);
    if (rc == 0 && !s->options.command && s->files.n == 0)
        rc = err_set(err, -EINVAL, "%s holds no file", s->options.rest[0]);
    return rc;
}

static int make_request(struct run_session *s, struct run_request *ret, struct err *err)
{
    const struct run_options *o = &s->options;
    if (o->terminal && !o->detach && !isatty(STDIN_FILENO))
        return err_set(err, -ENOTTY, "--terminal needs a terminal on stdin");
    int rc = gather_files(s, err);
    if (rc == 0 && o->detach && o->input == 1 && !o->terminal)
        rc = run_stdin_all(&s->all_input, err);
    if (rc < 0)
        return rc;
    *ret = (struct run_request){
        .runtime = "",
        .entry = "",
        .files = s->files.list,
        .n_files = s->files.n,
        .env = o->env,
        .n_env = o->n_env,
        .limits = o->limits,
        .subprocess = o->subprocess,
        .stdin_data = s->all_input.bytes,
        .stdin_len = s->all_input.len,
        .collect = o->json || o->output || o->detach,
        .terminal = o->terminal,
        .detach_grace_ms = o->grace_ms,
        .class = o->class,
        .labels = o->labels,
        .n_labels = o->n_labels,
    };
    if (o->terminal)
        run_terminal_size(&ret->rows, &ret->cols);
    if (o->command) {
        ret->argv = (const char *const *)o->rest;
        ret->n_argv = o->n_rest;
        return 0;
    }
    ret->runtime = o->runtime ? o->runtime : run_runtime_of(o->rest[0]);
    ret->args = (const char *const *)o->rest + 1;
    ret->n_args = o->n_rest - 1;
    return 0; /* find_runtime() asks the node when the name does not say */
}

static void on_rpc(struct loop_io *io, uint32_t ready)
{
    (void)ready;
    client_dispatch(container_of(io, struct run_session, rpc_io)->client);
}

static int connect_service(struct run_session *s, struct err *err)
{
    const struct client_options options = service_client(&s->options.place, s->options.subject);
    int rc = loop_new(&s->loop, err);
    if (rc == 0)
        rc = watch_signals(s, err);
    return rc == 0 ? client_new(&options, &s->client, err) : rc;
}

/* Return: 0, or the exit status. */
static int find_runtime(struct run_session *s, struct run_request *request)
{
    char words[1024];
    struct rpc_status status;
    struct err err = {0};
    if (s->options.attach || s->options.command || request->runtime)
        return 0;
    request->runtime = s->runtime;
    int rc = run_runtime_ask(s->client, s->options.rest[0], s->runtime, sizeof(s->runtime), &status,
                             &err);
    if (rc == 0)
        return 0;
    if (rc == -EINVAL)
        return run_fail(s, RUN_NO_VERDICT, CLI_EXIT_REFUSED, err.text);
    service_explain(&s->options.place, &status, words, sizeof(words));
    return run_fail(s, VERDICT_INTERNAL, rpc_code_exit_status((int)status.code), words);
}

static void on_upload(void *arg, size_t n_files, uint64_t bytes)
{
    run_say(arg, "sending %zu large file%s, %llu KiB", n_files, n_files == 1 ? "" : "s",
            (unsigned long long)((bytes + 1023) / 1024));
}

/* Return: 0, or the exit status. */
static int send_large_files(struct run_session *s)
{
    char words[1024];
    struct rpc_status status;
    const struct run_upload upload = {.files = &s->files,
                                      .client = s->client,
                                      .tell = on_upload,
                                      .arg = s};
    int rc = run_upload(&upload, &status);
    if (rc == 0)
        return 0;
    if (status.code == RPC_CANCELLED)
        return run_fail(s, VERDICT_CANCELLED, 128 + SIGINT, "the upload was interrupted");
    service_explain(&s->options.place, &status, words, sizeof(words));
    int exit_status = rpc_code_exit_status((int)status.code);
    return run_fail(s, exit_status == CLI_EXIT_REFUSED ? RUN_NO_VERDICT : VERDICT_INTERNAL,
                    exit_status, words);
}

/* A new run (nobody talks to one that is left at once, unless at a terminal), or one that is there.
 */
static int begin(struct run_session *s, const struct run_request *request,
                 struct model_fault *fault)
{
    const struct run_options *o = &s->options;
    if (o->attach) {
        const struct client_attach attach = {.run_id = o->attach,
                                             .stdout_offset = o->from[0],
                                             .stderr_offset = o->from[1],
                                             .files_done = (uint32_t)o->from[2],
                                             .interactive = true};
        return client_attach(s->client, &attach, &run_session_events, s, &s->run, fault);
    }
    if (o->detach && !o->terminal)
        return client_execute(s->client, request, &run_session_events, s, &s->run, fault);
    return client_interact(s->client, request, &run_session_events, s, &s->run, fault);
}

/* Return: the exit status. */
static int converse(struct run_session *s, struct run_request *request)
{
    struct model_fault fault = {0};
    struct err err = {0};
    if (connect_service(s, &err) < 0)
        return run_fail(s, VERDICT_INTERNAL, CLI_EXIT_OURS, err.text);
    int status = find_runtime(s, request);
    if (status == 0)
        status = send_large_files(s);
    if (status)
        return status;
    if (loop_io_add(s->loop, &s->rpc_io, client_fd(s->client), EPOLLIN, on_rpc, &err) < 0)
        return run_fail(s, VERDICT_INTERNAL, CLI_EXIT_OURS, err.text);
    if (begin(s, request, &fault) < 0) {
        bool refused = fault.err.code == -EINVAL;
        return run_fail(s, refused ? RUN_NO_VERDICT : VERDICT_INTERNAL,
                        refused ? CLI_EXIT_REFUSED : CLI_EXIT_OURS, fault.err.text);
    }
    if (s->options.terminal && !s->options.detach && run_terminal_raw(&s->terminal, &err) < 0) {
        client_run_drop(s->run);
        return run_fail(s, RUN_NO_VERDICT, CLI_EXIT_REFUSED, err.text);
    }
    if (loop_run(s->loop, &err) < 0)
        return run_fail(s, VERDICT_INTERNAL, CLI_EXIT_OURS, err.text);
    if (s->output_fault)
        return CLI_EXIT_OURS;
    return s->stdout_gone ? 128 + SIGPIPE : s->exit_status;
}

static int run_session(struct run_session *s)
{
    struct err err = {0};
    struct run_request request = {0};
    if (run_outputs_init(&s->outputs, s->options.output, &err) < 0 ||
        (!s->options.attach && make_request(s, &request, &err) < 0))
        return run_fail(s, RUN_NO_VERDICT, CLI_EXIT_REFUSED, err.text);
    int status = converse(s, &request);
    run_terminal_restore(&s->terminal);
    loop_io_remove(&s->rpc_io);
    loop_timer_cancel(&s->again);
    run_stdin_stop(s);
    client_free(s->client);
    loop_free(s->loop);
    return status;
}

int cmd_run(int argc, char **argv)
{
    struct run_session *s = calloc(1, sizeof(*s));
    struct err err = {0};
    if (!s) {
        fprintf(stderr, "cloister: %s\n", strerror(ENOMEM));
        return CLI_EXIT_OURS;
    }
    s->exit_status = -1;
    s->outputs.dir_fd = s->outputs.file_fd = -EBADF;
    run_files_init(&s->files);
    int status = 0;
    int rc = run_options_parse(argc, argv, &s->options, &err);
    if (rc < 0)
        status = run_fail(s, RUN_NO_VERDICT, CLI_EXIT_REFUSED, err.text);
    else if (rc == 0)
        status = run_session(s);
    run_outputs_done(&s->outputs);
    run_files_done(&s->files);
    run_options_done(&s->options);
    free(s->streams[0].bytes);
    free(s->streams[1].bytes);
    free(s->all_input.bytes);
    free(s);
    return status;
}
