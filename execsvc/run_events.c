#include "execsvc/run_events.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cloister/exec/v1/exec.pb-c.h>

#include "api/proto_model.h"
#include "api/rpc_server.h"
#include "api/text.h"
#include "base/clock.h"
#include "base/err.h"
#include "execsvc/exs.h"
#include "execsvc/run.h"
#include "execsvc/run_keep.h"

#define RESULT_ARENA_MAX ((size_t)16 * 1024 * 1024)

typedef Cloister__Exec__V1__ExecuteEvent event_msg;

/* What is followed by the result at once need not be written alone. */
static int send(const struct run *run, struct rpc_call *call, const event_msg *event)
{
    int r = run->tell_result ? rpc_call_send_more(call, &event->base)
                             : rpc_call_send(call, &event->base);
    return r < 0 ? r : RUN_EVENTS_SENT;
}

static int send_queued(struct run *run, struct rpc_call *call)
{
    event_msg event = CLOISTER__EXEC__V1__EXECUTE_EVENT__INIT;
    Cloister__Exec__V1__Queued queued = CLOISTER__EXEC__V1__QUEUED__INIT;
    run->tell_queued = false;
    queued.run_id = run->id;
    if (run->state == RUN_QUEUED && run->listed) {
        queued.position = run->place.ahead + 1;
        queued.expected_wait_ms = run->place.expected_wait_ms;
    }
    event.event_case = CLOISTER__EXEC__V1__EXECUTE_EVENT__EVENT_QUEUED;
    event.queued = &queued;
    return send(run, call, &event);
}

static int send_started(struct run *run, struct rpc_call *call)
{
    event_msg event = CLOISTER__EXEC__V1__EXECUTE_EVENT__INIT;
    Cloister__Exec__V1__Started started = CLOISTER__EXEC__V1__STARTED__INIT;
    Cloister__Exec__V1__RuntimeVersion runtime = CLOISTER__EXEC__V1__RUNTIME_VERSION__INIT;
    run->tell_started = false;
    started.run_id = run->id;
    started.node = (char *)run->exs->config->node;
    started.start = CLOISTER__EXEC__V1__START__START_COLD;
    if (run->runtime) {
        runtime.name = (char *)run->runtime->name;
        runtime.version = (char *)run->runtime->version;
        started.runtime = &runtime;
    }
    event.event_case = CLOISTER__EXEC__V1__EXECUTE_EVENT__EVENT_STARTED;
    event.started = &started;
    return send(run, call, &event);
}

static int send_notice(struct run *run, struct rpc_call *call)
{
    event_msg event = CLOISTER__EXEC__V1__EXECUTE_EVENT__INIT;
    Cloister__Exec__V1__Notice notice = CLOISTER__EXEC__V1__NOTICE__INIT;
    struct run_notice first = run->notices[0];
    memmove(run->notices, run->notices + 1, --run->n_notices * sizeof(run->notices[0]));
    text_clean(first.message);
    notice.kind = (Cloister__Exec__V1__Notice__Kind)first.kind;
    notice.message = first.message;
    notice.remaining_ms = first.remaining_ms;
    event.event_case = CLOISTER__EXEC__V1__EXECUTE_EVENT__EVENT_NOTICE;
    event.notice = &notice;
    return send(run, call, &event);
}

/* The next one of which the listener has not all already; @ret_skip: so much of it. */
static bool next_record(struct run *run, struct replay_record *ret, uint8_t *bytes,
                        size_t *ret_skip)
{
    uint64_t have;
    do {
        if (!replay_read(&run->replay, &run->position, ret, bytes))
            return false;
        have = run->have[ret->stream];
    } while (ret->offset + ret->len <= have);
    *ret_skip = ret->offset < have ? (size_t)(have - ret->offset) : 0;
    return true;
}

static int send_output(struct run *run, struct rpc_call *call)
{
    static uint8_t bytes[REPLAY_RECORD_MAX];
    event_msg event = CLOISTER__EXEC__V1__EXECUTE_EVENT__INIT;
    Cloister__Exec__V1__Output output = CLOISTER__EXEC__V1__OUTPUT__INIT;
    struct replay_record record;
    size_t skip;
    if (!next_record(run, &record, bytes, &skip)) {
        run_flow(run); /* it had all of it: the program is not held back for its sake */
        return RUN_EVENTS_NONE;
    }
    if (!run_is_kept(run))
        replay_forget(&run->replay, run->position);
    output.stream = record.stream == STEP_STDERR ? CLOISTER__EXEC__V1__STREAM__STREAM_STDERR
                                                 : CLOISTER__EXEC__V1__STREAM__STREAM_STDOUT;
    output.offset = record.offset + skip;
    output.data.data = bytes + skip;
    output.data.len = record.len - skip;
    event.event_case = CLOISTER__EXEC__V1__EXECUTE_EVENT__EVENT_OUTPUT;
    event.output = &output;
    int r = send(run, call, &event);
    run_flow(run);
    return r;
}

