#include "frontgw/people/courses.h"
#include "frontgw/people/audit.h"
#include "frontgw/people/text.h"
#include "frontgw/store/db_json.h"

#include <errno.h>
#include <string.h>

static int bad_text(struct err *err)
{
    return gw_refuse(
        err, GW_PROBLEM_INVALID_VALUE,
        "title (1 to 200), code (1 to 40) and term (0 to 40 bytes) are single lines of "
        "printable text");
}

int gw_course_standing(struct db_tx *tx, const struct gw_actor *actor, const char *course,
                       struct gw_standing *ret, struct err *err)
{
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_COURSE_ROLE, &rows, DB_T(actor->account), DB_T(course));
    if (!db_next(&rows)) {
        int r = db_fault(tx, err);
        return r ? r : gw_refuse(err, GW_PROBLEM_NOT_FOUND, "there is no such course");
    }
    int role = gw_role_by_name(db_text(&rows, 1));
    ret->role = gw_role_of(actor, role < 0 ? GW_ROLE_NONE : (enum gw_role)role);
    ret->archived = strcmp(db_text(&rows, 0), "active") != 0;
    memset(ret->quota, 0, sizeof(ret->quota));
    strncpy(ret->quota, db_text(&rows, 2), ULID_SIZE - 1);
    if (!gw_permit(ret->role, GW_ACT_COURSE_READ, GW_REL_OTHER))
        return gw_refuse(err, GW_PROBLEM_NOT_FOUND, "there is no such course");
    return 0;
}

static bool only_reads(enum gw_action action)
{
    return action == GW_ACT_COURSE_READ || action == GW_ACT_MEMBER_LIST ||
           action == GW_ACT_SECTION_READ || action == GW_ACT_SECTION_READ_HIDDEN;
}

int gw_course_may(struct db_tx *tx, const struct gw_actor *actor, const char *course,
                  enum gw_action action, struct gw_standing *ret, struct err *err)
{
    int r = gw_course_standing(tx, actor, course, ret, err);
    if (r)
        return r;
    if (!gw_permit(ret->role, action, GW_REL_OTHER))
        return gw_refuse(err, GW_PROBLEM_FORBIDDEN, "a %s may not do this (%s)",
                         gw_role_name(ret->role), gw_action_name(action));
    if (ret->archived && !actor->admin && !only_reads(action))
        return gw_refuse(err, GW_PROBLEM_CONFLICT, "the course is archived");
    return 0;
}

int gw_course_create(struct gw_people *people, const struct gw_actor *actor, const char *code,
                     const char *title, const char *term, const char *professor,
                     char ret_id[ULID_SIZE], struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    char quota[ULID_SIZE], section[ULID_SIZE], workspace[ULID_SIZE];
    if (!gw_permit(gw_role_of(actor, GW_ROLE_NONE), GW_ACT_COURSE_CREATE, GW_REL_OTHER))
        return gw_refuse(err, GW_PROBLEM_FORBIDDEN, "only admins make courses");
    if (!text_line_ok(code, 1, 40) || !text_line_ok(title, 1, 200) || !text_line_ok(term, 0, 40))
        return bad_text(err);
    int r = db_begin(people->store->db, DB_WRITE, &tx, err);
    if (r)
        return r;
    ulid_make(actor->now_ms, quota);
    ulid_make(actor->now_ms, section);
    ulid_make(actor->now_ms, workspace);
    ulid_make(actor->now_ms, ret_id);
    db_exec(tx, SQL_QUOTA_INSERT, DB_T(quota), DB_I(people->options.course_bytes_max),
            DB_I(people->options.course_files_max));
    if (db_exec(tx, SQL_COURSE_INSERT, DB_T(ret_id), DB_T(code), DB_T(title), DB_T(term),
                DB_T(quota), DB_I(actor->now_ms)) == 0)
        return gw_refuse(err, GW_PROBLEM_EXISTS, "there is a course with this code");
    db_exec(tx, SQL_SECTION_INSERT, DB_T(section), DB_T(ret_id), DB_T("notes"),
            DB_T("Lecture Notes"), DB_I(0), DB_I(0), DB_I(0), DB_I(actor->now_ms));
    db_exec(tx, SQL_WORKSPACE_INSERT, DB_T(workspace), DB_T(NULL), DB_T(ret_id), DB_T(section),
            DB_T(quota), DB_I(actor->now_ms));
    if (professor) {
        AUTO_ROWS struct db_rows rows = {0};
        db_query(tx, SQL_ACCOUNT_EXISTS, &rows, DB_T(professor));
        if (!db_next(&rows) && !db_fault(tx, NULL))
            return gw_refuse(err, GW_PROBLEM_INVALID_VALUE, "professor: there is no such account");
        gw_enrol(tx, ret_id, professor, GW_ROLE_PROFESSOR, actor->now_ms);
    }
    AUDIT(tx, actor, .action = AUDIT_COURSE_CREATE, .object = ret_id, .course = ret_id);
    return db_commit(&tx, err);
}

