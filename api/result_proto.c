#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/proto_model.h"
#include "api/proto_parts.h"
#include "api/text.h"
#include "base/err.h"

typedef Cloister__Exec__V1__Result pb_result;

/* ---- out ---------------------------------------------------------------------------------- */

/* A `string` that is not UTF-8 would break strict clients. */
static char *clean_text(const char *text, struct arena *arena)
{
    char *copy = arena_string(arena, text, strlen(text));
    if (copy)
        text_clean(copy);
    return copy;
}

static bool put_limits_hit(const struct run_result *r, struct arena *arena, pb_result *out)
{
    out->limits_hit = arena_zalloc(arena, LIMIT_COUNT, sizeof(*out->limits_hit));
    if (!out->limits_hit)
        return false;
    for (int id = 0; id < LIMIT_COUNT; id++) {
        if (r->limits_hit & (UINT32_C(1) << id))
            out->limits_hit[out->n_limits_hit++] = proto_text(limit_info((enum limit_id)id)->name);
    }
    return true;
}

static bool put_refusals(const struct run_result *r, struct arena *arena, pb_result *out)
{
    out->refusals = proto_array(arena, REFUSAL_COUNT, sizeof(**out->refusals));
    if (!out->refusals)
        return false;
    for (int op = 0; op < REFUSAL_COUNT; op++) {
        if (r->refusals[op] == 0)
            continue;
        Cloister__Exec__V1__Refusal *refusal = out->refusals[out->n_refusals++];
        cloister__exec__v1__refusal__init(refusal);
        refusal->operation = proto_text(refusal_name((enum refusal_op)op));
        refusal->count = r->refusals[op];
        refusal->message = proto_text(refusal_message((enum refusal_op)op));
    }
    return true;
}

static bool put_layers(const struct run_result *r, struct arena *arena, pb_result *out)
{
    out->layers = proto_array(arena, LAYER_COUNT, sizeof(**out->layers));
    if (!out->layers)
        return false;
    out->n_layers = LAYER_COUNT;
    for (int id = 0; id < LAYER_COUNT; id++) {
        Cloister__Exec__V1__Layer *layer = out->layers[id];
        cloister__exec__v1__layer__init(layer);
        layer->name = proto_text(layer_name((enum layer)id));
        layer->active = (r->layers & LAYER_BIT(id)) != 0;
        layer->missing = (r->layers_missing & LAYER_BIT(id)) != 0;
        layer->detail = proto_text(run_layer_detail(r, (enum layer)id));
    }
    return true;
}

static bool put_outputs(const struct run_report *report, struct arena *arena, pb_result *out)
{
    out->outputs = proto_array(arena, report->n_outputs, sizeof(**out->outputs));
    out->outputs_skipped = proto_array(arena, report->n_skipped, sizeof(**out->outputs_skipped));
    if (!out->outputs || !out->outputs_skipped)
        return false;
    out->n_outputs = report->n_outputs;
    out->n_outputs_skipped = report->n_skipped;
    for (size_t i = 0; i < report->n_outputs; i++) {
        cloister__exec__v1__output_file__init(out->outputs[i]);
        out->outputs[i]->path = proto_text_bytes(report->outputs[i].path);
        out->outputs[i]->size = report->outputs[i].size;
        out->outputs[i]->sha256 = proto_bytes(report->outputs[i].sha256, MODEL_SHA256);
    }
    for (size_t i = 0; i < report->n_skipped; i++) {
        cloister__exec__v1__skipped_file__init(out->outputs_skipped[i]);
        out->outputs_skipped[i]->path = proto_text_bytes(report->skipped[i].path);
        out->outputs_skipped[i]->size = report->skipped[i].size;
        out->outputs_skipped[i]->reason = proto_text(report->skipped[i].reason);
    }
    return true;
}

static bool put_explanation(const struct run_result *r, struct arena *arena, pb_result *out)
{
    Cloister__Exec__V1__Explanation *e = arena_alloc(arena, sizeof(*e));
    if (!e)
        return false;
    cloister__exec__v1__explanation__init(e);
    bool limited = r->explanation.limit >= 0 && r->explanation.limit < LIMIT_COUNT;
    if (limited) {
        e->limit = proto_text(limit_info((enum limit_id)r->explanation.limit)->name);
        e->configured = r->explanation.configured;
        e->observed = r->explanation.observed;
    }
    e->detected_by = proto_text(r->explanation.detected_by);
    e->message = clean_text(run_message(r), arena);
    out->explanation = e;
    return e->message != NULL;
}

