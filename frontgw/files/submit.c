/* Handing in: a snapshot of paths and contents that nothing changes any more. */
#include "frontgw/files/archive.h"
#include "frontgw/files/node_row.h"
#include "frontgw/people/audit.h"
#include "frontgw/people/text.h"
#include "frontgw/store/db_json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FEEDBACK_MAX 20000
#define LIST_SPEC                                                                                  \
    "id:s section:s account:s login:s name:s snapshot:s late:b grade:S feedback:S graded_by:S "    \
    "graded_ms:n created_ms:i"

struct target {
    char workspace[ULID_SIZE];
    bool late;
};

static int check_section(struct db_tx *tx, const struct gw_actor *actor, const char *course,
                         const char *section, struct target *ret, struct err *err)
{
    AUTO_ROWS struct db_rows rows = {0};
    struct gw_standing standing;
    int r = gw_course_standing(tx, actor, course, &standing, err);
    if (r)
        return r;
    if (!gw_permit(standing.role, GW_ACT_SUBMIT, GW_REL_SELF))
        return gw_refuse(err, GW_PROBLEM_FORBIDDEN, "only members of the course hand in");
    db_query(tx, SQL_SECTION_GET, &rows, DB_T(section));
    if (!db_next(&rows) || strcmp(db_text(&rows, 9), course) != 0 ||
        ((uint64_t)db_i64(&rows, 4) > actor->now_ms &&
         !gw_permit(standing.role, GW_ACT_SECTION_READ_HIDDEN, GW_REL_OTHER))) {
        r = db_fault(tx, err);
        return r ? r : gw_refuse(err, GW_PROBLEM_NOT_FOUND, "there is no such section");
    }
    if (!strcmp(db_text(&rows, 1), "notes"))
        return gw_refuse(err, GW_PROBLEM_CONFLICT, "nothing is handed in for lecture notes");
    if (db_i64(&rows, 6) || standing.archived)
        return gw_refuse(err, GW_PROBLEM_CONFLICT, "handing in is closed");
    ret->late = db_i64(&rows, 5) && (uint64_t)db_i64(&rows, 5) < actor->now_ms;
    db_rows_done(&rows);
    db_query(tx, SQL_WORKSPACE_OF, &rows, DB_T(actor->account), DB_T(course));
    if (!db_next(&rows)) {
        r = db_fault(tx, err);
        return r ? r : gw_refuse(err, GW_PROBLEM_CONFLICT, "you have no workspace in this course");
    }
    gw_text_copy(ret->workspace, sizeof(ret->workspace), db_text(&rows, 0));
    return 0;
}

static int freeze(struct gw_change *c, const char *root, const char *snapshot, struct err *err)
{
    AUTO_TREE struct gw_tree tree = {0};
    size_t n = 0;
    int r = gw_tree_load(c->tx, c->ws.id, 0, &tree, err);
    if (r)
        return r;
    db_exec(c->tx, SQL_SNAPSHOT_INSERT, DB_T(snapshot), DB_T(c->ws.id), DB_T(c->actor->account),
            DB_I(c->actor->now_ms));
    for (size_t i = 0; i < tree.n; i++) {
        const struct gw_node *node = &tree.nodes[i];
        char path[PATH_MAX_BYTES + 1];
        if (!strcmp(node->id, root) || !gw_tree_within(&tree, node, root) ||
            !gw_tree_path(&tree, node, root, path))
            continue;
        n += !node->is_dir;
        db_exec(c->tx, SQL_SNAPSHOT_ENTRY, DB_T(snapshot), DB_T(path), DB_I(node->is_dir),
                DB_T(node->id), DB_I(node->seq), DB_T(node->hash), DB_I(node->size));
        if (!node->is_dir)
            db_exec(c->tx, SQL_VERSION_SUBMITTED, DB_T(node->id), DB_I(node->seq));
    }
    if (!n)
        return gw_refuse(err, GW_PROBLEM_CONFLICT, "there is no file to hand in");
    return db_fault(c->tx, err);
}

