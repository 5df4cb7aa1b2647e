#include "tests/support/unit.h"

#include <errno.h>
#include <unistd.h>

#include "base/config.h"
#include "base/err.h"

/* Everything that was handed on, as "section|name|key|value;". */
struct heard {
    char text[1024];
    const char *refuse_key;
};

static int hear(void *arg, const char *section, const char *name, const char *key,
                const char *value, struct err *err)
{
    struct heard *heard = arg;
    if (heard->refuse_key && strcmp(key, heard->refuse_key) == 0)
        return err_set(err, -EINVAL, "there is no setting '%s'", key);
    size_t used = strlen(heard->text);
    snprintf(heard->text + used, sizeof(heard->text) - used, "%s|%s|%s|%s;", section, name, key,
             value);
    return 0;
}

static int parse(struct heard *heard, const char *text, struct err *err)
{
    return config_parse(text, strlen(text), "test.conf", hear, heard, err);
}

static void settings_arrive_in_order_with_their_section(void **state)
{
    (void)state;
    struct heard heard = {0};
    assert_int_equal(parse(&heard,
                           "# comment\n"
                           "\n"
                           "[node]\n"
                           "  running_max =  8  \n"
                           "\t; another\n"
                           "[runtime \"python 3\"]\n"
                           "argv=/usr/bin/python3 -c 'a # b ; c = d'\n"
                           "empty =\n"
                           "[node]\n"
                           "last = yes",
                           NULL),
                     0);
    assert_string_equal(heard.text, "node||running_max|8;"
                                    "runtime|python 3|argv|/usr/bin/python3 -c 'a # b ; c = d';"
                                    "runtime|python 3|empty|;"
                                    "node||last|yes;");
}

static void an_empty_text_holds_no_settings(void **state)
{
    (void)state;
    struct heard heard = {0};
    assert_int_equal(parse(&heard, "", NULL), 0);
    assert_int_equal(parse(&heard, "\n# only\n\n", NULL), 0);
    assert_string_equal(heard.text, "");
}

static void faults_name_origin_and_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"a = 1\n", "test.conf:1: 'a' stands before the first [section]"},
        {"[a]\n\nneither\n", "test.conf:3: neither [section] nor key = value"},
        {"[a]\nb = 1\nb = 2\n", "test.conf:3: 'b' is set twice"},
        {"[a]\nb = 1\n[c]\nb = 1\n[a]\nb = 2\n", "test.conf:6: 'b' is set twice"},
        {"[a\n", "test.conf:1: a section ends with ']'"},
        {"[", "test.conf:1: a section ends with ']'"},
        {"[]\n", "test.conf:1: '' is no name of a section"},
        {"[a b]\n", "test.conf:1: 'a b' is no name of a section"},
        {"[a \"b]\n", "test.conf:1: a named section is written [section \"name\"]"},
        {"[a \"\"]\n", "test.conf:1: a named section is written [section \"name\"]"},
        {"[a\"b\"]\n", "test.conf:1: a named section is written [section \"name\"]"},
        {"[\"b\"]\n", "test.conf:1: a named section is written [section \"name\"]"},
        {"[a \"b\" c]\n", "test.conf:1: a named section is written [section \"name\"]"},
        {"[a]\n= 1\n", "test.conf:2: '' is no name of a setting"},
        {"[a]\nb c = 1\n", "test.conf:2: 'b c' is no name of a setting"},
        {"[a]\nb = \xff\n", "test.conf:2: byte 5 of the line is not UTF-8"},
        {"[a]\nb = 1\r\n", "test.conf:2: byte 6 of the line is a control character"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct heard heard = {0};
        struct err err = {0};
        assert_int_equal(parse(&heard, cases[i].text, &err), -EINVAL);
        assert_string_equal(err.text, cases[i].words);
        assert_int_equal(parse(&heard, cases[i].text, NULL), -EINVAL);
    }
}

