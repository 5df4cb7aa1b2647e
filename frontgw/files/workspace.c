#include "frontgw/files/files.h"
#include "frontgw/files/node_row.h"
#include "frontgw/store/db_json.h"

#include <errno.h>
#include <string.h>

/* Bytes of history (all versions together) for each byte that may be current. */
#define HISTORY_FACTOR 3

int gw_files_new(struct gw_store *store, struct gw_people *people, struct gw_files **ret,
                 struct err *err)
{
    struct gw_files *files = calloc(1, sizeof(*files));
    if (!files)
        return err_set(err, -ENOMEM, "files: %m");
    files->store = store;
    files->people = people;
    *ret = files;
    return 0;
}

struct gw_files *gw_files_free(struct gw_files *files)
{
    free(files);
    return NULL;
}

struct facts {
    bool hidden, gone, archived;
};

static int load(struct db_tx *tx, const struct gw_actor *actor, const char *id,
                struct gw_workspace *ws, struct facts *facts, struct err *err)
{
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_WORKSPACE_GET, &rows, DB_T(actor->account), DB_T(id));
    if (!db_next(&rows)) {
        int r = db_fault(tx, err);
        return r ? r : gw_refuse(err, GW_PROBLEM_NOT_FOUND, "there is no such workspace");
    }
    gw_text_copy(ws->id, sizeof(ws->id), db_text(&rows, 0));
    gw_text_copy(ws->owner, sizeof(ws->owner), db_text(&rows, 1));
    gw_text_copy(ws->course, sizeof(ws->course), db_text(&rows, 2));
    gw_text_copy(ws->section, sizeof(ws->section), db_text(&rows, 3));
    gw_text_copy(ws->quota, sizeof(ws->quota), db_text(&rows, 4));
    facts->hidden = (uint64_t)db_i64(&rows, 5) > actor->now_ms;
    facts->gone = db_i64(&rows, 6) != 0;
    facts->archived = strcmp(db_text(&rows, 7), "archived") == 0;
    int role = gw_role_by_name(db_text(&rows, 8));
    ws->role = gw_role_of(actor, role < 0 ? GW_ROLE_NONE : (enum gw_role)role);
    return 0;
}

int gw_workspace_open(struct db_tx *tx, const struct gw_actor *actor, const char *id,
                      enum gw_need need, struct gw_workspace *ws, struct err *err)
{
    struct facts facts = {0};
    int r = load(tx, actor, id, ws, &facts, err);
    if (r)
        return r;
    bool personal = ws->owner[0] != 0;
    enum gw_relation relation =
        personal && !strcmp(ws->owner, actor->account) ? GW_REL_SELF : GW_REL_OTHER;
    enum gw_action read = personal       ? GW_ACT_PERSONAL_READ
                          : facts.hidden ? GW_ACT_MATERIAL_READ_HIDDEN
                                         : GW_ACT_MATERIAL_READ;
    enum gw_action write = personal ? GW_ACT_PERSONAL_WRITE : GW_ACT_MATERIAL_WRITE;
    if (facts.gone || !gw_permit(ws->role, read, relation))
        return gw_refuse(err, GW_PROBLEM_NOT_FOUND, "there is no such workspace");
    bool permitted = gw_permit(ws->role, write, relation);
    ws->can_write = permitted && (!facts.archived || actor->admin);
    if (need == GW_NEED_WRITE && !permitted)
        return gw_refuse(err, GW_PROBLEM_FORBIDDEN, "you may read this workspace, not change it");
    if (need == GW_NEED_WRITE && !ws->can_write)
        return gw_refuse(err, GW_PROBLEM_CONFLICT, "the course is archived");
    return 0;
}

