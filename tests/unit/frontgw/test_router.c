#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "frontgw/http/route.h"

static int handler(struct gw_request *req, struct gw_response *res, struct err *err)
{
    (void)req;
    (void)res;
    (void)err;
    return 0;
}

#define ROUTE(m, t, op)                                                                            \
    {                                                                                              \
        .method = (m), .template = (t), .operation = (op), .handler = handler, .statuses = "200"   \
    }

static const struct gw_route routes[] = {
    ROUTE(GW_GET, "/", "root"),
    ROUTE(GW_GET, "/c/{course}", "one"),
    ROUTE(GW_DELETE, "/c/{course}", "remove"),
    ROUTE(GW_GET, "/c/mine", "mine"),
    ROUTE(GW_POST, "/c/{course}/m/{member}", "member"),
    ROUTE(GW_POST, "/c/{course}/m/import", "import"),
};

static struct gw_router *table(void)
{
    struct gw_router *router;
    assert_int_equal(gw_router_new(&router, NULL), 0);
    assert_int_equal(gw_router_add(router, routes, sizeof(routes) / sizeof(routes[0]), NULL), 0);
    return router;
}

static void literals_win_over_parameters(void **state)
{
    (void)state;
    struct gw_router *router = table();
    const struct gw_route *route;
    size_t params[GW_PARAMS_MAX];
    unsigned allow;
    char c[] = "c", m[] = "m", mine[] = "mine", import[] = "import", x[] = "x";

    assert_int_equal(gw_router_find(router, GW_GET, (char *[]){c, mine}, 2, &route, params, &allow),
                     GW_ROUTE_FOUND);
    assert_string_equal(route->operation, "mine");
    assert_int_equal(gw_router_find(router, GW_HEAD, (char *[]){c, x}, 2, &route, params, &allow),
                     GW_ROUTE_FOUND);
    assert_string_equal(route->operation, "one");
    assert_int_equal(params[0], 1);
    assert_int_equal(gw_router_find(router, GW_POST, (char *[]){c, x, m, import}, 4, &route, params,
                                    &allow),
                     GW_ROUTE_FOUND);
    assert_string_equal(route->operation, "import");
    assert_int_equal(gw_router_find(router, GW_POST, (char *[]){c, x, m, x}, 4, &route, params,
                                    &allow),
                     GW_ROUTE_FOUND);
    assert_int_equal(params[1], 3);
    assert_int_equal(gw_router_find(router, GW_GET, (char *[]){c}, 0, &route, params, &allow),
                     GW_ROUTE_FOUND);
    assert_string_equal(route->operation, "root");
    gw_router_free(router);
}

static void a_wrong_method_is_told_from_a_wrong_path(void **state)
{
    (void)state;
    struct gw_router *router = table();
    const struct gw_route *route;
    size_t params[GW_PARAMS_MAX];
    unsigned allow;
    char c[] = "c", x[] = "x", mi[] = "mi";

    assert_int_equal(gw_router_find(router, GW_PUT, (char *[]){c, x}, 2, &route, params, &allow),
                     GW_ROUTE_NO_METHOD);
    assert_int_equal(allow, (1U << GW_GET) | (1U << GW_HEAD) | (1U << GW_DELETE));
    assert_int_equal(gw_router_find(router, GW_GET, (char *[]){c}, 1, &route, params, &allow),
                     GW_ROUTE_NO_PATH);
    assert_int_equal(gw_router_find(router, GW_GET, (char *[]){mi, x}, 2, &route, params, &allow),
                     GW_ROUTE_NO_PATH);
    gw_router_free(router);
}

static void clashing_and_malformed_rows_are_refused(void **state)
{
    (void)state;
    struct gw_router *router = table();
    struct gw_route bad[] = {
        ROUTE(GW_GET, "/c/{other}", "again"), ROUTE(GW_GET, "/new", "mine"),
        ROUTE(GW_GET, "/a//b", "empty"),      ROUTE(GW_GET, "/a/{b", "open"),
        ROUTE(GW_HEAD, "/h", "head"),         ROUTE(GW_GET, "a", "relative"),
    };
    const int expected[] = {-EEXIST, -EEXIST, -EINVAL, -EINVAL, -EINVAL, -EINVAL};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err err = {0};
        assert_int_equal(gw_router_add(router, &bad[i], 1, &err), expected[i]);
        assert_int_not_equal(err.text[0], 0);
    }
    assert_int_equal(gw_router_count(router), 6);
    gw_router_free(router);
}

static void statuses_follow_from_the_row(void **state)
{
    (void)state;
    struct gw_route route = ROUTE(GW_PUT, "/x", "x");
    int list[32];
    route.statuses = "204 412 404";
    route.auth = GW_AUTH_USER;
    route.body = GW_BODY_FILE;
    size_t n = gw_route_statuses(&route, list, 32);
    const int expected[] = {204, 400, 401, 403, 404, 411, 412, 413, 429, 500, 503};
    assert_int_equal(n, sizeof(expected) / sizeof(expected[0]));
    assert_memory_equal(list, expected, sizeof(expected));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_win_over_parameters),
        cmocka_unit_test(a_wrong_method_is_told_from_a_wrong_path),
        cmocka_unit_test(clashing_and_malformed_rows_are_refused),
        cmocka_unit_test(statuses_follow_from_the_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
