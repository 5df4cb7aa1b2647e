#include "frontgw/store/blob.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SWEEP_BATCH 500

struct blobs {
    char *directory;         /* NULL: in the database */
    int dir_fd;              /* of directory */
    pthread_rwlock_t in_use; /* read: a content is about to be referred to; write: sweeping */
};

/* 256 directories, so that none grows large. They are made at the start: a save makes none. */
static int make_directories(struct blobs *blobs, struct err *err)
{
    if (mkdir(blobs->directory, 0700) < 0 && errno != EEXIST)
        return err_set(err, -errno, "make %s: %m", blobs->directory);
    blobs->dir_fd = open(blobs->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (blobs->dir_fd < 0)
        return err_set(err, -errno, "open %s: %m", blobs->directory);
    for (unsigned i = 0; i < 256; i++) {
        char name[3];
        snprintf(name, sizeof(name), "%02x", i);
        if (mkdirat(blobs->dir_fd, name, 0700) < 0 && errno != EEXIST)
            return err_set(err, -errno, "make %s/%s: %m", blobs->directory, name);
    }
    if (fsync(blobs->dir_fd) < 0)
        return err_set(err, -errno, "sync %s: %m", blobs->directory);
    return 0;
}

int blobs_open(const char *directory, struct blobs **ret, struct err *err)
{
    struct blobs *blobs = calloc(1, sizeof(*blobs));
    if (!blobs)
        return err_set(err, -ENOMEM, "contents: %m");
    blobs->dir_fd = -EBADF;
    pthread_rwlock_init(&blobs->in_use, NULL);
    int r = 0;
    if (directory) {
        blobs->directory = strdup(directory);
        r = blobs->directory ? make_directories(blobs, err) : err_set(err, -ENOMEM, "contents: %m");
    }
    if (r) {
        blobs_close(blobs);
        return r;
    }
    *ret = blobs;
    return 0;
}

struct blobs *blobs_close(struct blobs *blobs)
{
    if (!blobs)
        return NULL;
    fd_close(blobs->dir_fd);
    pthread_rwlock_destroy(&blobs->in_use);
    free(blobs->directory);
    free(blobs);
    return NULL;
}

const char *blobs_directory(const struct blobs *blobs)
{
    return blobs->directory;
}

void blobs_hold(struct blobs *blobs)
{
    pthread_rwlock_rdlock(&blobs->in_use);
}

void blobs_unhold(struct blobs **held)
{
    if (*held)
        pthread_rwlock_unlock(&(*held)->in_use);
    *held = NULL;
}

static void path_of(const char *hash, char ret[SHA256_SIZE + 3])
{
    snprintf(ret, SHA256_SIZE + 3, "%.2s/%s", hash, hash);
}

static int sync_parent(struct blobs *blobs, const char *hash, struct err *err)
{
    char name[3] = {hash[0], hash[1], 0};
    AUTO_CLOSE int dir = openat(blobs->dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 || fsync(dir) < 0)
        return err_set(err, -errno, "sync %s/%s: %m", blobs->directory, name);
    return 0;
}

/* Written beside its place, synced, moved there; then the directory is synced. */
static int write_file(struct blobs *blobs, const char *hash, const void *bytes, size_t len,
                      struct err *err)
{
    char path[SHA256_SIZE + 3], token[TOKEN_SIZE], temporary[TOKEN_SIZE + 8];
    path_of(hash, path);
    token_make(token);
    snprintf(temporary, sizeof(temporary), "%.2s/t%.20s", hash, token);
    AUTO_CLOSE int fd =
        openat(blobs->dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(err, -errno, "create in %s: %m", blobs->directory);
    int r = fd_write_all(fd, bytes, len);
    if (!r && (fsync(fd) < 0 || renameat(blobs->dir_fd, temporary, blobs->dir_fd, path) < 0))
        r = -errno;
    if (r) {
        unlinkat(blobs->dir_fd, temporary, 0);
        return err_set(err, r, "write to %s: %m", blobs->directory);
    }
    return 0;
}

int blob_stage(struct blobs *blobs, const void *bytes, size_t len, char ret_hash[SHA256_SIZE],
               struct err *err)
{
    char path[SHA256_SIZE + 3];
    struct stat st;
    sha256_hex(bytes, len, ret_hash);
    if (!blobs->directory)
        return 0;
    path_of(ret_hash, path);
    bool there =
        fstatat(blobs->dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size == (off_t)len;
    int r = there ? 0 : write_file(blobs, ret_hash, bytes, len, err);
    return r ? r : sync_parent(blobs, ret_hash, err);
}

void blob_link(struct blobs *blobs, struct db_tx *tx, const char *hash, const void *bytes,
               size_t len, uint64_t now_ms)
{
    db_exec(tx, SQL_BLOB_TOUCH, DB_T(hash), DB_I(len), DB_I(now_ms));
    if (!blobs->directory)
        db_exec(tx, SQL_BLOB_DATA_PUT, DB_T(hash), DB_B(bytes, len));
}

static int open_file(struct blobs *blobs, const char *hash, struct blob_content *ret,
                     struct err *err)
{
    char path[SHA256_SIZE + 3];
    struct stat st;
    path_of(hash, path);
    int fd = openat(blobs->dir_fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        int r = err_set(err, -errno, "content %s: %m", hash);
        fd_close(fd);
        return r;
    }
    ret->fd = fd;
    ret->size = (uint64_t)st.st_size;
    return 0;
}

static int read_row(struct db_tx *tx, const char *hash, struct blob_content *ret, struct err *err)
{
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_BLOB_DATA_GET, &rows, DB_T(hash));
    if (!db_next(&rows)) {
        int r = db_fault(tx, err);
        return r ? r : err_set(err, -ENOENT, "content %s is not in the database", hash);
    }
    size_t len = 0;
    const void *bytes = db_bytes(&rows, 0, &len);
    ret->bytes = malloc(len + 1);
    if (!ret->bytes)
        return err_set(err, -ENOMEM, "content %s: %m", hash);
    if (len)
        memcpy(ret->bytes, bytes, len);
    ret->bytes[len] = 0;
    ret->size = len;
    return 0;
}

int blob_open(struct blobs *blobs, struct db_tx *tx, const char *hash, struct blob_content *ret,
              struct err *err)
{
    *ret = (struct blob_content){.fd = -EBADF};
    if (!sha256_valid(hash))
        return err_set(err, -EINVAL, "no content has such a name");
    return blobs->directory ? open_file(blobs, hash, ret, err) : read_row(tx, hash, ret, err);
}

int blob_read(struct blobs *blobs, struct db_tx *tx, const char *hash, char **ret, size_t *ret_len,
              struct err *err)
{
    AUTO_CONTENT struct blob_content content = {.fd = -EBADF};
    int r = blob_open(blobs, tx, hash, &content, err);
    if (r)
        return r;
    if (content.fd >= 0) {
        content.bytes = malloc(content.size + 1);
        if (!content.bytes)
            return err_set(err, -ENOMEM, "content %s: %m", hash);
        ssize_t got = fd_read_all(content.fd, content.bytes, content.size);
        if (got != (ssize_t)content.size)
            return err_set(err, got < 0 ? (int)got : -EIO, "content %s is cut", hash);
        content.bytes[content.size] = 0;
    }
    *ret_len = content.size;
    *ret = take_ptr(content.bytes);
    return 0;
}

void blob_content_done(struct blob_content *content)
{
    content->fd = fd_close(content->fd);
    free(content->bytes);
    content->bytes = NULL;
}

static bool backup_runs(struct db_tx *tx, uint64_t now_ms)
{
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_SETTING_GET, &rows, DB_T(BLOBS_HELD_KEY));
    return db_next(&rows) && strtoull(db_text(&rows, 0), NULL, 10) > now_ms;
}

/* Reads only, so that nobody waits for it. */
static int list_unused(struct db *db, uint64_t now_ms, uint64_t before_ms, char (*ret)[SHA256_SIZE],
                       unsigned *ret_n, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    AUTO_ROWS struct db_rows rows = {0};
    unsigned n = 0;
    int r = db_begin(db, DB_READ, &tx, err);
    if (r)
        return r;
    if (!backup_runs(tx, now_ms))
        db_query(tx, SQL_BLOB_UNUSED, &rows, DB_I(before_ms), DB_I(SWEEP_BATCH));
    while (n < SWEEP_BATCH && db_next(&rows))
        memcpy(ret[n++], db_text(&rows, 0), SHA256_SIZE);
    *ret_n = n;
    return db_fault(tx, err);
}

/* The same under a lock: a backup that begins now waits until what is about to go is gone, and then
 * does not see it. */
static bool backup_begins(struct db_tx *tx, uint64_t now_ms)
{
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_SETTING_LOCK, &rows, DB_T(BLOBS_HELD_KEY), DB_T("0"));
    return !db_next(&rows) || strtoull(db_text(&rows, 0), NULL, 10) > now_ms;
}

