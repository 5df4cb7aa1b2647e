#include "frontgw/people/audit.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define PAGE 500

static json_t *row_json(const struct audit_row *row)
{
    return json_pack("{sI sI ss ss ss ss ss ss ss ss}", "seq", (json_int_t)row->seq, "at_ms",
                     (json_int_t)row->at_ms, "actor", row->actor, "role", row->role, "ip", row->ip,
                     "action", row->action, "object", row->object, "course", row->course, "details",
                     row->details, "prev_hash", row->prev_hash);
}

/* Over the compact JSON of all members in this order: two different rows cannot have the same text.
 */
int audit_hash(const struct audit_row *row, char ret[SHA256_SIZE])
{
    json_t *json = row_json(row);
    AUTO_FREE char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!text)
        return -ENOMEM;
    sha256_hex(text, strlen(text), ret);
    return 0;
}

void audit_add(struct db_tx *tx, const struct gw_actor *actor, const struct audit_entry *entry)
{
    AUTO_ROWS struct db_rows rows = {0};
    char hash[SHA256_SIZE];
    struct audit_row row = {
        .at_ms = (int64_t)actor->now_ms,
        .actor = actor->account,
        .role = gw_role_name(gw_role_of(actor, entry->role)),
        .ip = actor->ip,
        .action = entry->action,
        .object = entry->object ? entry->object : "",
        .course = entry->course ? entry->course : "",
        .details = entry->details ? entry->details : "{}",
    };
    db_query(tx, SQL_AUDIT_HEAD_LOCK, &rows);
    if (!db_next(&rows))
        return;
    row.seq = db_i64(&rows, 0);
    row.prev_hash = db_text(&rows, 1);
    if (audit_hash(&row, hash)) {
        db_fail(tx, -ENOMEM, "audit: no memory");
        return;
    }
    db_exec(tx, SQL_AUDIT_INSERT, DB_I(row.seq), DB_I(row.at_ms), DB_T(row.actor), DB_T(row.role),
            DB_T(row.ip), DB_T(row.action), DB_T(row.object), DB_T(row.course), DB_T(row.details),
            DB_T(row.prev_hash), DB_T(hash));
    db_rows_done(&rows);
    db_exec(tx, SQL_AUDIT_HEAD_SET, DB_T(hash));
}

static void row_of(const struct db_rows *rows, struct audit_row *row)
{
    *row = (struct audit_row){
        .seq = db_i64(rows, 0),
        .at_ms = db_i64(rows, 1),
        .actor = db_text(rows, 2),
        .role = db_text(rows, 3),
        .ip = db_text(rows, 4),
        .action = db_text(rows, 5),
        .object = db_text(rows, 6),
        .course = db_text(rows, 7),
        .details = db_text(rows, 8),
        .prev_hash = db_text(rows, 9),
    };
}

struct walk {
    int64_t seq;
    char hash[SHA256_SIZE];
    const char *anchor;
    bool anchored;
};

/* One page of the chain. *ret_n is 0 at its end. */
static int verify_page(struct db_tx *tx, struct walk *w, unsigned *ret_n, struct err *err)
{
    AUTO_ROWS struct db_rows rows = {0};
    unsigned n = 0;
    db_query(tx, SQL_AUDIT_PAGE, &rows, DB_I(w->seq), DB_I(PAGE));
    for (; db_next(&rows); n++) {
        struct audit_row row;
        char hash[SHA256_SIZE], head[AUDIT_HEAD_SIZE];
        row_of(&rows, &row);
        if (row.seq != w->seq + 1)
            return gw_refuse(err, GW_PROBLEM_CONFLICT, "entry %lld is missing",
                             (long long)w->seq + 1);
        if (strcmp(row.prev_hash, w->hash) != 0)
            return gw_refuse(err, GW_PROBLEM_CONFLICT, "entry %lld does not follow the one before",
                             (long long)row.seq);
        if (audit_hash(&row, hash))
            return err_set(err, -ENOMEM, "audit: %m");
        if (strcmp(hash, db_text(&rows, 10)) != 0)
            return gw_refuse(err, GW_PROBLEM_CONFLICT, "entry %lld was changed",
                             (long long)row.seq);
        w->seq = row.seq;
        memcpy(w->hash, hash, sizeof(hash));
        snprintf(head, sizeof(head), "%lld:%s", (long long)w->seq, w->hash);
        w->anchored |= w->anchor && !strcmp(head, w->anchor);
    }
    *ret_n = n;
    return db_fault(tx, err);
}

static int check_end(struct db_tx *tx, const struct walk *w, struct err *err)
{
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_AUDIT_HEAD_GET, &rows);
    if (!db_next(&rows)) {
        int r = db_fault(tx, err);
        return r ? r : gw_refuse(err, GW_PROBLEM_CONFLICT, "the head of the log is missing");
    }
    if (db_i64(&rows, 0) != w->seq || strcmp(db_text(&rows, 1), w->hash) != 0)
        return gw_refuse(err, GW_PROBLEM_CONFLICT, "the log ends at entry %lld, its head says %lld",
                         (long long)w->seq, (long long)db_i64(&rows, 0));
    if (w->anchor && !w->anchored)
        return gw_refuse(err, GW_PROBLEM_CONFLICT, "the entry that was kept is not on the chain");
    return 0;
}

int audit_verify(struct db *db, const char *anchor, char ret_head[AUDIT_HEAD_SIZE], struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    struct walk w = {.anchor = anchor};
    int r = db_begin(db, DB_SNAPSHOT, &tx, err);
    unsigned n = 1;
    while (!r && n)
        r = verify_page(tx, &w, &n, err);
    if (!r)
        r = check_end(tx, &w, err);
    if (!r)
        snprintf(ret_head, AUDIT_HEAD_SIZE, "%lld:%s", (long long)w.seq, w.hash);
    return r;
}

static int export_row(const struct db_rows *rows, audit_row_fn *fn, void *arg, struct err *err)
{
    struct audit_row row;
    row_of(rows, &row);
    json_t *json = row_json(&row);
    json_t *details = json_loads(row.details, 0, NULL);
    json_object_set_new(json, "details", details ? details : json_string(row.details));
    json_object_set_new(json, "hash", json_string(db_text(rows, 10)));
    AUTO_FREE char *line = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!line)
        return err_set(err, -ENOMEM, "audit: %m");
    return fn(arg, line);
}

int audit_export(struct db *db, uint64_t after_seq, uint64_t limit, audit_row_fn *fn, void *arg,
                 struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    int r = db_begin(db, DB_SNAPSHOT, &tx, err);
    uint64_t done = 0;
    bool more = true;
    while (!r && more && (!limit || done < limit)) {
        AUTO_ROWS struct db_rows rows = {0};
        uint64_t page = limit && limit - done < PAGE ? limit - done : PAGE, got = 0;
        db_query(tx, SQL_AUDIT_PAGE, &rows, DB_I(after_seq), DB_I(page));
        for (; !r && db_next(&rows); got++) {
            after_seq = (uint64_t)db_i64(&rows, 0);
            r = export_row(&rows, fn, arg, err);
        }
        done += got;
        more = got == page;
        if (!r)
            r = db_fault(tx, err);
    }
    return r;
}
