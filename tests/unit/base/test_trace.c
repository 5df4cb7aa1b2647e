#include "tests/support/unit.h"

#include "base/trace.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN  "00f067aa0ba902b7"

static bool parse(const char *text, char *ret)
{
    return trace_parse(text, strlen(text), ret);
}

static void a_parent_gives_its_trace(void **state)
{
    (void)state;
    static const char *const good[] = {
        "00-" TRACE "-" SPAN "-01", "00-" TRACE "-" SPAN "-00",
        "cc-" TRACE "-" SPAN "-01",              /* a later version */
        "cc-" TRACE "-" SPAN "-01-what-follows", /* and what it adds */
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char id[TRACE_ID_SIZE] = "";
        assert_true(parse(good[i], id));
        assert_string_equal(id, TRACE);
    }
}

static void what_is_malformed_is_no_parent(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "00",
        "00-" TRACE "-" SPAN,
        "00-" TRACE "-" SPAN "-0",
        "00-" TRACE "-" SPAN "-01-", /* the first version has no more */
        "00-" TRACE "-" SPAN "-01 ",
        "cc-" TRACE "-" SPAN "-01.what", /* not behind a '-' */
        "ff-" TRACE "-" SPAN "-01",
        "0g-" TRACE "-" SPAN "-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" TRACE "-0000000000000000-01",
        "00-" TRACE "-" SPAN "-zz",
        "00_" TRACE "-" SPAN "-01",
        "00-" TRACE "_" SPAN "-01",
        "00-" TRACE "-" SPAN "_01",
        "00-4bf92f3577b34da6a3ce929d0e0e473\"-" SPAN "-01",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char id[TRACE_ID_SIZE] = "untouched";
        assert_false(parse(bad[i], id));
        assert_string_equal(id, "untouched");
    }
}

static void a_zero_byte_is_malformed(void **state)
{
    (void)state;
    char text[] = "00-" TRACE "-" SPAN "-01", id[TRACE_ID_SIZE];
    text[10] = 0;
    assert_false(trace_parse(text, sizeof(text) - 1, id));
}

static void without_a_parent_a_trace_begins(void **state)
{
    (void)state;
    static const char *const parents[] = {NULL, "nonsense"};
    struct trace a, b;
    for (size_t i = 0; i < 2; i++) {
        trace_begin(parents[i], parents[i] ? strlen(parents[i]) : 0, &a);
        trace_begin(parents[i], parents[i] ? strlen(parents[i]) : 0, &b);
        assert_int_equal(strlen(a.trace_id), 32);
        assert_int_equal(strlen(a.span_id), 16);
        assert_string_not_equal(a.trace_id, b.trace_id);
        assert_string_not_equal(a.span_id, b.span_id);
    }
    const char *parent = "00-" TRACE "-" SPAN "-01";
    trace_begin(parent, strlen(parent), &a);
    assert_string_equal(a.trace_id, TRACE);
    assert_string_not_equal(a.span_id, SPAN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_parent_gives_its_trace),
        cmocka_unit_test(what_is_malformed_is_no_parent),
        cmocka_unit_test(a_zero_byte_is_malformed),
        cmocka_unit_test(without_a_parent_a_trace_begins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
