/* Input sets: directories of links to blobs, made once and held by the runs that show them. */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/cleanup.h"
#include "base/loop.h"
#include "execsvc/blob_index.h"

#define LINK_BYTES                                                                                 \
    64 /* what a name takes in a directory, and its share of a directory of its own */

/* ---- what a set is ---- */

static int hash_u64(EVP_MD_CTX *sha, uint64_t number)
{
    return EVP_DigestUpdate(sha, &number, sizeof(number));
}

/* Of the paths as they come: the same files in another order are another set. */
static int identify(const struct blob_set_file *files, size_t n_files, uint8_t *ret)
{
    EVP_MD_CTX *sha = EVP_MD_CTX_new();
    int good = sha && EVP_DigestInit_ex(sha, EVP_sha256(), NULL);
    good = good && EVP_DigestUpdate(sha, files[0].key.tenant, BLOB_TENANT);
    for (size_t i = 0; good && i < n_files; i++) {
        size_t len = strlen(files[i].path);
        good = hash_u64(sha, len) && EVP_DigestUpdate(sha, files[i].path, len) &&
               hash_u64(sha, files[i].executable) &&
               EVP_DigestUpdate(sha, files[i].key.sha256, BLOB_SHA256);
    }
    good = good && EVP_DigestFinal_ex(sha, ret, NULL);
    EVP_MD_CTX_free(sha);
    return good ? 0 : -ENOMEM;
}

static struct blob_set **bucket_of(struct blob_store *store, const uint8_t *id)
{
    return &store->set_buckets[((size_t)id[0] | (size_t)id[1] << 8) % BLOB_SET_BUCKETS];
}

static struct blob_set *find(struct blob_store *store, const uint8_t *id)
{
    struct blob_set *set = *bucket_of(store, id);
    while (set && memcmp(set->id, id, BLOB_SHA256) != 0)
        set = set->next;
    return set;
}

static void put_last(struct blob_set *set)
{
    struct blob_store *store = set->store;
    set->older = store->newest_set;
    set->newer = NULL;
    *(set->older ? &set->older->newer : &store->oldest_set) = set;
    store->newest_set = set;
}

static void take_out(struct blob_set *set)
{
    struct blob_store *store = set->store;
    *(set->older ? &set->older->newer : &store->oldest_set) = set->newer;
    *(set->newer ? &set->newer->older : &store->newest_set) = set->older;
}

static void index_set(struct blob_set *set)
{
    struct blob_set **bucket = bucket_of(set->store, set->id);
    set->next = *bucket;
    *bucket = set;
    set->indexed = true;
    put_last(set);
    set->store->counts->sets++;
}

/* Nobody finds it any more. */
static void unindex_set(struct blob_set *set)
{
    if (!set->indexed)
        return;
    struct blob_set **at = bucket_of(set->store, set->id);
    while (*at != set)
        at = &(*at)->next;
    *at = set->next;
    set->indexed = false;
    take_out(set);
    set->store->counts->sets--;
}

static void use(struct blob_set *set)
{
    for (size_t i = 0; i < set->n_members; i++)
        blob_use(set->members[i].blob);
    take_out(set);
    put_last(set);
}

/* ---- members ---- */

static void join(struct blob_set *set, struct blob *blob, bool link)
{
    struct blob_member *member = &set->members[set->n_members++];
    *member = (struct blob_member){.blob = blob, .set = set, .link = link, .next = blob->members};
    if (member->next)
        member->next->prev = member;
    blob->members = member;
    blob->links += link;
    set->store->set_links++;
}

static void leave_all(struct blob_set *set)
{
    for (size_t i = 0; i < set->n_members; i++) {
        struct blob_member *member = &set->members[i];
        *(member->prev ? &member->prev->next : &member->blob->members) = member->next;
        if (member->next)
            member->next->prev = member->prev;
        member->blob->links -= member->link;
        set->store->set_links--;
    }
    set->n_members = 0;
}

/* The first who holds it keeps its blobs too. */
static void hold(struct blob_set *set)
{
    if (set->holds++)
        return;
    for (size_t i = 0; i < set->n_members; i++)
        blob_pin(set->members[i].blob);
    blob_hold(set->store, set->tenant, set->weight);
}

