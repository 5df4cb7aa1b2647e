#include <errno.h>
#include <jansson.h>

#include "base/err.h"
#include "base/result.h"
#include "cli/top_figures.h"
#include "cli/top_view.h"

static json_t *verdicts_json(const top_stats *stats)
{
    json_t *object = json_object();
    for (size_t i = 0; i < stats->n_verdicts; i++) {
        int verdict = (int)stats->verdicts[i]->verdict - 1;
        if (verdict >= 0 && verdict < VERDICT_COUNT)
            json_object_set_new(object, verdict_name((enum verdict)verdict),
                                json_integer((json_int_t)stats->verdicts[i]->count));
    }
    return object;
}

static json_t *run_json(const struct top_figures *figures, const top_run *run)
{
    json_t *labels = json_object();
    for (size_t i = 0; i < run->n_labels; i++)
        json_object_set_new(labels, run->labels[i]->key, json_string(run->labels[i]->value));
    double percent = top_cpu_percent(figures, run);
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:o, s:I, s:o}", "run_id", run->run_id,
                     "tenant", run->tenant, "runtime", run->runtime, "state", top_state_name(run),
                     "queue_position", (json_int_t)run->queue_position, "age_ms",
                     (json_int_t)run->age_ms, "cpu_ms", (json_int_t)run->cpu_ms, "cpu_percent",
                     percent < 0 ? json_null() : json_real(percent), "memory_bytes",
                     (json_int_t)run->memory_bytes, "labels", labels);
}

static json_t *node_json(const Cloister__Exec__V1__NodeInfo *info,
                         const struct top_figures *figures, json_t *runs)
{
    const top_stats *stats = top_newest(figures);
    return json_pack(
        "{s:s, s:I, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f,"
        " s:I, s:o, s:o}",
        "node", info->node, "uptime_ms", (json_int_t)stats->uptime_ms, "ready", stats->ready,
        "draining", stats->draining, "running", (json_int_t)stats->running, "running_max",
        (json_int_t)info->running_max, "queued", (json_int_t)stats->queued, "queue_max",
        (json_int_t)info->queue_max, "sessions", (json_int_t)stats->sessions, "slots_busy",
        (json_int_t)stats->slots_busy, "slots_made", (json_int_t)stats->slots_made, "slots_max",
        (json_int_t)info->slots_max, "memory_bytes", (json_int_t)stats->memory_bytes,
        "memory_limit_bytes", (json_int_t)stats->memory_limit_bytes, "oom_kills",
        (json_int_t)stats->oom_kills, "runs_total", (json_int_t)stats->runs_total, "runs_per_s",
        top_runs_per_s(figures), "queue_wait_ms_avg", (json_int_t)stats->queue_wait_ms_avg,
        "verdicts", verdicts_json(stats), "runs", runs);
}

int top_json_print(FILE *out, const Cloister__Exec__V1__NodeInfo *info,
                   const struct top_figures *figures, struct err *err)
{
    const top_stats *stats = top_newest(figures);
    json_t *runs = json_array();
    for (size_t i = 0; i < stats->n_runs; i++)
        json_array_append_new(runs, run_json(figures, stats->runs[i]));
    json_t *object = node_json(info, figures, runs);
    if (!object)
        return err_set(err, -ENOMEM, "no memory for the JSON");
    int rc = json_dumpf(object, out, JSON_REAL_PRECISION(6));
    json_decref(object);
    if (rc == 0 && (fputc('\n', out) == EOF || fflush(out) != 0))
        rc = -1;
    return rc == 0 ? 0 : err_set(err, errno ? -errno : -EIO, "write: %m");
}
