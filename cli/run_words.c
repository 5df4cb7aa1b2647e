#include "cli/run_session.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/result_json.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "cli/commands.h"
#include "cli/service.h"

#define NO_PROGRAM_MIN 126 /* by custom: not executable, and (127) not found */

void run_say(const struct run_session *s, const char *format, ...)
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

int run_fail(struct run_session *s, enum verdict verdict, int exit_status, const char *message)
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

static void say_outcome(const struct run_session *s, const struct run_report *report)
{
    const struct run_result *r = &report->result;
    const char *message = run_message(r);
    for (int op = 0; op < REFUSAL_COUNT; op++) {
        if (r->refusals[op] > 0)
            run_say(s, "%s (%u time%s)", refusal_message((enum refusal_op)op), r->refusals[op],
                    r->refusals[op] == 1 ? "" : "s");
    }
    if (r->verdict == VERDICT_SIGNALED)
        run_say(s, "your program was ended by %s", signal_name(r->term_signal));
    else if (r->verdict == VERDICT_EXITED && r->exit_code >= NO_PROGRAM_MIN && message[0])
        run_say(s, "%s", message);
    else if (r->verdict != VERDICT_EXITED) /* an exit status speaks for itself */
        run_say(s, "%s%s%s", verdict_name(r->verdict), message[0] ? ": " : "", message);
    uint64_t dropped = report->dropped_stdout + report->dropped_stderr;
    if (dropped > 0)
        run_say(s, "%llu bytes of output were left out (--limit output=...)",
                (unsigned long long)dropped);
}

/* With --json too: the object has no place for it. */
static void say_outputs(struct run_session *s, const struct run_report *report)
{
    if (!s->options.quiet)
        run_outputs_tell_skipped(report->skipped, report->n_skipped);
    if (!s->outputs.err.code)
        return;
    run_say(s, "%s", s->outputs.err.text);
    if (s->exit_status == 0)
        s->exit_status = CLI_EXIT_OURS;
}

void run_fail_status(struct run_session *s, const struct rpc_status *status)
{
    char words[1024];
    service_explain(&s->options.place, status, words, sizeof(words));
    bool cancelled = status->code == RPC_CANCELLED;
    int exit_status = cancelled ? 128 + SIGINT : rpc_code_exit_status((int)status->code);
    enum verdict verdict = cancelled                         ? VERDICT_CANCELLED
                           : exit_status == CLI_EXIT_REFUSED ? RUN_NO_VERDICT
                                                             : VERDICT_INTERNAL;
    run_fail(s, verdict, exit_status, words);
}

void run_tell_result(struct run_session *s, const struct run_report *report)
{
    run_terminal_restore(&s->terminal);
    s->exit_status = result_exit_status(&report->result);
    if (!s->options.json) {
        say_outcome(s, report);
        say_outputs(s, report);
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
        run_say(s, "%s", err.text);
        s->exit_status = CLI_EXIT_OURS;
    }
    say_outputs(s, report);
}