static bool put_numbers(const struct run_result *r, struct arena *arena, pb_result *out)
{
    Cloister__Exec__V1__Usage *usage = arena_alloc(arena, sizeof(*usage));
    Cloister__Exec__V1__Timing *timing = arena_alloc(arena, sizeof(*timing));
    if (!usage || !timing)
        return false;
    cloister__exec__v1__usage__init(usage);
    usage->cpu_user_us = r->usage.cpu_user_us;
    usage->cpu_system_us = r->usage.cpu_system_us;
    usage->wall_us = r->usage.wall_us;
    usage->memory_peak_bytes = r->usage.memory_peak_bytes;
    usage->processes_peak = r->usage.processes_peak;
    out->usage = usage;
    cloister__exec__v1__timing__init(timing);
    timing->queued_us = r->timing.queued;
    timing->slot_us = r->timing.slot;
    timing->files_in_us = r->timing.files_in;
    timing->spawn_us = r->timing.spawn;
    timing->run_us = r->timing.run;
    timing->collect_us = r->timing.collect;
    timing->total_us = r->timing.total;
    timing->compile_us = r->timing.compile;
    timing->compile_cached = r->compile_cached;
    out->timing = timing;
    return true;
}

static bool put_runtime(const struct run_report *report, struct arena *arena, pb_result *out)
{
    if (!report->runtime_name || !report->runtime_name[0])
        return true;
    out->runtime = arena_alloc(arena, sizeof(*out->runtime));
    if (!out->runtime)
        return false;
    cloister__exec__v1__runtime_version__init(out->runtime);
    out->runtime->name = proto_text(report->runtime_name);
    out->runtime->version = clean_text(proto_text(report->runtime_version), arena);
    return out->runtime->version != NULL;
}

static void put_exit(const struct run_result *r, pb_result *out)
{
    if (r->term_signal > 0 && signal_name(r->term_signal)) {
        out->exit_case = CLOISTER__EXEC__V1__RESULT__EXIT_SIGNAL;
        out->signal = proto_text(signal_name(r->term_signal));
    } else if (r->exit_code >= 0) {
        out->exit_case = CLOISTER__EXEC__V1__RESULT__EXIT_EXIT_CODE;
        out->exit_code = (uint32_t)r->exit_code;
    }
}

Cloister__Exec__V1__Result *run_report_to_proto(const struct run_report *report,
                                                struct arena *arena)
{
    const struct run_result *r = &report->result;
    pb_result *out = arena_alloc(arena, sizeof(*out));
    if (!out)
        return NULL;
    cloister__exec__v1__result__init(out);
    out->run_id = proto_text(report->run_id);
    out->verdict = (Cloister__Exec__V1__Verdict)(r->verdict + 1); /* 0 is UNSPECIFIED there */
    out->start = r->start == RUN_START_WARM ? CLOISTER__EXEC__V1__START__START_WARM
                                            : CLOISTER__EXEC__V1__START__START_COLD;
    out->node = proto_text(report->node);
    out->dropped_stdout_bytes = report->dropped_stdout;
    out->dropped_stderr_bytes = report->dropped_stderr;
    out->launcher = proto_text(r->launcher);
    put_exit(r, out);
    if (!put_limits_hit(r, arena, out) || !put_refusals(r, arena, out) ||
        !put_layers(r, arena, out) || !put_outputs(report, arena, out) ||
        !put_explanation(r, arena, out) || !put_numbers(r, arena, out) ||
        !put_runtime(report, arena, out))
        return NULL;
    return out;
}

/* ---- in ----------------------------------------------------------------------------------- */

static void get_sets(const pb_result *in, struct run_result *r)
{
    for (size_t i = 0; i < in->n_limits_hit; i++) {
        int id = limit_by_name(in->limits_hit[i]);
        if (id >= 0)
            r->limits_hit |= UINT32_C(1) << id;
    }
    for (size_t i = 0; i < in->n_refusals; i++) {
        for (int op = 0; op < REFUSAL_COUNT; op++) {
            if (strcmp(refusal_name((enum refusal_op)op), in->refusals[i]->operation) == 0)
                r->refusals[op] = in->refusals[i]->count;
        }
    }
    for (size_t i = 0; i < in->n_layers; i++) {
        int id = layer_by_name(in->layers[i]->name);
        if (id < 0)
            continue;
        r->layers |= in->layers[i]->active ? LAYER_BIT(id) : 0;
        r->layers_missing |= in->layers[i]->missing ? LAYER_BIT(id) : 0;
    }
}

