/*
 * The compile step of a run: the compiler in a sandbox of its own, with its own limits. What it
 * makes is held in memory and goes into the program's sandbox as one more input. What it says
 * becomes the stderr of a run that did not compile, and a notice (warnings) of one that did.
 * An earlier run of the same tenant that compiled the same saves the step (compile_cache.h).
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "execsvc/compile_key.h"
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
    struct compiled *made = compile->made;
    (void)stream;
    size_t room = TEXT_MAX - made->text_len;
    size_t n = len < room ? len : room;
    memcpy(made->text + made->text_len, bytes, n);
    made->text_len += n;
    compile->text_dropped += len - n;
    if (compile->text_dropped > LIMIT_OUTPUT_KILL_FACTOR * TEXT_MAX)
        step_end(step, SPAWN_END_OUTPUT);
}

static void take_chunk(struct run_compile *compile, const struct collect_chunk *chunk)
{
    struct compiled *made = compile->made;
    if (chunk->offset == 0) {
        free(made->artifact);
        made->artifact_len = 0;
        made->artifact = malloc(chunk->size ? (size_t)chunk->size : 1);
    }
    if (!made->artifact)
        return;
    memcpy(made->artifact + made->artifact_len, chunk->data, chunk->len);
    made->artifact_len += chunk->len;
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
    const struct compiled *made = run->compile.made;
    const uint8_t *at = made->text, *end = made->text + made->text_len;
    while (at < end && run->n_notices < RUN_NOTICES_MAX / 2) {
        const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));
        const uint8_t *stop = newline ? newline : end;
        size_t len = (size_t)(stop - at);
        if (memmem(at, len, "warning:", strlen("warning:")))
            run_notice(run, RUN_NOTICE_COMPILER_WARNING, 0, "%.*s", (int)len, (const char *)at);
        at = stop + 1;
    }
}

static void fail(struct run *run, struct run_result *result)
{
    struct run_compile *compile = &run->compile;
    const struct compiled *made = compile->made;
    for (size_t at = 0; at < made->text_len; at += REPLAY_RECORD_MAX) {
        size_t left = made->text_len - at;
        run_put(run, STEP_STDERR, made->text + at,
                left < REPLAY_RECORD_MAX ? left : REPLAY_RECORD_MAX);
    }
    run->dropped[STEP_STDERR] += compile->text_dropped;
    run->exs->stats.compile_failed++;
    if (result->verdict != VERDICT_INTERNAL && result->verdict != VERDICT_CANCELLED)
        result->verdict = VERDICT_COMPILE_FAILED;
    run_finish(run, result);
}

/* Under the key that was computed before the step began. */
static void keep(struct run *run)
{
    struct compiled *made = run->compile.made;
    if (run->runtime->no_compile_cache)
        return;
    uint8_t *text = realloc(made->text, made->text_len + 1);
    made->text = text ? text : made->text;
    compile_cache_put(run->exs->compiled, &run->compile.key, run->tenant, made);
}

static void on_ended(struct step *step)
{
    struct run *run = step->owner;
    struct run_result result = step->result;
    bool refused = step->refused;
    if (refused && result.err.code == -EAGAIN && run_is_wanted(run) && run_try_again(run))
        return;
    run->compile_step = step_free(step);
    run->compile.us = clock_us() - run->compile.begun_us;
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
    keep(run);
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
    compile->made = compiled_new();
    if (compile->made)
        compile->made->text = malloc(TEXT_MAX);
    if (!run->compile_step || !compile->made || !compile->made->text)
        return err_set(err, -ENOMEM, "no memory for the compile step");
    compile->pattern = (struct collect_bytes){compile->output, strlen(compile->output)};
    compile->rules = (struct collect_rules){.patterns = &compile->pattern,
                                            .n_patterns = 1,
                                            .max_files = 1,
                                            .max_bytes = ARTIFACT_MAX};
    step_input_close(run->compile_step);
    return 0;
}

/* Return: 1: an earlier run has made it, 0, or a negative errno. */
static int look_up(struct run *run, struct err *err)
{
    struct run_compile *compile = &run->compile;
    int r = run_plan_compile(run, &run->plan, err);
    if (r < 0 || run->runtime->no_compile_cache)
        return r;
    const struct compile_inputs inputs = {.tenant = run->tenant,
                                          .runtime = run->runtime,
                                          .argv = run->plan.spec.argv,
                                          .envp = run->plan.spec.envp,
                                          .request = &run->request};
    r = compile_key(&inputs, &compile->key, err);
    if (r < 0)
        return r;
    compile->made = compile_cache_find(run->exs->compiled, &compile->key);
    compile->complete = compile->cached = compile->made != NULL;
    return compile->cached;
}

void run_compile_start(struct run *run)
{
    struct err err = {0};
    run->compile.begun_us = clock_us();
    int r = look_up(run, &err);
    if (r > 0) {
        tell_warnings(run);
        run_start_main(run);
        return;
    }
    if (r < 0 || prepare(run, &err) < 0) {
        struct rpc_status status;
        rpc_status_of_fault(&err, &status);
        run_fail(run, &status);
        return;
    }
    run_notice(run, RUN_NOTICE_COMPILING, 0, "compiling");
    run_start_step(run);
}
