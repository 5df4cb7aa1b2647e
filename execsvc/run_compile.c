/*
 * The compile step of a run: the compiler in a sandbox of its own, with its own limits. What it
 * makes is held in memory and goes into the program's sandbox as one more input. What it says
 * becomes the stderr of a run that did not compile, and a notice (warnings) of one that did.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "execsvc/exs.h"
#include "execsvc/run.h"
#include "execsvc/run_keep.h"
#include "execsvc/spawner.h"

#define TEXT_MAX     ((size_t)64 * 1024)
#define ARTIFACT_MAX ((uint64_t)64 * 1024 * 1024)

static void on_output(struct step *step, int stream, const uint8_t *bytes, size_t len)
{
    struct run *run = step->owner;
    struct run_compile *compile = &run->compile;
    (void)stream;
    size_t room = TEXT_MAX - compile->text_len;
    size_t n = len < room ? len : room;
    memcpy(compile->text + compile->text_len, bytes, n);
    compile->text_len += n;
    compile->text_dropped += len - n;
    if (compile->text_dropped > LIMIT_OUTPUT_KILL_FACTOR * TEXT_MAX)
        step_end(step, SPAWN_END_OUTPUT);
}

static void take_chunk(struct run_compile *compile, const struct collect_chunk *chunk)
{
    if (chunk->offset == 0) {
        free(compile->artifact);
        compile->artifact_len = 0;
        compile->artifact = malloc(chunk->size ? (size_t)chunk->size : 1);
    }
    if (!compile->artifact)
        return;
    memcpy(compile->artifact + compile->artifact_len, chunk->data, chunk->len);
    compile->artifact_len += chunk->len;
    compile->complete = chunk->last;
}

static void on_files(struct step *step)
{
    struct run *run = step->owner;
    struct collect_chunk chunk;
    struct err err = {0};
    while (step_next_chunk(step, &chunk, &err) == COLLECT_CHUNK)
        take_chunk(&run->compile, &chunk);
}

/* A notice is one line of text: the lines that name a warning, as many as there is room for. */
static void tell_warnings(struct run *run)
{
    const struct run_compile *compile = &run->compile;
    const uint8_t *at = compile->text, *end = compile->text + compile->text_len;
    while (at < end && run->n_notices < RUN_NOTICES_MAX / 2) {
        const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));
        const uint8_t *stop = newline ? newline : end;
        size_t len = (size_t)(stop - at);
        if (memmem(at, len, "warning:", strlen("warning:")))
            run_notice(run, RUN_NOTICE_COMPILING, 0, "%.*s", (int)len, (const char *)at);
        at = stop + 1;
    }
}

static void fail(struct run *run, struct run_result *result)
{
    struct run_compile *compile = &run->compile;
    for (size_t at = 0; at < compile->text_len; at += REPLAY_RECORD_MAX) {
        size_t left = compile->text_len - at;
        run_put(run, STEP_STDERR, compile->text + at,
                left < REPLAY_RECORD_MAX ? left : REPLAY_RECORD_MAX);
    }
    run->dropped[STEP_STDERR] += compile->text_dropped;
    run->exs->stats.compile_failed++;
    if (result->verdict != VERDICT_INTERNAL && result->verdict != VERDICT_CANCELLED)
        result->verdict = VERDICT_COMPILE_FAILED;
    run_finish(run, result);
}

static void on_ended(struct step *step)
{
    struct run *run = step->owner;
    struct run_result result = step->result;
    bool refused = step->refused;
    if (refused && result.err.code == -EAGAIN && run_is_wanted(run) && run_try_again(run))
        return;
    run->compile_step = step_free(step);
    if (refused) {
        struct rpc_status status;
        rpc_status_of_fault(&result.err, &status);
        run_fail(run, &status);
        return;
    }
    if (!run_is_wanted(run)) {
        run_finish(run, &result);
        return;
    }
    bool made = result.verdict == VERDICT_EXITED && result.exit_code == 0 && run->compile.complete;
    if (!made) {
        fail(run, &result);
        return;
    }
    tell_warnings(run);
    run_start_main(run);
}

static const struct step_ops ops = {.on_output = on_output,
                                    .on_files = on_files,
                                    .on_ended = on_ended};

static int prepare(struct run *run, struct err *err)
{
    struct run_compile *compile = &run->compile;
    run->compile_step = step_new(run->exs->spawner, run->exs->loop, false, &ops, run);
    compile->text = malloc(TEXT_MAX);
    if (!run->compile_step || !compile->text)
        return err_set(err, -ENOMEM, "no memory for the compile step");
    int r = run_plan_compile(run, &run->plan, err);
    if (r < 0)
        return r;
    compile->pattern = (struct collect_bytes){compile->output, strlen(compile->output)};
    compile->rules = (struct collect_rules){.patterns = &compile->pattern,
                                            .n_patterns = 1,
                                            .max_files = 1,
                                            .max_bytes = ARTIFACT_MAX};
    step_input_close(run->compile_step);
    return 0;
}

void run_compile_start(struct run *run)
{
    struct err err = {0};
    if (prepare(run, &err) < 0) {
        struct rpc_status status;
        rpc_status_of_fault(&err, &status);
        run_fail(run, &status);
        return;
    }
    run_notice(run, RUN_NOTICE_COMPILING, 0, "compiling");
    run_start_step(run);
}
