#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "frontgw/http/target.h"

static char buffer[4200];

static enum gw_problem parse(const char *text, struct gw_target *ret)
{
    snprintf(buffer, sizeof(buffer), "%s", text);
    return gw_target_parse(buffer, ret);
}

static void parts_and_parameters_are_decoded_once(void **state)
{
    (void)state;
    struct gw_target t;
    assert_int_equal(parse("/api/v1/f%C3%BCr%20alle/%252e?q=a+b%26c&empty=&bare&x=%25", &t),
                     GW_PROBLEM_NONE);
    assert_int_equal(t.n_segments, 4);
    assert_string_equal(t.segments[2], "f\xc3\xbcr alle");
    assert_string_equal(t.segments[3], "%2e");
    assert_int_equal(t.n_query, 4);
    assert_string_equal(t.query[0].value, "a b&c");
    assert_string_equal(t.query[1].value, "");
    assert_string_equal(t.query[2].name, "bare");
    assert_string_equal(t.query[3].value, "%");
    assert_int_equal(parse("/", &t), GW_PROBLEM_NONE);
    assert_int_equal(t.n_segments, 0);
    assert_int_equal(parse("/?", &t), GW_PROBLEM_NONE);
    assert_int_equal(t.n_query, 0);
}

static void every_spelling_of_a_traversal_is_refused(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "/..",          "/a/../b",     "/a/%2e%2e/b",    "/a/.%2e/b", "/a/%2E./b",
        "/./a",         "/a/%2e",      "/a//b",          "//a",       "/a/",
        "/a%2fb",       "/a%2F..%2Fb", "/a%5cb",         "/a\\b",     "/a%00b",
        "/a%0ab",       "/a%7fb",      "/a%c2%85b",      "/a%c0%af",  "/a%c0%ae%c0%ae",
        "/a%e0%80%ae",  "/a%ff",       "/a%ed%a0%80",    "/a%",       "/a%2",
        "/a%zz",        "/a%u002e",    "/a#b",           "/a?x=%00",  "/a?x=1&x=2",
        "/a?%66=1&f=2", "/a?x=%c0%80", "/a?x=%e2%28%a1",
    };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct gw_target t;
        if (parse(paths[i], &t) != GW_PROBLEM_BAD_REQUEST)
            fail_msg("accepted: %s", paths[i]);
    }
}

static void there_are_bounds(void **state)
{
    (void)state;
    struct gw_target t;
    assert_int_equal(parse("/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16", &t), GW_PROBLEM_NONE);
    assert_int_equal(parse("/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", &t), GW_PROBLEM_NOT_FOUND);
    assert_int_equal(parse("/a?a&b&c&d&e&f&g&h&i&j&k&l", &t), GW_PROBLEM_NONE);
    assert_int_equal(parse("/a?a&b&c&d&e&f&g&h&i&j&k&l&m", &t), GW_PROBLEM_BAD_REQUEST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_and_parameters_are_decoded_once),
        cmocka_unit_test(every_spelling_of_a_traversal_is_refused),
        cmocka_unit_test(there_are_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
