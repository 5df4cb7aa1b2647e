#include "api/arena.h"

#include <cloister/exec/v1/exec.pb-c.h>

#include "tests/support/unit.h"

static void memory_is_aligned_and_apart(void **state)
{
    (void)state;
    AUTO_ARENA struct arena arena;
    arena_init(&arena, 1 << 20);
    unsigned char *before = NULL;
    for (size_t size = 0; size < 3000; size += 7) {
        unsigned char *p = arena_alloc(&arena, size);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        assert_ptr_not_equal(p, before);
        memset(p, 0xaa, size);
        before = p;
    }
}

static void the_cap_holds(void **state)
{
    (void)state;
    AUTO_ARENA struct arena arena;
    arena_init(&arena, 1000);
    assert_null(arena_alloc(&arena, 1001));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    size_t n = 0;
    while (arena_alloc(&arena, 16))
        n++;
    assert_int_equal(n, 1000 / 16);
    assert_null(arena_zalloc(&arena, SIZE_MAX / 2, 4));
    assert_null(arena_string(&arena, "x", SIZE_MAX));
    arena_done(&arena);
    assert_non_null(arena_alloc(&arena, 16));
}

static void strings_get_their_nul(void **state)
{
    (void)state;
    AUTO_ARENA struct arena arena;
    arena_init(&arena, 1000);
    assert_string_equal(arena_string(&arena, "hello", 3), "hel");
    assert_string_equal(arena_string(&arena, NULL, 0), "");
}

/* 1 MiB of empty sub-messages is 56 MiB unpacked: the cap must stop that, cleanly. */
static void amplification_ends_at_the_cap(void **state)
{
    (void)state;
    size_t len = 1 << 20;
    uint8_t *wire = malloc(len);
    assert_non_null(wire);
    for (size_t i = 0; i < len; i += 2) {
        wire[i] = 3 << 3 | 2; /* files: an empty SourceFile */
        wire[i + 1] = 0;
    }
    AUTO_ARENA struct arena arena;
    arena_init(&arena, arena_cap_for(len));
    assert_null(cloister__exec__v1__execute_request__unpack(&arena.allocator, len, wire));
    assert_true(arena.used <= arena.cap);
    free(wire);
}

/* Whatever the cap is, unpacking fails or works; it never writes beyond. */
static void every_cap_is_survived(void **state)
{
    (void)state;
    static const uint8_t wire[] = {0x0a, 1, 'c',  0x1a, 5,   0x0a, 3, 'a', '/',  'b',  0x42, 2,
                                   0x08, 7, 0x22, 1,    'x', 0x2a, 1, 'y', 0xa2, 0x06, 1,    'u'};
    size_t worked = 0;
    for (size_t cap = 0; cap < 2000; cap += 8) {
        AUTO_ARENA struct arena arena;
        arena_init(&arena, cap);
        worked += cloister__exec__v1__execute_request__unpack(&arena.allocator, sizeof(wire),
                                                              wire) != NULL;
    }
    assert_true(worked > 10 && worked < 250);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_aligned_and_apart),
        cmocka_unit_test(the_cap_holds),
        cmocka_unit_test(strings_get_their_nul),
        cmocka_unit_test(amplification_ends_at_the_cap),
        cmocka_unit_test(every_cap_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
