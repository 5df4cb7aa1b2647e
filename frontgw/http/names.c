/* Methods by name, and what a handler asks of its request by name. */

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "frontgw/http/request.h"
#include "frontgw/http/route.h"

static const char *const methods[GW_METHOD_COUNT] = {
    [GW_GET] = "GET", [GW_HEAD] = "HEAD",   [GW_POST] = "POST",
    [GW_PUT] = "PUT", [GW_PATCH] = "PATCH", [GW_DELETE] = "DELETE",
};

const char *gw_method_name(enum gw_method method)
{
    return methods[method];
}

int gw_method_by_name(const char *name)
{
    for (int i = 0; i < GW_METHOD_COUNT; i++) {
        if (strcmp(methods[i], name) == 0)
            return i;
    }
    return -1;
}

const char *gw_param(const struct gw_request *req, const char *name)
{
    size_t len = strlen(name);
    size_t i = 0;

    for (const char *p = strchr(req->route->template, '{'); p; p = strchr(p + 1, '{'), i++) {
        if (strncmp(p + 1, name, len) == 0 && p[1 + len] == '}')
            return req->params[i];
    }
    assert(!"the route's template has no such parameter");
    return "";
}

const char *gw_query(const struct gw_request *req, const char *name)
{
    for (size_t i = 0; i < req->n_query; i++) {
        if (strcmp(req->query[i].name, name) == 0)
            return req->query[i].value;
    }
    return NULL;
}

int gw_query_u64(const struct gw_request *req, const char *name, uint64_t min, uint64_t max,
                 uint64_t fallback, uint64_t *ret)
{
    const char *text = gw_query(req, name);
    uint64_t value = 0;

    if (!text) {
        *ret = fallback;
        return 0;
    }
    if (!*text)
        return -EINVAL;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -EINVAL;
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
            return -EINVAL;
    }
    if (value < min || value > max)
        return -EINVAL;
    *ret = value;
    return 0;
}
