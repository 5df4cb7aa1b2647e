/* What follows from a route's row, apart from its handler. */

#include <stdlib.h>

#include "frontgw/http/problem.h"
#include "frontgw/http/route.h"

static size_t add(int *list, size_t n, size_t max, int status)
{
    size_t at = 0;

    while (at < n && list[at] < status)
        at++;
    if ((at < n && list[at] == status) || n == max)
        return n;
    for (size_t i = n; i > at; i--)
        list[i] = list[i - 1];
    list[at] = status;
    return n + 1;
}

/* Statuses that the server answers with before the handler runs. */
static size_t add_implied(const struct gw_route *route, int *list, size_t n, size_t max)
{
    bool changes = route->method != GW_GET;
    bool has_body = route->body != GW_BODY_NONE;

    n = add(list, n, max, 400); /* malformed target, unknown parameter, unexpected body */
    if (route->auth == GW_AUTH_USER || route->auth == GW_AUTH_ADMIN) {
        n = add(list, n, max, 401);
        n = add(list, n, max, 403);
    }
    if (changes)
        n = add(list, n, max, 403);
    if (has_body) {
        n = add(list, n, max, 411);
        n = add(list, n, max, 413);
    }
    if (route->body == GW_BODY_JSON || route->body == GW_BODY_JSON_OPT) {
        n = add(list, n, max, 415);
        n = add(list, n, max, 422);
    }
    if (route->rate != GW_RATE_EXEMPT)
        n = add(list, n, max, 429);
    n = add(list, n, max, 500);
    return add(list, n, max, 503);
}

size_t gw_route_statuses(const struct gw_route *route, int *ret, size_t max)
{
    size_t n = 0;
    const char *p = route->statuses;

    while (*p) {
        char *end;
        long status = strtol(p, &end, 10);
        if (end == p)
            break;
        n = add(ret, n, max, (int)status);
        p = end;
    }
    return add_implied(route, ret, n, max);
}

uint64_t gw_route_body_max(const struct gw_route *route)
{
    static const uint64_t fallback[] = {
        [GW_BODY_NONE] = 0,
        [GW_BODY_JSON] = UINT64_C(64) << 10,
        [GW_BODY_JSON_OPT] = UINT64_C(64) << 10,
        [GW_BODY_BYTES] = UINT64_C(1) << 20,
        [GW_BODY_FILE] = UINT64_C(16) << 20,
    };

    return route->body_max ? route->body_max : fallback[route->body];
}
