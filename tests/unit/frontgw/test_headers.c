/* Range, entity tags, cookies and the origin rules. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "frontgw/http/cookie.h"
#include "frontgw/http/origin.h"
#include "frontgw/http/range.h"

static void ranges_are_understood_or_ignored(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        uint64_t size;
        enum gw_range_result result;
        uint64_t start, length;
    } cases[] = {
        {NULL, 100, GW_RANGE_ALL, 0, 0},
        {"bytes=0-9", 100, GW_RANGE_PART, 0, 10},
        {"Bytes=0-0", 100, GW_RANGE_PART, 0, 1},
        {"bytes=90-", 100, GW_RANGE_PART, 90, 10},
        {"bytes=90-1000", 100, GW_RANGE_PART, 90, 10},
        {"bytes=-10", 100, GW_RANGE_PART, 90, 10},
        {"bytes=-1000", 100, GW_RANGE_PART, 0, 100},
        {"bytes=99-99", 100, GW_RANGE_PART, 99, 1},
        {"bytes=0-99999999999999999999999", 100, GW_RANGE_PART, 0, 100},
        {"bytes=100-", 100, GW_RANGE_BAD, 0, 0},
        {"bytes=99999999999999999999999-", 100, GW_RANGE_BAD, 0, 0},
        {"bytes=-0", 100, GW_RANGE_BAD, 0, 0},
        {"bytes=0-", 0, GW_RANGE_BAD, 0, 0},
        {"bytes=-5", 0, GW_RANGE_BAD, 0, 0},
        {"bytes=9-1", 100, GW_RANGE_ALL, 0, 0},
        {"bytes=0-1,3-4", 100, GW_RANGE_ALL, 0, 0},
        {"bytes= 0-1", 100, GW_RANGE_ALL, 0, 0},
        {"bytes=-", 100, GW_RANGE_ALL, 0, 0},
        {"bytes=", 100, GW_RANGE_ALL, 0, 0},
        {"lines=0-1", 100, GW_RANGE_ALL, 0, 0},
        {"bytes=a-b", 100, GW_RANGE_ALL, 0, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t start = 0, length = 0;
        enum gw_range_result r = gw_range_parse(cases[i].header, cases[i].size, &start, &length);
        if (r != cases[i].result || start != cases[i].start || length != cases[i].length)
            fail_msg("%s: %d %llu+%llu", cases[i].header, (int)r, (unsigned long long)start,
                     (unsigned long long)length);
    }
}

static void entity_tags_are_compared(void **state)
{
    (void)state;
    assert_true(gw_etag_listed("\"a\"", "a", false));
    assert_true(gw_etag_listed("*", "a", false));
    assert_true(gw_etag_listed("\"b\", \"a\"", "a", false));
    assert_true(gw_etag_listed("W/\"a\"", "a", true));
    assert_false(gw_etag_listed("W/\"a\"", "a", false));
    assert_false(gw_etag_listed("\"ab\"", "a", true));
    assert_false(gw_etag_listed("a", "a", true));
    assert_false(gw_etag_listed("\"a", "a", true));
    assert_false(gw_etag_listed("", "a", true));
    assert_false(gw_etag_listed(NULL, "a", true));
    assert_false(gw_etag_listed("*", NULL, true));
}

static void one_cookie_of_a_name_counts(void **state)
{
    (void)state;
    char value[16];
    assert_int_equal(gw_cookie_find("x=1; __Host-cloister=ab_-9; y=2", "__Host-cloister", value,
                                    sizeof(value)),
                     0);
    assert_string_equal(value, "ab_-9");
    assert_int_equal(gw_cookie_find("c=1 ;d=2", "c", value, sizeof(value)), 0);
    assert_string_equal(value, "1");
    static const char *const useless[] = {
        "c=1; c=2",           "cc=1", "c=", "c", "c=a b", "c=\"a\"", "c=a%20", "xc=1", "C=1", "",
        "c=0123456789abcdef", /* one byte too long */
    };
    for (size_t i = 0; i < sizeof(useless) / sizeof(useless[0]); i++) {
        if (gw_cookie_find(useless[i], "c", value, sizeof(value)) != -ENOENT)
            fail_msg("took a cookie from: %s", useless[i]);
    }
    assert_int_equal(gw_cookie_find(NULL, "c", value, sizeof(value)), -ENOENT);
}

