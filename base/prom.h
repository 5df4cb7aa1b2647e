#pragma once
/*
 * Prometheus' text form 0.0.4, as both services write it. A family is announced once, its samples
 * follow at once. Names and labels are from fixed sets in the code; whatever else becomes the value
 * of a label goes through prom_label(). Faults of the stream show when it is closed.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/** prom_family() - "# HELP" and "# TYPE"; @type is counter, gauge or histogram. */
void prom_family(FILE *out, const char *name, const char *type, const char *help);

/** prom_value(), prom_count() - a sample; @labels is `a="b",c="d"`, or "" for none. */
void prom_value(FILE *out, const char *name, const char *labels, double value);
void prom_count(FILE *out, const char *name, const char *labels, uint64_t value);

/** prom_single() - a family of one sample without labels. */
void prom_single(FILE *out, const char *name, const char *type, const char *help, double value);

/** prom_label() - escape @value for between quotes; cut to fit @buf. Return: @buf. */
const char *prom_label(const char *value, char *buf, size_t size);

/* Upper bounds in seconds, ascending; what is above the last one counts as "+Inf". */
struct prom_bounds {
    const double *v;
    size_t n;
};

/** prom_bucket() - the index in counts[0 .. bounds->n] that @seconds belongs to. */
size_t prom_bucket(const struct prom_bounds *bounds, double seconds);

/** prom_histogram() - all samples of one histogram; @counts has bounds->n + 1 entries, each of its
 * own bucket alone. */
void prom_histogram(FILE *out, const char *name, const char *labels,
                    const struct prom_bounds *bounds, const uint64_t *counts, double sum);

/** prom_process() - the families process_* of the calling process. */
void prom_process(FILE *out);
