#include "frontgw/store/db_backend.h"

#include "base/clock.h"
#include "base/fd.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static unsigned or_default(unsigned value, unsigned fallback)
{
    return value ? value : fallback;
}

int db_url_from_env(char **ret_url, struct err *err)
{
    *ret_url = NULL;
    const char *url = getenv("DATABASE_URL");
    const char *file = getenv("DATABASE_URL_FILE");
    if (url && *url) {
        *ret_url = strdup(url);
        return *ret_url ? 0 : err_set(err, -ENOMEM, "DATABASE_URL: %m");
    }
    if (!file || !*file)
        return 0;
    AUTO_FREE char *text = NULL;
    ssize_t len = file_read_text(file, 4096, &text, err);
    if (len < 0)
        return (int)len;
    text[strcspn(text, "\r\n")] = 0;
    if (!*text)
        return err_set(err, -EINVAL, "%s is empty: it should hold the database's URL", file);
    *ret_url = take_ptr(text);
    return 0;
}

int db_open(const struct db_options *options, struct db **ret, struct err *err)
{
    struct db_options o = *options;
    o.readers = or_default(o.readers, 4);
    o.pool_min = or_default(o.pool_min, 5);
    o.pool_max = or_default(o.pool_max, 20);
    o.statement_timeout_ms = or_default(o.statement_timeout_ms, 10000);
    o.acquire_timeout_ms = or_default(o.acquire_timeout_ms, 5000);
    o.ping_after_ms = or_default(o.ping_after_ms, 10000);
    o.recycle_ms = or_default(o.recycle_ms, 30 * 60 * 1000);
    if (o.pool_min > o.pool_max)
        return err_set(err, -EINVAL, "database pool: min %u is above max %u", o.pool_min,
                       o.pool_max);
    int r = o.url ? db_postgres_open(&o, ret, err) : db_sqlite_open(&o, ret, err);
    if (r)
        return r;
    (*ret)->options = o;
    return 0;
}

struct db *db_close(struct db *db)
{
    if (db)
        db->ops->close(db);
    return NULL;
}

const char *db_dialect(const struct db *db)
{
    return db->ops->name;
}

unsigned db_pool_in_use(struct db *db)
{
    return db->ops->in_use(db);
}

void db_stats(struct db *db, struct db_stats *ret)
{
    bool sqlite = db->ops->name[0] == 's';
    *ret = (struct db_stats){
        .in_use = db->ops->in_use(db),
        .capacity = sqlite ? db->options.readers + 1 : db->options.pool_max,
        .transactions = db->transactions,
        .statements = db->statements,
        .faults = db->faults,
        .wait_us = db->wait_us,
        .busy_us = db->busy_us,
    };
}

int db_ping(struct db *db, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    int r = db_begin(db, DB_READ, &tx, err);
    if (r)
        return r;
    AUTO_ROWS struct db_rows rows = {0};
    db_query_text(tx, "SELECT 1", &rows, NULL, 0);
    db_next(&rows);
    return db_fault(tx, err);
}

int db_begin(struct db *db, enum db_mode mode, struct db_tx **ret, struct err *err)
{
    struct db_tx *tx = calloc(1, sizeof(*tx));
    if (!tx)
        return err_set(err, -ENOMEM, "transaction: %m");
    tx->db = db;
    tx->mode = mode;
    uint64_t asked_us = clock_us();
    int r = db->ops->begin(db, tx, err);
    tx->began_us = clock_us();
    db->wait_us += tx->began_us - asked_us;
    if (r) {
        db->faults++;
        free(tx);
        return r;
    }
    db->transactions++;
    *ret = tx;
    return 0;
}

int db_fault(const struct db_tx *tx, struct err *err)
{
    if (tx->fault && err)
        *err = tx->err;
    return tx->fault;
}

void db_fail(struct db_tx *tx, int fault, const char *words)
{
    if (!tx->fault)
        tx->fault = err_set(&tx->err, fault, "%s", words);
}

static void close_rows(struct db_tx *tx)
{
    while (tx->open)
        db_rows_done(tx->open);
}

