#include "api/text.h"

#include "tests/support/unit.h"

static bool valid(const char *text)
{
    return text_valid(text, strlen(text));
}

static void text_is_utf8_without_control_characters(void **state)
{
    (void)state;
    assert_true(valid(""));
    assert_true(valid("plain"));
    assert_true(valid("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"));
    assert_false(valid("a\nb"));
    assert_false(valid("\x7f"));
    assert_false(valid("\xff"));
    assert_false(valid("\xc3"));         /* cut */
    assert_false(valid("\xed\xa0\x80")); /* surrogate */
    assert_false(text_valid("a\0b", 3));
}

static void cleaning_keeps_what_is_good(void **state)
{
    (void)state;
    char text[] = "a\xff\xc3\xa9\n\xe2\x82";
    text_clean(text);
    assert_string_equal(text, "a?\xc3\xa9???");
    assert_true(valid(text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_utf8_without_control_characters),
        cmocka_unit_test(cleaning_keeps_what_is_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
