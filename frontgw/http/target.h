#pragma once
/*
 * The target of a request ("/a/b%20c?x=1"), taken apart in place. Each part between slashes is
 * decoded exactly once and on its own; a decoded part that is empty, "." or "..", or that holds a
 * slash, a backslash, a control character or invalid UTF-8 is refused, in whatever spelling.
 */

#include <stddef.h>

#include "frontgw/http/problem.h"
#include "frontgw/http/request.h"

#define GW_SEGMENTS_MAX 16

struct gw_target {
    char *segments[GW_SEGMENTS_MAX];
    size_t n_segments; /* 0: "/" */
    struct gw_pair query[GW_QUERY_MAX];
    size_t n_query;
};

/** gw_target_parse() - @target is changed; @ret points into it. Return: GW_PROBLEM_NONE or the
 * refusal. */
enum gw_problem gw_target_parse(char *target, struct gw_target *ret);

/** gw_percent_decode() - in place; @plus: '+' stands for a blank. Return: 0, or -EINVAL for a
 * malformed escape or text that may not appear. */
int gw_percent_decode(char *text, int plus);