int db_commit(struct db_tx **slot, struct err *err)
{
    struct db_tx *tx = take_ptr(*slot);
    struct db *db = tx->db;
    close_rows(tx);
    int r = db_fault(tx, err);
    if (r)
        db->ops->rollback(tx);
    else
        r = db->ops->commit(tx, err);
    db->busy_us += clock_us() - tx->began_us;
    db->faults += r != 0;
    free(tx);
    return r;
}

void db_rollback(struct db_tx **slot)
{
    struct db_tx *tx = take_ptr(*slot);
    if (!tx)
        return;
    struct db *db = tx->db;
    close_rows(tx);
    db->ops->rollback(tx);
    db->busy_us += clock_us() - tx->began_us;
    db->faults += tx->fault != 0;
    free(tx);
}

struct db_arg db_arg_text(const char *text)
{
    return (struct db_arg){.type = 't',
                           .bytes = text,
                           .len = text ? strlen(text) : 0,
                           .is_null = !text};
}

static const char *text_of(const struct db *db, const struct db_statement_info *info)
{
    return db->ops->name[0] == 's' ? info->sqlite : info->pg;
}

static int stick(struct db_tx *tx, int r)
{
    if (r < 0 && !tx->fault)
        tx->fault = r;
    return r;
}

static void open_rows(struct db_rows *rows)
{
    rows->next_open = rows->tx->open;
    rows->tx->open = rows;
}

int db_query_text(struct db_tx *tx, const char *sql, struct db_rows *rows,
                  const struct db_arg *args, size_t n_args)
{
    *rows = (struct db_rows){.tx = tx, .row = -1};
    if (tx->fault)
        return tx->fault;
    open_rows(rows);
    return stick(tx, tx->db->ops->query(tx, -1, sql, args, n_args, rows, &tx->err));
}

int db_query_args(struct db_tx *tx, enum db_statement id, struct db_rows *rows,
                  const struct db_arg *args, size_t n_args)
{
    const struct db_statement_info *info = &db_statements[id];
    *rows = (struct db_rows){.tx = tx, .row = -1};
    if (tx->fault)
        return tx->fault;
    assert(n_args == strlen(info->params));
    for (size_t i = 0; i < n_args; i++)
        assert(args[i].type == info->params[i]);
    open_rows(rows);
    tx->db->statements++;
    int r = tx->db->ops->query(tx, (int)id, text_of(tx->db, info), args, n_args, rows, &tx->err);
    if (r < 0)
        err_prefix(&tx->err, "%s", info->name);
    return stick(tx, r);
}

int db_exec_args(struct db_tx *tx, enum db_statement id, const struct db_arg *args, size_t n_args)
{
    AUTO_ROWS struct db_rows rows = {0};
    int r = db_query_args(tx, id, &rows, args, n_args);
    if (r < 0)
        return r;
    while (db_next(&rows))
        continue;
    return tx->fault ? tx->fault : tx->db->ops->changes(&rows);
}

bool db_next(struct db_rows *rows)
{
    struct db_tx *tx = rows->tx;
    if (!tx || tx->fault || !rows->impl)
        return false;
    return stick(tx, tx->db->ops->next(rows, &tx->err)) == 1;
}

void db_rows_done(struct db_rows *rows)
{
    struct db_tx *tx = rows->tx;
    if (!tx)
        return;
    for (struct db_rows **at = &tx->open; *at; at = &(*at)->next_open) {
        if (*at == rows) {
            *at = rows->next_open;
            break;
        }
    }
    if (rows->impl)
        tx->db->ops->rows_done(rows);
    *rows = (struct db_rows){0};
}

bool db_is_null(const struct db_rows *rows, int column)
{
    return rows->tx->db->ops->is_null(rows, column);
}

int64_t db_i64(const struct db_rows *rows, int column)
{
    return rows->tx->db->ops->i64(rows, column);
}

const char *db_text(const struct db_rows *rows, int column)
{
    size_t len = 0;
    const char *text = rows->tx->db->ops->bytes(rows, column, &len);
    return text ? text : "";
}

const void *db_bytes(const struct db_rows *rows, int column, size_t *ret_len)
{
    return rows->tx->db->ops->bytes(rows, column, ret_len);
}

int db_script(struct db_tx *tx, const char *sql)
{
    if (tx->fault)
        return tx->fault;
    return stick(tx, tx->db->ops->script(tx, sql, &tx->err));
}