int gw_submit(struct gw_files *files, const struct gw_actor *actor, const char *course,
              const char *section, const char *path_text, char ret_id[ULID_SIZE], struct err *err)
{
    AUTO_CHANGE struct gw_change c = {.files = files, .actor = actor};
    struct target target;
    struct gw_node root = {0};
    struct gw_path path;
    char snapshot[ULID_SIZE];
    int r = path_text ? gw_path_parse(path_text, &path, err) : 0;
    if (!r)
        r = db_begin(files->store->db, DB_WRITE, &c.tx, err);
    if (!r)
        r = check_section(c.tx, actor, course, section, &target, err);
    if (!r)
        r = gw_workspace_open(c.tx, actor, target.workspace, GW_NEED_WRITE, &c.ws, err);
    if (!r)
        r = gw_quota_lock(c.tx, c.ws.quota, &c.quota, err);
    if (!r && path_text)
        r = gw_node_lookup(c.tx, c.ws.id, &path, path.depth, &root, err);
    if (!r && path_text && !root.is_dir)
        r = gw_refuse(err, GW_PROBLEM_INVALID_VALUE, "path names a file, not a directory");
    if (r)
        return r;
    ulid_make(actor->now_ms, snapshot);
    ulid_make(actor->now_ms, ret_id);
    r = freeze(&c, root.id, snapshot, err);
    if (r)
        return r;
    db_exec(c.tx, SQL_SUBMISSION_INSERT, DB_T(ret_id), DB_T(section), DB_T(actor->account),
            DB_T(snapshot), DB_I(target.late), DB_I(actor->now_ms));
    AUDIT(c.tx, actor, .action = AUDIT_SUBMIT, .object = ret_id, .course = course,
          .role = c.ws.role, .details = target.late ? "{\"late\":true}" : "{}");
    return db_commit(&c.tx, err);
}

int gw_submissions_list(struct gw_files *files, const struct gw_actor *actor, const char *course,
                        const char *section, json_t **ret, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    AUTO_ROWS struct db_rows rows = {0};
    struct gw_standing standing;
    int r = db_begin(files->store->db, DB_READ, &tx, err);
    if (!r)
        r = gw_course_standing(tx, actor, course, &standing, err);
    if (r)
        return r;
    db_query(tx, SQL_SECTION_GET, &rows, DB_T(section));
    if (!db_next(&rows) || strcmp(db_text(&rows, 9), course) != 0) {
        r = db_fault(tx, err);
        return r ? r : gw_refuse(err, GW_PROBLEM_NOT_FOUND, "there is no such section");
    }
    db_rows_done(&rows);
    if (gw_permit(standing.role, GW_ACT_SUBMISSION_READ, GW_REL_OTHER))
        db_query(tx, SQL_SUBMISSION_LIST, &rows, DB_T(section));
    else
        db_query(tx, SQL_SUBMISSION_LIST_OWN, &rows, DB_T(section), DB_T(actor->account));
    return db_rows_json(&rows, LIST_SPEC, ret, err);
}

struct submission {
    char account[ULID_SIZE], snapshot[ULID_SIZE], course[ULID_SIZE];
    enum gw_role role;
};

/* With the right to @action on it; *ret_json may be NULL. */
static int open_submission(struct db_tx *tx, const struct gw_actor *actor, const char *id,
                           enum gw_action action, struct submission *ret, json_t **ret_json,
                           struct err *err)
{
    AUTO_ROWS struct db_rows rows = {0};
    struct gw_standing standing = {0};
    db_query(tx, SQL_SUBMISSION_GET, &rows, DB_T(id));
    if (!db_next(&rows)) {
        int fault = db_fault(tx, err);
        return fault ? fault : gw_refuse(err, GW_PROBLEM_NOT_FOUND, "there is no such submission");
    }
    gw_text_copy(ret->account, ULID_SIZE, db_text(&rows, 2));
    gw_text_copy(ret->snapshot, ULID_SIZE, db_text(&rows, 5));
    gw_text_copy(ret->course, ULID_SIZE, db_text(&rows, 12));
    int r = gw_course_standing(tx, actor, ret->course, &standing, err);
    ret->role = standing.role;
    enum gw_relation relation = !strcmp(ret->account, actor->account) ? GW_REL_SELF : GW_REL_OTHER;
    if (r == GW_PROBLEM_NOT_FOUND ||
        (!r && !gw_permit(ret->role, GW_ACT_SUBMISSION_READ, relation)))
        return gw_refuse(err, GW_PROBLEM_NOT_FOUND, "there is no such submission");
    if (!r && !gw_permit(ret->role, action, relation))
        return gw_refuse(err, GW_PROBLEM_FORBIDDEN, "a %s may not do this (%s)",
                         gw_role_name(ret->role), gw_action_name(action));
    if (!r && ret_json)
        *ret_json = db_row_json(&rows, LIST_SPEC " course:s");
    return r;
}

