#include "api/result_json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/utf8.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* ---- values ------------------------------------------------------------------------------- */

/* Every bad byte becomes one U+FFFD; NUL and other control characters are jansson's to escape. */
static json_t *text_value(const uint8_t *bytes, size_t len)
{
    if (len > SIZE_MAX / 3 - 1)
        return NULL;
    AUTO_FREE char *clean = malloc(len * 3 + 1);
    if (!clean)
        return NULL;
    size_t used = 0;
    for (size_t i = 0; i < len;) {
        size_t n = utf8_sequence(bytes + i, len - i);
        memcpy(clean + used, n ? (const char *)bytes + i : REPLACEMENT, n ? n : 3);
        used += n ? n : 3;
        i += n ? n : 1;
    }
    return json_stringn_nocheck(clean, used);
}

static json_t *string_value(const char *text)
{
    return text_value((const uint8_t *)text, strlen(text));
}

static json_t *base64_value(const uint8_t *bytes, size_t len)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (len > SIZE_MAX / 2)
        return NULL;
    size_t size = (len + 2) / 3 * 4;
    AUTO_FREE char *text = malloc(size + 1);
    if (!text)
        return NULL;
    char *out = text;
    for (size_t i = 0; i < len; i += 3) {
        uint32_t v = (uint32_t)bytes[i] << 16;
        v |= i + 1 < len ? (uint32_t)bytes[i + 1] << 8 : 0;
        v |= i + 2 < len ? bytes[i + 2] : 0;
        *out++ = alphabet[v >> 18];
        *out++ = alphabet[v >> 12 & 63];
        *out++ = i + 1 < len ? alphabet[v >> 6 & 63] : '=';
        *out++ = i + 2 < len ? alphabet[v & 63] : '=';
    }
    return json_stringn_nocheck(text, size);
}

static json_t *hex_value(const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    char text[2 * MODEL_SHA256];
    for (size_t i = 0; i < len; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    return json_stringn_nocheck(text, 2 * len);
}

static json_t *number(uint64_t value)
{
    return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

/* json_object_set_new() takes the value also when it fails, and refuses NULL: check at the end. */
static bool put(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new_nocheck(object, key, value) == 0;
}

/* ---- members ------------------------------------------------------------------------------ */

static json_t *limits_hit_value(const struct run_result *r)
{
    json_t *list = json_array();
    for (int id = 0; list && id < LIMIT_COUNT; id++) {
        if (r->limits_hit & (UINT32_C(1) << id))
            json_array_append_new(list, json_string(limit_info((enum limit_id)id)->name));
    }
    return list;
}

static json_t *refusals_value(const struct run_result *r)
{
    json_t *list = json_array();
    for (int op = 0; list && op < REFUSAL_COUNT; op++) {
        if (r->refusals[op] == 0)
            continue;
        json_array_append_new(list, json_pack("{s:s, s:I, s:s}", "operation",
                                              refusal_name((enum refusal_op)op), "count",
                                              (json_int_t)r->refusals[op], "message",
                                              refusal_message((enum refusal_op)op)));
    }
    return list;
}

static json_t *explanation_value(const struct run_result *r)
{
    bool limited = r->explanation.limit >= 0 && r->explanation.limit < LIMIT_COUNT;
    json_t *object = json_object();
    const char *limit = limited ? limit_info((enum limit_id)r->explanation.limit)->name : NULL;
    bool ok =
        put(object, "limit", limit ? json_string(limit) : json_null()) &&
        put(object, "configured", limited ? number(r->explanation.configured) : json_null()) &&
        put(object, "observed", limited ? number(r->explanation.observed) : json_null()) &&
        put(object, "detected_by", string_value(r->explanation.detected_by)) &&
        put(object, "message", string_value(run_message(r)));
    if (ok)
        return object;
    json_decref(object);
    return NULL;
}

static json_t *usage_value(const struct run_result *r)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "cpu_user_ms",
                     number(r->usage.cpu_user_us / 1000), "cpu_system_ms",
                     number(r->usage.cpu_system_us / 1000), "wall_ms",
                     number(r->usage.wall_us / 1000), "memory_peak_bytes",
                     number(r->usage.memory_peak_bytes), "processes_peak",
                     number(r->usage.processes_peak));
}

static json_t *timing_value(const struct run_result *r)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "queued", number(r->timing.queued),
                     "slot", number(r->timing.slot), "files_in", number(r->timing.files_in),
                     "spawn", number(r->timing.spawn), "run", number(r->timing.run), "collect",
                     number(r->timing.collect), "total", number(r->timing.total), "compile",
                     number(r->timing.compile));
}

