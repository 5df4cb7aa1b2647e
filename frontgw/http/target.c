#include "frontgw/http/target.h"

#include <errno.h>
#include <string.h>

#include "frontgw/http/text.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 32);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int gw_percent_decode(char *text, int plus)
{
    char *out = text;

    for (const char *p = text; *p; p++) {
        if (*p == '%') {
            int high = hex_digit(p[1]);
            int low = high < 0 ? -1 : hex_digit(p[2]);
            if (low < 0 || (high == 0 && low == 0))
                return -EINVAL;
            *out++ = (char)(high * 16 + low);
            p += 2;
        } else {
            *out++ = *p == '+' && plus ? ' ' : *p;
        }
    }
    *out = '\0';
    return gw_text_ok(text, (size_t)(out - text)) ? 0 : -EINVAL;
}

static enum gw_problem parse_path(char *path, struct gw_target *ret)
{
    if (*path++ != '/')
        return GW_PROBLEM_BAD_REQUEST;
    if (!*path)
        return GW_PROBLEM_NONE;
    for (char *next = path; next;) {
        char *segment = next;
        next = strchr(segment, '/');
        if (next)
            *next++ = '\0';
        if (ret->n_segments == GW_SEGMENTS_MAX)
            return GW_PROBLEM_NOT_FOUND;
        if (gw_percent_decode(segment, 0) < 0 || strpbrk(segment, "/\\") || !*segment ||
            strcmp(segment, ".") == 0 || strcmp(segment, "..") == 0)
            return GW_PROBLEM_BAD_REQUEST;
        ret->segments[ret->n_segments++] = segment;
    }
    return GW_PROBLEM_NONE;
}

static enum gw_problem parse_query(char *query, struct gw_target *ret)
{
    while (query && *query) {
        char *pair = query;
        query = strchr(pair, '&');
        if (query)
            *query++ = '\0';
        if (!*pair)
            continue;
        char *value = strchr(pair, '=');
        if (value)
            *value++ = '\0';
        else
            value = pair + strlen(pair);
        if (ret->n_query == GW_QUERY_MAX || gw_percent_decode(pair, 1) < 0 ||
            gw_percent_decode(value, 1) < 0)
            return GW_PROBLEM_BAD_REQUEST;
        for (size_t i = 0; i < ret->n_query; i++) {
            if (strcmp(ret->query[i].name, pair) == 0)
                return GW_PROBLEM_BAD_REQUEST;
        }
        ret->query[ret->n_query++] = (struct gw_pair){pair, value};
    }
    return GW_PROBLEM_NONE;
}

enum gw_problem gw_target_parse(char *target, struct gw_target *ret)
{
    *ret = (struct gw_target){0};
    if (strchr(target, '#'))
        return GW_PROBLEM_BAD_REQUEST;
    char *query = strchr(target, '?');
    if (query)
        *query++ = '\0';
    enum gw_problem r = parse_path(target, ret);
    return r != GW_PROBLEM_NONE ? r : parse_query(query, ret);
}
