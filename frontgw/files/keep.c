/* Housekeeping: versions are thinned as they come of age, contents that nothing refers to are
 * swept. */
#include "frontgw/files/files.h"
#include "frontgw/files/node_row.h"
#include "frontgw/files/thin.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HOUR_MS     (3600ull * 1000)
#define DAY_MS      (24 * HOUR_MS)
#define GRACE_MS    DAY_MS
#define CATCH_UP_MS (400 * DAY_MS)
#define TRASH_MS    (30 * DAY_MS)
#define TRASH_BATCH 200
#define LAST_KEY    "thinned_until_ms"

struct list {
    struct thin_version *versions;
    struct {
        int64_t seq, size;
    } * rows;
    size_t n, room;
};

static void list_done(struct list *list)
{
    free(list->versions);
    free(list->rows);
}

static bool pinned(const char *cause, const char *label)
{
    return *label || !strcmp(cause, "run") || !strcmp(cause, "submit") || !strcmp(cause, "restore");
}

static int load(struct db_tx *tx, const char *node, struct list *list, struct err *err)
{
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_VERSION_THIN_LIST, &rows, DB_T(node));
    while (db_next(&rows)) {
        if (list->n == list->room) {
            list->room = list->room ? list->room * 2 : 64;
            void *versions = realloc(list->versions, list->room * sizeof(*list->versions));
            list->versions = versions ? versions : list->versions;
            void *more = realloc(list->rows, list->room * sizeof(*list->rows));
            list->rows = more ? more : list->rows;
            if (!versions || !more)
                return err_set(err, -ENOMEM, "thin: %m");
        }
        list->rows[list->n].seq = db_i64(&rows, 0);
        list->rows[list->n].size = db_i64(&rows, 1);
        list->versions[list->n++] =
            (struct thin_version){.created_ms = (uint64_t)db_i64(&rows, 4),
                                  .pinned = pinned(db_text(&rows, 2), db_text(&rows, 3))};
    }
    return db_fault(tx, err);
}

/* One file in a transaction of its own, so that nobody waits long. */
static int thin_one(struct gw_files *files, const char *node, uint64_t now_ms,
                    uint64_t *ret_dropped, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    AUTO_ROWS struct db_rows rows = {0};
    CLEANUP(list_done) struct list list = {0};
    struct gw_quota quota = {0};
    char id[ULID_SIZE];
    int r = db_begin(files->store->db, DB_WRITE, &tx, err);
    if (r)
        return r;
    db_query(tx, SQL_NODE_QUOTA, &rows, DB_T(node));
    if (!db_next(&rows))
        return db_fault(tx, err);
    gw_text_copy(id, sizeof(id), db_text(&rows, 0));
    db_rows_done(&rows);
    r = gw_quota_lock(tx, id, &quota, err);
    if (!r)
        r = load(tx, node, &list, err);
    if (r || !thin_select(list.versions, list.n, now_ms))
        return r;
    for (size_t i = 0; i < list.n; i++) {
        if (!list.versions[i].drop)
            continue;
        db_exec(tx, SQL_VERSION_DELETE, DB_T(node), DB_I(list.rows[i].seq));
        quota.history_bytes -= list.rows[i].size;
        ++*ret_dropped;
    }
    quota.history_bytes = quota.history_bytes < 0 ? 0 : quota.history_bytes;
    gw_quota_write(tx, &quota);
    return db_commit(&tx, err);
}

struct nodes {
    char (*ids)[ULID_SIZE];
    size_t n;
};

static void nodes_done(struct nodes *nodes)
{
    free(nodes->ids);
}

static int collect(struct db_rows *rows, struct nodes *nodes, struct err *err)
{
    while (db_next(rows)) {
        void *grown = realloc(nodes->ids, (nodes->n + 1) * ULID_SIZE);
        if (!grown)
            return err_set(err, -ENOMEM, "housekeeping: %m");
        nodes->ids = grown;
        gw_text_copy(nodes->ids[nodes->n++], ULID_SIZE, db_text(rows, 0));
    }
    return db_fault(rows->tx, err);
}

static int nodes_between(struct gw_files *files, uint64_t from_ms, uint64_t to_ms,
                         struct nodes *nodes, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    AUTO_ROWS struct db_rows rows = {0};
    int r = db_begin(files->store->db, DB_READ, &tx, err);
    if (r)
        return r;
    db_query(tx, SQL_VERSION_NODES_BETWEEN, &rows, DB_I(from_ms), DB_I(to_ms));
    return collect(&rows, nodes, err);
}

