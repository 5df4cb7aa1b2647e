#pragma once
/* What a database backend gives to db.c. Not for anyone else. */

#include "frontgw/store/db.h"

struct db_ops {
    const char *name;
    /* Fills tx->conn. */
    int (*begin)(struct db *db, struct db_tx *tx, struct err *err);
    /* Both end the use of tx->conn. */
    int (*commit)(struct db_tx *tx, struct err *err);
    void (*rollback)(struct db_tx *tx);
    /* id is -1 for text that is not in the table. */
    int (*query)(struct db_tx *tx, int id, const char *sql, const struct db_arg *args,
                 size_t n_args, struct db_rows *rows, struct err *err);
    /* 1 row, 0 end, or a fault */
    int (*next)(struct db_rows *rows, struct err *err);
    int (*changes)(struct db_rows *rows);
    void (*rows_done)(struct db_rows *rows);
    bool (*is_null)(const struct db_rows *rows, int column);
    int64_t (*i64)(const struct db_rows *rows, int column);
    const void *(*bytes)(const struct db_rows *rows, int column, size_t *ret_len);
    int (*script)(struct db_tx *tx, const char *sql, struct err *err);
    unsigned (*in_use)(struct db *db);
    void (*close)(struct db *db);
};

struct db {
    const struct db_ops *ops;
    struct db_options options; /* strings are not kept here */
    _Atomic uint64_t transactions, statements, faults, wait_us, busy_us;
};

struct db_tx {
    struct db *db;
    void *conn;
    enum db_mode mode;
    uint64_t began_us;
    struct db_rows *open; /* results that are being walked */
    int fault;
    struct err err;
};

int db_sqlite_open(const struct db_options *options, struct db **ret, struct err *err);
int db_postgres_open(const struct db_options *options, struct db **ret, struct err *err);
