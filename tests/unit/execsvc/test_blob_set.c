#include "tests/unit/execsvc/blob_world.h"

/* ---- sets ---- */

static void set_path(const struct world *w, struct waiter *waiter, const char *file, char *ret,
                     size_t size)
{
    snprintf(ret, size, "%s/sets/%s/%s", w->dir, blob_pin_name(&waiter->pin), file);
}

static void a_set_is_a_tree_of_its_blobs(void **state)
{
    struct world *w = *state;
    assert_int_equal(put(w, "a", 1, 100), 0);
    assert_int_equal(put(w, "a", 2, 200), 0);
    const struct blob_set_file files[] = {{.path = "data/deep/one.bin", .key = key_no("a", 1, 100)},
                                          {.path = "data/two.bin", .key = key_no("a", 2, 200)},
                                          {.path = "run",
                                           .key = key_no("a", 2, 200),
                                           .executable = true}};
    struct waiter waiter;
    assert_int_equal(pin(w, files, 3, &waiter), 0);
    char path[400];
    struct stat st;
    set_path(w, &waiter, "data/deep/one.bin", path, sizeof(path));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 100);
    assert_int_equal(st.st_mode & 07777, 0644);
    set_path(w, &waiter, "run", path, sizeof(path));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 200);
    assert_int_equal(st.st_mode & 07777, 0755);
    set_path(w, &waiter, "data", path, sizeof(path));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    blob_pin_release(&waiter.pin);
}

static void a_missing_blob_is_named(void **state)
{
    struct world *w = *state;
    assert_int_equal(put(w, "a", 1, 100), 0);
    const struct blob_set_file files[] = {{.path = "one", .key = key_no("a", 1, 100)},
                                          {.path = "two", .key = key_no("a", 2, 100)}};
    struct waiter waiter;
    assert_int_equal(pin(w, files, 2, &waiter), BLOB_E_MISSING);
    assert_int_equal(w->result, 1);
    const struct blob_set_file others[] = {{.path = "one", .key = key_no("b", 1, 100)}};
    assert_int_equal(pin(w, others, 1, &waiter), BLOB_E_MISSING);
}

static void runs_that_ask_for_the_same_share_a_set(void **state)
{
    struct world *w = *state;
    assert_int_equal(put(w, "a", 1, 100), 0);
    const struct blob_set_file files[] = {{.path = "one", .key = key_no("a", 1, 100)}};
    struct waiter first, second, third;
    assert_int_equal(pin(w, files, 1, &first), 0);
    assert_int_equal(pin(w, files, 1, &second), 0);
    assert_string_equal(blob_pin_name(&first.pin), blob_pin_name(&second.pin));
    assert_int_equal(w->counts.sets_made, 1);
    assert_int_equal(w->counts.sets_shared, 1);
    const struct blob_set_file other[] = {{.path = "uno", .key = key_no("a", 1, 100)}};
    assert_int_equal(pin(w, other, 1, &third), 0);
    assert_string_not_equal(blob_pin_name(&first.pin), blob_pin_name(&third.pin));
    blob_pin_release(&first.pin);
    blob_pin_release(&second.pin);
    blob_pin_release(&second.pin);
    blob_pin_release(&third.pin);
}

static void what_is_pinned_stays_and_what_is_not_goes_with_its_sets(void **state)
{
    struct world *w = *state;
    assert_int_equal(put(w, "a", 1, 6 * BLOCK), 0);
    const struct blob_set_file files[] = {{.path = "one", .key = key_no("a", 1, 6 * BLOCK)}};
    struct waiter waiter;
    assert_int_equal(pin(w, files, 1, &waiter), 0);
    assert_int_equal(put(w, "b", 2, 6 * BLOCK), 0);
    assert_int_equal(put(w, "c", 3, 8 * BLOCK), 0); /* b's goes, though it is newer */
    assert_false(has(w, "b", 2, 6 * BLOCK));
    assert_int_equal(put(w, "d", 4, 8 * BLOCK), 0);
    assert_false(has(w, "c", 3, 8 * BLOCK));
    assert_int_equal(entries(w, "sets"), 1);
    blob_pin_release(&waiter.pin);
    assert_int_equal(put(w, "e", 5, 4 * BLOCK), 0);
    assert_false(has(w, "a", 1, 6 * BLOCK));
    assert_int_equal(w->counts.sets, 0);
    settle(w);
    assert_int_equal(entries(w, "sets"), 0);
}