static void forget(struct blob_set *set)
{
    unindex_set(set);
    leave_all(set);
    blob_discharge(set->store, set->tenant, set->weight);
}

/* It could not be made, and has left nothing. When a blob was not where it should be (somebody has
 * tidied up behind our back) none of them is believed: who puts them again is helped. */
static void give_up(struct blob_set *set)
{
    size_t n = set->fault.code == -ENOENT ? set->n_members : 0;
    forget(set);
    for (size_t i = 0; i < n; i++) {
        struct blob *blob = set->members[i].blob; /* lives until the loop's next turn */
        if (!blob->evicted && !blob->pins)
            blob_evict(blob);
    }
    free(set);
}

static void let_go(struct blob_set *set)
{
    if (--set->holds)
        return;
    for (size_t i = 0; i < set->n_members; i++)
        blob_unpin(set->members[i].blob);
    blob_let_go(set->store, set->tenant, set->weight);
    if (!set->made)
        give_up(set);
}

/* ---- the end of one ---- */

static void run_remove(struct work *work)
{
    struct blob_set *set = container_of(work, struct blob_set, work);
    char name[BLOB_SET_SIZE];
    blob_hex(set->id, BLOB_SHA256, name);
    blob_set_remove(&set->store->dirs, name);
}

static void done_remove(struct work *work)
{
    free(container_of(work, struct blob_set, work));
}

void blob_set_evict(struct blob_set *set)
{
    forget(set);
    set->work = (struct work){.run = run_remove, .done = done_remove};
    worker_give(set->store->worker, &set->work);
}

void blob_set_forget(struct blob_set *set)
{
    forget(set);
    free(set);
}

/* ---- the beginning ---- */

static void run_make(struct work *work)
{
    struct blob_set *set = container_of(work, struct blob_set, work);
    char name[BLOB_SET_SIZE];
    blob_hex(set->id, BLOB_SHA256, name);
    blob_set_make(&set->store->dirs, name, set->files, set->n_members, &set->outcome);
}

static void done_make(struct work *work)
{
    struct blob_set *set = container_of(work, struct blob_set, work);
    free(set->files);
    set->files = NULL;
    set->fault = set->outcome;
    set->made = set->fault.code == 0;
    set->store->counts->sets_made += set->made;
    if (!set->made)
        unindex_set(set); /* who asks next tries again */
    for (struct blob_pin *pin = set->pins; pin;) {
        void (*ready)(struct blob_pin *, const struct err *) = pin->ready;
        pin->ready = NULL;
        if (!ready) {
            pin = pin->next;
            continue;
        }
        ready(pin, set->made ? NULL : &set->fault);
        pin = set->pins; /* it may have let go, and others with it */
    }
    let_go(set);
}

/* Oldest first, until @n more fit. */
static int make_room_for_links(struct blob_store *store, size_t n)
{
    while (store->set_links + n > BLOB_SET_LINKS_MAX) {
        struct blob_set *set = store->oldest_set;
        while (set && set->holds)
            set = set->newer;
        if (!set)
            return BLOB_E_FULL;
        blob_set_evict(set);
    }
    return 0;
}

static int make_room_for_link(struct blob *blob)
{
    if (blob->links < BLOB_LINKS_MAX)
        return 0;
    for (struct blob_member *member = blob->members; member; member = member->next) {
        if (member->set->holds)
            continue;
        blob_set_evict(member->set);
        return 0;
    }
    return BLOB_E_FULL;
}

/* A copy of @files in one block, with their paths: the worker reads it later. */
static struct blob_set_file *copy_files(const struct blob_set_file *files, size_t n_files)
{
    size_t bytes = n_files * sizeof(*files);
    for (size_t i = 0; i < n_files; i++)
        bytes += strlen(files[i].path) + 1;
    struct blob_set_file *copy = malloc(bytes);
    char *at = copy ? (char *)(copy + n_files) : NULL;
    for (size_t i = 0; copy && i < n_files; i++) {
        size_t size = strlen(files[i].path) + 1;
        copy[i] = files[i];
        copy[i].path = memcpy(at, files[i].path, size);
        at += size;
    }
    return copy;
}

