#include "base/prom.h"

#include <string.h>

#include "base/process.h"

#define LABELS_MAX 512

void prom_family(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void sample_head(FILE *out, const char *name, const char *labels)
{
    if (*labels)
        fprintf(out, "%s{%s} ", name, labels);
    else
        fprintf(out, "%s ", name);
}

void prom_value(FILE *out, const char *name, const char *labels, double value)
{
    sample_head(out, name, labels);
    fprintf(out, "%.15g\n", value);
}

void prom_count(FILE *out, const char *name, const char *labels, uint64_t value)
{
    sample_head(out, name, labels);
    fprintf(out, "%llu\n", (unsigned long long)value);
}

void prom_single(FILE *out, const char *name, const char *type, const char *help, double value)
{
    prom_family(out, name, type, help);
    prom_value(out, name, "", value);
}

const char *prom_label(const char *value, char *buf, size_t size)
{
    size_t n = 0;
    for (; *value && n + 2 < size; value++) {
        if (*value == '\\' || *value == '"' || *value == '\n')
            buf[n++] = '\\';
        buf[n++] = *value == '\n' ? 'n' : *value;
    }
    buf[n] = '\0';
    return buf;
}

size_t prom_bucket(const struct prom_bounds *bounds, double seconds)
{
    size_t i = 0;
    while (i < bounds->n && seconds > bounds->v[i])
        i++;
    return i;
}

static void bucket(FILE *out, const char *name, const char *labels, const char *bound, uint64_t n)
{
    fprintf(out, "%s_bucket{%s%sle=\"%s\"} %llu\n", name, labels, *labels ? "," : "", bound,
            (unsigned long long)n);
}

void prom_histogram(FILE *out, const char *name, const char *labels,
                    const struct prom_bounds *bounds, const uint64_t *counts, double sum)
{
    char text[LABELS_MAX];
    uint64_t upto = 0;
    for (size_t i = 0; i < bounds->n; i++) {
        upto += counts[i];
        snprintf(text, sizeof(text), "%g", bounds->v[i]);
        bucket(out, name, labels, text, upto);
    }
    upto += counts[bounds->n];
    bucket(out, name, labels, "+Inf", upto);
    snprintf(text, sizeof(text), "%s_sum", name);
    prom_value(out, text, labels, sum);
    snprintf(text, sizeof(text), "%s_count", name);
    prom_count(out, text, labels, upto);
}

void prom_process(FILE *out)
{
    struct process_usage usage;
    process_usage(&usage);
    prom_single(out, "process_resident_memory_bytes", "gauge", "Resident memory",
                (double)usage.rss_bytes);
    prom_single(out, "process_cpu_seconds_total", "counter", "CPU time, user and system",
                (double)usage.cpu_us / 1e6);
    prom_single(out, "process_threads", "gauge", "Threads", (double)usage.threads);
    prom_single(out, "process_open_fds", "gauge", "Open file descriptors", (double)usage.fds_open);
    prom_single(out, "process_max_fds", "gauge", "Limit of file descriptors",
                (double)usage.fds_max);
}
