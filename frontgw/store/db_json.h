#pragma once
/* Rows as JSON, for answers that are what the database says. */

#include "frontgw/store/db.h"

#include <jansson.h>

/**
 * db_row_json() - the current row as an object
 * @spec: "name:type" for each column in order, separated by blanks: s text, S text or null when
 * empty, i integer, n integer or null when 0, N integer or null, b boolean, j JSON text; "-" skips
 * a column
 *
 * Return: a new object, or NULL when memory ran out.
 */
json_t *db_row_json(const struct db_rows *rows, const char *spec);
/** db_rows_json() - all that is left, as an array. Return: 0, or the transaction's fault. */
int db_rows_json(struct db_rows *rows, const char *spec, json_t **ret, struct err *err);
