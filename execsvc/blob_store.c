#include "execsvc/blob_store.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/cleanup.h"
#include "base/loop.h"
#include "execsvc/blob_index.h"

uint64_t blob_weight(uint64_t size)
{
    return size ? (size + BLOB_BLOCK - 1) / BLOB_BLOCK * BLOB_BLOCK : BLOB_BLOCK;
}

void blob_store_key(const char *tenant, const uint8_t *sha256, struct blob_key *ret)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    if (!EVP_Digest(tenant, strlen(tenant), digest, NULL, EVP_sha256(), NULL))
        abort(); /* a library without SHA-256: nothing here would be right */
    memcpy(ret->tenant, digest, BLOB_TENANT);
    memcpy(ret->sha256, sha256, BLOB_SHA256);
}

/* ---- tenants ---- */

/* Both halves of a key are hashes: any of their bytes serve as one. */
static size_t bucket_of(const uint8_t *hash, size_t buckets)
{
    return ((size_t)hash[0] | (size_t)hash[1] << 8) % buckets;
}

struct blob_tenant *blob_tenant_get(struct blob_store *store, const uint8_t *id)
{
    struct blob_tenant **bucket = &store->tenants[bucket_of(id, BLOB_TENANT_BUCKETS)];
    for (struct blob_tenant *tenant = *bucket; tenant; tenant = tenant->next)
        if (memcmp(tenant->id, id, BLOB_TENANT) == 0)
            return tenant;
    struct blob_tenant *tenant = calloc(1, sizeof(*tenant));
    if (!tenant)
        return NULL;
    memcpy(tenant->id, id, BLOB_TENANT);
    tenant->next = *bucket;
    *bucket = tenant;
    return tenant;
}

void blob_tenant_check(struct blob_store *store, struct blob_tenant *tenant)
{
    if (tenant->bytes || tenant->puts)
        return;
    struct blob_tenant **at = &store->tenants[bucket_of(tenant->id, BLOB_TENANT_BUCKETS)];
    while (*at != tenant)
        at = &(*at)->next;
    *at = tenant->next;
    free(tenant);
}

/* ---- bytes ---- */

void blob_hold(struct blob_store *store, struct blob_tenant *tenant, uint64_t weight)
{
    store->held += weight;
    tenant->held += weight;
}

void blob_let_go(struct blob_store *store, struct blob_tenant *tenant, uint64_t weight)
{
    store->held -= weight;
    tenant->held -= weight;
}

void blob_discharge(struct blob_store *store, struct blob_tenant *tenant, uint64_t weight)
{
    store->counts->bytes -= weight;
    tenant->bytes -= weight;
}

/* ---- the index ---- */

static struct blob **bucket_of_blob(struct blob_store *store, const struct blob_key *key)
{
    return &store->buckets[bucket_of(key->sha256, BLOB_BUCKETS)];
}

struct blob *blob_find(struct blob_store *store, const struct blob_key *key)
{
    struct blob *blob = *bucket_of_blob(store, key);
    while (blob && memcmp(&blob->key, key, sizeof(*key)) != 0)
        blob = blob->next;
    return blob;
}

static void put_last(struct blob *blob)
{
    struct blob_store *store = blob->store;
    blob->older = store->newest;
    blob->newer = NULL;
    *(blob->older ? &blob->older->newer : &store->oldest) = blob;
    store->newest = blob;
}

static void take_out(struct blob *blob)
{
    struct blob_store *store = blob->store;
    *(blob->older ? &blob->older->newer : &store->oldest) = blob->newer;
    *(blob->newer ? &blob->newer->older : &store->newest) = blob->older;
}

void blob_use(struct blob *blob)
{
    take_out(blob);
    put_last(blob);
}

void blob_pin(struct blob *blob)
{
    if (blob->pins++ == 0)
        blob_hold(blob->store, blob->tenant, blob->weight);
}

void blob_unpin(struct blob *blob)
{
    if (--blob->pins == 0)
        blob_let_go(blob->store, blob->tenant, blob->weight);
}

struct blob *blob_add(struct blob_store *store, const struct blob_key *key,
                      struct blob_tenant *tenant, uint64_t size)
{
    struct blob *blob = calloc(1, sizeof(*blob));
    if (!blob)
        return NULL;
    struct blob **bucket = bucket_of_blob(store, key);
    blob->store = store;
    blob->key = *key;
    blob->tenant = tenant;
    blob->weight = blob_weight(size);
    blob->next = *bucket;
    *bucket = blob;
    put_last(blob);
    store->counts->blobs++;
    return blob;
}

bool blob_store_has(struct blob_store *store, const struct blob_key *key)
{
    struct blob *blob = blob_find(store, key);
    store->counts->hits += blob != NULL;
    store->counts->misses += blob == NULL;
    if (blob)
        blob_use(blob);
    return blob;
}

/* ---- eviction ---- */

static void run_unlink(struct work *work)
{
    struct blob *blob = container_of(work, struct blob, work);
    char name[BLOB_NAME_SIZE];
    blob_name(&blob->key, name);
    unlinkat(blob->store->dirs.blobs, name, 0);
}

