#include "frontgw/ops/routes.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "frontgw/http/route.h"

static json_t *words(const char *text)
{
    json_t *list = json_array();

    for (const char *p = text ? text : ""; *p;) {
        size_t n = strcspn(p, " ");
        json_array_append_new(list, json_stringn(p, n));
        p += n + strspn(p + n, " ");
    }
    return list;
}

static json_t *params(const char *template)
{
    json_t *list = json_array();

    for (const char *p = strchr(template, '{'); p; p = strchr(p + 1, '{'))
        json_array_append_new(list, json_stringn(p + 1, strcspn(p + 1, "}")));
    return list;
}

static json_t *one(const struct gw_route *route)
{
    static const char *const auths[] = {"none", "maybe", "user", "admin"};
    static const char *const rates[] = {"normal", "exempt", "file", "class", "login"};
    static const char *const bodies[] = {"none", "json", "json-optional", "bytes", "file"};
    int statuses[40];
    size_t n = gw_route_statuses(route, statuses, 40);
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_integer(statuses[i]));
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:b, s:o, s:o, s:o}", "method",
                     gw_method_name(route->method), "path", route->template, "operation",
                     route->operation, "auth", auths[route->auth], "rate", rates[route->rate],
                     "body", bodies[route->body], "body_max", (json_int_t)gw_route_body_max(route),
                     "api_keys", route->scope != 0, "path_parameters", params(route->template),
                     "query_parameters", words(route->query), "statuses", list);
}

int gw_routes_print(const struct gw_router *router, FILE *out)
{
    json_t *list = json_array();

    for (size_t i = 0; i < gw_router_count(router); i++)
        json_array_append_new(list, one(gw_router_at(router, i)));
    int r = json_dumpf(list, out, JSON_INDENT(2)) == 0 ? 0 : -EIO;
    fputc('\n', out);
    json_decref(list);
    return r;
}