static void a_nul_byte_is_refused(void **state)
{
    (void)state;
    struct heard heard = {0};
    static const char text[] = "[a]\nb = x\0y\n";
    assert_int_equal(config_parse(text, sizeof(text) - 1, "test.conf", hear, &heard, NULL),
                     -EINVAL);
    assert_string_equal(heard.text, "");
}

static void the_position_stands_before_what_the_caller_refuses(void **state)
{
    (void)state;
    struct heard heard = {.refuse_key = "typo"};
    struct err err = {0};
    assert_int_equal(parse(&heard, "[a]\nb = 1\ntypo = 2\nc = 3\n", &err), -EINVAL);
    assert_string_equal(err.text, "test.conf:3: there is no setting 'typo'");
    assert_string_equal(heard.text, "a||b|1;");
}

static void the_same_key_may_stand_in_sections_of_other_names(void **state)
{
    (void)state;
    struct heard heard = {0};
    assert_int_equal(parse(&heard, "[r \"x\"]\na=1\n[r \"y\"]\na=2\n[r]\na=3\n", NULL), 0);
    assert_string_equal(heard.text, "r|x|a|1;r|y|a|2;r||a|3;");
}

static void write_file(const char *path, const char *text, size_t repeat)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    for (size_t i = 0; i < repeat; i++)
        assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void a_file_is_named_by_its_path(void **state)
{
    (void)state;
    char *dir = test_dir_new();
    char path[300];
    snprintf(path, sizeof(path), "%s/c.conf", dir);
    struct heard heard = {0};
    struct err err = {0};
    assert_int_equal(config_parse_file(path, hear, &heard, &err), -ENOENT);

    write_file(path, "[a]\nb = 1\n", 1);
    assert_int_equal(config_parse_file(path, hear, &heard, &err), 0);
    assert_string_equal(heard.text, "a||b|1;");

    write_file(path, "oops", 1);
    assert_int_equal(config_parse_file(path, hear, &heard, &err), -EINVAL);
    assert_memory_equal(err.text, path, strlen(path));

    write_file(path, "# 16 characters\n", 65536 + 1);
    assert_int_equal(config_parse_file(path, hear, &heard, &err), -EFBIG);
    test_dir_free(dir);
}

static void truth_has_six_words(void **state)
{
    (void)state;
    int truth = -1;
    struct err err = {0};
    assert_int_equal(config_bool("yes", &truth, NULL), 0);
    assert_int_equal(truth, 1);
    assert_int_equal(config_bool("off", &truth, NULL), 0);
    assert_int_equal(truth, 0);
    assert_int_equal(config_bool("1", &truth, &err), -EINVAL);
    assert_string_equal(err.text, "'1' is neither yes nor no");
    assert_int_equal(truth, 0);
}

static void numbers_are_whole_and_within_bounds(void **state)
{
    (void)state;
    unsigned long v = 77;
    struct err err = {0};
    assert_int_equal(config_u64("8", 1, 8, &v, NULL), 0);
    assert_int_equal(v, 8);
    static const char *const bad[] = {"0",  "9",  "",   "-1",  "+5",
                                      " 5", "5 ", "5M", "0x5", "99999999999999999999999"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(config_u64(bad[i], 1, 8, &v, &err), -EINVAL);
    assert_string_equal(err.text, "'99999999999999999999999' is not a whole number from 1 to 8");
    assert_int_equal(v, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_arrive_in_order_with_their_section),
        cmocka_unit_test(an_empty_text_holds_no_settings),
        cmocka_unit_test(faults_name_origin_and_line),
        cmocka_unit_test(a_nul_byte_is_refused),
        cmocka_unit_test(the_position_stands_before_what_the_caller_refuses),
        cmocka_unit_test(the_same_key_may_stand_in_sections_of_other_names),
        cmocka_unit_test(a_file_is_named_by_its_path),
        cmocka_unit_test(truth_has_six_words),
        cmocka_unit_test(numbers_are_whole_and_within_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
