#pragma once
/* CSV of RFC 4180 from outside: quoted fields, CRLF or LF, a byte order mark, `,` or `;` between
 * fields. Pure. */

#include "base/err.h"

#include <stddef.h>

#define CSV_FIELDS_MAX 8
#define CSV_FIELD_MAX  512

struct csv {
    const char *at, *end;
    char separator;
    unsigned line;
    char fields[CSV_FIELDS_MAX][CSV_FIELD_MAX + 1];
    size_t n_fields;
};

/** csv_init() - @text is borrowed. The first line decides whether `,` or `;` separates. */
void csv_init(struct csv *csv, const char *text, size_t len);
/** csv_next() - the next record that is not empty. Return: 1, 0 at the end, or -EINVAL naming the
 * line. */
int csv_next(struct csv *csv, struct err *err);
