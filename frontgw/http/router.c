#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "frontgw/http/route.h"
#include "frontgw/http/target.h"

struct segment {
    const char *text; /* into the template */
    size_t len;
    bool is_param;
};

struct entry {
    const struct gw_route *route;
    struct segment segments[GW_SEGMENTS_MAX];
    size_t n_segments;
};

struct gw_router {
    struct entry *entries;
    size_t n, cap;
};

int gw_router_new(struct gw_router **ret, struct err *err)
{
    *ret = calloc(1, sizeof(**ret));
    return *ret ? 0 : err_set(err, -ENOMEM, "route table: %m");
}

struct gw_router *gw_router_free(struct gw_router *router)
{
    if (router)
        free(router->entries);
    free(router);
    return NULL;
}

static int compile(struct entry *entry, const struct gw_route *route, struct err *err)
{
    const char *p = route->template;
    size_t params = 0;

    *entry = (struct entry){.route = route};
    if (!p || *p != '/' || !route->handler || !route->operation || !route->statuses ||
        route->method == GW_HEAD)
        return err_set(err, -EINVAL, "route %s: a member is missing", p ? p : "(none)");
    while (*p == '/' && p[1]) {
        size_t len = strcspn(++p, "/");
        bool is_param = *p == '{';
        if (len == 0 || entry->n_segments == GW_SEGMENTS_MAX ||
            (is_param && (p[len - 1] != '}' || ++params > GW_PARAMS_MAX)))
            return err_set(err, -EINVAL, "route %s: malformed template", route->template);
        entry->segments[entry->n_segments++] = (struct segment){p, len, is_param};
        p += len;
    }
    return 0;
}

/* Same paths: parameters match whatever their names are. */
static bool same_shape(const struct entry *a, const struct entry *b)
{
    if (a->route->method != b->route->method || a->n_segments != b->n_segments)
        return false;
    for (size_t i = 0; i < a->n_segments; i++) {
        const struct segment *x = &a->segments[i], *y = &b->segments[i];
        if (x->is_param != y->is_param)
            return false;
        if (!x->is_param && (x->len != y->len || memcmp(x->text, y->text, x->len) != 0))
            return false;
    }
    return true;
}

static int add_one(struct gw_router *router, const struct gw_route *route, struct err *err)
{
    if (router->n == router->cap) {
        size_t cap = router->cap ? 2 * router->cap : 64;
        struct entry *entries = reallocarray(router->entries, cap, sizeof(*entries));
        if (!entries)
            return err_set(err, -ENOMEM, "route table: %m");
        router->entries = entries;
        router->cap = cap;
    }
    struct entry *entry = &router->entries[router->n];
    int r = compile(entry, route, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < router->n; i++) {
        const struct gw_route *other = router->entries[i].route;
        if (same_shape(&router->entries[i], entry) ||
            strcmp(other->operation, route->operation) == 0)
            return err_set(err, -EEXIST, "routes %s %s and %s %s clash",
                           gw_method_name(route->method), route->template,
                           gw_method_name(other->method), other->template);
    }
    router->n++;
    return 0;
}

int gw_router_add(struct gw_router *router, const struct gw_route *routes, size_t n,
                  struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        int r = add_one(router, &routes[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

static bool matches(const struct entry *entry, char *const *segments, size_t n)
{
    if (entry->n_segments != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        const struct segment *s = &entry->segments[i];
        if (!s->is_param &&
            (strncmp(segments[i], s->text, s->len) != 0 || segments[i][s->len] != '\0'))
            return false;
    }
    return true;
}

/* A literal wins over a parameter at the first place where two templates differ. */
static bool more_literal(const struct entry *a, const struct entry *b)
{
    for (size_t i = 0; i < a->n_segments; i++) {
        if (a->segments[i].is_param != b->segments[i].is_param)
            return !a->segments[i].is_param;
    }
    return false;
}

enum gw_route_match gw_router_find(const struct gw_router *router, enum gw_method method,
                                   char *const *segments, size_t n_segments,
                                   const struct gw_route **ret, size_t ret_params[GW_PARAMS_MAX],
                                   unsigned *ret_allow)
{
    const struct entry *best = NULL;
    enum gw_method wanted = method == GW_HEAD ? GW_GET : method;

    *ret_allow = 0;
    for (size_t i = 0; i < router->n; i++) {
        const struct entry *entry = &router->entries[i];
        if (!matches(entry, segments, n_segments))
            continue;
        *ret_allow |= 1U << entry->route->method;
        if (entry->route->method == wanted && (!best || more_literal(entry, best)))
            best = entry;
    }
    if (*ret_allow & (1U << GW_GET))
        *ret_allow |= 1U << GW_HEAD;
    if (!best)
        return *ret_allow ? GW_ROUTE_NO_METHOD : GW_ROUTE_NO_PATH;
    size_t params = 0;
    for (size_t i = 0; i < n_segments; i++) {
        if (best->segments[i].is_param)
            ret_params[params++] = i;
    }
    *ret = best->route;
    return GW_ROUTE_FOUND;
}

size_t gw_router_count(const struct gw_router *router)
{
    return router->n;
}

const struct gw_route *gw_router_at(const struct gw_router *router, size_t i)
{
    return router->entries[i].route;
}

size_t gw_router_index(const struct gw_router *router, const struct gw_route *route)
{
    for (size_t i = 0; i < router->n; i++) {
        if (router->entries[i].route == route)
            return i;
    }
    return router->n;
}
