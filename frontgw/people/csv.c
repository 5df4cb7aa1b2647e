#include "frontgw/people/csv.h"

#include <errno.h>
#include <string.h>

void csv_init(struct csv *csv, const char *text, size_t len)
{
    memset(csv, 0, sizeof(*csv));
    if (!text)
        text = ""; /* an empty body has no bytes to point at */
    csv->at = text;
    csv->end = text + len;
    csv->line = 1;
    if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
        csv->at += 3;
    const char *line_end = memchr(csv->at, '\n', (size_t)(csv->end - csv->at));
    size_t first = (size_t)((line_end ? line_end : csv->end) - csv->at);
    csv->separator = memchr(csv->at, ';', first) && !memchr(csv->at, ',', first) ? ';' : ',';
}

static int put(struct csv *csv, size_t *len, char c, struct err *err)
{
    if (!c)
        return err_set(err, -EINVAL, "line %u: a NUL byte", csv->line);
    if (*len >= CSV_FIELD_MAX)
        return err_set(err, -EINVAL, "line %u: a field is longer than %d bytes", csv->line,
                       CSV_FIELD_MAX);
    csv->fields[csv->n_fields][(*len)++] = c;
    return 0;
}

/* After the opening quote, up to and with the closing one. */
static int quoted(struct csv *csv, size_t *len, struct err *err)
{
    unsigned began = csv->line;
    for (; csv->at < csv->end; csv->at++) {
        if (*csv->at == '"' && csv->at + 1 < csv->end && csv->at[1] == '"') {
            csv->at++;
        } else if (*csv->at == '"') {
            csv->at++;
            return 0;
        }
        csv->line += *csv->at == '\n';
        int r = put(csv, len, *csv->at, err);
        if (r)
            return r;
    }
    return err_set(err, -EINVAL, "line %u: a quote is never closed", began);
}

static int field(struct csv *csv, struct err *err)
{
    size_t len = 0;
    int r = 0;
    if (csv->n_fields >= CSV_FIELDS_MAX)
        return err_set(err, -EINVAL, "line %u: more than %d fields", csv->line, CSV_FIELDS_MAX);
    int in_quotes = csv->at < csv->end && *csv->at == '"';
    if (in_quotes) {
        csv->at++;
        r = quoted(csv, &len, err);
    }
    while (!r && csv->at < csv->end && *csv->at != csv->separator && *csv->at != '\n' &&
           *csv->at != '\r') {
        if (in_quotes || *csv->at == '"')
            return err_set(err, -EINVAL, "line %u: a quote in the middle of a field", csv->line);
        r = put(csv, &len, *csv->at++, err);
    }
    if (r)
        return r;
    csv->fields[csv->n_fields++][len] = 0;
    return 0;
}

static void end_of_line(struct csv *csv)
{
    if (csv->at < csv->end && *csv->at == '\r')
        csv->at++;
    if (csv->at < csv->end && *csv->at == '\n')
        csv->at++;
    csv->line++;
}

int csv_next(struct csv *csv, struct err *err)
{
    while (csv->at < csv->end) {
        csv->n_fields = 0;
        int r = field(csv, err);
        while (!r && csv->at < csv->end && *csv->at == csv->separator) {
            csv->at++;
            r = field(csv, err);
        }
        if (r)
            return r;
        end_of_line(csv);
        if (csv->n_fields > 1 || csv->fields[0][0])
            return 1;
    }
    return 0;
}
