#include "tests/unit/execsvc/blob_world.h"

/* ---- puts ---- */

static void a_blob_is_there_after_its_put_and_not_before(void **state)
{
    struct world *w = *state;
    assert_false(has(w, "a", 1, 10));
    assert_int_equal(put(w, "a", 1, 10), 0);
    assert_true(has(w, "a", 1, 10));
    assert_int_equal(w->counts.puts, 1);
    assert_int_equal(w->counts.put_bytes, 10);
    expect_bytes(w, BLOCK);
    assert_int_equal(w->counts.hits, 1);
    assert_int_equal(w->counts.misses, 1);
}

static void an_empty_blob_is_a_blob(void **state)
{
    struct world *w = *state;
    assert_int_equal(put(w, "a", 1, 0), 0);
    assert_true(has(w, "a", 1, 0));
}

static void what_one_tenant_has_put_another_does_not_know(void **state)
{
    struct world *w = *state;
    assert_int_equal(put(w, "a", 1, 10), 0);
    assert_false(has(w, "b", 1, 10));
    assert_int_equal(put(w, "b", 1, 10), 0);
    assert_true(has(w, "b", 1, 10));
    assert_int_equal(entries(w, "blobs"), 2);
}

static void wrong_bytes_are_not_stored_and_leave_nothing(void **state)
{
    struct world *w = *state;
    struct blob_key key = key_no("a", 1, 10);
    struct blob_put *one = NULL;
    assert_int_equal(blob_put_new(w->store, &key, 10, &put_ops, w, &one), 0);
    assert_int_equal(blob_put_write(one, "0123456789", 10), 0);
    wait_for_call(w);
    blob_put_finish(one);
    wait_for_call(w);
    assert_int_equal(w->result, BLOB_E_MISMATCH);
    blob_put_free(one);
    settle(w);
    assert_false(blob_store_has(w->store, &key));
    assert_int_equal(w->counts.mismatches, 1);
    expect_bytes(w, BLOCK); /* the settler's */
    assert_int_equal(entries(w, "tmp"), 0);
}

static void more_and_fewer_bytes_than_announced_are_refused(void **state)
{
    struct world *w = *state;
    struct blob_key key = key_no("a", 1, 10);
    struct blob_put *one = NULL;
    assert_int_equal(blob_put_new(w->store, &key, 10, &put_ops, w, &one), 0);
    assert_int_equal(blob_put_write(one, "01234567890", 11), BLOB_E_MISMATCH);
    assert_int_equal(blob_put_write(one, "012345678", 9), 0);
    wait_for_call(w);
    blob_put_finish(one);
    wait_for_call(w);
    assert_int_equal(w->result, BLOB_E_MISMATCH);
    blob_put_free(one);
}

static void a_put_that_is_left_gives_its_room_back(void **state)
{
    struct world *w = *state;
    struct blob_key key = key_no("a", 1, 8 * BLOCK);
    struct blob_put *one = NULL;
    uint8_t *bytes = content(1, 8 * BLOCK);
    assert_int_equal(blob_put_new(w->store, &key, 8 * BLOCK, &put_ops, w, &one), 0);
    expect_bytes(w, 8 * BLOCK);
    assert_int_equal(blob_put_write(one, bytes, 100), 0);
    blob_put_free(one); /* while it is being written */
    settle(w);
    expect_bytes(w, BLOCK);
    assert_int_equal(entries(w, "tmp"), 0);
    free(bytes);
}

static void caps_are_kept(void **state)
{
    struct world *w = *state;
    struct blob_key key = key_no("a", 1, 1);
    struct blob_put *puts[3] = {NULL};
    assert_int_equal(blob_put_new(w->store, &key, 8 * BLOCK + 1, &put_ops, w, &puts[0]),
                     BLOB_E_TOO_LARGE);
    assert_int_equal(blob_put_new(w->store, &key, 1, &put_ops, w, &puts[0]), 0);
    assert_int_equal(blob_put_new(w->store, &key, 1, &put_ops, w, &puts[1]), 0);
    assert_int_equal(blob_put_new(w->store, &key, 1, &put_ops, w, &puts[2]), BLOB_E_TOO_MANY);
    blob_put_free(puts[0]);
    blob_put_free(puts[1]);
    settle(w);
    assert_int_equal(blob_put_new(w->store, &key, 8 * BLOCK, &put_ops, w, &puts[0]), 0);
    assert_int_equal(blob_put_new(w->store, &key, 8 * BLOCK, &put_ops, w, &puts[1]), BLOB_E_FULL);
    struct blob_key other = key_no("b", 1, 1);
    assert_int_equal(blob_put_new(w->store, &other, 8 * BLOCK, &put_ops, w, &puts[2]), 0);
    blob_put_free(puts[0]);
    blob_put_free(puts[2]);
}

static void the_same_blob_put_twice_at_once_is_stored_once(void **state)
{
    struct world *w = *state;
    uint8_t *bytes = content(1, 100);
    struct blob_key key = key_of("a", bytes, 100);
    struct blob_put *puts[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(blob_put_new(w->store, &key, 100, &put_ops, w, &puts[i]), 0);
        assert_int_equal(blob_put_write(puts[i], bytes, 100), 0);
    }
    while (w->called < 2)
        wait_for_call(w);
    for (int i = 0; i < 2; i++)
        blob_put_finish(puts[i]);
    while (w->called < 4)
        wait_for_call(w);
    blob_put_free(puts[0]);
    blob_put_free(puts[1]);
    settle(w);
    assert_true(blob_store_has(w->store, &key));
    expect_bytes(w, 2 * BLOCK); /* the settler's too */
    assert_int_equal(entries(w, "blobs"), 2);
    assert_int_equal(entries(w, "tmp"), 0);
    free(bytes);
}

