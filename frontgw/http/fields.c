#include "frontgw/http/fields.h"

#include <string.h>

#include "frontgw/http/response.h"
#include "frontgw/http/text.h"

static bool listed(const char *names, const char *name)
{
    size_t len = strlen(name);

    for (const char *p = names; *p;) {
        size_t n = strcspn(p, " ");
        if (n == len && strncmp(p, name, n) == 0)
            return true;
        p += n + (p[n] == ' ');
    }
    return false;
}

bool gw_field_only(struct gw_response *res, const json_t *body, const char *names)
{
    const char *key;
    json_t *value;

    /* jansson's iteration takes no const object but does not change it. */
    json_object_foreach((json_t *)(uintptr_t)body, key, value)
    {
        if (!listed(names, key)) {
            gw_reply_invalid(res, key, "not a member of this request; known are: %s", names);
            return false;
        }
    }
    return true;
}

static bool check_text(struct gw_response *res, const char *name, const json_t *value, size_t min,
                       size_t max, const char **ret)
{
    if (!json_is_string(value)) {
        gw_reply_invalid(res, name, "has to be a string");
        return false;
    }
    size_t len = json_string_length(value);
    if (len < min || len > max) {
        gw_reply_invalid(res, name, "has to be %zu to %zu bytes long, not %zu", min, max, len);
        return false;
    }
    if (!gw_text_ok(json_string_value(value), len)) {
        gw_reply_invalid(res, name, "must not hold control characters");
        return false;
    }
    *ret = json_string_value(value);
    return true;
}

bool gw_field_text(struct gw_response *res, const json_t *body, const char *name, size_t min,
                   size_t max, const char **ret)
{
    const json_t *value = json_object_get(body, name);

    if (!value) {
        gw_reply_invalid(res, name, "is missing");
        return false;
    }
    return check_text(res, name, value, min, max, ret);
}

bool gw_field_text_opt(struct gw_response *res, const json_t *body, const char *name, size_t min,
                       size_t max, const char **ret)
{
    const json_t *value = json_object_get(body, name);

    if (!value || json_is_null(value))
        return true;
    return check_text(res, name, value, min, max, ret);
}

bool gw_field_int_opt(struct gw_response *res, const json_t *body, const char *name, int64_t min,
                      int64_t max, int64_t *ret)
{
    const json_t *value = json_object_get(body, name);

    if (!value || json_is_null(value))
        return true;
    if (!json_is_integer(value) || json_integer_value(value) < min ||
        json_integer_value(value) > max) {
        gw_reply_invalid(res, name, "has to be a whole number from %lld to %lld", (long long)min,
                         (long long)max);
        return false;
    }
    *ret = json_integer_value(value);
    return true;
}

bool gw_field_bool_opt(struct gw_response *res, const json_t *body, const char *name, bool *ret)
{
    const json_t *value = json_object_get(body, name);

    if (!value || json_is_null(value))
        return true;
    if (!json_is_boolean(value)) {
        gw_reply_invalid(res, name, "has to be true or false");
        return false;
    }
    *ret = json_is_true(value);
    return true;
}
