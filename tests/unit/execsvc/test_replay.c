#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "execsvc/replay.h"

static uint8_t out[REPLAY_RECORD_MAX], in[REPLAY_RECORD_MAX];

static uint8_t byte_at(int stream, uint64_t offset)
{
    return (uint8_t)(offset * 31 + (uint64_t)stream * 7);
}

static void add(struct replay *replay, int stream, uint64_t *offset, size_t len)
{
    for (size_t i = 0; i < len; i++)
        in[i] = byte_at(stream, *offset + i);
    assert_int_equal(replay_add(replay, stream, *offset, in, len), 0);
    *offset += len;
}

static void a_listener_that_keeps_up_gets_every_byte_once_and_in_order(void **state)
{
    (void)state;
    struct replay replay;
    struct replay_record record;
    uint64_t written[2] = {0}, read[2] = {0}, position = 0;
    uint32_t seed = 1;
    replay_init(&replay);
    for (int i = 0; i < 3000; i++) {
        seed = seed * 1664525 + 1013904223;
        add(&replay, (seed >> 9) & 1, &written[(seed >> 9) & 1],
            1 + (seed >> 10) % (i % 50 ? 300 : REPLAY_RECORD_MAX));
        if (replay_unread(&replay, position) < REPLAY_MAX / 2 && i < 2999)
            continue;
        while (replay_read(&replay, &position, &record, out)) {
            assert_int_equal(record.offset, read[record.stream]);
            for (size_t b = 0; b < record.len; b += 17)
                assert_int_equal(out[b], byte_at(record.stream, record.offset + b));
            read[record.stream] += record.len;
        }
    }
    assert_int_equal(read[0], written[0]);
    assert_int_equal(read[1], written[1]);
    assert_true(replay.cap <= REPLAY_MAX);
    replay_done(&replay);
}

static void one_that_comes_late_gets_the_newest_quarter_megabyte(void **state)
{
    (void)state;
    struct replay replay;
    struct replay_record record;
    uint64_t written = 0, position = 0, next = 0;
    replay_init(&replay);
    for (int i = 0; i < 1000; i++)
        add(&replay, 0, &written, 1000);
    assert_true(replay_unread(&replay, 0) <= REPLAY_MAX);
    while (replay_read(&replay, &position, &record, out)) {
        assert_true(next == 0 || record.offset == next);
        assert_int_equal(out[0], byte_at(0, record.offset));
        if (next == 0)
            assert_true(written - record.offset > REPLAY_MAX - 5000);
        next = record.offset + record.len;
    }
    assert_int_equal(next, written);
    replay_done(&replay);
}

static void little_output_takes_little_memory(void **state)
{
    (void)state;
    struct replay replay;
    uint64_t written = 0;
    replay_init(&replay);
    add(&replay, 1, &written, 100);
    assert_true(replay.cap <= 4096);
    replay_done(&replay);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_listener_that_keeps_up_gets_every_byte_once_and_in_order),
        cmocka_unit_test(one_that_comes_late_gets_the_newest_quarter_megabyte),
        cmocka_unit_test(little_output_takes_little_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