/* ---- eviction ---- */

static void what_was_used_longest_ago_goes_first(void **state)
{
    struct world *w = *state;
    assert_int_equal(put(w, "a", 1, 5 * BLOCK), 0);
    assert_int_equal(put(w, "b", 2, 5 * BLOCK), 0);
    assert_int_equal(put(w, "b", 3, 5 * BLOCK), 0);
    assert_true(has(w, "a", 1, 5 * BLOCK));
    assert_int_equal(put(w, "c", 4, 5 * BLOCK), 0);
    assert_true(has(w, "a", 1, 5 * BLOCK));
    assert_false(has(w, "b", 2, 5 * BLOCK));
    assert_true(has(w, "b", 3, 5 * BLOCK));
    assert_int_equal(w->counts.evictions, 1);
    assert_int_equal(w->counts.evicted_bytes, 5 * BLOCK);
    assert_int_equal(entries(w, "blobs"), 3);
}

static void a_tenant_that_has_its_part_makes_room_of_its_own(void **state)
{
    struct world *w = *state;
    assert_int_equal(put(w, "b", 1, 4 * BLOCK), 0);
    for (unsigned i = 10; i < 20; i++)
        assert_int_equal(put(w, "a", i, 4 * BLOCK), 0);
    assert_true(has(w, "b", 1, 4 * BLOCK));
    assert_int_equal(entries(w, "blobs"), 4);
}

/* ---- the next start ---- */

static void whole_blobs_outlive_a_restart_and_nothing_else(void **state)
{
    struct world *w = *state;
    assert_int_equal(put(w, "a", 1, 100), 0);
    const struct blob_set_file files[] = {{.path = "one", .key = key_no("a", 1, 100)}};
    struct waiter waiter;
    assert_int_equal(pin(w, files, 1, &waiter), 0);
    blob_pin_release(&waiter.pin);
    char path[300];
    snprintf(path, sizeof(path), "%s/tmp/77", w->dir);
    close(open(path, O_WRONLY | O_CREAT, 0600));
    snprintf(path, sizeof(path), "%s/blobs/stray", w->dir);
    close(open(path, O_WRONLY | O_CREAT, 0600));
    reopen(w, 16);
    assert_true(has(w, "a", 1, 100));
    settle(w);
    assert_int_equal(entries(w, "tmp"), 0);
    assert_int_equal(entries(w, "sets"), 0);
    assert_int_equal(entries(w, "blobs"), 2);
    assert_int_equal(pin(w, files, 1, &waiter), 0);
    blob_pin_release(&waiter.pin);
}

static void a_smaller_cache_drops_the_oldest_at_the_start(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(put(w, "a", i, 3 * BLOCK), 0);
        sleep_ms(20); /* files are stamped by ticks */
    }
    reopen(w, 7);
    assert_false(has(w, "a", 0, 3 * BLOCK));
    assert_true(has(w, "a", 1, 3 * BLOCK));
    assert_true(has(w, "a", 2, 3 * BLOCK));
}

static void after_another_boot_nothing_is_believed(void **state)
{
    struct world *w = *state;
    assert_int_equal(put(w, "a", 1, 100), 0);
    char path[300];
    snprintf(path, sizeof(path), "%s/boot", w->dir);
    FILE *mark = fopen(path, "w");
    assert_non_null(mark);
    fputs("another", mark);
    fclose(mark);
    reopen(w, 16);
    assert_false(has(w, "a", 1, 100));
    assert_int_equal(entries(w, "blobs"), 0);
}

static void a_directory_that_is_not_ours_alone_is_refused(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    struct blob_store *other = NULL;
    struct blob_counts counts = {0};
    const struct blob_store_options options = {.root = w->dir, .bytes_max = BLOCK};
    assert_int_equal(blob_store_new(&options, w->loop, &counts, &other, &err), -EBUSY);
    w->store = blob_store_free(w->store);
    assert_int_equal(chmod(w->dir, 0750), 0);
    assert_int_equal(blob_store_new(&options, w->loop, &counts, &other, &err), -EPERM);
    assert_int_equal(chmod(w->dir, 0700), 0);
    char path[300], sets[300];
    snprintf(sets, sizeof(sets), "%s/sets", w->dir);
    assert_int_equal(rmdir(sets), 0);
    assert_int_equal(symlink("/etc", sets), 0);
    assert_true(blob_store_new(&options, w->loop, &counts, &other, &err) < 0);
    snprintf(path, sizeof(path), "%s.link", w->dir);
    assert_int_equal(symlink(w->dir, path), 0);
    const struct blob_store_options linked = {.root = path, .bytes_max = BLOCK};
    assert_true(blob_store_new(&linked, w->loop, &counts, &other, &err) < 0);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_blob_is_there_after_its_put_and_not_before),
        CASE(an_empty_blob_is_a_blob),
        CASE(what_one_tenant_has_put_another_does_not_know),
        CASE(wrong_bytes_are_not_stored_and_leave_nothing),
        CASE(more_and_fewer_bytes_than_announced_are_refused),
        CASE(a_put_that_is_left_gives_its_room_back),
        CASE(caps_are_kept),
        CASE(the_same_blob_put_twice_at_once_is_stored_once),
        CASE(what_was_used_longest_ago_goes_first),
        CASE(a_tenant_that_has_its_part_makes_room_of_its_own),
        CASE(whole_blobs_outlive_a_restart_and_nothing_else),
        CASE(a_smaller_cache_drops_the_oldest_at_the_start),
        CASE(after_another_boot_nothing_is_believed),
        CASE(a_directory_that_is_not_ours_alone_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
