/*
 * PostgreSQL: theory of operation.
 *
 * A pool of connections (pg_pool.c), each used by one thread at a time. Statements are prepared per
 * connection at their first use, results come in binary form. A connection whose transaction ended
 * in a fault of the connection itself is thrown away; the next db_begin() makes a new one.
 */
#include "frontgw/store/db_backend.h"
#include "frontgw/store/pg_pool.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OID_BOOL  16
#define OID_BYTEA 17
#define OID_INT8  20
#define OID_INT4  23
#define OID_TEXT  25
#define MAX_ARGS  24

struct postgres_db {
    struct db db;
    struct pg_pool *pool;
};

static int fault_of(PGconn *conn, const PGresult *result, const char *what, struct err *err)
{
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *text = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    if (!text)
        text = PQerrorMessage(conn);
    int code = -EIO;
    if (!state || PQstatus(conn) == CONNECTION_BAD || !strncmp(state, "57P", 3) ||
        !strncmp(state, "08", 2))
        code = -ENOTCONN;
    else if (!strcmp(state, "57014"))
        code = -ETIMEDOUT;
    else if (!strcmp(state, "40001") || !strcmp(state, "40P01") || !strcmp(state, "55P03"))
        code = -EAGAIN;
    else if (!strncmp(state, "23", 2))
        code = -EEXIST;
    else if (!strncmp(state, "53", 2))
        code = -ENOSPC;
    return err_set(err, code, "%s: %s", what, text);
}

static int simple(PGconn *conn, const char *sql, struct err *err)
{
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);
    int r = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK
                ? 0
                : fault_of(conn, result, "postgresql", err);
    PQclear(result);
    return r;
}

static int postgres_begin(struct db *db, struct db_tx *tx, struct err *err)
{
    static const char *const begin[] = {
        [DB_READ] = "BEGIN READ ONLY",
        [DB_WRITE] = "BEGIN",
        [DB_SNAPSHOT] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    };
    struct postgres_db *p = (struct postgres_db *)db;
    /* After a restart of the server every pooled connection is dead: each is found out and replaced
     * here. */
    int r = 0;
    for (unsigned tries = 0; tries <= db->options.pool_max; tries++) {
        struct pg_conn *conn = NULL;
        bool fresh = false;
        r = pg_pool_take(p->pool, &conn, &fresh, err);
        if (r)
            return r;
        r = simple(conn->handle, begin[tx->mode], err);
        if (!r) {
            tx->conn = conn;
            return 0;
        }
        pg_pool_give(p->pool, conn, true);
        if (r != -ENOTCONN || fresh)
            return r;
    }
    return r;
}

static void end(struct db_tx *tx)
{
    struct postgres_db *p = (struct postgres_db *)tx->db;
    struct pg_conn *conn = tx->conn;
    bool unfit = PQstatus(conn->handle) != CONNECTION_OK ||
                 PQtransactionStatus(conn->handle) != PQTRANS_IDLE;
    pg_pool_give(p->pool, conn, unfit);
}

static int postgres_commit(struct db_tx *tx, struct err *err)
{
    struct pg_conn *conn = tx->conn;
    PGresult *result = PQexec(conn->handle, "COMMIT");
    int r = 0;
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        r = fault_of(conn->handle, result, "commit", err);
    else if (strcmp(PQcmdStatus(result), "COMMIT") != 0) /* a failed transaction answers ROLLBACK */
        r = err_set(err, -EIO, "commit: the transaction had failed");
    PQclear(result);
    end(tx);
    return r;
}

static void postgres_rollback(struct db_tx *tx)
{
    struct pg_conn *conn = tx->conn;
    if (PQstatus(conn->handle) == CONNECTION_OK &&
        PQtransactionStatus(conn->handle) != PQTRANS_IDLE)
        PQclear(PQexec(conn->handle, "ROLLBACK"));
    end(tx);
}

struct wire_args {
    const char *values[MAX_ARGS];
    int lengths[MAX_ARGS];
    int formats[MAX_ARGS];
    Oid types[MAX_ARGS];
    uint64_t integers[MAX_ARGS];
};

static int to_wire(const struct db_arg *args, size_t n_args, struct wire_args *w, struct err *err)
{
    if (n_args > MAX_ARGS)
        return err_set(err, -E2BIG, "a statement takes at most %d arguments", MAX_ARGS);
    for (size_t i = 0; i < n_args; i++) {
        const struct db_arg *a = &args[i];
        w->types[i] = a->type == 't' ? OID_TEXT : a->type == 'i' ? OID_INT8 : OID_BYTEA;
        w->formats[i] = a->type == 't' ? 0 : 1;
        w->integers[i] = htobe64((uint64_t)a->i64);
        w->lengths[i] = a->type == 'i' ? 8 : (int)a->len;
        if (a->is_null)
            w->values[i] = NULL;
        else
            w->values[i] = a->type == 'i' ? (const char *)&w->integers[i] : a->bytes;
    }
    return 0;
}

