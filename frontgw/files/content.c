/*
 * Saving: theory of operation.
 *
 * A saver says which version he began with. Under the lock of the quota row the file's current
 * version is looked at again: the same content is no save; another version is an edit conflict,
 * answered with what is there and with the version that both began with; else the next version is
 * written and the answer is given after the commit. A content is on disk, synced, before the
 * transaction that refers to it commits. So an acknowledged save is in the history whatever is
 * killed afterwards, and nothing is in the history that nobody sent.
 */
#include "frontgw/files/files.h"
#include "frontgw/files/node_row.h"
#include "frontgw/people/audit.h"
#include "frontgw/people/text.h"
#include "frontgw/store/db_json.h"

#include <errno.h>
#include <string.h>

#define ROOM_BATCH 200

static int check_save(const struct gw_save *save, struct err *err)
{
    if (save->len > FILE_MAX_BYTES)
        return gw_refuse(err, GW_PROBLEM_TOO_LARGE, "a file has at most %u bytes", FILE_MAX_BYTES);
    if (save->label && !text_line_ok(save->label, 0, LABEL_MAX))
        return gw_refuse(err, GW_PROBLEM_INVALID_VALUE, "a label has at most %d printable bytes",
                         LABEL_MAX);
    return 0;
}

/* The history is full: the oldest versions that nobody pinned go, whatever their age. */
static int make_room(struct gw_change *c, int64_t need, struct err *err)
{
    AUTO_ROWS struct db_rows rows = {0};
    int64_t limit = 3 * c->quota.bytes_max;
    if (c->quota.history_bytes + need <= limit)
        return 0;
    db_query(c->tx, SQL_VERSION_OLDEST, &rows, DB_T(c->quota.id), DB_I(ROOM_BATCH));
    while (c->quota.history_bytes + need > limit && db_next(&rows)) {
        int64_t size = db_i64(&rows, 2);
        char node[ULID_SIZE];
        gw_text_copy(node, sizeof(node), db_text(&rows, 0));
        db_exec(c->tx, SQL_VERSION_DELETE, DB_T(node), DB_I(db_i64(&rows, 1)));
        c->quota.history_bytes -= size < c->quota.history_bytes ? size : c->quota.history_bytes;
    }
    return db_fault(c->tx, err);
}

int gw_version_add(struct gw_change *c, struct gw_node *node, const char *hash, int64_t size,
                   const struct gw_save *save, struct err *err)
{
    int r = make_room(c, size, err);
    if (!r)
        r = gw_quota_charge(&c->quota, size - node->size, 0, size, err);
    if (r)
        return r;
    int64_t base = save->base_seq < 0 ? node->seq : save->base_seq;
    node->seq++;
    node->size = size;
    node->modified_ms = (int64_t)c->actor->now_ms;
    gw_text_copy(node->hash, sizeof(node->hash), hash);
    gw_text_copy(node->author, sizeof(node->author), c->actor->account);
    db_exec(c->tx, SQL_VERSION_INSERT, DB_T(node->id), DB_I(node->seq), DB_T(hash), DB_I(size),
            DB_T(node->author), DB_T(gw_cause_name(save->cause)),
            DB_T(save->label ? save->label : ""), DB_I(base), DB_I(node->modified_ms));
    db_exec(c->tx, SQL_NODE_SET_VERSION, DB_I(node->seq), DB_T(hash), DB_I(size),
            DB_T(node->author), DB_I(node->modified_ms), DB_T(node->id));
    return db_fault(c->tx, err);
}

int gw_file_create(struct gw_files *files, const struct gw_actor *actor, const char *workspace,
                   const char *text, const struct gw_save *save, struct gw_node *ret,
                   struct err *err)
{
    AUTO_CHANGE struct gw_change c = {0};
    AUTO_HOLD struct blobs *held = files->store->blobs;
    struct gw_path path;
    char hash[SHA256_SIZE];
    blobs_hold(held);
    int r = gw_path_parse(text, &path, err);
    if (!r)
        r = check_save(save, err);
    if (!r)
        r = blob_stage(held, save->bytes, save->len, hash, err);
    if (!r)
        r = gw_change_begin(files, actor, workspace, &c, err);
    if (r)
        return r;
    *ret = (struct gw_node){0};
    r = gw_parents(&c, &path, true, ret->parent, err);
    if (r)
        return r;
    gw_text_copy(ret->name, sizeof(ret->name), path.parts[path.depth - 1]);
    r = gw_node_insert(&c, ret, err);
    if (r)
        return r;
    blob_link(held, c.tx, hash, save->bytes, save->len, actor->now_ms);
    r = gw_version_add(&c, ret, hash, (int64_t)save->len, save, err);
    return r ? r : gw_change_commit(&c, err);
}

/* Thinning may have taken the very version that the saver began with: then the newest older one
 * stands for it. */
static int conflict(struct gw_change *c, const struct gw_node *node, const struct gw_save *save,
                    struct gw_conflict *ret, struct err *err)
{
    AUTO_ROWS struct db_rows rows = {0};
    *ret = (struct gw_conflict){.current = *node};
    db_query(c->tx, SQL_VERSION_BEFORE, &rows, DB_T(node->id), DB_I(save->base_seq));
    if (db_next(&rows)) {
        ret->base_seq = db_i64(&rows, 0);
        gw_text_copy(ret->base_hash, sizeof(ret->base_hash), db_text(&rows, 1));
    }
    int r = db_fault(c->tx, err);
    return r ? r
             : gw_refuse(err, GW_PROBLEM_EDIT_CONFLICT,
                         "the file has version %lld now, yours began with %lld",
                         (long long)node->seq, (long long)save->base_seq);
}