/* The DELETE looks again: a save may have referred to the content since it was listed. Keeps in
 * @hashes what went. */
static int forget_rows(struct blobs *blobs, struct db *db, uint64_t now_ms, uint64_t before_ms,
                       char (*hashes)[SHA256_SIZE], unsigned *n, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    unsigned gone = 0;
    int r = db_begin(db, DB_WRITE, &tx, err);
    if (r)
        return r;
    if (backup_begins(tx, now_ms)) {
        *n = 0;
        return 0;
    }
    for (unsigned i = 0; i < *n; i++) {
        if (db_exec(tx, SQL_BLOB_FORGET, DB_T(hashes[i]), DB_I(before_ms)) != 1)
            continue;
        if (!blobs->directory)
            db_exec(tx, SQL_BLOB_DATA_FORGET, DB_T(hashes[i]));
        memmove(hashes[gone++], hashes[i], SHA256_SIZE);
    }
    *n = gone;
    return db_commit(&tx, err);
}

int blobs_sweep(struct blobs *blobs, struct db *db, uint64_t now_ms, uint64_t grace_ms,
                unsigned *ret_swept, struct err *err)
{
    AUTO_FREE char(*hashes)[SHA256_SIZE] = calloc(SWEEP_BATCH, SHA256_SIZE);
    if (!hashes)
        return err_set(err, -ENOMEM, "sweep: %m");
    unsigned n = 0;
    int r = list_unused(db, now_ms, now_ms - grace_ms, hashes, &n, err);
    if (r || !n) {
        if (ret_swept)
            *ret_swept = 0;
        return r;
    }
    pthread_rwlock_wrlock(&blobs->in_use);
    r = forget_rows(blobs, db, now_ms, now_ms - grace_ms, hashes, &n, err);
    /* A crash before the end leaves files that no row names: harmless. */
    for (unsigned i = 0; !r && blobs->directory && i < n; i++) {
        char path[SHA256_SIZE + 3];
        path_of(hashes[i], path);
        unlinkat(blobs->dir_fd, path, 0);
    }
    pthread_rwlock_unlock(&blobs->in_use);
    if (ret_swept)
        *ret_swept = r ? 0 : n;
    return r;
}
