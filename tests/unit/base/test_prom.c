#include "tests/support/unit.h"

#include <stdlib.h>

#include "base/process.h"
#include "base/prom.h"

static const double seconds[] = {0.1, 1};
static const struct prom_bounds bounds = {seconds, 2};

static FILE *begin(char **text, size_t *len)
{
    FILE *out = open_memstream(text, len);
    assert_non_null(out);
    return out;
}

static void end(FILE *out, char **text, const char *expected)
{
    assert_int_equal(fclose(out), 0);
    assert_string_equal(*text, expected);
    free(*text);
}

static void a_family_is_announced_before_its_samples(void **state)
{
    (void)state;
    char *text;
    size_t len;
    FILE *out = begin(&text, &len);
    prom_family(out, "x_total", "counter", "How many");
    prom_count(out, "x_total", "a=\"b\"", UINT64_MAX);
    prom_single(out, "y", "gauge", "How much", 0.25);
    end(out, &text,
        "# HELP x_total How many\n# TYPE x_total counter\nx_total{a=\"b\"} 18446744073709551615\n"
        "# HELP y How much\n# TYPE y gauge\ny 0.25\n");
}

static void buckets_are_cumulative(void **state)
{
    (void)state;
    const uint64_t counts[] = {1, 2, 4};
    char *text;
    size_t len;
    FILE *out = begin(&text, &len);
    prom_histogram(out, "h", "s=\"t\"", &bounds, counts, 9.5);
    prom_histogram(out, "h", "", &bounds, counts, 0);
    end(out, &text,
        "h_bucket{s=\"t\",le=\"0.1\"} 1\nh_bucket{s=\"t\",le=\"1\"} 3\n"
        "h_bucket{s=\"t\",le=\"+Inf\"} 7\nh_sum{s=\"t\"} 9.5\nh_count{s=\"t\"} 7\n"
        "h_bucket{le=\"0.1\"} 1\nh_bucket{le=\"1\"} 3\nh_bucket{le=\"+Inf\"} 7\nh_sum 0\nh_count "
        "7\n");
}

static void a_bound_belongs_to_its_bucket(void **state)
{
    (void)state;
    assert_int_equal(prom_bucket(&bounds, 0), 0);
    assert_int_equal(prom_bucket(&bounds, 0.1), 0);
    assert_int_equal(prom_bucket(&bounds, 0.11), 1);
    assert_int_equal(prom_bucket(&bounds, 1.5), 2);
}

static void a_label_cannot_leave_its_quotes(void **state)
{
    (void)state;
    char buf[16];
    assert_string_equal(prom_label("a\"b\\c\nd", buf, sizeof(buf)), "a\\\"b\\\\c\\nd");
    /* Cut, but never between a backslash and what it escapes. */
    assert_string_equal(prom_label("\"\"\"", buf, 6), "\\\"\\\"");
    assert_string_equal(prom_label("\"\"\"", buf, 4), "\\\"");
}

static void a_process_knows_what_it_uses(void **state)
{
    (void)state;
    struct process_usage before, after;
    process_usage(&before);
    FILE *file = fopen("/dev/null", "re");
    assert_non_null(file);
    process_usage(&after);
    fclose(file);
    assert_int_equal(after.fds_open, before.fds_open + 1);
    assert_true(after.fds_max >= after.fds_open);
    assert_true(after.threads >= 1);
    assert_true(after.rss_bytes >= 100 * 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_family_is_announced_before_its_samples),
        cmocka_unit_test(buckets_are_cumulative),
        cmocka_unit_test(a_bound_belongs_to_its_bucket),
        cmocka_unit_test(a_label_cannot_leave_its_quotes),
        cmocka_unit_test(a_process_knows_what_it_uses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
