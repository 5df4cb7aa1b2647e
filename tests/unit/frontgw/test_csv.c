#include "frontgw/people/csv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct csv csv;

static int first(const char *text, size_t len, struct err *err)
{
    csv_init(&csv, text, len);
    return csv_next(&csv, err);
}

static void fields_records_and_both_line_ends(void **state)
{
    (void)state;
    const char text[] = "login,name\r\nada,Ada L\n\n\r\nbob,\"Bob, \"\"B\"\"\nline\"";
    assert_int_equal(first(text, sizeof(text) - 1, NULL), 1);
    assert_int_equal(csv.n_fields, 2);
    assert_int_equal(csv_next(&csv, NULL), 1);
    assert_string_equal(csv.fields[1], "Ada L");
    assert_int_equal(csv_next(&csv, NULL), 1);
    assert_string_equal(csv.fields[0], "bob");
    assert_string_equal(csv.fields[1], "Bob, \"B\"\nline");
    assert_int_equal(csv_next(&csv, NULL), 0);
}

static void semicolons_and_a_byte_order_mark_of_a_spreadsheet(void **state)
{
    (void)state;
    const char text[] = "\xef\xbb\xbflogin;name\nada;Ada";
    assert_int_equal(first(text, sizeof(text) - 1, NULL), 1);
    assert_string_equal(csv.fields[0], "login");
    assert_int_equal(csv_next(&csv, NULL), 1);
    assert_string_equal(csv.fields[1], "Ada");
}

static void what_is_malformed_names_its_line(void **state)
{
    (void)state;
    struct err err = {0};
    char long_field[CSV_FIELD_MAX + 2];
    memset(long_field, 'a', sizeof(long_field));
    assert_true(first("a,\"b", 4, &err) < 0);
    assert_non_null(strstr(err.text, "line 1"));
    assert_true(first("a,b\"c", 5, &err) < 0);
    assert_true(first("a,\"b\"c", 6, &err) < 0);
    assert_true(first("a\0b", 3, &err) < 0);
    assert_true(first("1,2,3,4,5,6,7,8,9", 17, &err) < 0);
    assert_true(first(long_field, sizeof(long_field), &err) < 0);
}

static void empty_text_has_no_record(void **state)
{
    (void)state;
    assert_int_equal(first("", 0, NULL), 0);
    assert_int_equal(first("\n\r\n\n", 4, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_records_and_both_line_ends),
        cmocka_unit_test(semicolons_and_a_byte_order_mark_of_a_spreadsheet),
        cmocka_unit_test(what_is_malformed_names_its_line),
        cmocka_unit_test(empty_text_has_no_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
