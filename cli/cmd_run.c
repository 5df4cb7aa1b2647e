/*
 * `cloister run`: a request, and then a loop between the service, our stdin and the signals.
 *
 * Every run is an Interact call, so that Ctrl-C can be passed on. stdin is read only when the
 * message before is on its way (a slow program slows its feeder down); a file or /dev/null cannot
 * be polled and is simply read at those moments.
 */

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/client.h"
#include "api/result_json.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "cli/commands.h"
#include "cli/run_files.h"
#include "cli/run_options.h"
#include "cli/run_outputs.h"
#include "cli/run_runtime.h"
#include "cli/run_terminal.h"
#include "cli/run_upload.h"
#include "cli/service.h"

#define INPUT_CHUNK    (16u << 10)
#define NO_PROGRAM_MIN 126           /* by custom: not executable, and (127) not found */
#define NO_VERDICT     VERDICT_COUNT /* a run that never was has none: null in the JSON */

struct buffer {
    uint8_t *bytes;
    size_t len, size;
};

struct session {
    struct run_options options;
    struct run_files files;
    struct run_outputs outputs;
    struct run_terminal terminal;
    char runtime[MODEL_RUNTIME_MAX + 1]; /* as the node calls it */
    struct loop *loop;
    struct loop_io rpc_io, stdin_io;
    struct client *client;
    struct client_run *run; /* NULL before and after */
    bool started, stdin_polled, stdin_open;
    unsigned interrupts;
    char input[INPUT_CHUNK + 1]; /* read, and not sent yet */
    size_t input_len;
    struct buffer streams[2]; /* --json */
    bool stdout_gone;
    int exit_status; /* -1: not known yet */
};

/* ---- words -------------------------------------------------------------------------------- */