int gw_versions_thin(struct gw_files *files, uint64_t since_ms, uint64_t now_ms,
                     uint64_t *ret_dropped, struct err *err)
{
    CLEANUP(nodes_done) struct nodes nodes = {0};
    *ret_dropped = 0;
    /* Those that became an hour old, and those that became a day old, since the last time. The
     * slice of ten minutes (of a day) that is still open is looked at again: it may get a newer
     * version to keep. */
    int r = nodes_between(files, since_ms - HOUR_MS - 600000, now_ms - HOUR_MS, &nodes, err);
    if (!r)
        r = nodes_between(files, since_ms - 2 * DAY_MS, now_ms - DAY_MS, &nodes, err);
    for (size_t i = 0; !r && i < nodes.n; i++)
        r = thin_one(files, nodes.ids[i], now_ms, ret_dropped, err);
    return r;
}

static int purge_one(struct gw_files *files, const char *node, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    AUTO_ROWS struct db_rows rows = {0};
    struct gw_quota quota = {0};
    char id[ULID_SIZE];
    int r = db_begin(files->store->db, DB_WRITE, &tx, err);
    if (r)
        return r;
    db_query(tx, SQL_NODE_QUOTA, &rows, DB_T(node));
    if (!db_next(&rows))
        return db_fault(tx, err);
    gw_text_copy(id, sizeof(id), db_text(&rows, 0));
    db_rows_done(&rows);
    r = gw_quota_lock(tx, id, &quota, err);
    if (r || db_exec(tx, SQL_TRASH_PURGE_NODE, DB_T(node)) != 1)
        return r ? r : db_fault(tx, err); /* it was taken out of the trash in the meantime */
    db_query(tx, SQL_TRASH_VERSION_BYTES, &rows, DB_T(node));
    int64_t bytes = db_next(&rows) ? db_i64(&rows, 0) : 0;
    db_rows_done(&rows);
    db_exec(tx, SQL_TRASH_PURGE_VERSIONS, DB_T(node));
    quota.history_bytes -= bytes < quota.history_bytes ? bytes : quota.history_bytes;
    gw_quota_write(tx, &quota);
    return db_commit(&tx, err);
}

int gw_trash_purge(struct gw_files *files, uint64_t now_ms, uint64_t *ret_purged, struct err *err)
{
    CLEANUP(nodes_done) struct nodes nodes = {0};
    AUTO_TX struct db_tx *tx = NULL;
    AUTO_ROWS struct db_rows rows = {0};
    *ret_purged = 0;
    int r = db_begin(files->store->db, DB_READ, &tx, err);
    if (r)
        return r;
    db_query(tx, SQL_TRASH_OLD, &rows, DB_I(now_ms - TRASH_MS), DB_I(TRASH_BATCH));
    r = collect(&rows, &nodes, err);
    db_rollback(&tx);
    for (; !r && *ret_purged < nodes.n; ++*ret_purged)
        r = purge_one(files, nodes.ids[*ret_purged], err);
    return r;
}

static int last_time(struct gw_files *files, uint64_t now_ms, uint64_t *ret, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    AUTO_ROWS struct db_rows rows = {0};
    int r = db_begin(files->store->db, DB_READ, &tx, err);
    if (r)
        return r;
    db_query(tx, SQL_SETTING_GET, &rows, DB_T(LAST_KEY));
    *ret = db_next(&rows) ? strtoull(db_text(&rows, 0), NULL, 10) : now_ms - CATCH_UP_MS;
    return db_fault(tx, err);
}

int gw_files_keep(struct gw_files *files, uint64_t now_ms, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    uint64_t since = 0, dropped = 0;
    char until[24];
    int r = last_time(files, now_ms, &since, err);
    if (!r)
        r = gw_versions_thin(files, since, now_ms, &dropped, err);
    if (!r)
        r = gw_trash_purge(files, now_ms, &dropped, err);
    if (!r)
        r = db_begin(files->store->db, DB_WRITE, &tx, err);
    if (r)
        return r;
    snprintf(until, sizeof(until), "%llu", (unsigned long long)now_ms);
    db_exec(tx, SQL_SETTING_PUT, DB_T(LAST_KEY), DB_T(until));
    r = db_commit(&tx, err);
    return r ? r : blobs_sweep(files->store->blobs, files->store->db, now_ms, GRACE_MS, NULL, err);
}
