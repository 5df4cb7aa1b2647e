#pragma once
/*
 * Contents by SHA-256: in a directory (one gateway) or in the database (several). Nothing on disk
 * is named by a user. A content is written and synced before the transaction that refers to it
 * commits; contents that nothing refers to are swept after a day of grace, never counted.
 */

#include "frontgw/store/db.h"
#include "frontgw/store/ulid.h"

struct blobs;

/* A content that is being read: bytes in memory, or a descriptor. */
struct blob_content {
    int fd;      /* -EBADF: bytes */
    char *bytes; /* malloc'd */
    uint64_t size;
};

/** blobs_open() - @directory NULL: contents live in the database. */
int blobs_open(const char *directory, struct blobs **ret, struct err *err);
struct blobs *blobs_close(struct blobs *blobs);

/**
 * blobs_hold() - from before blob_stage() to after the commit, so that the sweeper does not take
 * what is about to be referred to. Shared: any number of threads, several times.
 */
void blobs_hold(struct blobs *blobs);
void blobs_unhold(struct blobs **held);
#define AUTO_HOLD CLEANUP(blobs_unhold)

/** blob_stage() - write the content where it belongs, durably (directory); only its hash
 * (database). */
int blob_stage(struct blobs *blobs, const void *bytes, size_t len, char ret_hash[SHA256_SIZE],
               struct err *err);
/** blob_link() - in the transaction that will refer to it. Faults stick to @tx. */
void blob_link(struct blobs *blobs, struct db_tx *tx, const char *hash, const void *bytes,
               size_t len, uint64_t now_ms);

/** blob_open() - for sending; blob_read() - into memory (NUL after the end). -ENOENT: not there,
 * which is a fault. */
int blob_open(struct blobs *blobs, struct db_tx *tx, const char *hash, struct blob_content *ret,
              struct err *err);
int blob_read(struct blobs *blobs, struct db_tx *tx, const char *hash, char **ret, size_t *ret_len,
              struct err *err);
void blob_content_done(struct blob_content *content);
#define AUTO_CONTENT CLEANUP(blob_content_done)

/**
 * blobs_sweep() - forget up to 500 contents that nothing has referred to for @grace_ms
 * @ret_swept: how many; may be NULL. Does nothing while a backup runs.
 */
int blobs_sweep(struct blobs *blobs, struct db *db, uint64_t now_ms, uint64_t grace_ms,
                unsigned *ret_swept, struct err *err);
/** The setting that holds, in ms since the epoch, until when nothing is swept. */
#define BLOBS_HELD_KEY "backup_until_ms"
/** blobs_directory() - NULL when they are in the database. */
const char *blobs_directory(const struct blobs *blobs);
