#pragma once
/*
 * The store: SQLite or PostgreSQL behind one small interface.
 *
 * A `struct db` is shared by all threads. A transaction belongs to the thread that began it. Every
 * call may block (disk, network, lock): never from a loop thread.
 *
 *   AUTO_TX struct db_tx *tx = NULL;
 *   int r = db_begin(db, DB_WRITE, &tx, err);
 *   if (r)
 *       return r;
 *   db_exec(tx, SQL_COURSE_INSERT, DB_T(id), DB_T(title), DB_I(now));
 *   return db_commit(&tx, err);
 *
 * A fault sticks to its transaction: later statements do nothing and db_commit() reports it, so a
 * row of db_exec() needs one check at its end. A transaction that was not committed is rolled back.
 *
 * Locks: a write transaction on SQLite is the only one. On PostgreSQL (READ COMMITTED) a row is
 * locked by updating it; the order is quota row, then everything else, then the head of the audit
 * log, last.
 *
 * Faults: -ENOTCONN database gone, -ETIMEDOUT statement timeout, -EAGAIN busy or deadlock (all: try
 * again later), -EEXIST a constraint, -EIO anything else.
 */

#include "base/cleanup.h"
#include "base/err.h"
#include "frontgw/store/statement.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;
struct db_tx;

enum db_mode {
    DB_READ,     /* reads only */
    DB_WRITE,    /* BEGIN IMMEDIATE on SQLite */
    DB_SNAPSHOT, /* reads only, every statement sees the same state */
};

struct db_options {
    const char *sqlite_path;       /* used when url is NULL */
    const char *url;               /* postgresql://... or a libpq connection string */
    unsigned readers;              /* SQLite read connections; 0: 4 */
    unsigned pool_min, pool_max;   /* PostgreSQL; 0: 5 and 20 */
    unsigned statement_timeout_ms; /* 0: 10 s */
    unsigned acquire_timeout_ms;   /* wait for a connection or the writer; 0: 5 s */
    unsigned ping_after_ms;        /* idle longer than this: checked before use; 0: 10 s */
    unsigned recycle_ms;           /* older than this: replaced; 0: 30 min */
};

/** db_url_from_env() - DATABASE_URL, or the first line of the file DATABASE_URL_FILE, into @ret_url
 * (malloc'd, NULL when neither is set). */
int db_url_from_env(char **ret_url, struct err *err);

int db_open(const struct db_options *options, struct db **ret, struct err *err);
struct db *db_close(struct db *db);
/** "sqlite" or "postgresql" */
const char *db_dialect(const struct db *db);
/** db_pool_in_use() - connections in use now. */
unsigned db_pool_in_use(struct db *db);
/* For the metrics; totals since the start. */
struct db_stats {
    unsigned in_use, capacity; /* connections */
    uint64_t transactions, statements, faults;
    uint64_t wait_us; /* for a connection or the writer, and for the answer to BEGIN */
    uint64_t busy_us; /* between begin and end of transactions */
};
void db_stats(struct db *db, struct db_stats *ret);
/** db_ping() - does a read work now? */
int db_ping(struct db *db, struct err *err);

/* ---- transactions ---- */
int db_begin(struct db *db, enum db_mode mode, struct db_tx **ret, struct err *err);
/** db_commit() - always ends *@tx and sets it to NULL. Return: 0 or the first fault of the
 * transaction. */
int db_commit(struct db_tx **tx, struct err *err);
/** db_rollback() - NULL is fine. */
void db_rollback(struct db_tx **tx);
/** db_fault() - the fault that sticks to @tx (copied into @err), or 0. */
int db_fault(const struct db_tx *tx, struct err *err);
/** db_fail() - let a fault of the caller's own stick to @tx, so that it cannot be committed. */
void db_fail(struct db_tx *tx, int fault, const char *words);
#define AUTO_TX CLEANUP(db_rollback)

/* ---- statements ---- */
struct db_arg {
    char type; /* t, i, b */
    bool is_null;
    int64_t i64;
    const void *bytes;
    size_t len;
};

#define DB_T(s)         db_arg_text(s)
#define DB_I(v)         ((struct db_arg){.type = 'i', .i64 = (int64_t)(v)})
#define DB_I_OR_NULL(v) ((struct db_arg){.type = 'i', .i64 = (int64_t)(v), .is_null = (v) == 0})
#define DB_B(p, n)      ((struct db_arg){.type = 'b', .bytes = (p), .len = (n), .is_null = !(p)})
/** NULL text is SQL NULL. */
struct db_arg db_arg_text(const char *text);

/* A result that is being walked. Columns are borrowed until the next db_next() or the end. */
struct db_rows {
    struct db_tx *tx;
    struct db_rows *next_open; /* of the same transaction, whose end closes them all */
    void *impl;
    int row, n_rows;
    bool ad_hoc;
};
#define AUTO_ROWS CLEANUP(db_rows_done)

int db_query_args(struct db_tx *tx, enum db_statement id, struct db_rows *ret_rows,
                  const struct db_arg *args, size_t n_args);
int db_exec_args(struct db_tx *tx, enum db_statement id, const struct db_arg *args, size_t n_args);

#define DB_ARGS_(...)   ((const struct db_arg[]){{0} __VA_OPT__(, ) __VA_ARGS__})
#define DB_N_ARGS_(...) (sizeof(DB_ARGS_(__VA_ARGS__)) / sizeof(struct db_arg) - 1)
#define DB_CHECK_(id, ...)                                                                         \
    _Static_assert(DB_N_ARGS_(__VA_ARGS__) == id##_N, "wrong number of arguments for " #id)
/** db_query() - begin a result; @id is written out (SQL_...), arguments are DB_T, DB_I, DB_B in the
 * statement's order. */
#define db_query(tx, id, rows, ...)                                                                \
    ({                                                                                             \
        DB_CHECK_(id, __VA_ARGS__);                                                                \
        db_query_args((tx), id, (rows), DB_ARGS_(__VA_ARGS__) + 1, DB_N_ARGS_(__VA_ARGS__));       \
    })
/** db_exec() - run to the end. Return: rows changed, or the transaction's fault. */
#define db_exec(tx, id, ...)                                                                       \
    ({                                                                                             \
        DB_CHECK_(id, __VA_ARGS__);                                                                \
        db_exec_args((tx), id, DB_ARGS_(__VA_ARGS__) + 1, DB_N_ARGS_(__VA_ARGS__));                \
    })

/** db_next() - true when there is a (next) row; false at the end and after a fault (db_fault()
 * tells). */
bool db_next(struct db_rows *rows);
void db_rows_done(struct db_rows *rows);
bool db_is_null(const struct db_rows *rows, int column);
int64_t db_i64(const struct db_rows *rows, int column);
/** "" for NULL */
const char *db_text(const struct db_rows *rows, int column);
const void *db_bytes(const struct db_rows *rows, int column, size_t *ret_len);

/* ---- schema ---- */
/**
 * db_migrate() - bring the schema up to date, in one transaction and under a lock
 * @ret_applied: how many migrations ran; may be NULL
 *
 * Refuses (-EPROTO) a schema that is newer than this program and one whose checksum differs.
 */
int db_migrate(struct db *db, int *ret_applied, struct err *err);
/** db_script() - several statements without parameters, in the dialect of @tx's database:
 * migrations and tests. */
int db_script(struct db_tx *tx, const char *sql);
/** db_query_text() - one statement that is not in the table: EXPLAIN in tests, schema_migrations.
 */
int db_query_text(struct db_tx *tx, const char *sql, struct db_rows *ret_rows,
                  const struct db_arg *args, size_t n_args);