static int send_chunk(const struct run *run, struct rpc_call *call,
                      const struct collect_chunk *chunk)
{
    event_msg event = CLOISTER__EXEC__V1__EXECUTE_EVENT__INIT;
    Cloister__Exec__V1__FileChunk file = CLOISTER__EXEC__V1__FILE_CHUNK__INIT;
    file.path = (ProtobufCBinaryData){.data = (uint8_t *)chunk->path, .len = chunk->path_len};
    file.offset = chunk->offset;
    file.size = chunk->size;
    file.data = (ProtobufCBinaryData){.data = (uint8_t *)chunk->data, .len = chunk->len};
    file.last = chunk->last;
    if (chunk->last)
        file.sha256 =
            (ProtobufCBinaryData){.data = (uint8_t *)chunk->sha256, .len = COLLECT_SHA256_LEN};
    event.event_case = CLOISTER__EXEC__V1__EXECUTE_EVENT__EVENT_FILE;
    event.file = &file;
    return send(run, call, &event);
}

/* As they come, from the sandbox. */
static int send_file(struct run *run, struct rpc_call *call)
{
    struct collect_chunk chunk;
    struct err err = {0};
    if (step_next_chunk(run->step, &chunk, &err) != COLLECT_CHUNK)
        return RUN_EVENTS_NONE;
    return send_chunk(run, call, &chunk);
}

/* Whole ones, as often as somebody comes for them. */
static int send_kept_file(struct run *run, struct rpc_call *call)
{
    static uint8_t bytes[COLLECT_CHUNK_MAX];
    struct run_keep *keep = run->keep;
    struct err err = {0};
    if (keep->file >= keep->spool.n)
        return RUN_EVENTS_NONE;
    const struct spool_file *file = &keep->spool.files[keep->file];
    uint64_t left = file->size - keep->file_offset;
    struct collect_chunk chunk = {.path = file->path,
                                  .path_len = file->path_len,
                                  .offset = keep->file_offset,
                                  .size = file->size,
                                  .data = bytes,
                                  .len = left < sizeof(bytes) ? (size_t)left : sizeof(bytes),
                                  .last = left <= sizeof(bytes),
                                  .sha256 = file->sha256};
    int r = spool_read(&keep->spool, keep->file, chunk.offset, bytes, chunk.len, &err);
    if (r < 0)
        return r;
    keep->file_offset = chunk.last ? 0 : chunk.offset + chunk.len;
    keep->file += chunk.last;
    return send_chunk(run, call, &chunk);
}

/* ---- the result ---- */

static int fill_outputs(const struct run *run, struct arena *arena, struct run_report *report)
{
    struct collect_list list = {0};
    if (run->step->collect)
        collect_list(run->step->collect, &list);
    struct run_output *outputs = arena_zalloc(arena, list.n_files + 1, sizeof(*outputs));
    struct run_skipped *skipped = arena_zalloc(arena, list.n_skipped + 2, sizeof(*skipped));
    if (!outputs || !skipped)
        return -ENOMEM;
    for (size_t i = 0; i < list.n_files; i++) {
        outputs[i].path = list.files[i].path;
        outputs[i].size = list.files[i].size;
        memcpy(outputs[i].sha256, list.files[i].sha256, sizeof(outputs[i].sha256));
    }
    size_t n = 0;
    for (; n < list.n_skipped; n++)
        skipped[n] = (struct run_skipped){.path = list.skipped[n].path,
                                          .size = list.skipped[n].size,
                                          .reason = list.skipped[n].reason};
    if (list.n_skipped_more > 0) {
        char text[64];
        snprintf(text, sizeof(text), "%lu more files", (unsigned long)list.n_skipped_more);
        skipped[n++] =
            (struct run_skipped){.path = "", .reason = arena_string(arena, text, strlen(text))};
    }
    if (list.incomplete)
        skipped[n++] = (struct run_skipped){.path = "", .reason = "collecting stopped early"};
    report->outputs = outputs;
    report->n_outputs = list.n_files;
    report->skipped = skipped;
    report->n_skipped = n;
    return 0;
}

