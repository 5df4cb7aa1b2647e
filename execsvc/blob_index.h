#pragma once
/* Between blob_store.c, blob_put.c and blob_set.c: the index. */

#include "base/err.h"
#include "execsvc/blob_store.h"
#include "execsvc/worker.h"

#define BLOB_BLOCK          UINT64_C(4096)
#define BLOB_BUCKETS        16384
#define BLOB_SET_BUCKETS    1024
#define BLOB_TENANT_BUCKETS 256

/* Exists as long as something is charged to it. */
struct blob_tenant {
    uint8_t id[BLOB_TENANT];
    uint64_t bytes; /* charged */
    uint64_t held;  /* of these: pinned, or on its way in */
    uint32_t puts;  /* on their way in */
    struct blob_tenant *next;
};

struct blob {
    struct work work; /* its removal */
    struct blob_store *store;
    struct blob_key key;
    struct blob_tenant *tenant;
    uint64_t weight;
    uint32_t pins;  /* of sets that are held, and of puts of the same */
    uint32_t links; /* names in sets */
    bool evicted;   /* only its removal is left */
    struct blob *next;
    struct blob *older, *newer;
    struct blob_member *members;
};

/* That a blob is part of a set. */
struct blob_member {
    struct blob *blob;
    struct blob_set *set;
    bool link;                       /* else a copy */
    struct blob_member *prev, *next; /* of the same blob */
};

struct blob_set {
    struct work work; /* its making, its removal */
    struct blob_store *store;
    uint8_t id[BLOB_SHA256];
    struct blob_tenant *tenant;
    uint64_t weight; /* beyond its blobs: copies and directories */
    bool made, indexed;
    uint32_t holds; /* pins, and one while it is being made */
    struct blob_pin *pins;
    struct blob_set *next;
    struct blob_set *older, *newer;
    struct err fault;            /* code 0: none */
    struct err outcome;          /* the same while it is the worker's */
    struct blob_set_file *files; /* while it is being made; their paths are in the same block */
    size_t n_members;
    struct blob_member members[];
};

struct blob_store {
    struct blob_store_options options;
    struct blob_dirs dirs;
    struct worker *worker;
    struct work clean;
    struct blob_counts *counts;
    uint64_t held; /* of counts->bytes: pinned, or on its way in */
    uint32_t set_links;
    uint64_t last_tmp; /* names in tmp/ */
    struct blob_put *puts;
    struct blob *oldest, *newest;
    struct blob_set *oldest_set, *newest_set;
    struct blob *buckets[BLOB_BUCKETS];
    struct blob_set *set_buckets[BLOB_SET_BUCKETS];
    struct blob_tenant *tenants[BLOB_TENANT_BUCKETS];
};

/** blob_weight() - what @size bytes take on the disk. */
uint64_t blob_weight(uint64_t size);

struct blob *blob_find(struct blob_store *store, const struct blob_key *key);
/** blob_use() - it is the newest now. */
void blob_use(struct blob *blob);
/**
 * blob_add() - a file that has its name, whose weight is charged and not held any more
 * Return: NULL without memory.
 */
struct blob *blob_add(struct blob_store *store, const struct blob_key *key,
                      struct blob_tenant *tenant, uint64_t size);
/** blob_evict() - it, and the sets that it is part of: nobody holds it. */
void blob_evict(struct blob *blob);
void blob_pin(struct blob *blob);
void blob_unpin(struct blob *blob);

/** blob_tenant_get() - made when it is not there; NULL without memory. */
struct blob_tenant *blob_tenant_get(struct blob_store *store, const uint8_t *id);
/** blob_tenant_check() - forget it when nothing is charged to it any more. */
void blob_tenant_check(struct blob_store *store, struct blob_tenant *tenant);

/** blob_charge() - make room for @weight bytes and charge them, as held. Return: 0, BLOB_E_FULL or
 * BLOB_E_TOO_LARGE. */
int blob_charge(struct blob_store *store, struct blob_tenant *tenant, uint64_t weight);
/** blob_discharge() - of bytes that are not held. */
void blob_discharge(struct blob_store *store, struct blob_tenant *tenant, uint64_t weight);
/** blob_hold() / blob_let_go() - whether bytes that are charged may be evicted changes. */
void blob_hold(struct blob_store *store, struct blob_tenant *tenant, uint64_t weight);
void blob_let_go(struct blob_store *store, struct blob_tenant *tenant, uint64_t weight);

/** blob_set_evict() - one that nobody holds: forgotten at once, removed by the worker. */
void blob_set_evict(struct blob_set *set);
/** blob_set_forget() - the same without a worker: what is on the disk stays there. */
void blob_set_forget(struct blob_set *set);