static void say(const struct session *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(const struct session *s, const char *format, ...)
{
    if (s->options.quiet)
        return;
    /* In raw mode a newline does not return the carriage. */
    const char *end = s->terminal.raw ? "\r\n" : "\n";
    fputs("cloister: ", stderr);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputs(end, stderr);
}

/* There is no Result: refused, or no service. */
static int fail(struct session *s, enum verdict verdict, int exit_status, const char *message)
{
    s->exit_status = exit_status;
    if (!s->options.json) {
        fprintf(stderr, "cloister: %s%s", message, s->terminal.raw ? "\r\n" : "\n");
        return exit_status;
    }
    struct run_report report;
    struct err err = {0};
    result_json_failure(verdict, message, &report);
    if (result_json_print(stdout, &report, &(struct run_streams){0}, &err) < 0)
        fprintf(stderr, "cloister: %s\n", err.text);
    return exit_status;
}

static void say_outcome(const struct session *s, const struct run_report *report)
{
    const struct run_result *r = &report->result;
    const char *message = run_message(r);
    for (int op = 0; op < REFUSAL_COUNT; op++) {
        if (r->refusals[op] > 0)
            say(s, "%s (%u time%s)", refusal_message((enum refusal_op)op), r->refusals[op],
                r->refusals[op] == 1 ? "" : "s");
    }
    if (r->verdict == VERDICT_SIGNALED)
        say(s, "your program was ended by %s", signal_name(r->term_signal));
    else if (r->verdict == VERDICT_EXITED && r->exit_code >= NO_PROGRAM_MIN && message[0])
        say(s, "%s", message);
    else if (r->verdict != VERDICT_EXITED) /* an exit status speaks for itself */
        say(s, "%s%s%s", verdict_name(r->verdict), message[0] ? ": " : "", message);
    uint64_t dropped = report->dropped_stdout + report->dropped_stderr;
    if (dropped > 0)
        say(s, "%llu bytes of output were left out (--limit output=...)",
            (unsigned long long)dropped);
    for (size_t i = 0; i < report->n_skipped; i++)
        say(s, "%s was not brought back: %s", report->skipped[i].path, report->skipped[i].reason);
    if (s->outputs.err.code)
        say(s, "%s", s->outputs.err.text);
}

/* ---- input -------------------------------------------------------------------------------- */

static void stdin_stop(struct session *s)
{
    loop_io_remove(&s->stdin_io);
    s->stdin_open = false;
    s->stdin_polled = false;
}

/* Return: false when it must wait for on_writable. */
static bool send_input(struct session *s)
{
    if (s->input_len == 0)
        return true;
    int rc = client_run_input(s->run, s->input, s->input_len);
    if (rc == -EAGAIN)
        return false;
    s->input_len = 0;
    if (rc < 0)
        stdin_stop(s); /* the run is over */
    return rc == 0;
}

/* Read once. Return: false when there will be no more. */
static bool read_input(struct session *s)
{
    char typed[INPUT_CHUNK];
    ssize_t n;
    do {
        n = read(STDIN_FILENO, typed, sizeof(typed));
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return true;
    if (n <= 0) {
        stdin_stop(s);
        client_run_close_input(s->run);
        return false;
    }
    if (!s->terminal.raw) {
        memcpy(s->input, typed, (size_t)n);
        s->input_len = (size_t)n;
        return true;
    }
    n = run_terminal_escape(&s->terminal, typed, (size_t)n, s->input);
    if (n < 0)
        client_run_cancel(s->run);
    s->input_len = n > 0 ? (size_t)n : 0;
    return true;
}

static void on_stdin(struct loop_io *io, uint32_t events)
{
    (void)events;
    struct session *s = container_of(io, struct session, stdin_io);
    if (s->run && read_input(s) && !send_input(s))
        (void)loop_io_change(&s->stdin_io, 0);
}

static void pump_file(struct session *s)
{
    while (s->stdin_open && !s->stdin_polled && send_input(s) && s->run && read_input(s))
        ;
}

static void on_writable(void *arg)
{
    struct session *s = arg;
    if (!send_input(s) || !s->stdin_open)
        return;
    if (s->stdin_polled)
        (void)loop_io_change(&s->stdin_io, EPOLLIN);
    else
        pump_file(s);
}

static void stdin_begin(struct session *s)
{
    bool wanted = s->options.input == 1 || s->options.terminal ||
                  (s->options.input == -1 && !isatty(STDIN_FILENO));
    if (!wanted) {
        client_run_close_input(s->run);
        return;
    }
    s->stdin_open = true;
    s->stdin_polled =
        loop_io_add(s->loop, &s->stdin_io, STDIN_FILENO, EPOLLIN, on_stdin, NULL) == 0;
    if (!s->stdin_polled) /* EPERM: a file */
        pump_file(s);
}

/* ---- events of the run -------------------------------------------------------------------- */

static void on_queued(void *arg, const char *run_id, uint32_t position, uint64_t wait_ms)
{
    (void)run_id;
    struct session *s = arg;
    if (wait_ms > 0)
        say(s, "waiting: position %u in the queue, about %llu s", position,
            (unsigned long long)(wait_ms + 999) / 1000);
    else
        say(s, "waiting: position %u in the queue", position);
}

static void on_started(void *arg, const struct client_started *started)
{
    (void)started;
    struct session *s = arg;
    if (s->started)
        return;
    s->started = true;
    stdin_begin(s);
}

static void buffer_add(struct buffer *b, const uint8_t *data, size_t len)
{
    if (len > b->size - b->len) {
        size_t size = (b->size ? b->size : 4096);
        while (size - b->len < len)
            size *= 2;
        uint8_t *bytes = realloc(b->bytes, size);
        if (!bytes)
            return;
        b->bytes = bytes;
        b->size = size;
    }
    memcpy(b->bytes + b->len, data, len);
    b->len += len;
}

static void on_output(void *arg, int stream, uint64_t offset, const uint8_t *data, size_t len)
{
    (void)offset;
    struct session *s = arg;
    if (s->options.json) {
        buffer_add(&s->streams[stream - 1], data, len);
        return;
    }
    if (fd_write_all(stream, data, len) == 0 || s->stdout_gone)
        return;
    s->stdout_gone = true; /* whoever read our output has gone, as in `cloister run x | head` */
    client_run_cancel(s->run);
}

static void on_file(void *arg, const struct client_file_chunk *chunk)
{
    struct session *s = arg;
    run_outputs_take(&s->outputs, chunk);
}

static void on_notice(void *arg, const struct client_notice *notice)
{
    if (notice->kind != CLIENT_NOTICE_COMPILING && notice->kind != CLIENT_NOTICE_COMPILER_WARNING)
        say(arg, "%s", notice->message);
}

static void on_result(void *arg, const struct run_report *report)
{
    struct session *s = arg;
    run_terminal_restore(&s->terminal);
    s->exit_status = result_exit_status(&report->result);
    if (!s->options.json) {
        say_outcome(s, report);
        return;
    }
    struct run_report full = *report;
    AUTO_FREE struct run_output *outputs = calloc(report->n_outputs + 1, sizeof(*outputs));
    for (size_t i = 0; outputs && i < report->n_outputs; i++) {
        outputs[i] = report->outputs[i];
        outputs[i].content = run_outputs_content(&s->outputs, outputs[i].path, outputs[i].size);
    }
    if (outputs)
        full.outputs = outputs;
    struct run_streams streams = {s->streams[0].bytes, s->streams[0].len, s->streams[1].bytes,
                                  s->streams[1].len};
    struct err err = {0};
    if (result_json_print(stdout, &full, &streams, &err) < 0) {
        say(s, "%s", err.text);
        s->exit_status = CLI_EXIT_OURS;
    }
    if (s->outputs.err.code)
        say(s, "%s", s->outputs.err.text);
}

static void on_end(void *arg, const struct rpc_status *status)
{
    struct session *s = arg;
    run_terminal_restore(&s->terminal);
    stdin_stop(s);
    s->run = NULL;
    loop_stop(s->loop);
    if (s->exit_status >= 0) /* the Result was here */
        return;
    char words[1024];
    service_explain(&s->options.place, status, words, sizeof(words));
    bool cancelled = status->code == RPC_CANCELLED;
    int exit_status = cancelled ? 128 + SIGINT : rpc_code_exit_status((int)status->code);
    enum verdict verdict = cancelled                         ? VERDICT_CANCELLED
                           : exit_status == CLI_EXIT_REFUSED ? NO_VERDICT
                                                             : VERDICT_INTERNAL;
    fail(s, verdict, exit_status, words);
}

static const struct client_events events = {
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
static void on_interrupt(struct session *s)
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
    (void)loop;
    struct session *s = arg;
    uint32_t rows, cols;
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
    default: /* SIGTERM, SIGHUP: we are to end, and the run with us */
        client_run_cancel(s->run);
        return;
    }
}

static int watch_signals(struct session *s, struct err *err)
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

static int gather_files(struct session *s, struct err *err)
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

static int make_request(struct session *s, struct run_request *ret, struct err *err)
{
    const struct run_options *o = &s->options;
    if (o->terminal && !isatty(STDIN_FILENO))
        return err_set(err, -ENOTTY, "--terminal needs a terminal on stdin");
    int rc = gather_files(s, err);
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
        .collect = o->json || o->output,
        .terminal = o->terminal,
        .detach_grace_ms = o->detach_grace_ms,
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
    client_dispatch(container_of(io, struct session, rpc_io)->client);
}

static int connect_service(struct session *s, struct err *err)
{
    const struct client_options options = service_client(&s->options.place, s->options.subject);
    int rc = loop_new(&s->loop, err);
    if (rc == 0)
        rc = watch_signals(s, err);
    return rc == 0 ? client_new(&options, &s->client, err) : rc;
}

/* Return: 0, or the exit status. */
static int find_runtime(struct session *s, struct run_request *request)
{
    char words[1024];
    struct rpc_status status;
    struct err err = {0};
    if (s->options.command || request->runtime)
        return 0;
    request->runtime = s->runtime;
    int rc = run_runtime_ask(s->client, s->options.rest[0], s->runtime, sizeof(s->runtime), &status,
                             &err);
    if (rc == 0)
        return 0;
    if (rc == -EINVAL)
        return fail(s, NO_VERDICT, CLI_EXIT_REFUSED, err.text);
    service_explain(&s->options.place, &status, words, sizeof(words));
    return fail(s, VERDICT_INTERNAL, rpc_code_exit_status((int)status.code), words);
}

static void on_upload(void *arg, size_t n_files, uint64_t bytes)
{
    say(arg, "sending %zu large file%s, %llu KiB", n_files, n_files == 1 ? "" : "s",
        (unsigned long long)((bytes + 1023) / 1024));
}

/* Return: 0, or the exit status. */
static int send_large_files(struct session *s)
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
        return fail(s, VERDICT_CANCELLED, 128 + SIGINT, "the upload was interrupted");
    service_explain(&s->options.place, &status, words, sizeof(words));
    int exit_status = rpc_code_exit_status((int)status.code);
    return fail(s, exit_status == CLI_EXIT_REFUSED ? NO_VERDICT : VERDICT_INTERNAL, exit_status,
                words);
}