static void when_all_is_pinned_nothing_goes_in_vain(void **state)
{
    struct world *w = *state;
    assert_int_equal(put(w, "a", 1, 8 * BLOCK), 0);
    assert_int_equal(put(w, "b", 2, 3 * BLOCK), 0);
    const struct blob_set_file files[] = {{.path = "one", .key = key_no("a", 1, 8 * BLOCK)}};
    struct waiter waiter;
    assert_int_equal(pin(w, files, 1, &waiter), 0);
    assert_int_equal(put(w, "c", 3, 8 * BLOCK), BLOB_E_FULL);
    assert_true(has(w, "b", 2, 3 * BLOCK));
    blob_pin_release(&waiter.pin);
    assert_int_equal(put(w, "c", 3, 8 * BLOCK), 0);
}

static void copies_for_the_executable_bit_are_charged(void **state)
{
    struct world *w = *state;
    assert_int_equal(put(w, "a", 1, 6 * BLOCK), 0);
    const struct blob_set_file files[] = {
        {.path = "one", .key = key_no("a", 1, 6 * BLOCK), .executable = true}};
    struct waiter waiter;
    assert_int_equal(pin(w, files, 1, &waiter), BLOB_E_FULL); /* 6 + 7 of 12 */
    assert_int_equal(put(w, "a", 2, 2 * BLOCK), 0);
    const struct blob_set_file small[] = {
        {.path = "two", .key = key_no("a", 2, 2 * BLOCK), .executable = true}};
    assert_int_equal(pin(w, small, 1, &waiter), 0);
    expect_bytes(w, (6 + 2 + 2 + 1) * BLOCK);
    blob_pin_release(&waiter.pin);
}

static void a_file_that_somebody_has_removed_can_be_put_again(void **state)
{
    struct world *w = *state;
    assert_int_equal(put(w, "a", 1, 100), 0);
    char path[300], name[BLOB_NAME_SIZE];
    const struct blob_set_file files[] = {{.path = "one", .key = key_no("a", 1, 100)},
                                          {.path = "two", .key = key_no("a", 1, 100)}};
    blob_name(&files[0].key, name);
    snprintf(path, sizeof(path), "%s/blobs/%s", w->dir, name);
    assert_int_equal(unlink(path), 0);
    struct waiter waiter = {.w = w};
    size_t missing;
    assert_int_equal(blob_pin_set(w->store, files, 2, &waiter.pin, on_ready, &missing), 0);
    wait_for_call(w);
    assert_int_equal(w->result, -ENOENT);
    assert_int_equal(blob_pin_fault(&waiter.pin)->code, -ENOENT);
    blob_pin_release(&waiter.pin);
    settle(w);
    assert_false(has(w, "a", 1, 100));
    expect_bytes(w, BLOCK); /* the settler's */
    assert_int_equal(put(w, "a", 1, 100), 0);
    assert_int_equal(pin(w, files, 2, &waiter), 0);
    blob_pin_release(&waiter.pin);
    assert_int_equal(entries(w, "tmp"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_set_is_a_tree_of_its_blobs),
        CASE(a_missing_blob_is_named),
        CASE(runs_that_ask_for_the_same_share_a_set),
        CASE(what_is_pinned_stays_and_what_is_not_goes_with_its_sets),
        CASE(when_all_is_pinned_nothing_goes_in_vain),
        CASE(copies_for_the_executable_bit_are_charged),
        CASE(a_file_that_somebody_has_removed_can_be_put_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