static int prepare(struct pg_conn *conn, int id, const char *sql, const struct wire_args *w,
                   size_t n_args, struct err *err)
{
    if (conn->prepared[id])
        return 0;
    PGresult *result = PQprepare(conn->handle, db_statements[id].name, sql, (int)n_args, w->types);
    int r = PQresultStatus(result) == PGRES_COMMAND_OK
                ? 0
                : fault_of(conn->handle, result, "prepare", err);
    PQclear(result);
    conn->prepared[id] = !r;
    return r;
}

static int postgres_query(struct db_tx *tx, int id, const char *sql, const struct db_arg *args,
                          size_t n_args, struct db_rows *rows, struct err *err)
{
    struct pg_conn *conn = tx->conn;
    struct wire_args w;
    int r = to_wire(args, n_args, &w, err);
    if (!r && id >= 0)
        r = prepare(conn, id, sql, &w, n_args, err);
    if (r)
        return r;
    PGresult *result = id >= 0 ? PQexecPrepared(conn->handle, db_statements[id].name, (int)n_args,
                                                w.values, w.lengths, w.formats, 1)
                               : PQexecParams(conn->handle, sql, (int)n_args, w.types, w.values,
                                              w.lengths, w.formats, 1);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        r = fault_of(conn->handle, result, "query", err);
        PQclear(result);
        return r;
    }
    rows->impl = result;
    rows->n_rows = PQntuples(result);
    return 0;
}

static int postgres_next(struct db_rows *rows, struct err *err)
{
    (void)err;
    return ++rows->row < rows->n_rows;
}

static int postgres_changes(struct db_rows *rows)
{
    const char *tuples = PQcmdTuples(rows->impl);
    return (int)strtol(tuples, NULL, 10);
}

static void postgres_rows_done(struct db_rows *rows)
{
    PQclear(rows->impl);
}

static bool postgres_is_null(const struct db_rows *rows, int column)
{
    return PQgetisnull(rows->impl, rows->row, column);
}

static int64_t postgres_i64(const struct db_rows *rows, int column)
{
    const char *value = PQgetvalue(rows->impl, rows->row, column);
    int len = PQgetlength(rows->impl, rows->row, column);
    if (PQgetisnull(rows->impl, rows->row, column))
        return 0;
    switch (PQftype(rows->impl, column)) {
    case OID_INT8: {
        uint64_t big;
        memcpy(&big, value, sizeof(big));
        return (int64_t)be64toh(big);
    }
    case OID_INT4: {
        uint32_t small;
        memcpy(&small, value, sizeof(small));
        return (int32_t)ntohl(small);
    }
    case OID_BOOL:
        return len == 1 && value[0];
    default:
        err_set(&rows->tx->err, -EPROTO, "column %d is no integer", column);
        rows->tx->fault = -EPROTO;
        return 0;
    }
}

static const void *postgres_bytes(const struct db_rows *rows, int column, size_t *ret_len)
{
    *ret_len = (size_t)PQgetlength(rows->impl, rows->row, column);
    return PQgetisnull(rows->impl, rows->row, column) ? NULL
                                                      : PQgetvalue(rows->impl, rows->row, column);
}

static int postgres_script(struct db_tx *tx, const char *sql, struct err *err)
{
    struct pg_conn *conn = tx->conn;
    return simple(conn->handle, sql, err);
}

static unsigned postgres_in_use(struct db *db)
{
    return pg_pool_in_use(((struct postgres_db *)db)->pool);
}

static void postgres_close(struct db *db)
{
    struct postgres_db *p = (struct postgres_db *)db;
    pg_pool_free(p->pool);
    free(p);
}

static const struct db_ops postgres_ops = {
    .name = "postgresql",
    .begin = postgres_begin,
    .commit = postgres_commit,
    .rollback = postgres_rollback,
    .query = postgres_query,
    .next = postgres_next,
    .changes = postgres_changes,
    .rows_done = postgres_rows_done,
    .is_null = postgres_is_null,
    .i64 = postgres_i64,
    .bytes = postgres_bytes,
    .script = postgres_script,
    .in_use = postgres_in_use,
    .close = postgres_close,
};

int db_postgres_open(const struct db_options *options, struct db **ret, struct err *err)
{
    struct postgres_db *p = calloc(1, sizeof(*p));
    if (!p)
        return err_set(err, -ENOMEM, "postgresql: %m");
    p->db.ops = &postgres_ops;
    int r = pg_pool_new(options, &p->pool, err);
    if (r) {
        free(p);
        return r;
    }
    *ret = &p->db;
    return 0;
}