/* Return: the exit status. */
static int converse(struct session *s, struct run_request *request)
{
    struct model_fault fault = {0};
    struct err err = {0};
    if (connect_service(s, &err) < 0)
        return fail(s, VERDICT_INTERNAL, CLI_EXIT_OURS, err.text);
    int status = find_runtime(s, request);
    if (status == 0)
        status = send_large_files(s);
    if (status)
        return status;
    if (loop_io_add(s->loop, &s->rpc_io, client_fd(s->client), EPOLLIN, on_rpc, &err) < 0)
        return fail(s, VERDICT_INTERNAL, CLI_EXIT_OURS, err.text);
    if (client_interact(s->client, request, &events, s, &s->run, &fault) < 0) {
        bool refused = fault.err.code == -EINVAL;
        return fail(s, refused ? NO_VERDICT : VERDICT_INTERNAL,
                    refused ? CLI_EXIT_REFUSED : CLI_EXIT_OURS, fault.err.text);
    }
    if (s->options.terminal && run_terminal_raw(&s->terminal, &err) < 0) {
        client_run_drop(s->run);
        return fail(s, NO_VERDICT, CLI_EXIT_REFUSED, err.text);
    }
    if (loop_run(s->loop, &err) < 0)
        return fail(s, VERDICT_INTERNAL, CLI_EXIT_OURS, err.text);
    return s->stdout_gone ? 128 + SIGPIPE : s->exit_status;
}

static int run_session(struct session *s)
{
    struct err err = {0};
    struct run_request request;
    if (run_outputs_init(&s->outputs, s->options.output, &err) < 0 ||
        make_request(s, &request, &err) < 0)
        return fail(s, NO_VERDICT, CLI_EXIT_REFUSED, err.text);
    int status = converse(s, &request);
    run_terminal_restore(&s->terminal);
    loop_io_remove(&s->rpc_io);
    stdin_stop(s);
    client_free(s->client);
    loop_free(s->loop);
    return status;
}

int cmd_run(int argc, char **argv)
{
    struct session *s = calloc(1, sizeof(*s));
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
        status = fail(s, NO_VERDICT, CLI_EXIT_REFUSED, err.text);
    else if (rc == 0)
        status = run_session(s);
    run_outputs_done(&s->outputs);
    run_files_done(&s->files);
    run_options_done(&s->options);
    free(s->streams[0].bytes);
    free(s->streams[1].bytes);
    free(s);
    return status;
}
