#include "tests/support/unit.h"

#include <errno.h>

#include "base/err.h"

static void set_returns_the_code_and_expands_percent_m(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(err_set(&err, -ENOENT, "open %s: %m", "/x"), -ENOENT);
    assert_int_equal(err.code, -ENOENT);
    assert_string_equal(err.text, "open /x: No such file or directory");
}

static void set_without_a_struct_still_returns_the_code(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, -EPERM, "%s", "nobody reads this"), -EPERM);
}

static void set_keeps_the_words_on_one_line(void **state)
{
    (void)state;
    struct err err = {0};
    err_set(&err, -EINVAL, "a\nb\x1b[31mc\x7f");
    assert_string_equal(err.text, "a?b?[31mc?");
}

static void set_cuts_long_words_and_terminates_them(void **state)
{
    (void)state;
    struct err err = {0};
    char text[2 * ERR_TEXT_MAX];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = 0;
    err_set(&err, -EINVAL, "%s", text);
    assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
}

static void prefix_stands_before_the_old_words(void **state)
{
    (void)state;
    struct err err = {0};
    err_set(&err, -EACCES, "open: %m");
    assert_int_equal(err_prefix(&err, "slot %d", 3), -EACCES);
    assert_string_equal(err.text, "slot 3: open: Permission denied");
}

static void prefix_of_a_fault_without_code_is_eio(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(err_prefix(&err, "slot"), -EIO);
    assert_int_equal(err_prefix(NULL, "slot"), -EIO);
}

static void prefix_that_leaves_no_room_cuts_the_old_words(void **state)
{
    (void)state;
    struct err err = {0};
    char prefix[ERR_TEXT_MAX];
    memset(prefix, 'p', sizeof(prefix));
    prefix[ERR_TEXT_MAX - 4] = 0;
    err_set(&err, -EIO, "old words");
    err_prefix(&err, "%s", prefix);
    assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
    assert_memory_equal(err.text + ERR_TEXT_MAX - 5, "p: o", 4);
}

static void clear_forgets_code_and_words(void **state)
{
    (void)state;
    struct err err = {0};
    err_set(&err, -EIO, "words");
    err_clear(&err);
    err_clear(NULL);
    assert_int_equal(err.code, 0);
    assert_string_equal(err.text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_returns_the_code_and_expands_percent_m),
        cmocka_unit_test(set_without_a_struct_still_returns_the_code),
        cmocka_unit_test(set_keeps_the_words_on_one_line),
        cmocka_unit_test(set_cuts_long_words_and_terminates_them),
        cmocka_unit_test(prefix_stands_before_the_old_words),
        cmocka_unit_test(prefix_of_a_fault_without_code_is_eio),
        cmocka_unit_test(prefix_that_leaves_no_room_cuts_the_old_words),
        cmocka_unit_test(clear_forgets_code_and_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
