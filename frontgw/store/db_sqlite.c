/*
 * SQLite: theory of operation.
 *
 * One write connection behind a mutex, and a few read connections. WAL lets readers go on while the
 * writer writes. Every write transaction is BEGIN IMMEDIATE: a deferred one that turns into a
 * writer fails at once with SQLITE_BUSY_SNAPSHOT, and busy_timeout is not consulted for that.
 * synchronous=FULL: a commit that was acknowledged survives a power cut. Other processes (`frontgw
 * backup`, `frontgw admin`) may use the same file; for them there is busy_timeout.
 */
#include "frontgw/store/db_backend.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct sqlite_conn {
    sqlite3 *handle;
    struct sqlite_conn *next;
    bool writer;
    sqlite3_stmt *prepared[SQL_COUNT];
};

struct sqlite_db {
    struct db db;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t freed;
    struct sqlite_conn *writer; /* NULL while in use */
    struct sqlite_conn *readers;
    unsigned in_use;
    unsigned timeout_ms;
};

static int sqlite_fault(sqlite3 *handle, int code, const char *what, struct err *err)
{
    const char *text = handle ? sqlite3_errmsg(handle) : sqlite3_errstr(code);
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(err, -EAGAIN, "%s: %s", what, text);
    case SQLITE_CONSTRAINT:
        return err_set(err, -EEXIST, "%s: %s", what, text);
    case SQLITE_FULL:
        return err_set(err, -ENOSPC, "%s: %s", what, text);
    case SQLITE_NOMEM:
        return err_set(err, -ENOMEM, "%s: %s", what, text);
    default:
        return err_set(err, -EIO, "%s: %s", what, text);
    }
}

static struct sqlite_conn *conn_free(struct sqlite_conn *conn)
{
    if (!conn)
        return NULL;
    for (int i = 0; i < SQL_COUNT; i++)
        sqlite3_finalize(conn->prepared[i]);
    sqlite3_close_v2(conn->handle);
    free(conn);
    return NULL;
}

