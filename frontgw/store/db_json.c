#include "frontgw/store/db_json.h"

#include <errno.h>
#include <string.h>

static json_t *value_of(const struct db_rows *rows, int column, char type)
{
    const char *text = type == 's' || type == 'S' || type == 'j' ? db_text(rows, column) : NULL;
    int64_t number = text ? 0 : db_i64(rows, column);
    switch (type) {
    case 's':
        return json_string(text);
    case 'S':
        return *text ? json_string(text) : json_null();
    case 'j':
        return json_loads(text, JSON_DECODE_ANY, NULL);
    case 'N':
        return db_is_null(rows, column) ? json_null() : json_integer(number);
    case 'n':
        return number ? json_integer(number) : json_null();
    case 'b':
        return json_boolean(number);
    default:
        return json_integer(number);
    }
}

json_t *db_row_json(const struct db_rows *rows, const char *spec)
{
    json_t *object = json_object();
    int column = 0;
    for (const char *p = spec; object && *p; column++) {
        size_t len = strcspn(p, " ");
        const char *colon = memchr(p, ':', len);
        if (colon) {
            json_t *value = value_of(rows, column, colon[1]);
            if (json_object_setn_new(object, p, (size_t)(colon - p), value) < 0) {
                json_decref(object);
                return NULL;
            }
        }
        p += len;
        p += *p == ' ';
    }
    return object;
}

int db_rows_json(struct db_rows *rows, const char *spec, json_t **ret, struct err *err)
{
    struct db_tx *tx = rows->tx;
    json_t *array = json_array();
    bool full = !array;
    while (!full && db_next(rows))
        full = json_array_append_new(array, db_row_json(rows, spec)) < 0;
    int r = full ? err_set(err, -ENOMEM, "list: %m") : db_fault(tx, err);
    if (r) {
        json_decref(array);
        return r;
    }
    *ret = array;
    return 0;
}
