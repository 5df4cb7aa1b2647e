#include "tests/support/unit.h"

#include "base/wire.h"

static void what_is_written_reads_back(void **state)
{
    (void)state;
    uint8_t buf[64];
    struct wire_writer w;
    wire_writer_init(&w, buf, sizeof(buf));
    wire_put_u32(&w, 7);
    wire_put_u64(&w, UINT64_MAX);
    wire_put_string(&w, "caf\xc3\xa9");
    wire_put_string(&w, "");
    wire_put_bytes(&w, "xyz", 3);
    assert_false(w.bad);

    struct wire_reader r;
    wire_reader_init(&r, buf, w.used);
    assert_int_equal(wire_u32(&r), 7);
    assert_int_equal(wire_u64(&r), UINT64_MAX);
    assert_string_equal(wire_string(&r, 5), "caf\xc3\xa9");
    assert_string_equal(wire_string(&r, 0), "");
    assert_false(wire_done(&r));
    assert_memory_equal(wire_bytes(&r, 3), "xyz", 3);
    assert_true(wire_done(&r));
}

static void reading_beyond_the_end_fails_and_stays_failed(void **state)
{
    (void)state;
    uint32_t message[2] = {1, 2};
    struct wire_reader r;
    wire_reader_init(&r, message, 7);
    assert_int_equal(wire_u32(&r), 1);
    assert_int_equal(wire_u32(&r), 0);
    assert_true(r.bad);
    assert_null(wire_bytes(&r, 1));
    assert_null(wire_bytes(&r, 0));
    assert_false(wire_done(&r));
}

static void expect_no_string(const void *bytes, size_t len, size_t max_len)
{
    struct wire_reader r;
    wire_reader_init(&r, bytes, len);
    assert_null(wire_string(&r, max_len));
    assert_true(r.bad);
}

static void strings_that_lie_are_refused(void **state)
{
    (void)state;
    expect_no_string("\x03\0\0\0abc", 7, 10);            /* no NUL */
    expect_no_string("\x03\0\0\0a\0c\0", 8, 10);         /* a NUL inside */
    expect_no_string("\x03\0\0\0abc\0", 8, 2);           /* longer than the reader wants */
    expect_no_string("\x09\0\0\0abc\0", 8, 10);          /* longer than the message */
    expect_no_string("\xff\xff\xff\xff\0", 5, SIZE_MAX); /* a length that would wrap */
    expect_no_string("\x03\0", 2, 10);                   /* no whole length */
}

static void a_message_with_bytes_left_over_is_not_done(void **state)
{
    (void)state;
    struct wire_reader r;
    wire_reader_init(&r, "abcdefgh", 8);
    wire_u32(&r);
    assert_false(wire_done(&r));
    wire_u32(&r);
    assert_true(wire_done(&r));
}

static void a_writer_without_room_writes_nothing_more(void **state)
{
    (void)state;
    uint8_t buf[6];
    memset(buf, 0xee, sizeof(buf));
    struct wire_writer w;
    wire_writer_init(&w, buf, 5);
    wire_put_u32(&w, 0);
    wire_put_u32(&w, 0);
    assert_true(w.bad);
    wire_put_bytes(&w, "a", 1);
    assert_int_equal(w.used, 4);
    assert_int_equal(buf[4], 0xee);
    assert_int_equal(buf[5], 0xee);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(reading_beyond_the_end_fails_and_stays_failed),
        cmocka_unit_test(strings_that_lie_are_refused),
        cmocka_unit_test(a_message_with_bytes_left_over_is_not_done),
        cmocka_unit_test(a_writer_without_room_writes_nothing_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
