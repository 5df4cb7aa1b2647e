#include "tests/support/unit.h"

#include "base/hint.h"

static const char *const names[] = {"socket",           "group",     "running_max", "queue_max",
                                    "queue_per_tenant", "file-size", "tls_key"};

static const char *hint_for(const char *word)
{
    static char buf[HINT_SIZE];
    struct hint hint = {.word = word};
    hint_offer_all(&hint, names, sizeof(names) / sizeof(names[0]));
    return hint_text(&hint, buf);
}

static void what_is_nearly_right_has_a_hint(void **state)
{
    (void)state;
    static const struct {
        const char *word, *meant;
    } cases[] = {
        {"sokcet", "socket"},           /* swapped */
        {"sockets", "socket"},          /* one too many */
        {"scket", "socket"},            /* one too few */
        {"zocket", "socket"},           /* another one */
        {"Running-Max", "running_max"}, /* written otherwise */
        {"file_size", "file-size"},
        {"queue_per_tennant", "queue_per_tenant"},
        {"runing_maxx", "running_max"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char expected[HINT_SIZE];
        snprintf(expected, sizeof(expected), ". Did you mean '%s'?", cases[i].meant);
        assert_string_equal(hint_for(cases[i].word), expected);
    }
}

static void what_is_far_from_everything_has_none(void **state)
{
    (void)state;
    char longer[200];
    memset(longer, 's', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_string_equal(hint_for("colour"), "");
    assert_string_equal(hint_for("x"), "");
    assert_string_equal(hint_for(""), "");
    assert_string_equal(hint_for(longer), "");
}

static void names_that_are_too_long_are_passed_over(void **state)
{
    (void)state;
    char longer[200], buf[HINT_SIZE];
    memset(longer, 's', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    struct hint hint = {.word = "sssss"};
    hint_offer(&hint, longer);
    assert_string_equal(hint_text(&hint, buf), "");
    hint_offer(&hint, "ssss");
    assert_string_equal(hint_text(&hint, buf), ". Did you mean 'ssss'?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_nearly_right_has_a_hint),
        cmocka_unit_test(what_is_far_from_everything_has_none),
        cmocka_unit_test(names_that_are_too_long_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
