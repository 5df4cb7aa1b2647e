#include "frontgw/people/audit.h"
#include "frontgw/people/courses.h"
#include "frontgw/people/text.h"
#include "frontgw/store/db_json.h"

#include <errno.h>
#include <string.h>

#define SPEC                                                                                       \
    "id:s kind:s title:s pos:i visible_from_ms:i due_ms:n locked:b created_ms:i workspace:s"
#define FOREVER INT64_MAX

static bool kind_ok(const char *kind)
{
    return !strcmp(kind, "notes") || !strcmp(kind, "assignment") || !strcmp(kind, "test");
}

int gw_section_create(struct gw_people *people, const struct gw_actor *actor, const char *course,
                      const struct gw_section *s, char ret_id[ULID_SIZE], struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    struct gw_standing standing;
    char workspace[ULID_SIZE];
    if (!kind_ok(s->kind) || !text_line_ok(s->title, 1, 200))
        return gw_refuse(err, GW_PROBLEM_INVALID_VALUE,
                         "kind is notes, assignment or test; title has 1 to 200 printable bytes");
    int r = db_begin(people->store->db, DB_WRITE, &tx, err);
    if (!r)
        r = gw_course_may(tx, actor, course, GW_ACT_SECTION_EDIT, &standing, err);
    if (r)
        return r;
    ulid_make(actor->now_ms, ret_id);
    ulid_make(actor->now_ms, workspace);
    db_exec(tx, SQL_SECTION_INSERT, DB_T(ret_id), DB_T(course), DB_T(s->kind), DB_T(s->title),
            DB_I(s->pos < 0 ? 0 : s->pos), DB_I(s->visible_from_ms < 0 ? 0 : s->visible_from_ms),
            DB_I(s->due_ms < 0 ? 0 : s->due_ms), DB_I(actor->now_ms));
    db_exec(tx, SQL_WORKSPACE_INSERT, DB_T(workspace), DB_T(NULL), DB_T(course), DB_T(ret_id),
            DB_T(standing.quota), DB_I(actor->now_ms));
    AUDIT(tx, actor, .action = AUDIT_SECTION_CREATE, .object = ret_id, .course = course,
          .role = standing.role);
    return db_commit(&tx, err);
}

int gw_sections_list(struct gw_people *people, const struct gw_actor *actor, const char *course,
                     json_t **ret, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    struct gw_standing standing;
    int r = db_begin(people->store->db, DB_READ, &tx, err);
    if (!r)
        r = gw_course_may(tx, actor, course, GW_ACT_SECTION_READ, &standing, err);
    if (r)
        return r;
    bool hidden_too = gw_permit(standing.role, GW_ACT_SECTION_READ_HIDDEN, GW_REL_OTHER);
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_SECTION_LIST, &rows, DB_T(course),
             DB_I(hidden_too ? FOREVER : (int64_t)actor->now_ms));
    return db_rows_json(&rows, SPEC, ret, err);
}

int gw_section_get(struct gw_people *people, const struct gw_actor *actor, const char *course,
                   const char *id, json_t **ret, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    struct gw_standing standing;
    int r = db_begin(people->store->db, DB_READ, &tx, err);
    if (!r)
        r = gw_course_may(tx, actor, course, GW_ACT_SECTION_READ, &standing, err);
    if (r)
        return r;
    bool hidden_too = gw_permit(standing.role, GW_ACT_SECTION_READ_HIDDEN, GW_REL_OTHER);
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_SECTION_GET, &rows, DB_T(id));
    if (!db_next(&rows) || strcmp(db_text(&rows, 9), course) != 0 ||
        (!hidden_too && (uint64_t)db_i64(&rows, 4) > actor->now_ms)) {
        r = db_fault(tx, err);
        return r ? r : gw_refuse(err, GW_PROBLEM_NOT_FOUND, "there is no such section");
    }
    *ret = db_row_json(&rows, SPEC " course:s");
    return *ret ? 0 : err_set(err, -ENOMEM, "section: %m");
}

/* The section is one of this very course, and the actor may change it. */
static int begin_change(struct gw_people *people, const struct gw_actor *actor, const char *course,
                        const char *id, struct gw_standing *standing, struct db_tx **tx,
                        struct err *err)
{
    AUTO_ROWS struct db_rows rows = {0};
    int r = db_begin(people->store->db, DB_WRITE, tx, err);
    if (!r)
        r = gw_course_may(*tx, actor, course, GW_ACT_SECTION_EDIT, standing, err);
    if (r)
        return r;
    db_query(*tx, SQL_SECTION_GET, &rows, DB_T(id));
    if (!db_next(&rows) || strcmp(db_text(&rows, 9), course) != 0) {
        r = db_fault(*tx, err);
        return r ? r : gw_refuse(err, GW_PROBLEM_NOT_FOUND, "there is no such section");
    }
    return 0;
}

int gw_section_change(struct gw_people *people, const struct gw_actor *actor, const char *course,
                      const char *id, const struct gw_section *c, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    struct gw_standing standing;
    if (c->title && !text_line_ok(c->title, 1, 200))
        return gw_refuse(err, GW_PROBLEM_INVALID_VALUE, "title has 1 to 200 printable bytes");
    int r = begin_change(people, actor, course, id, &standing, &tx, err);
    if (r)
        return r;
    db_exec(tx, SQL_SECTION_SET, DB_T(c->title), DB_I(c->pos), DB_I(c->pos),
            DB_I(c->visible_from_ms), DB_I(c->visible_from_ms), DB_I(c->due_ms), DB_I(c->due_ms),
            DB_I(c->locked), DB_I(c->locked), DB_T(id));
    AUDIT(tx, actor, .action = AUDIT_SECTION_CHANGE, .object = id, .course = course,
          .role = standing.role);
    return db_commit(&tx, err);
}

int gw_section_delete(struct gw_people *people, const struct gw_actor *actor, const char *course,
                      const char *id, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    struct gw_standing standing;
    int r = begin_change(people, actor, course, id, &standing, &tx, err);
    if (r)
        return r;
    db_exec(tx, SQL_SECTION_DELETE, DB_I(actor->now_ms), DB_T(id));
    AUDIT(tx, actor, .action = AUDIT_SECTION_DELETE, .object = id, .course = course,
          .role = standing.role);
    return db_commit(&tx, err);
}
