/* A blob comes in: to a file in tmp/, which gets its name when its bytes have been verified. */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/evp.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/loop.h"
#include "execsvc/blob_index.h"

struct blob_put {
    struct work work;
    struct blob_store *store;
    struct blob_put *next; /* of the store's */
    struct blob_key key;
    struct blob_tenant *tenant;
    uint64_t size, got;
    const struct blob_put_ops *ops; /* NULL: its owner has left */
    void *arg;
    bool busy;           /* the worker has it */
    bool ending, stored; /* finish was called; it went well */
    struct blob *twin;   /* pinned: the same one, put by somebody else meanwhile */
    uint8_t *chunk;
    size_t chunk_len;

    /* The worker's. */
    char tmp[24];
    int fd;
    EVP_MD_CTX *sha;
    int result;
    struct err err;
};

static void give(struct blob_put *put, void (*run)(struct work *), void (*done)(struct work *))
{
    put->busy = true;
    put->work = (struct work){.run = run, .done = done};
    worker_give(put->store->worker, &put->work);
}

/* ---- on the worker's thread ---- */

static void drop_file(struct blob_put *put)
{
    if (put->fd < 0)
        return;
    put->fd = fd_close(put->fd);
    unlinkat(put->store->dirs.tmp, put->tmp, 0);
}