static enum gw_problem check(const char *origin, const char *site, const char *type,
                             const char *custom, const char *own)
{
    struct gw_origin_facts facts = {
        .method = GW_POST,
        .origin = origin,
        .fetch_site = site,
        .host = "c.example",
        .content_type = type,
        .custom = custom,
        .secure = true,
        .own_origins = own,
    };
    return gw_origin_check(&facts);
}

static void only_our_own_pages_may_change_things(void **state)
{
    (void)state;
    const char *json = "application/json; charset=utf-8", *own = "https://c.example";
    assert_int_equal(check(own, NULL, json, NULL, NULL), GW_PROBLEM_NONE);
    assert_int_equal(check(own, "same-origin", NULL, "1", NULL), GW_PROBLEM_NONE);
    assert_int_equal(check(NULL, "same-origin", json, NULL, NULL), GW_PROBLEM_NONE);
    assert_int_equal(check(NULL, NULL, json, NULL, NULL), GW_PROBLEM_CROSS_ORIGIN);
    assert_int_equal(check("http://c.example", NULL, json, NULL, NULL), GW_PROBLEM_CROSS_ORIGIN);
    assert_int_equal(check("https://c.example:8443", NULL, json, NULL, NULL),
                     GW_PROBLEM_CROSS_ORIGIN);
    assert_int_equal(check("https://c.example.evil", NULL, json, NULL, NULL),
                     GW_PROBLEM_CROSS_ORIGIN);
    assert_int_equal(check("null", NULL, json, NULL, NULL), GW_PROBLEM_CROSS_ORIGIN);
    assert_int_equal(check("null", "same-origin", json, NULL, NULL), GW_PROBLEM_CROSS_ORIGIN);
    assert_int_equal(check(own, "cross-site", json, NULL, NULL), GW_PROBLEM_CROSS_ORIGIN);
    assert_int_equal(check(own, "same-site", json, NULL, NULL), GW_PROBLEM_CROSS_ORIGIN);
    assert_int_equal(check(own, NULL, "text/plain", NULL, NULL), GW_PROBLEM_FORGERY);
    assert_int_equal(check(own, NULL, "application/jsonx", NULL, NULL), GW_PROBLEM_FORGERY);
    assert_int_equal(check(own, NULL, NULL, NULL, NULL), GW_PROBLEM_FORGERY);
}

static void configured_origins_replace_the_host(void **state)
{
    (void)state;
    const char *json = "application/json", *list = "https://a.example https://b.example:444";
    assert_int_equal(check("https://c.example", NULL, json, NULL, list), GW_PROBLEM_CROSS_ORIGIN);
    assert_int_equal(check("https://a.example", NULL, json, NULL, list), GW_PROBLEM_NONE);
    assert_int_equal(check("https://b.example:444", NULL, json, NULL, list), GW_PROBLEM_NONE);
    assert_int_equal(check("https://b.example", NULL, json, NULL, list), GW_PROBLEM_CROSS_ORIGIN);
    assert_int_equal(check("", NULL, json, NULL, list), GW_PROBLEM_CROSS_ORIGIN);
}

static void reading_and_api_keys_are_exempt(void **state)
{
    (void)state;
    struct gw_origin_facts facts = {.method = GW_GET, .origin = "https://evil.example"};
    assert_int_equal(gw_origin_check(&facts), GW_PROBLEM_NONE);
    facts.method = GW_DELETE;
    assert_int_equal(gw_origin_check(&facts), GW_PROBLEM_CROSS_ORIGIN);
    facts.api_key = true;
    assert_int_equal(gw_origin_check(&facts), GW_PROBLEM_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_understood_or_ignored),
        cmocka_unit_test(entity_tags_are_compared),
        cmocka_unit_test(one_cookie_of_a_name_counts),
        cmocka_unit_test(only_our_own_pages_may_change_things),
        cmocka_unit_test(configured_origins_replace_the_host),
        cmocka_unit_test(reading_and_api_keys_are_exempt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
