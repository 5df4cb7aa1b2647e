#pragma once
/*
 * The node's cache of inputs: blobs by tenant and SHA-256, and the input sets made of them.
 *
 * Theory of operation. The index is memory of the loop's thread; the disk is touched by one worker,
 * in the order in which the index has changed, so that neither waits for the other and a name means
 * the same to both. A tenant knows the blobs that it has put itself, and no others: equal bytes of
 * two tenants are two files (docs/adr says why). A blob is charged what it takes on the disk from
 * the first byte of its Put on; when the cache, or a tenant's part of it, is full, what was used
 * longest ago goes, but never what is pinned or on its way in. An input set is a directory of hard
 * links under the paths of a request; a run pins its set, and with it the blobs, until the sandbox
 * is gone. Sets are made when first asked for, shared by runs that ask for the same, and go with
 * any of their blobs.
 *
 * Everything here is called on the loop's thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "execsvc/blob_disk.h"

#define BLOB_COUNT_MAX     65536               /* files in the cache */
#define BLOB_SET_LINKS_MAX (UINT32_C(1) << 18) /* files in all sets together */
#define BLOB_LINKS_MAX     60000               /* names of one blob: ext4 has 65000 */
#define BLOB_CHUNK_MAX     ((size_t)1 << 20)

struct err;
struct loop;
struct blob_put;
struct blob_set;
struct blob_store;

/* Expected outcomes. */
enum {
    BLOB_E_MISSING = 1, /* this tenant has not put it, or it has gone */
    BLOB_E_FULL,        /* all that could make room is pinned, or on its way in */
    BLOB_E_TOO_LARGE,   /* it can never fit */
    BLOB_E_TOO_MANY,    /* this tenant puts as many at once as it may */
    BLOB_E_MISMATCH,    /* the bytes are not what their name says */
};

struct blob_store_options {
    const char *root; /* see blob_dirs_open() */
    uint64_t bytes_max;
    uint64_t tenant_bytes_max;
    uint64_t blob_bytes_max;
    uint32_t puts_per_tenant;
};

/* Plain counters, for whoever shows them. */
struct blob_counts {
    uint64_t bytes, blobs, sets; /* now; bytes with what is on its way in */
    uint64_t hits, misses;       /* of what was asked for: by Missing and by requests */
    uint64_t puts, put_bytes;    /* that were stored */
    uint64_t mismatches;         /* that were not what they said */
    uint64_t evictions, evicted_bytes;
    uint64_t sets_made, sets_shared;
};

/** blob_store_new() - @options is copied; @counts (borrowed) is kept up to date. */
int blob_store_new(const struct blob_store_options *options, struct loop *loop,
                   struct blob_counts *counts, struct blob_store **ret, struct err *err);
/** blob_store_free() - waits for the disk. Its puts are freed before, its pins released. NULL is
 * fine. */
struct blob_store *blob_store_free(struct blob_store *store);

/** blob_store_key() - of @tenant's blob with these BLOB_SHA256 bytes for a name. */
void blob_store_key(const char *tenant, const uint8_t *sha256, struct blob_key *ret);

/** blob_store_has() - and if so it counts as used now. */
bool blob_store_has(struct blob_store *store, const struct blob_key *key);

/* ---- a blob comes in ---- */

struct blob_put_ops {
    /* The bytes are on the disk (0), or they could not be written. The next may follow. */
    void (*written)(void *arg, int result, const struct err *err);
    /* It is in the cache (0), BLOB_E_MISMATCH, or a negative errno. */
    void (*finished)(void *arg, int result, const struct err *err);
};

/**
 * blob_put_new() - room for @size bytes, and a file that has no name yet
 * Return: 0, BLOB_E_FULL, BLOB_E_TOO_LARGE, BLOB_E_TOO_MANY or -ENOMEM.
 */
int blob_put_new(struct blob_store *store, const struct blob_key *key, uint64_t size,
                 const struct blob_put_ops *ops, void *arg, struct blob_put **ret);
/** blob_put_write() - @len of at most BLOB_CHUNK_MAX bytes (copied); ops->written follows. One at a
 * time. Return: 0, BLOB_E_MISMATCH: more than was announced, or -ENOMEM. */
int blob_put_write(struct blob_put *put, const void *bytes, size_t len);
/** blob_put_finish() - no more bytes; ops->finished follows. */
void blob_put_finish(struct blob_put *put);
/** blob_put_free() - at any time; what is not finished leaves nothing. NULL is fine. */
void blob_put_free(struct blob_put *put);

/* ---- a run's inputs ---- */

/* Holds a set where it is. Zeroed before first use, embedded in its owner. */
struct blob_pin {
    struct blob_store *store;
    struct blob_set *set; /* NULL: none */
    void (*ready)(struct blob_pin *pin, const struct err *err);
    struct blob_pin *prev, *next;
    char name[BLOB_SET_SIZE];
};

/**
 * blob_pin_set() - the set of @files (keys of one tenant), made if it is not there
 * @ready is called when it is made (@err NULL) or can't be; never from within this function.
 * Return: 0, BLOB_E_MISSING with the index of the file in @ret_missing, BLOB_E_FULL or -ENOMEM.
 */
int blob_pin_set(struct blob_store *store, const struct blob_set_file *files, size_t n_files,
                 struct blob_pin *pin, void (*ready)(struct blob_pin *pin, const struct err *err),
                 size_t *ret_missing);
/** blob_pin_is_ready() - the set can be shown. */
bool blob_pin_is_ready(const struct blob_pin *pin);
/** blob_pin_fault() - why it never will be; NULL: no fault so far. */
const struct err *blob_pin_fault(const struct blob_pin *pin);
/** blob_pin_name() - what the spawner is told; NULL without a set. */
const char *blob_pin_name(struct blob_pin *pin);
/** blob_pin_release() - safe twice, and on a zeroed struct. */
void blob_pin_release(struct blob_pin *pin);