#define LIST_SPEC "id:s code:s title:s term:s state:s role:s created_ms:i"

int gw_courses_list(struct gw_people *people, const struct gw_actor *actor, bool all,
                    const char *after, uint64_t limit, json_t **ret, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    if (all && !actor->admin)
        return gw_refuse(err, GW_PROBLEM_FORBIDDEN, "only admins list all courses");
    int r = db_begin(people->store->db, DB_READ, &tx, err);
    if (r)
        return r;
    AUTO_ROWS struct db_rows rows = {0};
    if (all)
        db_query(tx, SQL_COURSE_LIST_ALL, &rows, DB_T(after), DB_I(limit));
    else
        db_query(tx, SQL_COURSE_LIST_MINE, &rows, DB_T(actor->account));
    return db_rows_json(&rows, LIST_SPEC, ret, err);
}

int gw_course_get(struct gw_people *people, const struct gw_actor *actor, const char *id,
                  json_t **ret, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    struct gw_standing standing;
    int r = db_begin(people->store->db, DB_READ, &tx, err);
    if (!r)
        r = gw_course_may(tx, actor, id, GW_ACT_COURSE_READ, &standing, err);
    if (r)
        return r;
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_COURSE_GET, &rows, DB_T(id));
    if (!db_next(&rows))
        return db_fault(tx, err);
    *ret = db_row_json(&rows, "id:s code:s title:s term:s state:s created_ms:i bytes:i files:i "
                              "bytes_max:i files_max:i");
    if (!*ret || json_object_set_new(*ret, "role", json_string(gw_role_name(standing.role))))
        return err_set(err, -ENOMEM, "course: %m");
    return 0;
}

int gw_course_change(struct gw_people *people, const struct gw_actor *actor, const char *id,
                     const struct gw_course_change *c, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    struct gw_standing standing;
    if ((c->title && !text_line_ok(c->title, 1, 200)) || (c->term && !text_line_ok(c->term, 0, 40)))
        return bad_text(err);
    if (c->state && strcmp(c->state, "active") != 0 && strcmp(c->state, "archived") != 0)
        return gw_refuse(err, GW_PROBLEM_INVALID_VALUE, "a state is active or archived");
    int r = db_begin(people->store->db, DB_WRITE, &tx, err);
    if (!r)
        r = gw_course_may(tx, actor, id, GW_ACT_COURSE_EDIT, &standing, err);
    if (!r && c->state)
        r = gw_course_may(tx, actor, id, GW_ACT_COURSE_ARCHIVE, &standing, err);
    if (r)
        return r;
    db_exec(tx, SQL_COURSE_SET, DB_T(c->title), DB_T(c->term), DB_T(c->state), DB_T(id));
    AUDIT(tx, actor, .action = AUDIT_COURSE_CHANGE, .object = id, .course = id,
          .role = standing.role);
    return db_commit(&tx, err);
}
