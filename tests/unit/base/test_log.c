#include "tests/support/unit.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"

/* What one call writes to stderr. */
static char captured[8192];

static int stderr_to_pipe(int *ret_read_end)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    int saved = dup(STDERR_FILENO);
    dup2(fds[1], STDERR_FILENO);
    fd_close(fds[1]);
    *ret_read_end = fds[0];
    return saved;
}

static void read_captured(int saved, int read_end)
{
    dup2(saved, STDERR_FILENO);
    fd_close(saved);
    ssize_t n = fd_read_all(read_end, captured, sizeof(captured) - 1);
    fd_close(read_end);
    assert_true(n >= 0);
    captured[n] = 0;
}

#define capture(statement)                                                                         \
    do {                                                                                           \
        int end_, saved_ = stderr_to_pipe(&end_);                                                  \
        statement;                                                                                 \
        read_captured(saved_, end_);                                                               \
    } while (0)

/* The line after its time, which no test can know. */
static const char *after_time(void)
{
    static const char shape[] = "{\"time\":\"2026-01-02T03:04:05.678Z\",";
    for (size_t i = 0; i < sizeof(shape) - 1; i++) {
        if (shape[i] >= '0' && shape[i] <= '9')
            assert_in_range(captured[i], '0', '9');
        else
            assert_int_equal(captured[i], shape[i]);
    }
    return captured + sizeof(shape) - 1;
}

static void a_line_is_one_json_object_with_its_fields(void **state)
{
    (void)state;
    log_init("tester", LOG_INFO);
    capture(log_warn("run.ended", "run ended", LOG_STR("run_id", "r1"), LOG_U64("wall_ms", 12),
                     LOG_I64("code", -3)));
    assert_string_equal(
        after_time(), "\"level\":\"warn\",\"program\":\"tester\",\"event\":\"run.ended\","
                      "\"message\":\"run ended\",\"run_id\":\"r1\",\"wall_ms\":12,\"code\":-3}\n");
}

static void a_line_without_fields_is_well_formed(void **state)
{
    (void)state;
    log_init("tester", LOG_INFO);
    capture(log_error("x", "y"));
    assert_string_equal(after_time(), "\"level\":\"error\",\"program\":\"tester\",\"event\":\"x\","
                                      "\"message\":\"y\"}\n");
}

static void levels_below_the_least_write_nothing(void **state)
{
    (void)state;
    log_init("tester", LOG_WARN);
    capture(log_info("x", "y"));
    assert_string_equal(captured, "");
    log_init("tester", LOG_DEBUG);
    capture(log_debug("x", "y"));
    assert_string_not_equal(captured, "");
}

static void strings_are_escaped_and_invalid_bytes_replaced(void **state)
{
    (void)state;
    log_init("tester", LOG_INFO);
    capture(log_info("x", "a\"b\\c\nd\x01\x7f\xc3\xa9\xff.", LOG_STR("none", NULL)));
    assert_non_null(strstr(captured, "\"message\":\"a\\\"b\\\\c\\u000ad\\u0001\\u007f\xc3\xa9"
                                     "\xef\xbf\xbd.\",\"none\":\"\"}\n"));
}

static void a_field_that_does_not_fit_is_left_out_whole(void **state)
{
    (void)state;
    static char big[5000];
    memset(big, 'z', sizeof(big) - 1);
    log_init("tester", LOG_INFO);
    capture(log_info("x", "y", LOG_STR("big", big), LOG_U64("after", 5)));
    assert_null(strstr(captured, "zzz"));
    assert_non_null(strstr(captured, "\"message\":\"y\",\"after\":5,\"truncated\":true}\n"));
}

static void a_full_line_still_ends_as_an_object(void **state)
{
    (void)state;
    static char big[4096];
    log_init("tester", LOG_INFO);
    for (size_t len = 3800; len < 4090; len++) {
        memset(big, 'z', len);
        big[len] = 0;
        capture(log_info("x", "y", LOG_STR("big", big)));
        size_t n = strlen(captured);
        assert_in_range(n, 2, 4096);
        assert_string_equal(captured + n - 2, "}\n");
        assert_ptr_equal(strchr(captured, '\n'), captured + n - 1);
    }
}

static void levels_have_names(void **state)
{
    (void)state;
    assert_int_equal(log_level_by_name("debug"), LOG_DEBUG);
    assert_int_equal(log_level_by_name("error"), LOG_ERROR);
    assert_int_equal(log_level_by_name("loud"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_one_json_object_with_its_fields),
        cmocka_unit_test(a_line_without_fields_is_well_formed),
        cmocka_unit_test(levels_below_the_least_write_nothing),
        cmocka_unit_test(strings_are_escaped_and_invalid_bytes_replaced),
        cmocka_unit_test(a_field_that_does_not_fit_is_left_out_whole),
        cmocka_unit_test(a_full_line_still_ends_as_an_object),
        cmocka_unit_test(levels_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
