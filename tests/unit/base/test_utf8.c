#include "tests/support/unit.h"

#include "base/utf8.h"

static void well_formed_sequences_have_their_length(void **state)
{
    (void)state;
    assert_int_equal(utf8_sequence("a", 1), 1);
    assert_int_equal(utf8_sequence("", 1), 1); /* U+0000 */
    assert_int_equal(utf8_sequence("\xc3\xa9x", 3), 2);
    assert_int_equal(utf8_sequence("\xe2\x82\xac", 3), 3);
    assert_int_equal(utf8_sequence("\xed\x9f\xbf", 3), 3); /* last before the surrogates */
    assert_int_equal(utf8_sequence("\xf0\x9f\x90\x8d", 4), 4);
    assert_int_equal(utf8_sequence("\xf4\x8f\xbf\xbf", 4), 4); /* U+10FFFF */
}

static void ill_formed_bytes_have_none(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x80",             /* a continuation alone */
        "\xc0\xaf",         /* overlong '/' */
        "\xc1\xbf",         /* overlong */
        "\xe0\x9f\xbf",     /* overlong */
        "\xed\xa0\x80",     /* surrogate */
        "\xf0\x8f\xbf\xbf", /* overlong */
        "\xf4\x90\x80\x80", /* above U+10FFFF */
        "\xf5\x80\x80\x80",
        "\xff",
        "\xe2\x28\xa1", /* a continuation is missing */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(utf8_sequence(bad[i], strlen(bad[i])), 0);
}

static void a_sequence_that_is_cut_off_has_none(void **state)
{
    (void)state;
    assert_int_equal(utf8_sequence("\xf0\x9f\x90\x8d", 3), 0);
    assert_int_equal(utf8_sequence("\xc3\xa9", 1), 0);
    assert_int_equal(utf8_sequence("a", 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_sequences_have_their_length),
        cmocka_unit_test(ill_formed_bytes_have_none),
        cmocka_unit_test(a_sequence_that_is_cut_off_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
