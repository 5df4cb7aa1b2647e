#include "frontgw/http/range.h"

#include <string.h>
#include <strings.h>

static bool parse_number(const char **p, uint64_t *ret)
{
    uint64_t value = 0;
    const char *start = *p;

    for (; **p >= '0' && **p <= '9'; (*p)++) {
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)(**p - '0'), &value))
            value = UINT64_MAX;
        if (*p - start >= 19)
            value = UINT64_MAX; /* beyond any size: saturate, keep reading */
    }
    *ret = value;
    return *p > start;
}

enum gw_range_result gw_range_parse(const char *header, uint64_t size, uint64_t *ret_start,
                                    uint64_t *ret_length)
{
    uint64_t first = 0, last = 0;

    if (!header || strncasecmp(header, "bytes=", 6) != 0)
        return GW_RANGE_ALL;
    const char *p = header + 6;
    bool have_first = parse_number(&p, &first);
    if (*p++ != '-')
        return GW_RANGE_ALL;
    bool have_last = parse_number(&p, &last);
    if (*p || (!have_first && !have_last) || (have_first && have_last && last < first))
        return GW_RANGE_ALL;

    if (!have_first) { /* the last n bytes */
        if (last == 0 || size == 0)
            return GW_RANGE_BAD;
        first = last >= size ? 0 : size - last;
        last = size - 1;
    } else if (first >= size) {
        return GW_RANGE_BAD;
    } else if (!have_last || last >= size) {
        last = size - 1;
    }
    *ret_start = first;
    *ret_length = last - first + 1;
    return GW_RANGE_PART;
}

bool gw_etag_listed(const char *header, const char *etag, bool weak_ok)
{
    if (!header || !etag)
        return false;
    size_t want = strlen(etag);
    const char *p = header + strspn(header, " \t");
    if (strcmp(p, "*") == 0)
        return true;
    while (*p) {
        p += strspn(p, " \t,");
        bool weak = strncmp(p, "W/", 2) == 0;
        if (weak)
            p += 2;
        if (*p != '"')
            return false;
        size_t len = strcspn(p + 1, "\"");
        if (p[1 + len] != '"')
            return false;
        if (len == want && memcmp(p + 1, etag, len) == 0 && (weak_ok || !weak))
            return true;
        p += len + 2;
    }
    return false;
}