static int over(const struct run *run, struct rpc_status *status)
{
    enum rpc_code code = rpc_code_of_verdict(run->result.verdict);
    if (run->failed)
        *status = run->status;
    else if (code == RPC_OK)
        *status = (struct rpc_status){.code = RPC_OK};
    else
        rpc_status_set(status, code, "RUN_FAILED", "%s", run->result.explanation.message);
    return RUN_EVENTS_OVER;
}

/* The report lives as long as the arena: the message borrows from it. */
static int fill_result(const struct run *run, struct arena *arena, event_msg *event)
{
    struct run_report *report = arena_zalloc(arena, 1, sizeof(*report));
    if (!report)
        return -ENOMEM;
    *report = (struct run_report){.run_id = run->id,
                                  .result = run->result,
                                  .runtime_name = run->runtime ? run->runtime->name : "",
                                  .runtime_version = run->runtime ? run->runtime->version : "",
                                  .node = run->exs->config->node,
                                  .dropped_stdout = run->dropped[STEP_STDOUT],
                                  .dropped_stderr = run->dropped[STEP_STDERR]};
    int r = fill_outputs(run, arena, report);
    event->event_case = CLOISTER__EXEC__V1__EXECUTE_EVENT__EVENT_RESULT;
    event->result = r < 0 ? NULL : run_report_to_proto(report, arena);
    return event->result ? 0 : -ENOMEM;
}

int run_events_pack_result(const struct run *run, uint8_t **ret, size_t *ret_len)
{
    AUTO_ARENA struct arena arena;
    event_msg event = CLOISTER__EXEC__V1__EXECUTE_EVENT__INIT;
    arena_init(&arena, RESULT_ARENA_MAX);
    int r = fill_result(run, &arena, &event);
    if (r < 0)
        return r;
    uint8_t *bytes = malloc(protobuf_c_message_get_packed_size(&event.base));
    if (!bytes)
        return -ENOMEM;
    *ret_len = protobuf_c_message_pack(&event.base, bytes);
    *ret = bytes;
    return 0;
}

/* The call's status goes with it: nothing follows a Result. (Packed ones are kept for those who
 * come back, and have it follow.) */
static int send_result(struct run *run, struct rpc_call *call)
{
    AUTO_ARENA struct arena arena;
    event_msg event = CLOISTER__EXEC__V1__EXECUTE_EVENT__INIT;
    struct rpc_status status;
    arena_init(&arena, RESULT_ARENA_MAX);
    run->tell_result = false;
    if (run->keep && run->keep->result) {
        int r = rpc_call_send_bytes(call, run->keep->result, run->keep->result_len);
        return r < 0 ? r : RUN_EVENTS_SENT;
    }
    int r = fill_result(run, &arena, &event);
    if (r < 0)
        return r;
    over(run, &status);
    r = rpc_call_send_last(call, &event.base, &status);
    return r < 0 ? r : RUN_EVENTS_SENT;
}

/* Until its time is up or something is there to be told after it. */
static bool is_held(const struct run *run)
{
    return run->hold.loop && run->state == RUN_RUNNING && run->n_notices == 0 &&
           replay_unread(&run->replay, run->position) == 0;
}

static int send_next(struct run *run, struct rpc_call *call, struct rpc_status *status)
{
    int r = RUN_EVENTS_NONE;
    if (run->failed)
        return over(run, status);
    if (run->tell_queued)
        return send_queued(run, call);
    if (run->tell_started)
        return is_held(run) ? RUN_EVENTS_NONE : send_started(run, call);
    if (run->n_notices > 0)
        return send_notice(run, call);
    r = send_output(run, call);
    if (r == RUN_EVENTS_NONE && run->keep)
        r = send_kept_file(run, call);
    else if (r == RUN_EVENTS_NONE && run->state == RUN_COLLECTING)
        r = send_file(run, call);
    if (r != RUN_EVENTS_NONE || run->state != RUN_ENDED)
        return r;
    return run->tell_result ? send_result(run, call) : over(run, status);
}

int run_events_send(struct run *run, struct rpc_call *call, struct rpc_status *status)
{
    int r = send_next(run, call, status);
    if (r == RUN_EVENTS_SENT)
        run->taken_us = clock_us();
    return r;
}