int gw_workspaces_list(struct gw_files *files, const struct gw_actor *actor, const char *course,
                       json_t **ret, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    struct gw_standing standing;
    int r = db_begin(files->store->db, DB_READ, &tx, err);
    if (!r && course)
        r = gw_course_standing(tx, actor, course, &standing, err);
    if (r)
        return r;
    if (course && !gw_permit(standing.role, GW_ACT_PERSONAL_READ, GW_REL_OTHER))
        return gw_refuse(err, GW_PROBLEM_FORBIDDEN, "only staff sees the workspaces of a course");
    AUTO_ROWS struct db_rows rows = {0};
    if (course)
        db_query(tx, SQL_WORKSPACE_LIST_COURSE, &rows, DB_T(course));
    else
        db_query(tx, SQL_WORKSPACE_LIST_MINE, &rows, DB_T(actor->account));
    return db_rows_json(&rows, "id:s owner:s course:S login:s name:s created_ms:i", ret, err);
}

int gw_workspace_get(struct gw_files *files, const struct gw_actor *actor, const char *id,
                     json_t **ret, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    struct gw_workspace ws = {0};
    struct gw_quota q = {0};
    int r = db_begin(files->store->db, DB_READ, &tx, err);
    if (!r)
        r = gw_workspace_open(tx, actor, id, GW_NEED_READ, &ws, err);
    if (r)
        return r;
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_QUOTA_GET, &rows, DB_T(ws.quota));
    if (!db_next(&rows))
        return db_fault(tx, err);
    q = (struct gw_quota){.bytes = db_i64(&rows, 0),
                          .files = db_i64(&rows, 1),
                          .history_bytes = db_i64(&rows, 2),
                          .bytes_max = db_i64(&rows, 3),
                          .files_max = db_i64(&rows, 4)};
    *ret = json_pack("{ss ss? ss? ss? ss sb sI sI sI sI sI}", "id", ws.id, "owner",
                     *ws.owner ? ws.owner : NULL, "course", *ws.course ? ws.course : NULL,
                     "section", *ws.section ? ws.section : NULL, "role", gw_role_name(ws.role),
                     "can_write", ws.can_write, "bytes", (json_int_t)q.bytes, "files",
                     (json_int_t)q.files, "history_bytes", (json_int_t)q.history_bytes, "bytes_max",
                     (json_int_t)q.bytes_max, "files_max", (json_int_t)q.files_max);
    return *ret ? 0 : err_set(err, -ENOMEM, "workspace: %m");
}

int gw_quota_lock(struct db_tx *tx, const char *id, struct gw_quota *ret, struct err *err)
{
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_QUOTA_LOCK, &rows, DB_T(id));
    if (!db_next(&rows)) {
        int r = db_fault(tx, err);
        return r ? r : err_set(err, -ENOENT, "quota %s is missing", id);
    }
    gw_text_copy(ret->id, sizeof(ret->id), id);
    ret->bytes = db_i64(&rows, 0);
    ret->files = db_i64(&rows, 1);
    ret->history_bytes = db_i64(&rows, 2);
    ret->bytes_max = db_i64(&rows, 3);
    ret->files_max = db_i64(&rows, 4);
    return 0;
}

int gw_quota_charge(struct gw_quota *q, int64_t bytes, int64_t n_files, int64_t history_bytes,
                    struct err *err)
{
    if (bytes > 0 && q->bytes + bytes > q->bytes_max)
        return gw_refuse(err, GW_PROBLEM_QUOTA, "%lld of %lld bytes are used, %lld more do not fit",
                         (long long)q->bytes, (long long)q->bytes_max, (long long)bytes);
    if (n_files > 0 && q->files + n_files > q->files_max)
        return gw_refuse(err, GW_PROBLEM_QUOTA,
                         "%lld of %lld files and directories are used, %lld more do not fit",
                         (long long)q->files, (long long)q->files_max, (long long)n_files);
    if (history_bytes > 0 && q->history_bytes + history_bytes > HISTORY_FACTOR * q->bytes_max)
        return gw_refuse(err, GW_PROBLEM_QUOTA, "the history of your files is full: %lld bytes",
                         (long long)q->history_bytes);
    q->bytes += bytes;
    q->files += n_files;
    q->history_bytes += history_bytes;
    return 0;
}

void gw_quota_write(struct db_tx *tx, const struct gw_quota *q)
{
    db_exec(tx, SQL_QUOTA_SET, DB_I(q->bytes), DB_I(q->files), DB_I(q->history_bytes), DB_T(q->id));
}