/* The blobs are there. They are pinned before room is made for anything, so that they stay. */
static int fill(struct blob_set *set, const struct blob_set_file *files, size_t n_files)
{
    struct blob_store *store = set->store;
    uint64_t weight = 0;
    int r = make_room_for_links(store, n_files);
    for (size_t i = 0; r == 0 && i < n_files; i++) {
        struct blob *blob = blob_find(store, &files[i].key);
        assert(blob); /* look_up() has just seen it */
        if (!files[i].executable)
            r = make_room_for_link(blob);
        if (r != 0)
            break;
        blob_pin(blob);
        join(set, blob, !files[i].executable);
        set->tenant = blob->tenant;
        weight += LINK_BYTES + (files[i].executable ? blob->weight : 0);
    }
    if (r == 0)
        r = blob_charge(store, set->tenant, blob_weight(weight));
    if (r == 0)
        set->weight = blob_weight(weight);
    return r;
}

static int begin(struct blob_store *store, const uint8_t *id, const struct blob_set_file *files,
                 size_t n_files, struct blob_set **ret)
{
    struct blob_set *set = calloc(1, sizeof(*set) + n_files * sizeof(set->members[0]));
    if (!set)
        return -ENOMEM;
    set->store = store;
    memcpy(set->id, id, sizeof(set->id));
    set->files = copy_files(files, n_files);
    int r = set->files ? fill(set, files, n_files) : -ENOMEM;
    if (r != 0) {
        for (size_t i = 0; i < set->n_members; i++)
            blob_unpin(set->members[i].blob);
        leave_all(set);
        free(set->files);
        free(set);
        return r;
    }
    set->holds = 1; /* its making: fill() has pinned and charged for it */
    index_set(set);
    set->work = (struct work){.run = run_make, .done = done_make};
    worker_give(store->worker, &set->work);
    *ret = set;
    return 0;
}

/* ---- pins ---- */

static int look_up(struct blob_store *store, const struct blob_set_file *files, size_t n_files,
                   size_t *ret_missing)
{
    for (size_t i = 0; i < n_files; i++) {
        if (blob_store_has(store, &files[i].key))
            continue;
        *ret_missing = i;
        return BLOB_E_MISSING;
    }
    return 0;
}

int blob_pin_set(struct blob_store *store, const struct blob_set_file *files, size_t n_files,
                 struct blob_pin *pin, void (*ready)(struct blob_pin *pin, const struct err *err),
                 size_t *ret_missing)
{
    uint8_t id[EVP_MAX_MD_SIZE];
    int r = look_up(store, files, n_files, ret_missing);
    if (r == 0)
        r = identify(files, n_files, id);
    struct blob_set *set = r == 0 ? find(store, id) : NULL;
    if (set) {
        use(set);
        store->counts->sets_shared++;
    } else if (r == 0) {
        r = begin(store, id, files, n_files, &set);
    }
    if (r != 0)
        return r;
    hold(set);
    *pin = (struct blob_pin){.store = store,
                             .set = set,
                             .ready = set->made ? NULL : ready,
                             .next = set->pins};
    if (pin->next)
        pin->next->prev = pin;
    set->pins = pin;
    return 0;
}

bool blob_pin_is_ready(const struct blob_pin *pin)
{
    return pin->set && pin->set->made;
}

const struct err *blob_pin_fault(const struct blob_pin *pin)
{
    return pin->set && pin->set->fault.code ? &pin->set->fault : NULL;
}

const char *blob_pin_name(struct blob_pin *pin)
{
    if (!pin->set)
        return NULL;
    blob_hex(pin->set->id, BLOB_SHA256, pin->name);
    return pin->name;
}

void blob_pin_release(struct blob_pin *pin)
{
    struct blob_set *set = pin->set;
    if (!set)
        return;
    *(pin->prev ? &pin->prev->next : &set->pins) = pin->next;
    if (pin->next)
        pin->next->prev = pin->prev;
    pin->set = NULL;
    let_go(set);
}
