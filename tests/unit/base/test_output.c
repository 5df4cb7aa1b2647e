#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/output.h"

/* What a client would have at the end: forwarded bytes and tail, by offset; the gap stays 0xff. */
static size_t collect(struct output *out, const uint8_t *bytes, size_t len, size_t step,
                      uint8_t *seen)
{
    size_t forwarded = 0;
    memset(seen, 0xff, len);
    for (size_t at = 0; at < len; at += step) {
        size_t n = len - at < step ? len - at : step, forward;
        uint64_t offset;
        assert_int_equal(output_feed(out, bytes + at, n, &forward, &offset), 0);
        assert_int_equal(offset, at);
        memcpy(seen + offset, bytes + at, forward);
        forwarded += forward;
    }
    struct output_piece tail[2];
    uint64_t offset = output_tail(out, tail);
    for (int i = 0; i < 2; i++) {
        if (tail[i].len)
            memcpy(seen + offset, tail[i].bytes, tail[i].len);
        offset += tail[i].len;
    }
    assert_int_equal(offset, len);
    return forwarded;
}

static uint8_t *pattern(size_t len)
{
    uint8_t *bytes = malloc(len);
    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i * 31 % 251);
    return bytes;
}

static void what_fits_arrives_whole(void **state)
{
    (void)state;
    uint8_t *bytes = pattern(1000), seen[1000];
    for (size_t step = 1; step < 1001; step += 37) {
        struct output out;
        output_init(&out, 1000, false);
        collect(&out, bytes, 1000, step, seen);
        assert_memory_equal(bytes, seen, 1000);
        assert_int_equal(output_dropped(&out), 0);
        assert_false(output_limit_hit(&out));
        output_done(&out);
    }
    free(bytes);
}

static void above_the_limit_head_and_tail_are_kept_and_the_rest_counted(void **state)
{
    (void)state;
    enum { LEN = 10007, LIMIT = 1000 };
    uint8_t *bytes = pattern(LEN), *seen = malloc(LEN);
    for (size_t step = 1; step < LEN; step = step * 2 + 1) {
        struct output out;
        output_init(&out, LIMIT, false);
        size_t forwarded = collect(&out, bytes, LEN, step, seen);
        assert_int_equal(forwarded, 750);
        assert_memory_equal(bytes, seen, 750);
        assert_memory_equal(bytes + LEN - 250, seen + LEN - 250, 250);
        assert_int_equal(seen[750], 0xff);
        assert_int_equal(seen[LEN - 251], 0xff);
        assert_int_equal(output_dropped(&out), LEN - LIMIT);
        assert_true(output_limit_hit(&out));
        assert_true(output_is_silent(&out));
        output_done(&out);
    }
    free(seen);
    free(bytes);
}

static void the_run_must_end_only_beyond_sixty_four_times_the_limit(void **state)
{
    (void)state;
    struct output out;
    uint8_t byte = 0;
    size_t forward;
    uint64_t offset;
    output_init(&out, 10, false);
    for (int i = 0; i < 10 * LIMIT_OUTPUT_KILL_FACTOR; i++) {
        assert_int_equal(output_feed(&out, &byte, 1, &forward, &offset), 0);
        assert_false(output_must_end(&out));
    }
    assert_int_equal(output_feed(&out, &byte, 1, &forward, &offset), 0);
    assert_true(output_must_end(&out));
    output_done(&out);
}

static void a_terminal_gets_everything(void **state)
{
    (void)state;
    uint8_t *bytes = pattern(5000), seen[5000];
    struct output out;
    output_init(&out, 100, true);
    assert_int_equal(collect(&out, bytes, 5000, 13, seen), 5000);
    assert_memory_equal(bytes, seen, 5000);
    assert_int_equal(output_dropped(&out), 0);
    assert_false(output_is_silent(&out));
    output_done(&out);
    free(bytes);
}

static void a_limit_of_a_few_bytes_works(void **state)
{
    (void)state;
    uint8_t *bytes = pattern(300), seen[300];
    for (uint64_t limit = 0; limit < 9; limit++) {
        struct output out;
        output_init(&out, limit, false);
        collect(&out, bytes, 300, 7, seen);
        assert_int_equal(output_dropped(&out), 300 - limit);
        output_done(&out);
    }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_arrives_whole),
        cmocka_unit_test(above_the_limit_head_and_tail_are_kept_and_the_rest_counted),
        cmocka_unit_test(the_run_must_end_only_beyond_sixty_four_times_the_limit),
        cmocka_unit_test(a_terminal_gets_everything),
        cmocka_unit_test(a_limit_of_a_few_bytes_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