static void done_unlink(struct work *work)
{
    free(container_of(work, struct blob, work));
}

static void forget(struct blob *blob)
{
    struct blob_store *store = blob->store;
    struct blob **at = bucket_of_blob(store, &blob->key);
    while (*at != blob)
        at = &(*at)->next;
    *at = blob->next;
    take_out(blob);
    store->counts->blobs--;
    blob_discharge(store, blob->tenant, blob->weight);
    blob_tenant_check(store, blob->tenant);
}

void blob_evict(struct blob *blob)
{
    struct blob_store *store = blob->store;
    blob->evicted = true;
    while (blob->members)
        blob_set_evict(blob->members->set);
    store->counts->evictions++;
    store->counts->evicted_bytes += blob->weight;
    forget(blob);
    blob->work = (struct work){.run = run_unlink, .done = done_unlink};
    worker_give(store->worker, &blob->work);
}

/* What was used longest ago, of @tenant if one is given. A set whose blobs are all pinned, for the
 * sake of other sets, is of use too. Return: whether there was something. */
static bool evict_oldest(struct blob_store *store, const struct blob_tenant *tenant)
{
    for (struct blob *blob = store->oldest; blob; blob = blob->newer) {
        if (blob->pins || (tenant && blob->tenant != tenant))
            continue;
        blob_evict(blob);
        return true;
    }
    for (struct blob_set *set = store->oldest_set; set; set = set->newer) {
        if (set->holds || (tenant && set->tenant != tenant))
            continue;
        blob_set_evict(set);
        return true;
    }
    return false;
}

int blob_charge(struct blob_store *store, struct blob_tenant *tenant, uint64_t weight)
{
    const struct blob_store_options *o = &store->options;
    if (weight > o->bytes_max || weight > o->tenant_bytes_max)
        return BLOB_E_TOO_LARGE;
    /* Nothing goes for the sake of what does not fit in the end. */
    if (store->held + weight > o->bytes_max || tenant->held + weight > o->tenant_bytes_max)
        return BLOB_E_FULL;
    tenant->puts++; /* the last of its blobs may go: it stays */
    bool fits = true;
    while (fits && tenant->bytes + weight > o->tenant_bytes_max)
        fits = evict_oldest(store, tenant);
    while (fits &&
           (store->counts->bytes + weight > o->bytes_max || store->counts->blobs >= BLOB_COUNT_MAX))
        fits = evict_oldest(store, NULL);
    tenant->puts--;
    if (!fits)
        return BLOB_E_FULL;
    store->counts->bytes += weight;
    tenant->bytes += weight;
    blob_hold(store, tenant, weight);
    return 0;
}

/* ---- beginning and end ---- */

static void run_clean(struct work *work)
{
    blob_dirs_clean(&container_of(work, struct blob_store, clean)->dirs);
}

static void done_clean(struct work *work)
{
    (void)work;
}

static int take_in(struct blob_store *store, const struct blob_found *found, struct err *err)
{
    struct blob_tenant *tenant = blob_tenant_get(store, found->key.tenant);
    struct blob *blob = tenant ? blob_add(store, &found->key, tenant, found->size) : NULL;
    if (!blob) {
        if (tenant)
            blob_tenant_check(store, tenant);
        return err_set(err, -ENOMEM, "no memory for the index of the blob cache");
    }
    store->counts->bytes += blob->weight;
    tenant->bytes += blob->weight;
    return 0;
}

static int load(struct blob_store *store, struct err *err)
{
    AUTO_FREE struct blob_found *found = NULL;
    size_t n = 0;
    int r = blob_dirs_scan(&store->dirs, &found, &n, err);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = take_in(store, &found[i], err);
    while (r == 0 && (store->counts->bytes > store->options.bytes_max ||
                      store->counts->blobs > BLOB_COUNT_MAX))
        blob_evict(store->oldest); /* the cache was larger when we were here last */
    return r;
}

int blob_store_new(const struct blob_store_options *options, struct loop *loop,
                   struct blob_counts *counts, struct blob_store **ret, struct err *err)
{
    struct blob_store *store = calloc(1, sizeof(*store));
    if (!store)
        return err_set(err, -ENOMEM, "no memory for the blob cache");
    store->options = *options;
    store->options.root = NULL; /* its caller's */
    store->counts = counts;
    store->clean = (struct work){.run = run_clean, .done = done_clean};
    int r = blob_dirs_open(options->root, &store->dirs, err);
    if (r == 0)
        r = worker_new(loop, &store->worker, err);
    if (r == 0) {
        worker_give(store->worker, &store->clean); /* before whatever else will be written */
        r = load(store, err);
    }
    if (r < 0) {
        blob_store_free(store);
        return r;
    }
    *ret = store;
    return 0;
}

struct blob_store *blob_store_free(struct blob_store *store)
{
    if (!store)
        return NULL;
    store->worker = worker_free(store->worker);
    assert(!store->puts);
    while (store->oldest_set)
        blob_set_forget(store->oldest_set);
    while (store->oldest) {
        struct blob *blob = store->oldest;
        forget(blob);
        free(blob);
    }
    blob_dirs_close(&store->dirs);
    free(store);
    return NULL;
}
