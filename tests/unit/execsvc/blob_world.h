#pragma once
/* For the tests of the blob cache: a store in a directory of its own, and somebody who waits for
 * it. */

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

static inline void open_store(struct world *w, uint64_t blocks)
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

static inline int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    w->dir = test_dir_new();
    assert_int_equal(chmod(w->dir, 0700), 0);
    assert_int_equal(loop_new(&w->loop, NULL), 0);
    open_store(w, 16);
    *state = w;
    return 0;
}

static inline int teardown(void **state)
{
    struct world *w = *state;
    blob_store_free(w->store);
    loop_free(w->loop);
    test_dir_free(w->dir);
    free(w);
    return 0;
}

static inline void wait_for_call(struct world *w)
{
    unsigned before = w->called;
    for (int i = 0; i < 1000 && w->called == before; i++)
        assert_int_equal(loop_step(w->loop, 20, NULL), 0);
    assert_int_not_equal(w->called, before);
}

static inline void on_put(void *arg, int result, const struct err *err)
{
    struct world *w = arg;
    (void)err;
    w->result = result;
    w->called++;
}

static const struct blob_put_ops put_ops = {.written = on_put, .finished = on_put};

/* A content of @size bytes that no other number has. */
static inline uint8_t *content(unsigned number, size_t size)
{
    uint8_t *bytes = calloc(1, size + sizeof(number));
    assert_non_null(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(number * 31 + i);
    if (size >= sizeof(number))
        memcpy(bytes, &number, sizeof(number));
    return bytes;
}

static inline struct blob_key key_of(const char *tenant, const uint8_t *bytes, size_t size)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    struct blob_key key;
    assert_int_equal(EVP_Digest(bytes, size, digest, NULL, EVP_sha256(), NULL), 1);
    blob_store_key(tenant, digest, &key);
    return key;
}

static inline struct blob_key key_no(const char *tenant, unsigned number, size_t size)
{
    uint8_t *bytes = content(number, size);
    struct blob_key key = key_of(tenant, bytes, size);
    free(bytes);
    return key;
}

static inline int put(struct world *w, const char *tenant, unsigned number, size_t size)
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

static inline unsigned entries(const struct world *w, const char *sub)
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
static inline void settle(struct world *w)
{
    assert_int_equal(put(w, "settler", 999, 4), 0);
}

/* Room is given back when the worker has let go of the file. */
static inline void expect_bytes(struct world *w, uint64_t bytes)
{
    for (int i = 0; i < 500 && w->counts.bytes != bytes; i++)
        assert_int_equal(loop_step(w->loop, 20, NULL), 0);
    assert_int_equal(w->counts.bytes, bytes);
}

static inline void reopen(struct world *w, uint64_t blocks)
{
    w->store = blob_store_free(w->store);
    open_store(w, blocks);
}

static inline bool has(struct world *w, const char *tenant, unsigned number, size_t size)
{
    struct blob_key key = key_no(tenant, number, size);
    return blob_store_has(w->store, &key);
}

struct waiter {
    struct blob_pin pin;
    struct world *w;
};

static inline void on_ready(struct blob_pin *pin, const struct err *err)
{
    struct waiter *waiter = container_of(pin, struct waiter, pin);
    waiter->w->result = err ? err->code : 0;
    waiter->w->called++;
}

static inline int pin(struct world *w, const struct blob_set_file *files, size_t n,
                      struct waiter *ret)
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

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
