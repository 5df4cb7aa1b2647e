/* The one array that is `cloister`'s heap, under names that leave the test's own heap alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#undef malloc
#undef calloc
#undef realloc
#undef free
#define malloc  quick_malloc
#define calloc  quick_calloc
#define realloc quick_realloc
#define free    quick_free
void *quick_malloc(size_t size);
void *quick_calloc(size_t n, size_t size);
void *quick_realloc(void *piece, size_t size);
void quick_free(void *piece);
#include "cli/quick_heap.c"

static bool is_all(const uint8_t *bytes, size_t len, uint8_t value)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != value)
            return false;
    return true;
}

static void pieces_do_not_touch_each_other(void **state)
{
    (void)state;
    uint8_t *pieces[64];
    for (size_t i = 0; i < 64; i++) {
        pieces[i] = malloc(i);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)i, i);
    }
    for (size_t i = 0; i < 64; i++)
        assert_true(is_all(pieces[i], i, (uint8_t)i));
}

static void the_last_piece_is_used_again_and_calloc_clears_it(void **state)
{
    (void)state;
    uint8_t *old = malloc(100);
    memset(old, 0xff, 100);
    free(old);
    uint8_t *again = calloc(10, 30);
    assert_ptr_equal(again, old);
    assert_true(is_all(again, 300, 0));
}

static void a_piece_that_is_not_the_last_is_kept(void **state)
{
    (void)state;
    uint8_t *first_piece = malloc(16), *second = malloc(16);
    free(first_piece);
    assert_true((uint8_t *)malloc(16) > second);
}

static void the_last_piece_grows_in_place_others_move_with_what_they_hold(void **state)
{
    (void)state;
    uint8_t *piece = realloc(NULL, 10);
    memset(piece, 7, 10);
    assert_ptr_equal(realloc(piece, 5000), piece);
    uint8_t *other = malloc(1);
    uint8_t *moved = realloc(piece, 6000);
    assert_true(moved > other);
    assert_true(is_all(moved, 10, 7));
}

static void what_the_array_has_no_room_for_is_mapped(void **state)
{
    (void)state;
    uint8_t *large = calloc(1, FIRST + MORE);
    assert_non_null(large);
    assert_true(is_all(large, FIRST + MORE, 0));
    memset(large, 1, FIRST + MORE);
    uint8_t *small = malloc(10);
    assert_true(small < large || small >= large + FIRST + MORE);
}

static void what_nobody_has_is_refused(void **state)
{
    (void)state;
    errno = 0;
    assert_null(malloc(SIZE_MAX - 8));
    assert_int_equal(errno, ENOMEM);
    size_t half = SIZE_MAX / 2 + 1;
    assert_null(calloc(half, 2));
    assert_null(realloc(malloc(1), SIZE_MAX));
    free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_do_not_touch_each_other),
        cmocka_unit_test(the_last_piece_is_used_again_and_calloc_clears_it),
        cmocka_unit_test(a_piece_that_is_not_the_last_is_kept),
        cmocka_unit_test(the_last_piece_grows_in_place_others_move_with_what_they_hold),
        cmocka_unit_test(what_the_array_has_no_room_for_is_mapped),
        cmocka_unit_test(what_nobody_has_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