static void get_explanation(const Cloister__Exec__V1__Explanation *in, struct run_result *r)
{
    r->explanation.limit = -1;
    if (!in)
        return;
    r->explanation.limit = limit_by_name(in->limit);
    r->explanation.configured = in->configured;
    r->explanation.observed = in->observed;
    snprintf(r->explanation.detected_by, sizeof(r->explanation.detected_by), "%s", in->detected_by);
    snprintf(r->explanation.message, sizeof(r->explanation.message), "%s", in->message);
}

static void get_numbers(const pb_result *in, struct run_result *r)
{
    if (in->usage)
        r->usage = (struct run_usage){
            .cpu_user_us = in->usage->cpu_user_us,
            .cpu_system_us = in->usage->cpu_system_us,
            .wall_us = in->usage->wall_us,
            .memory_peak_bytes = in->usage->memory_peak_bytes,
            .processes_peak = in->usage->processes_peak,
        };
    if (in->timing)
        r->timing = (struct run_timing){
            .queued = in->timing->queued_us,
            .slot = in->timing->slot_us,
            .files_in = in->timing->files_in_us,
            .spawn = in->timing->spawn_us,
            .run = in->timing->run_us,
            .collect = in->timing->collect_us,
            .total = in->timing->total_us,
            .compile = in->timing->compile_us,
        };
    r->compile_cached = in->timing && in->timing->compile_cached;
}

static void get_exit(const pb_result *in, struct run_result *r)
{
    r->exit_code = -1;
    if (in->exit_case == CLOISTER__EXEC__V1__RESULT__EXIT_EXIT_CODE && in->exit_code <= 255)
        r->exit_code = (int)in->exit_code;
    if (in->exit_case != CLOISTER__EXEC__V1__RESULT__EXIT_SIGNAL)
        return;
    int signo = signal_by_name(in->signal);
    r->term_signal = signo > 0 ? signo : 0;
}

static bool get_outputs(const pb_result *in, struct arena *arena, struct run_report *ret)
{
    struct run_output *outputs = arena_zalloc(arena, in->n_outputs, sizeof(*outputs));
    struct run_skipped *skipped = arena_zalloc(arena, in->n_outputs_skipped, sizeof(*skipped));
    if (!outputs || !skipped)
        return false;
    for (size_t i = 0; i < in->n_outputs; i++) {
        const Cloister__Exec__V1__OutputFile *file = in->outputs[i];
        outputs[i].path = arena_string(arena, file->path.data, file->path.len);
        outputs[i].size = file->size;
        if (!outputs[i].path)
            return false;
        if (file->sha256.len == MODEL_SHA256)
            memcpy(outputs[i].sha256, file->sha256.data, MODEL_SHA256);
    }
    for (size_t i = 0; i < in->n_outputs_skipped; i++) {
        const Cloister__Exec__V1__SkippedFile *file = in->outputs_skipped[i];
        skipped[i].path = arena_string(arena, file->path.data, file->path.len);
        skipped[i].size = file->size;
        skipped[i].reason = file->reason;
        if (!skipped[i].path)
            return false;
    }
    ret->outputs = outputs;
    ret->n_outputs = in->n_outputs;
    ret->skipped = skipped;
    ret->n_skipped = in->n_outputs_skipped;
    return true;
}

int run_report_from_proto(const Cloister__Exec__V1__Result *message, struct arena *arena,
                          struct run_report *ret, struct err *err)
{
    int verdict = (int)message->verdict - 1;
    if (verdict < 0 || verdict >= VERDICT_COUNT)
        return err_set(err, -EBADMSG, "the service sent a verdict unknown here (%d)",
                       (int)message->verdict);
    struct run_report report = {
        .run_id = message->run_id,
        .runtime_name = message->runtime ? message->runtime->name : "",
        .runtime_version = message->runtime ? message->runtime->version : "",
        .node = message->node,
        .dropped_stdout = message->dropped_stdout_bytes,
        .dropped_stderr = message->dropped_stderr_bytes,
        .result.verdict = (enum verdict)verdict,
        .result.start = message->start == CLOISTER__EXEC__V1__START__START_WARM ? RUN_START_WARM
                                                                                : RUN_START_COLD,
    };
    get_exit(message, &report.result);
    get_sets(message, &report.result);
    get_explanation(message->explanation, &report.result);
    get_numbers(message, &report.result);
    snprintf(report.result.launcher, sizeof(report.result.launcher), "%s", message->launcher);
    if (!get_outputs(message, arena, &report))
        return err_set(err, -ENOMEM, "the result needs too much memory");
    *ret = report;
    return 0;
}
