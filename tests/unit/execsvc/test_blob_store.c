#include "tests/support/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/err.h"
#include "base/loop.h"
#include "execsvc/blob_store.h"

#define BLOCK UINT64_C(4096)

/* A store with room for 16 blocks, 12 of one tenant, and two puts at a time. */
struct world {
    char *dir;
    struct loop *loop;
    struct blob_store *store;
    struct blob_counts counts;
    int result; /* of the last callback */
    unsigned called;
};

static void open_store(struct world *w, uint64_t blocks)
{
    struct err err = {0};
    const struct blob_store_options options = {.root = w->dir,
                                               .bytes_max = blocks * BLOCK,
                                               .tenant_bytes_max = 12 * BLOCK,
                                               .blob_bytes_max = 8 * BLOCK,
                                               .puts_per_tenant = 2};
    memset(&w->counts, 0, sizeof(w->counts));
    int r = blob_store_new(&options, w->loop, &w->counts, &w->store, &err);
    if (r != 0)
        fail_msg("%s", err.text);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    w->dir = test_dir_new();
    assert_int_equal(chmod(w->dir, 0700), 0);
    assert_int_equal(loop_new(&w->loop, NULL), 0);
    open_store(w, 16);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    blob_store_free(w->store);
    loop_free(w->loop);
    test_dir_free(w->dir);
    free(w);
    return 0;
}

static void wait_for_call(struct world *w)
{
    unsigned before = w->called;
    for (int i = 0; i < 1000 && w->called == before; i++)
        assert_int_equal(loop_step(w->loop, 20, NULL), 0);
    assert_int_not_equal(w->called, before);
}

static void on_put(void *arg, int result, const struct err *err)
{
    struct world *w = arg;
    (void)err;
    w->result = result;
    w->called++;
}

static const struct blob_put_ops put_ops = {.written = on_put, .finished = on_put};

/* A content of @size bytes that no other number has. */
static uint8_t *content(unsigned number, size_t size)
{
    uint8_t *bytes = calloc(1, size + sizeof(number));
    assert_non_null(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(number * 31 + i);
    if (size >= sizeof(number))
        memcpy(bytes, &number, sizeof(number));
    return bytes;
}

static struct blob_key key_of(const char *tenant, const uint8_t *bytes, size_t size)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    struct blob_key key;
    assert_int_equal(EVP_Digest(bytes, size, digest, NULL, EVP_sha256(), NULL), 1);
    blob_store_key(tenant, digest, &key);
    return key;
}

static struct blob_key key_no(const char *tenant, unsigned number, size_t size)
{
    uint8_t *bytes = content(number, size);
    struct blob_key key = key_of(tenant, bytes, size);
    free(bytes);
    return key;
}

static int put(struct world *w, const char *tenant, unsigned number, size_t size)
{
    uint8_t *bytes = content(number, size);
    struct blob_key key = key_of(tenant, bytes, size);
    struct blob_put *one = NULL;
    int r = blob_put_new(w->store, &key, size, &put_ops, w, &one);
    if (r == 0 && size) {
        assert_int_equal(blob_put_write(one, bytes, size), 0);
        wait_for_call(w);
        r = w->result;
    }
    if (r == 0) {
        blob_put_finish(one);
        wait_for_call(w);
        r = w->result;
    }
    blob_put_free(one);
    free(bytes);
    return r;
}

static unsigned entries(const struct world *w, const char *sub)
{
    char path[300];
    snprintf(path, sizeof(path), "%s/%s", w->dir, sub);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    unsigned n = 0;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 2;
}

/* Until the worker has nothing left to do: a put goes through all of it. */
static void settle(struct world *w)
{
    assert_int_equal(put(w, "settler", 999, 4), 0);
}

/* Room is given back when the worker has let go of the file. */
static void expect_bytes(struct world *w, uint64_t bytes)
{
    for (int i = 0; i < 500 && w->counts.bytes != bytes; i++)
        assert_int_equal(loop_step(w->loop, 20, NULL), 0);
    assert_int_equal(w->counts.bytes, bytes);
}

static void reopen(struct world *w, uint64_t blocks)
{
    w->store = blob_store_free(w->store);
    open_store(w, blocks);
}

static bool has(struct world *w, const char *tenant, unsigned number, size_t size)
{
    struct blob_key key = key_no(tenant, number, size);
    return blob_store_has(w->store, &key);
}

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

/* ---- sets ---- */

struct waiter {
    struct blob_pin pin;
    struct world *w;
};

static void on_ready(struct blob_pin *pin, const struct err *err)
{
    struct waiter *waiter = container_of(pin, struct waiter, pin);
    waiter->w->result = err ? err->code : 0;
    waiter->w->called++;
}

static int pin(struct world *w, const struct blob_set_file *files, size_t n, struct waiter *ret)
{
    size_t missing = 99;
    *ret = (struct waiter){.w = w};
    int r = blob_pin_set(w->store, files, n, &ret->pin, on_ready, &missing);
    if (r == BLOB_E_MISSING)
        w->result = (int)missing;
    if (r == 0 && !blob_pin_is_ready(&ret->pin)) {
        wait_for_call(w);
        assert_int_equal(w->result, 0);
    }
    return r;
}

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

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
        CASE(a_set_is_a_tree_of_its_blobs),
        CASE(a_missing_blob_is_named),
        CASE(runs_that_ask_for_the_same_share_a_set),
        CASE(what_is_pinned_stays_and_what_is_not_goes_with_its_sets),
        CASE(when_all_is_pinned_nothing_goes_in_vain),
        CASE(copies_for_the_executable_bit_are_charged),
        CASE(whole_blobs_outlive_a_restart_and_nothing_else),
        CASE(a_smaller_cache_drops_the_oldest_at_the_start),
        CASE(after_another_boot_nothing_is_believed),
        CASE(a_directory_that_is_not_ours_alone_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
