#include "cli/top_view.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/result.h"
#include "cli/top_figures.h"

#define LINE_SIZE   400
#define LABELS_SIZE 120
#define STATE(name) CLOISTER__EXEC__V1__RUN_SUMMARY__STATE__STATE_##name
#define REVERSE     "\033[7m"
#define PLAIN       "\033[m"
#define CLEAR_LINE  "\033[K"
#define CLEAR_REST  "\033[J"

/* What is on the page so far. */
struct writing {
    const struct top_page *page;
    uint32_t rows;
};

/* Names and labels are other people's: nothing that a terminal would obey, one column a byte. */
static void make_printable(char *text)
{
    for (; *text; text++) {
        if (*text < ' ' || *text > '~')
            *text = '?';
    }
}

static bool has_room(const struct writing *w, uint32_t lines)
{
    return !w->page->screen || w->rows + lines <= w->page->rows;
}

static void put_line(struct writing *w, const char *style, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void put_line(struct writing *w, const char *style, const char *format, ...)
{
    char line[LINE_SIZE];
    if (!has_room(w, 1))
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    make_printable(line);
    if (!w->page->screen) {
        fprintf(w->page->out, "%s\n", line);
        return;
    }
    if (w->page->cols < sizeof(line))
        line[w->page->cols] = '\0';
    fprintf(w->page->out, "%s%s%s%s" CLEAR_LINE, w->rows ? "\n" : "", style, line,
            style[0] ? PLAIN : "");
    w->rows++;
}

struct words {
    char text[24];
};

static struct words age(uint64_t ms)
{
    struct words words;
    uint64_t s = ms / 1000;
    if (s < 60)
        snprintf(words.text, sizeof(words.text), "%" PRIu64 "s", s);
    else if (s < 3600)
        snprintf(words.text, sizeof(words.text), "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
    else if (s < 48 * 3600)
        snprintf(words.text, sizeof(words.text), "%" PRIu64 "h%02" PRIu64 "m", s / 3600,
                 s / 60 % 60);
    else
        snprintf(words.text, sizeof(words.text), "%" PRIu64 "d%02" PRIu64 "h", s / 86400,
                 s / 3600 % 24);
    return words;
}

static struct words size(uint64_t bytes)
{
    struct words words;
    double mib = (double)bytes / (1 << 20);
    if (mib < 1024)
        snprintf(words.text, sizeof(words.text), "%.1fM", mib);
    else
        snprintf(words.text, sizeof(words.text), "%.1fG", mib / 1024);
    return words;
}

static struct words percent(double value)
{
    struct words words = {"-"};
    if (value >= 0)
        snprintf(words.text, sizeof(words.text), "%.0f%%", value);
    return words;
}

static struct words place(const top_run *run)
{
    struct words words;
    if (run->state == STATE(QUEUED))
        snprintf(words.text, sizeof(words.text), "queued %u", run->queue_position);
    else
        snprintf(words.text, sizeof(words.text), "%s", top_state_name(run));
    return words;
}

/* "EXITED 12, MEMORY_LIMIT 1" */
static void put_verdicts(struct writing *w, const struct top_figures *figures)
{
    const top_stats *stats = top_newest(figures);
    char text[LINE_SIZE] = "";
    size_t at = 0;
    for (size_t i = 0; i < stats->n_verdicts && at < sizeof(text) - 48; i++) {
        int verdict = (int)stats->verdicts[i]->verdict - 1;
        if (verdict < 0 || verdict >= VERDICT_COUNT)
            continue;
        int n = snprintf(text + at, sizeof(text) - at, "%s%s %" PRIu64, at ? ", " : ": ",
                         verdict_name((enum verdict)verdict), stats->verdicts[i]->count);
        at += n > 0 ? (size_t)n : 0;
    }
    put_line(w, "", "so far     %" PRIu64 " runs, %.1f a second%s", stats->runs_total,
             top_runs_per_s(figures), text);
}

static void put_node(struct writing *w, const Cloister__Exec__V1__NodeInfo *info,
                     const struct top_figures *figures)
{
    const top_stats *stats = top_newest(figures);
    const char *state = stats->draining ? "draining" : stats->ready ? "ready" : "not ready";
    put_line(w, "", "cloister top: node %s, up %s, %s%s", info->node, age(stats->uptime_ms).text,
             state, w->page->screen ? " (q ends)" : "");
    put_line(w, "", "runs       %u of %u at once", stats->running, info->running_max);
    put_line(w, "", "queue      %u waiting of at most %u; lately %" PRIu64 " ms", stats->queued,
             info->queue_max, stats->queue_wait_ms_avg);
    put_line(w, "", "sandboxes  %u busy, %u made, at most %u; %u sessions", stats->slots_busy,
             stats->slots_made, info->slots_max, stats->sessions);
    put_line(w, "", "memory     %s of %s; %" PRIu64 " killed because the node was full",
             size(stats->memory_bytes).text, size(stats->memory_limit_bytes).text,
             stats->oom_kills);
    put_verdicts(w, figures);
    put_line(w, "", "%s", "");
}

static void labels_text(const top_run *run, char *text, size_t text_size)
{
    size_t at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < run->n_labels && at < text_size - 1; i++) {
        int n = snprintf(text + at, text_size - at, "%s%s=%s", at ? " " : "", run->labels[i]->key,
                         run->labels[i]->value);
        at += n > 0 ? (size_t)n : 0;
    }
}

static void put_run(struct writing *w, const struct top_figures *figures, const top_run *run)
{
    char labels[LABELS_SIZE];
    labels_text(run, labels, sizeof(labels));
    if (run->state == STATE(QUEUED)) {
        put_line(w, "", "%-10s %7s %5s %8s %8s %-10.10s %-16.16s %s  %s", place(run).text,
                 age(run->age_ms).text, "", "", "", run->runtime, run->tenant, run->run_id, labels);
        return;
    }
    put_line(w, "", "%-10s %7s %5s %7.1fs %8s %-10.10s %-16.16s %s  %s", place(run).text,
             age(run->age_ms).text, percent(top_cpu_percent(figures, run)).text,
             (double)run->cpu_ms / 1000, size(run->memory_bytes).text, run->runtime, run->tenant,
             run->run_id, labels);
}

static void put_runs(struct writing *w, const struct top_figures *figures)
{
    const top_stats *stats = top_newest(figures);
    size_t all = (size_t)stats->running + stats->queued, shown = 0;
    size_t others = all > stats->n_runs ? all - stats->n_runs : 0;
    uint32_t below = others > 0 ? 1 : 0;
    if (stats->n_runs > 0)
        put_line(w, w->page->screen ? REVERSE : "", "%-10s %7s %5s %8s %8s %-10s %-16s %-32s  %s",
                 "STATE", "AGE", "CPU%", "CPU", "MEMORY", "RUNTIME", "TENANT", "RUN", "LABELS");
    for (; shown < stats->n_runs; shown++) {
        bool is_last = shown + 1 == stats->n_runs;
        if (!has_room(w, 1 + below + !is_last))
            break;
        put_run(w, figures, stats->runs[shown]);
    }
    if (shown < stats->n_runs)
        put_line(w, "", "... and %zu more", stats->n_runs - shown);
    if (others > 0)
        put_line(w, "", "%zu %s of others: theirs to see, and the operator's", others,
                 others == 1 ? "run" : "runs");
    else if (stats->n_runs == 0)
        put_line(w, "", "nothing runs");
}

void top_view_print(const struct top_page *page, const Cloister__Exec__V1__NodeInfo *info,
                    const struct top_figures *figures)
{
    struct writing w = {.page = page};
    if (!top_newest(figures))
        return;
    put_node(&w, info, figures);
    put_runs(&w, figures);
    if (page->screen)
        fputs(CLEAR_REST, page->out);
}
