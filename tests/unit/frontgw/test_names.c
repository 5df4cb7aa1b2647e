#include "frontgw/files/name.h"
#include "frontgw/people/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int name(const char *text)
{
    struct err err = {0};
    return gw_name_check(text, &err);
}

static int path(const char *text)
{
    struct err err = {0};
    struct gw_path parsed;
    return gw_path_parse(text, &parsed, &err);
}

static void ordinary_names_are_taken(void **state)
{
    (void)state;
    const char *const good[] = {"a",
                                "main.py",
                                "ex 1.py",
                                ".hidden",
                                "..a",
                                "a..b",
                                "\xc3\xa9t\xc3\xa9.txt",
                                "\xe6\x97\xa5\xe6\x9c\xac.csv",
                                "\xf0\x9f\x90\x8d.py",
                                "-rf",
                                "$(id)",
                                "'; DROP TABLE node; --",
                                "CON",
                                "%2e%2e",
                                "%00"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (name(good[i]))
            fail_msg("refused: %s", good[i]);
}

static void names_that_lead_elsewhere_or_hide_are_refused(void **state)
{
    (void)state;
    const char *const bad[] = {"",
                               ".",
                               "..",
                               "...",
                               "a/b",
                               "/",
                               "\\",
                               "..\\x",
                               "a\nb",
                               "a\tb",
                               "\x01",
                               "\x7f",
                               " a",
                               "a ",
                               "a.",
                               "\xc2\x80",
                               "\xc2\x9f", /* C1 controls */
                               "\xe2\x80\xae"
                               "gpj.exe", /* right-to-left override */
                               "a\xe2\x80\x8b"
                               "b",
                               "\xef\xbb\xbf"
                               "a", /* zero width space, byte order mark */
                               "\xe2\x80\xa8",
                               "\xe2\x81\xa6"
                               "x", /* line separator, isolate */
                               "\xc0\xae\xc0\xae",
                               "\xc0\xaf",
                               "\xe0\x80\xae",
                               "\xed\xa0\x80",
                               "\xf4\x90\x80\x80",
                               "\xff",
                               "\xc3"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (!name(bad[i]))
            fail_msg("taken: number %zu", i);
}

static void a_name_has_at_most_200_bytes(void **state)
{
    (void)state;
    char text[NAME_MAX_BYTES + 2];
    memset(text, 'a', sizeof(text));
    text[NAME_MAX_BYTES] = 0;
    assert_int_equal(name(text), 0);
    text[NAME_MAX_BYTES] = 'a';
    text[NAME_MAX_BYTES + 1] = 0;
    assert_int_not_equal(name(text), 0);
}

static void paths_are_parts_between_single_slashes(void **state)
{
    (void)state;
    struct gw_path parsed;
    assert_int_equal(gw_path_parse("a/b c/d.py", &parsed, NULL), 0);
    assert_int_equal(parsed.depth, 3);
    assert_string_equal(parsed.parts[1], "b c");
    const char *const bad[] = {"",       "/",    "/a",    "a/",     "a//b",
                               "a/../b", "../a", "a/./b", "a/b/..", "./a"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (!path(bad[i]))
            fail_msg("taken: %s", bad[i]);
}

static void a_path_is_at_most_16_deep_and_1024_long(void **state)
{
    (void)state;
    char text[2000] = "a";
    for (int i = 1; i < PATH_DEPTH_MAX; i++)
        strncat(text, "/a", sizeof(text) - strlen(text) - 1);
    assert_int_equal(path(text), 0);
    strncat(text, "/a", sizeof(text) - strlen(text) - 1);
    assert_int_not_equal(path(text), 0);
    memset(text, 'a', sizeof(text));
    for (size_t i = 100; i < sizeof(text); i += 100)
        text[i] = '/';
    text[PATH_MAX_BYTES + 1] = 0;
    assert_int_not_equal(path(text), 0);
    text[PATH_MAX_BYTES] = 0;
    assert_int_equal(path(text), 0);
}

static void nothing_that_runs_is_shown_in_place(void **state)
{
    (void)state;
    const char *const attachments[] = {"x.html",  "x.HTM", "x.svg", "x.SVG",     "x.xml",
                                       "x.xhtml", "x.js",  "x",     "x.unknown", "x.md"};
    for (size_t i = 0; i < sizeof(attachments) / sizeof(attachments[0]); i++)
        assert_false(gw_mime_inline_ok(gw_mime_of(attachments[i])));
    assert_true(gw_mime_inline_ok(gw_mime_of("plot.png")));
    assert_true(gw_mime_inline_ok(gw_mime_of("Sheet.PDF")));
    assert_string_equal(gw_mime_of("noending"), "application/octet-stream");
}

static void logins_are_plain(void **state)
{
    (void)state;
    assert_true(text_login_ok("a.b-c_d@x.edu"));
    assert_true(text_login_ok("0"));
    const char *const bad[] = {"", "A", ".a", "@a", "a b", "a'b", "\xc3\xa9", "a\n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(text_login_ok(bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_names_are_taken),
        cmocka_unit_test(names_that_lead_elsewhere_or_hide_are_refused),
        cmocka_unit_test(a_name_has_at_most_200_bytes),
        cmocka_unit_test(paths_are_parts_between_single_slashes),
        cmocka_unit_test(a_path_is_at_most_16_deep_and_1024_long),
        cmocka_unit_test(nothing_that_runs_is_shown_in_place),
        cmocka_unit_test(logins_are_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