int gw_file_save(struct gw_files *files, const struct gw_actor *actor, const char *id,
                 const struct gw_save *save, struct gw_node *node, struct gw_conflict *ret_conflict,
                 struct err *err)
{
    AUTO_CHANGE struct gw_change c = {0};
    AUTO_HOLD struct blobs *held = files->store->blobs;
    char hash[SHA256_SIZE];
    blobs_hold(held);
    int r = check_save(save, err);
    if (!r)
        r = blob_stage(held, save->bytes, save->len, hash, err);
    if (!r)
        r = gw_change_begin_node(files, actor, id, false, &c, node, err);
    if (r)
        return r;
    if (node->is_dir)
        return gw_refuse(err, GW_PROBLEM_CONFLICT, "this is a directory");
    if (!strcmp(node->hash, hash))
        return 0;
    if (save->base_seq >= 0 && save->base_seq != node->seq)
        return conflict(&c, node, save, ret_conflict, err);
    blob_link(held, c.tx, hash, save->bytes, save->len, actor->now_ms);
    r = gw_version_add(&c, node, hash, (int64_t)save->len, save, err);
    return r ? r : gw_change_commit(&c, err);
}

int gw_note_staff_read(struct gw_files *files, const struct gw_actor *actor,
                       const struct gw_workspace *ws, const char *object, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    if (!*ws->owner || !strcmp(ws->owner, actor->account))
        return 0;
    int r = db_begin(files->store->db, DB_WRITE, &tx, err);
    if (r)
        return r;
    AUDIT(tx, actor, .action = AUDIT_STAFF_READ, .object = object, .course = ws->course,
          .role = ws->role);
    return db_commit(&tx, err);
}

static int pick_version(struct db_tx *tx, struct gw_node *node, int64_t seq, uint64_t at_ms,
                        struct err *err)
{
    AUTO_ROWS struct db_rows rows = {0};
    if (seq)
        db_query(tx, SQL_VERSION_GET, &rows, DB_T(node->id), DB_I(seq));
    else
        db_query(tx, SQL_VERSION_AT_NODE, &rows, DB_T(node->id), DB_I(at_ms));
    if (!db_next(&rows)) {
        int r = db_fault(tx, err);
        return r ? r : gw_refuse(err, GW_PROBLEM_NOT_FOUND, "this version is not kept");
    }
    node->seq = db_i64(&rows, 0);
    gw_text_copy(node->hash, sizeof(node->hash), db_text(&rows, 1));
    node->size = db_i64(&rows, 2);
    gw_text_copy(node->author, sizeof(node->author), db_text(&rows, 3));
    node->modified_ms = db_i64(&rows, 7);
    return 0;
}

int gw_file_open(struct gw_files *files, const struct gw_actor *actor, const char *id, int64_t seq,
                 uint64_t at_ms, struct gw_node *node, struct blob_content *ret, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    struct gw_workspace ws = {0};
    *ret = (struct blob_content){.fd = -EBADF};
    int r = db_begin(files->store->db, DB_READ, &tx, err);
    if (!r)
        r = gw_node_open(tx, actor, id, GW_NEED_READ, true, node, &ws, err);
    if (!r && node->is_dir)
        r = gw_refuse(err, GW_PROBLEM_CONFLICT, "this is a directory");
    if (!r && (seq || at_ms))
        r = pick_version(tx, node, seq, at_ms, err);
    else if (!r && node->deleted_ms)
        r = gw_refuse(err, GW_PROBLEM_NOT_FOUND, "there is no such file or directory");
    if (!r)
        r = blob_open(files->store->blobs, tx, node->hash, ret, err);
    db_rollback(&tx);
    if (!r)
        r = gw_note_staff_read(files, actor, &ws, node->id, err);
    if (r)
        blob_content_done(ret);
    return r;
}

int gw_versions_list(struct gw_files *files, const struct gw_actor *actor, const char *id,
                     int64_t before_seq, uint64_t limit, json_t **ret, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    struct gw_workspace ws = {0};
    struct gw_node node;
    int r = db_begin(files->store->db, DB_READ, &tx, err);
    if (!r)
        r = gw_node_open(tx, actor, id, GW_NEED_READ, true, &node, &ws, err);
    if (r)
        return r;
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_VERSION_LIST, &rows, DB_T(id), DB_I(before_seq ? before_seq : INT64_MAX),
             DB_I(limit));
    return db_rows_json(&rows,
                        "seq:i sha256:s size:i author:s cause:s label:S base_seq:i created_ms:i",
                        ret, err);
}

int gw_version_restore(struct gw_files *files, const struct gw_actor *actor, const char *id,
                       int64_t seq, struct gw_node *node, struct err *err)
{
    AUTO_CHANGE struct gw_change c = {0};
    AUTO_HOLD struct blobs *held = files->store->blobs;
    struct gw_node old;
    blobs_hold(held);
    int r = gw_change_begin_node(files, actor, id, false, &c, node, err);
    if (r)
        return r;
    old = *node;
    r = pick_version(c.tx, &old, seq, 0, err);
    if (r)
        return r;
    if (!strcmp(old.hash, node->hash))
        return 0;
    const struct gw_save save = {.cause = GW_CAUSE_RESTORE, .base_seq = -1};
    db_exec(c.tx, SQL_BLOB_TOUCH, DB_T(old.hash), DB_I(old.size), DB_I(actor->now_ms));
    r = gw_version_add(&c, node, old.hash, old.size, &save, err);
    return r ? r : gw_change_commit(&c, err);
}
