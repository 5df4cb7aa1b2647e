#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/result.h"

/* What a limit's verdict says; %s is the configured value. */
static const char *const limit_messages[VERDICT_COUNT] = {
    [VERDICT_MEMORY_LIMIT] = "your program needed more memory than the %s that it may use",
    [VERDICT_CPU_TIME_LIMIT] =
        "your program computed for longer than the %s of processor time that "
        "it may use: is there a loop that never ends?",
    [VERDICT_WALL_TIME_LIMIT] = "your program ran for longer than the %s that it may take",
    [VERDICT_IDLE_LIMIT] = "your program was ended because nothing happened for %s",
    [VERDICT_OUTPUT_LIMIT] = "your program printed far more than the %s of output that are kept",
    [VERDICT_FILE_SIZE_LIMIT] = "your program wrote a file beyond the %s that a file may have",
    [VERDICT_PROCESS_LIMIT] =
        "your program tried to have more than %s processes and threads at once",
};

static const enum limit_id limit_of_verdict[VERDICT_COUNT] = {
    [VERDICT_MEMORY_LIMIT] = LIMIT_MEMORY,     [VERDICT_CPU_TIME_LIMIT] = LIMIT_CPU,
    [VERDICT_WALL_TIME_LIMIT] = LIMIT_WALL,    [VERDICT_IDLE_LIMIT] = LIMIT_IDLE,
    [VERDICT_OUTPUT_LIMIT] = LIMIT_OUTPUT,     [VERDICT_FILE_SIZE_LIMIT] = LIMIT_FILE_SIZE,
    [VERDICT_PROCESS_LIMIT] = LIMIT_PROCESSES,
};

static const struct {
    int signo;
    const char *what;
} signal_messages[] = {
    {SIGSEGV, "crashed: it touched memory that is not its own"},
    {SIGBUS, "crashed: it touched memory that is not there"},
    {SIGFPE, "crashed: a calculation has no result, such as a division by zero"},
    {SIGILL, "crashed: the processor does not know an instruction in it"},
    {SIGABRT, "gave up: it found a fault in itself"},
    {SIGPIPE, "was ended because nobody read its output any more"},
    {SIGSYS, "made a system call that is not allowed here"},
};

int verdict_limit(enum verdict verdict)
{
    return verdict_is_limit(verdict) ? (int)limit_of_verdict[verdict] : -1;
}

static void say(struct run_result *result, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(struct run_result *result, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(result->explanation.message, sizeof(result->explanation.message), format, args);
    va_end(args);
}

static void explain_limit(struct run_result *result)
{
    struct run_explanation *e = &result->explanation;
    if (e->limit < 0)
        e->limit = verdict_limit(result->verdict);
    char configured[32];
    limit_format((enum limit_id)e->limit, e->configured, configured, sizeof(configured));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the formats stand in the table above */
    say(result, limit_messages[result->verdict], configured);
#pragma GCC diagnostic pop
}

static void explain_refusals(struct run_result *result)
{
    int most = -1;
    for (int op = 0; op < REFUSAL_COUNT; op++)
        if (result->refusals[op] > (most < 0 ? 0 : result->refusals[most]))
            most = op;
    if (most < 0) /* killed by SIGSYS before anybody could count */
        say(result, "your program made a system call that is not allowed here");
    else if (result->refusals[most] == 1)
        say(result, "%s", refusal_message((enum refusal_op)most));
    else
        say(result, "%s (%" PRIu32 " times)", refusal_message((enum refusal_op)most),
            result->refusals[most]);
}

static void explain_signal(struct run_result *result)
{
    for (size_t i = 0; i < sizeof(signal_messages) / sizeof(signal_messages[0]); i++) {
        if (signal_messages[i].signo != result->term_signal)
            continue;
        say(result, "your program %s (%s)", signal_messages[i].what,
            signal_name(result->term_signal));
        return;
    }
    say(result, "your program was ended by the signal %s", signal_name(result->term_signal));
}

/* A program that ended well may still have been held back: its author should know. */
static void explain_exit(struct run_result *result)
{
    char touched[128] = "";
    size_t used = 0;
    for (int id = 0; id < LIMIT_COUNT; id++) {
        if (!(result->limits_hit & (UINT32_C(1) << id)))
            continue;
        int n = snprintf(touched + used, sizeof(touched) - used, "%s%s", used ? ", " : "",
                         limit_info((enum limit_id)id)->name);
        used += n > 0 && (size_t)n < sizeof(touched) - used ? (size_t)n : 0;
    }
    if (result->exit_code != 0 && used)
        say(result, "your program ended with exit status %d and touched these limits: %s",
            result->exit_code, touched);
    else if (result->exit_code != 0)
        say(result, "your program ended with exit status %d", result->exit_code);
    else if (used)
        say(result, "your program ended well, but touched these limits: %s", touched);
    else
        say(result, "%s", "");
}

void result_explain(struct run_result *result)
{
    switch (result->verdict) {
    case VERDICT_INTERNAL:
        say(result, "this is our fault, not your program's: %s",
            result->err.text[0] ? result->err.text : "the sandbox failed");
        break;
    case VERDICT_CANCELLED:
        say(result, "the run was cancelled before your program ended");
        break;
    case VERDICT_COMPILE_FAILED:
        say(result, "your program did not compile: the compiler's messages say why");
        break;
    case VERDICT_POLICY_VIOLATION:
        explain_refusals(result);
        break;
    case VERDICT_SIGNALED:
        explain_signal(result);
        break;
    case VERDICT_EXITED:
        explain_exit(result);
        break;
    default:
        if (verdict_is_limit(result->verdict))
            explain_limit(result);
        break;
    }
}