static int run_sql(sqlite3 *handle, const char *sql, struct err *err)
{
    int code = sqlite3_exec(handle, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : sqlite_fault(handle, code, "sqlite", err);
}

static int conn_new(const struct db_options *options, bool writer, struct sqlite_conn **ret,
                    struct err *err)
{
    struct sqlite_conn *conn = calloc(1, sizeof(*conn));
    if (!conn)
        return err_set(err, -ENOMEM, "sqlite connection: %m");
    conn->writer = writer;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                (writer ? SQLITE_OPEN_CREATE : 0);
    int code = sqlite3_open_v2(options->sqlite_path, &conn->handle, flags, NULL);
    int r = code == SQLITE_OK ? 0 : sqlite_fault(conn->handle, code, options->sqlite_path, err);
    if (!r)
        sqlite3_busy_timeout(conn->handle, (int)options->acquire_timeout_ms);
    if (!r)
        r = run_sql(
            conn->handle,
            writer ? "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                     "PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF;"
                     "PRAGMA journal_size_limit=67108864;"
                   : "PRAGMA query_only=ON; PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF;",
            err);
    if (r) {
        conn_free(conn);
        return r;
    }
    *ret = conn;
    return 0;
}

static void deadline_in(struct timespec *ts, unsigned ms)
{
    clock_gettime(CLOCK_REALTIME, ts);
    ts->tv_sec += ms / 1000;
    ts->tv_nsec += (long)(ms % 1000) * 1000000;
    if (ts->tv_nsec >= 1000000000) {
        ts->tv_sec++;
        ts->tv_nsec -= 1000000000;
    }
}

/* Takes the connection for @mode off its list, waiting for it if need be. */
static struct sqlite_conn *acquire(struct sqlite_db *s, enum db_mode mode)
{
    struct timespec until;
    deadline_in(&until, s->timeout_ms);
    struct sqlite_conn **list = mode == DB_WRITE ? &s->writer : &s->readers;
    pthread_mutex_lock(&s->lock);
    int timed_out = 0;
    while (!*list && !timed_out)
        timed_out = pthread_cond_timedwait(&s->freed, &s->lock, &until);
    struct sqlite_conn *conn = *list;
    if (conn) {
        *list = conn->next;
        conn->next = NULL;
        s->in_use++;
    }
    pthread_mutex_unlock(&s->lock);
    return conn;
}

static void release(struct sqlite_db *s, struct sqlite_conn *conn)
{
    struct sqlite_conn **list = conn->writer ? &s->writer : &s->readers;
    pthread_mutex_lock(&s->lock);
    conn->next = *list;
    *list = conn;
    s->in_use--;
    pthread_cond_broadcast(&s->freed);
    pthread_mutex_unlock(&s->lock);
}

static int sqlite_begin(struct db *db, struct db_tx *tx, struct err *err)
{
    struct sqlite_db *s = (struct sqlite_db *)db;
    struct sqlite_conn *conn = acquire(s, tx->mode);
    if (!conn)
        return err_set(err, -EAGAIN, "database: no connection was free within %u ms",
                       s->timeout_ms);
    int r = run_sql(conn->handle, tx->mode == DB_WRITE ? "BEGIN IMMEDIATE" : "BEGIN", err);
    if (r) {
        release(s, conn);
        return r;
    }
    tx->conn = conn;
    return 0;
}

static void sqlite_rollback(struct db_tx *tx)
{
    struct sqlite_conn *conn = tx->conn;
    if (!sqlite3_get_autocommit(conn->handle))
        sqlite3_exec(conn->handle, "ROLLBACK", NULL, NULL, NULL);
    release((struct sqlite_db *)tx->db, conn);
}

static int sqlite_commit(struct db_tx *tx, struct err *err)
{
    struct sqlite_conn *conn = tx->conn;
    int r = run_sql(conn->handle, "COMMIT", err);
    if (r) {
        sqlite_rollback(tx);
        return r;
    }
    release((struct sqlite_db *)tx->db, conn);
    return 0;
}

static int bind_all(sqlite3_stmt *stmt, const struct db_arg *args, size_t n_args)
{
    int code = SQLITE_OK;
    for (size_t i = 0; i < n_args && code == SQLITE_OK; i++) {
        const struct db_arg *a = &args[i];
        int at = (int)i + 1;
        if (a->is_null)
            code = sqlite3_bind_null(stmt, at);
        else if (a->type == 'i')
            code = sqlite3_bind_int64(stmt, at, a->i64);
        else if (a->type == 't')
            code = sqlite3_bind_text64(stmt, at, a->bytes, a->len, SQLITE_TRANSIENT, SQLITE_UTF8);
        else
            code = sqlite3_bind_blob64(stmt, at, a->bytes, a->len, SQLITE_TRANSIENT);
    }
    return code;
}

/* A prepared statement is kept per connection; one that is being walked already gets a second copy.
 */
static int sqlite_query(struct db_tx *tx, int id, const char *sql, const struct db_arg *args,
                        size_t n_args, struct db_rows *rows, struct err *err)
{
    struct sqlite_conn *conn = tx->conn;
    sqlite3_stmt *stmt = id >= 0 ? conn->prepared[id] : NULL;
    rows->ad_hoc = id < 0 || (stmt && sqlite3_stmt_busy(stmt));
    if (!stmt || rows->ad_hoc) {
        unsigned flags = rows->ad_hoc ? 0 : SQLITE_PREPARE_PERSISTENT;
        int code = sqlite3_prepare_v3(conn->handle, sql, -1, flags, &stmt, NULL);
        if (code != SQLITE_OK)
            return sqlite_fault(conn->handle, code, "prepare", err);
        if (!rows->ad_hoc)
            conn->prepared[id] = stmt;
    }
    rows->impl = stmt;
    int code = bind_all(stmt, args, n_args);
    return code == SQLITE_OK ? 0 : sqlite_fault(conn->handle, code, "bind", err);
}

static int sqlite_next(struct db_rows *rows, struct err *err)
{
    struct sqlite_conn *conn = rows->tx->conn;
    int code = sqlite3_step(rows->impl);
    if (code == SQLITE_ROW)
        return 1;
    if (code == SQLITE_DONE)
        return 0;
    return sqlite_fault(conn->handle, code, "step", err);
}

static int sqlite_changes(struct db_rows *rows)
{
    struct sqlite_conn *conn = rows->tx->conn;
    return sqlite3_changes(conn->handle);
}

static void sqlite_rows_done(struct db_rows *rows)
{
    if (rows->ad_hoc) {
        sqlite3_finalize(rows->impl);
    } else {
        sqlite3_reset(rows->impl);
        sqlite3_clear_bindings(rows->impl);
    }
}

static bool sqlite_is_null(const struct db_rows *rows, int column)
{
    return sqlite3_column_type(rows->impl, column) == SQLITE_NULL;
}

static int64_t sqlite_i64(const struct db_rows *rows, int column)
{
    return sqlite3_column_int64(rows->impl, column);
}

static const void *sqlite_bytes(const struct db_rows *rows, int column, size_t *ret_len)
{
    const void *bytes = sqlite3_column_type(rows->impl, column) == SQLITE_BLOB
                            ? sqlite3_column_blob(rows->impl, column)
                            : (const void *)sqlite3_column_text(rows->impl, column);
    *ret_len = (size_t)sqlite3_column_bytes(rows->impl, column);
    return bytes;
}

static int sqlite_script(struct db_tx *tx, const char *sql, struct err *err)
{
    struct sqlite_conn *conn = tx->conn;
    return run_sql(conn->handle, sql, err);
}

static unsigned sqlite_in_use(struct db *db)
{
    struct sqlite_db *s = (struct sqlite_db *)db;
    pthread_mutex_lock(&s->lock);
    unsigned n = s->in_use;
    pthread_mutex_unlock(&s->lock);
    return n;
}

static void sqlite_close(struct db *db)
{
    struct sqlite_db *s = (struct sqlite_db *)db;
    while (s->readers) {
        struct sqlite_conn *conn = s->readers;
        s->readers = conn->next;
        conn_free(conn);
    }
    conn_free(s->writer);
    pthread_cond_destroy(&s->freed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static const struct db_ops sqlite_ops = {
    .name = "sqlite",
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .query = sqlite_query,
    .next = sqlite_next,
    .changes = sqlite_changes,
    .rows_done = sqlite_rows_done,
    .is_null = sqlite_is_null,
    .i64 = sqlite_i64,
    .bytes = sqlite_bytes,
    .script = sqlite_script,
    .in_use = sqlite_in_use,
    .close = sqlite_close,
};

int db_sqlite_open(const struct db_options *options, struct db **ret, struct err *err)
{
    struct sqlite_db *s = calloc(1, sizeof(*s));
    if (!s)
        return err_set(err, -ENOMEM, "sqlite: %m");
    s->db.ops = &sqlite_ops;
    s->timeout_ms = options->acquire_timeout_ms;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->freed, NULL);
    int r = conn_new(options, true, &s->writer, err);
    for (unsigned i = 0; i < options->readers && !r; i++) {
        struct sqlite_conn *conn = NULL;
        r = conn_new(options, false, &conn, err);
        if (r)
            break;
        conn->next = s->readers;
        s->readers = conn;
    }
    if (r) {
        sqlite_close(&s->db);
        return r;
    }
    *ret = &s->db;
    return 0;
}