static int write_chunk(struct blob_put *put)
{
    if (put->fd < 0)
        put->fd = openat(put->store->dirs.tmp, put->tmp,
                         O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (put->fd < 0)
        return err_set(&put->err, -errno, "blob cache: create a file: %m");
    int r = fd_write_all(put->fd, put->chunk, put->chunk_len);
    if (r < 0)
        return err_set(&put->err, r, "blob cache: write: %m");
    return EVP_DigestUpdate(put->sha, put->chunk, put->chunk_len)
               ? 0
               : err_set(&put->err, -EIO, "SHA-256 can't be computed");
}

static void run_write(struct work *work)
{
    struct blob_put *put = container_of(work, struct blob_put, work);
    put->result = write_chunk(put);
    if (put->result < 0)
        drop_file(put);
}

static int give_name(struct blob_put *put)
{
    uint8_t sha256[EVP_MAX_MD_SIZE];
    char name[BLOB_NAME_SIZE];
    if (!EVP_DigestFinal_ex(put->sha, sha256, NULL))
        return err_set(&put->err, -EIO, "SHA-256 can't be computed");
    if (memcmp(sha256, put->key.sha256, BLOB_SHA256) != 0)
        return BLOB_E_MISMATCH;
    blob_name(&put->key, name);
    if (fchmod(put->fd, 0644) < 0 ||
        renameat(put->store->dirs.tmp, put->tmp, put->store->dirs.blobs, name) < 0)
        return err_set(&put->err, -errno, "blob cache: give a blob its name: %m");
    put->fd = fd_close(put->fd);
    return 0;
}

static void run_finish(struct work *work)
{
    struct blob_put *put = container_of(work, struct blob_put, work);
    put->chunk_len = 0; /* an empty blob has no file yet */
    put->result = put->got != put->size ? BLOB_E_MISMATCH : put->fd < 0 ? write_chunk(put) : 0;
    if (put->result == 0)
        put->result = give_name(put);
    drop_file(put);
}

static void run_drop(struct work *work)
{
    drop_file(container_of(work, struct blob_put, work));
}

/* ---- on the loop's ---- */

static void done_drop(struct work *work)
{
    struct blob_put *put = container_of(work, struct blob_put, work);
    struct blob_store *store = put->store;
    struct blob_put **at = &store->puts;
    while (*at != put)
        at = &(*at)->next;
    *at = put->next;
    if (!put->stored) {
        blob_let_go(store, put->tenant, blob_weight(put->size));
        blob_discharge(store, put->tenant, blob_weight(put->size));
    }
    if (put->twin)
        blob_unpin(put->twin);
    put->tenant->puts--;
    blob_tenant_check(store, put->tenant);
    EVP_MD_CTX_free(put->sha);
    free(put->chunk);
    free(put);
}

static void done_write(struct work *work)
{
    struct blob_put *put = container_of(work, struct blob_put, work);
    put->busy = false;
    if (put->ops)
        put->ops->written(put->arg, put->result, &put->err);
    else
        give(put, run_drop, done_drop);
}

/* The file that it has replaced is the same; its index entry stays, and with it its charge. */
static void store_it(struct blob_put *put)
{
    struct blob_store *store = put->store;
    if (blob_find(store, &put->key))
        return;
    struct blob *blob = blob_add(store, &put->key, put->tenant, put->size);
    if (!blob) {
        put->result = err_set(&put->err, -ENOMEM, "no memory for a blob");
        return; /* the file stays for the next start, or the next put, to find */
    }
    put->stored = true;
    blob_let_go(store, put->tenant, blob->weight);
    store->counts->puts++;
    store->counts->put_bytes += put->size;
    for (struct blob_put *other = store->puts; other; other = other->next) {
        if (other == put || !other->ending || memcmp(&other->key, &put->key, sizeof(put->key)) != 0)
            continue;
        /* Its file will take the name: no removal may come after that. */
        other->twin = blob;
        blob_pin(blob);
    }
}

static void done_finish(struct work *work)
{
    struct blob_put *put = container_of(work, struct blob_put, work);
    put->busy = false;
    if (put->result == 0)
        store_it(put);
    put->store->counts->mismatches += put->result == BLOB_E_MISMATCH;
    if (put->ops)
        put->ops->finished(put->arg, put->result, &put->err);
    else
        give(put, run_drop, done_drop);
}

int blob_put_new(struct blob_store *store, const struct blob_key *key, uint64_t size,
                 const struct blob_put_ops *ops, void *arg, struct blob_put **ret)
{
    if (size > store->options.blob_bytes_max)
        return BLOB_E_TOO_LARGE;
    struct blob_tenant *tenant = blob_tenant_get(store, key->tenant);
    if (!tenant)
        return -ENOMEM;
    int r = tenant->puts < store->options.puts_per_tenant ? 0 : BLOB_E_TOO_MANY;
    struct blob_put *put = r ? NULL : calloc(1, sizeof(*put));
    EVP_MD_CTX *sha = put ? EVP_MD_CTX_new() : NULL;
    if (r == 0 && (!sha || !EVP_DigestInit_ex(sha, EVP_sha256(), NULL)))
        r = -ENOMEM;
    if (r == 0)
        r = blob_charge(store, tenant, blob_weight(size));
    if (r != 0) {
        EVP_MD_CTX_free(sha);
        free(put);
        blob_tenant_check(store, tenant);
        return r;
    }
    tenant->puts++;
    *put = (struct blob_put){.store = store,
                             .next = store->puts,
                             .key = *key,
                             .tenant = tenant,
                             .size = size,
                             .ops = ops,
                             .arg = arg,
                             .fd = -EBADF,
                             .sha = sha};
    snprintf(put->tmp, sizeof(put->tmp), "%lx", (unsigned long)++store->last_tmp);
    store->puts = put;
    *ret = put;
    return 0;
}

int blob_put_write(struct blob_put *put, const void *bytes, size_t len)
{
    assert(!put->busy && len <= BLOB_CHUNK_MAX);
    if (len > put->size - put->got)
        return BLOB_E_MISMATCH;
    uint8_t *chunk = realloc(put->chunk, len ? len : 1);
    if (!chunk)
        return -ENOMEM;
    memcpy(chunk, bytes, len);
    put->chunk = chunk;
    put->chunk_len = len;
    put->got += len;
    give(put, run_write, done_write);
    return 0;
}

void blob_put_finish(struct blob_put *put)
{
    assert(!put->busy);
    put->ending = true;
    struct blob *twin = blob_find(put->store, &put->key);
    if (twin && !put->twin) {
        put->twin = twin;
        blob_pin(twin);
    }
    give(put, run_finish, done_finish);
}

void blob_put_free(struct blob_put *put)
{
    if (!put)
        return;
    put->ops = NULL;
    if (!put->busy)
        give(put, run_drop, done_drop);
}