static json_t *layers_value(const struct run_result *r)
{
    json_t *list = json_array();
    if (!r->layers && !r->layers_missing)
        return list; /* there was no sandbox */
    for (int id = 0; list && id < LAYER_COUNT; id++)
        json_array_append_new(list, json_pack("{s:s, s:b, s:s}", "name", layer_name((enum layer)id),
                                              "active", (r->layers & LAYER_BIT(id)) != 0, "detail",
                                              run_layer_detail(r, (enum layer)id)));
    return list;
}

static bool is_utf8(const char *text)
{
    size_t len = strlen(text);
    for (size_t n; len > 0; text += n, len -= n) {
        n = utf8_sequence(text, len);
        if (n == 0)
            return false;
    }
    return true;
}

static json_t *output_value(const struct run_output *output)
{
    json_t *object = json_object();
    bool ok = is_utf8(output->path)
                  ? put(object, "path", string_value(output->path))
                  : put(object, "path_base64",
                        base64_value((const uint8_t *)output->path, strlen(output->path)));
    ok = ok && put(object, "size", number(output->size)) &&
         put(object, "sha256", hex_value(output->sha256, MODEL_SHA256));
    if (ok && output->content)
        ok = put(object, "content_base64", base64_value(output->content, (size_t)output->size));
    if (ok)
        return object;
    json_decref(object);
    return NULL;
}

static json_t *outputs_value(const struct run_report *report)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < report->n_outputs; i++) {
        if (json_array_append_new(list, output_value(&report->outputs[i])) == 0)
            continue;
        json_decref(list);
        return NULL;
    }
    return list;
}

static bool put_exit(json_t *object, const struct run_result *r)
{
    const char *name = r->term_signal > 0 ? signal_name(r->term_signal) : NULL;
    bool exited = r->term_signal == 0 && r->exit_code >= 0;
    return put(object, "exit_code", exited ? json_integer(r->exit_code) : json_null()) &&
           put(object, "signal", name ? json_string(name) : json_null());
}

static bool put_streams(json_t *object, const struct run_report *report,
                        const struct run_streams *s)
{
    return put(object, "stdout", text_value(s->out, s->out_len)) &&
           put(object, "stderr", text_value(s->err, s->err_len)) &&
           put(object, "stdout_base64", base64_value(s->out, s->out_len)) &&
           put(object, "stderr_base64", base64_value(s->err, s->err_len)) &&
           put(object, "dropped",
               json_pack("{s:o, s:o}", "stdout", number(report->dropped_stdout), "stderr",
                         number(report->dropped_stderr)));
}

static bool put_runtime(json_t *object, const struct run_report *report)
{
    const char *name = report->runtime_name, *version = report->runtime_version;
    bool named = name && name[0];
    return put(object, "runtime",
               json_pack("{s:o, s:o}", "name", named ? string_value(name) : json_null(), "version",
                         named && version ? string_value(version) : json_null()));
}

/* Return: the object, or NULL without memory. */
static json_t *report_value(const struct run_report *report, const struct run_streams *streams)
{
    const struct run_result *r = &report->result;
    const char *verdict = verdict_name(r->verdict);
    json_t *object = json_object();
    bool ok = put(object, "run_id", string_value(report->run_id)) &&
              put(object, "verdict", verdict ? json_string(verdict) : json_null()) &&
              put_exit(object, r) && put_streams(object, report, streams) &&
              put(object, "limits_hit", limits_hit_value(r)) &&
              put(object, "refusals", refusals_value(r)) &&
              put(object, "explanation", explanation_value(r)) &&
              put(object, "usage", usage_value(r)) && put(object, "timing_us", timing_value(r)) &&
              put(object, "start", json_string(r->start == RUN_START_WARM ? "warm" : "cold")) &&
              put(object, "layers", layers_value(r)) && put_runtime(object, report) &&
              put(object, "node", string_value(report->node)) &&
              put(object, "outputs", outputs_value(report));
    if (ok)
        return object;
    json_decref(object);
    return NULL;
}

int result_json(const struct run_report *report, const struct run_streams *streams, char **ret,
                struct err *err)
{
    json_t *object = report_value(report, streams);
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    if (!text)
        return err_set(err, -ENOMEM, "result as JSON: %m");
    *ret = text;
    return 0;
}

int result_json_print(FILE *file, const struct run_report *report,
                      const struct run_streams *streams, struct err *err)
{
    AUTO_FREE char *text = NULL;
    int rc = result_json(report, streams, &text, err);
    if (rc < 0)
        return rc;
    if (fprintf(file, "%s\n", text) < 0 || fflush(file) != 0)
        return err_set(err, -EIO, "write the result: %m");
    return 0;
}

void result_json_failure(enum verdict verdict, const char *message, struct run_report *ret)
{
    *ret = (struct run_report){.run_id = "", .runtime_name = "", .runtime_version = "", .node = ""};
    ret->result.verdict = verdict;
    ret->result.exit_code = -1;
    ret->result.explanation.limit = -1;
    snprintf(ret->result.explanation.message, sizeof(ret->result.explanation.message), "%s",
             message);
}