int gw_submission_get(struct gw_files *files, const struct gw_actor *actor, const char *id,
                      json_t **ret, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    AUTO_ROWS struct db_rows rows = {0};
    struct submission s = {0};
    json_t *json = NULL, *entries = NULL;
    int r = db_begin(files->store->db, DB_READ, &tx, err);
    if (!r)
        r = open_submission(tx, actor, id, GW_ACT_SUBMISSION_READ, &s, &json, err);
    if (r)
        return r;
    db_query(tx, SQL_SNAPSHOT_ENTRIES, &rows, DB_T(s.snapshot));
    r = db_rows_json(&rows, "path:s directory:b node:s seq:i sha256:S size:i", &entries, err);
    if (!r && (!json || json_object_set_new(json, "entries", entries) < 0))
        r = err_set(err, -ENOMEM, "submission: %m");
    if (r) {
        json_decref(json);
        return r;
    }
    *ret = json;
    return 0;
}

int gw_submission_archive(struct gw_files *files, const struct gw_actor *actor, const char *id,
                          int *ret_fd, uint64_t *ret_size, struct err *err)
{
    AUTO_LOCALE struct utf8_locale *locale = NULL;
    AUTO_ZIP struct zip zip = {.fd = -EBADF};
    AUTO_TX struct db_tx *tx = NULL;
    AUTO_ROWS struct db_rows rows = {0};
    struct submission s = {0};
    utf8_locale_enter(&locale);
    int r = db_begin(files->store->db, DB_SNAPSHOT, &tx, err);
    if (!r)
        r = open_submission(tx, actor, id, GW_ACT_SUBMISSION_READ, &s, NULL, err);
    if (!r)
        r = zip_begin(&zip, files->store->directory, err);
    if (r)
        return r;
    db_query(tx, SQL_SNAPSHOT_ENTRIES, &rows, DB_T(s.snapshot));
    while (!r && db_next(&rows)) {
        AUTO_FREE char *bytes = NULL;
        size_t len = 0;
        bool is_dir = db_i64(&rows, 1) != 0;
        if (!is_dir)
            r = blob_read(files->store->blobs, tx, db_text(&rows, 4), &bytes, &len, err);
        if (!r)
            r = zip_add(&zip, db_text(&rows, 0), is_dir, bytes, len, (int64_t)actor->now_ms, err);
    }
    if (!r)
        r = db_fault(tx, err);
    return r ? r : zip_end(&zip, ret_fd, ret_size, err);
}

int gw_submission_grade(struct gw_files *files, const struct gw_actor *actor, const char *id,
                        const char *grade, const char *feedback, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    struct submission s = {0};
    if (!text_line_ok(grade, 0, 40) || !text_block_ok(feedback, FEEDBACK_MAX))
        return gw_refuse(err, GW_PROBLEM_INVALID_VALUE,
                         "grade has at most 40 bytes on one line, feedback at most %d",
                         FEEDBACK_MAX);
    int r = db_begin(files->store->db, DB_WRITE, &tx, err);
    if (!r)
        r = open_submission(tx, actor, id, GW_ACT_SUBMISSION_GRADE, &s, NULL, err);
    if (r)
        return r;
    db_exec(tx, SQL_SUBMISSION_GRADE, DB_T(grade), DB_T(feedback), DB_T(actor->account),
            DB_I(actor->now_ms), DB_T(id));
    AUDIT(tx, actor, .action = AUDIT_GRADE, .object = id, .course = s.course, .role = s.role);
    return db_commit(&tx, err);
}
