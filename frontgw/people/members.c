/* Members of a course, and the codes with which students join it. */
#include "frontgw/people/audit.h"
#include "frontgw/people/courses.h"
#include "frontgw/store/db_json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CODE_LIFE_MAX (200ull * 24 * 3600 * 1000)
#define CODE_USES_MAX 5000

int gw_members_list(struct gw_people *people, const struct gw_actor *actor, const char *course,
                    json_t **ret, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    struct gw_standing standing;
    int r = db_begin(people->store->db, DB_READ, &tx, err);
    if (!r)
        r = gw_course_may(tx, actor, course, GW_ACT_MEMBER_LIST, &standing, err);
    if (r)
        return r;
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_MEMBER_LIST, &rows, DB_T(course));
    return db_rows_json(&rows, "id:s login:s name:s role:s state:s enrolled_ms:i", ret, err);
}

void gw_enrol(struct db_tx *tx, const char *course, const char *account, enum gw_role role,
              uint64_t now_ms)
{
    char workspace[ULID_SIZE];
    ulid_make(now_ms, workspace);
    db_exec(tx, SQL_MEMBER_ADD, DB_T(course), DB_T(account), DB_T(gw_role_name(role)),
            DB_I(now_ms));
    db_exec(tx, SQL_WORKSPACE_PERSONAL, DB_T(workspace), DB_T(course), DB_I(now_ms), DB_T(account));
}

static enum gw_action action_for(int role)
{
    return role == GW_ROLE_PROFESSOR   ? GW_ACT_MEMBER_PROFESSOR
           : role == GW_ROLE_ASSISTANT ? GW_ACT_MEMBER_ASSISTANT
                                       : GW_ACT_MEMBER_STUDENT;
}

/* To change somebody's role, the actor must be allowed to take the old one away and to give the new
 * one. */
static int may_change(struct db_tx *tx, const struct gw_actor *actor, const char *course,
                      const char *account, int new_role, struct gw_standing *ret_standing,
                      int *ret_old, struct err *err)
{
    AUTO_ROWS struct db_rows rows = {0};
    *ret_old = 0;
    int r = gw_course_may(tx, actor, course, action_for(new_role), ret_standing, err);
    if (r)
        return r;
    db_query(tx, SQL_MEMBER_ROLE, &rows, DB_T(course), DB_T(account));
    if (db_next(&rows))
        *ret_old = gw_role_by_name(db_text(&rows, 0));
    db_rows_done(&rows);
    if (*ret_old)
        return gw_course_may(tx, actor, course, action_for(*ret_old), ret_standing, err);
    db_query(tx, SQL_ACCOUNT_EXISTS, &rows, DB_T(account));
    if (!db_next(&rows)) {
        r = db_fault(tx, err);
        return r ? r : gw_refuse(err, GW_PROBLEM_NOT_FOUND, "there is no such account");
    }
    return 0;
}

int gw_member_put(struct gw_people *people, const struct gw_actor *actor, const char *course,
                  const char *account, enum gw_role role, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    struct gw_standing standing;
    struct gw_ended ended = {0};
    int old = 0;
    char details[64];
    int r = db_begin(people->store->db, DB_WRITE, &tx, err);
    if (!r)
        r = may_change(tx, actor, course, account, (int)role, &standing, &old, err);
    if (r)
        return r;
    if (old == (int)role)
        return 0;
    gw_enrol(tx, course, account, role, actor->now_ms);
    db_exec(tx, SQL_MEMBER_PUT, DB_T(course), DB_T(account), DB_T(gw_role_name(role)),
            DB_I(actor->now_ms));
    if (role > GW_ROLE_STUDENT || old > GW_ROLE_STUDENT)
        gw_sessions_end(tx, account, NULL, &ended);
    snprintf(details, sizeof(details), "{\"from\":\"%s\",\"to\":\"%s\"}",
             gw_role_name((enum gw_role)old), gw_role_name(role));
    AUDIT(tx, actor, .action = AUDIT_ENROL, .object = account, .course = course,
          .role = standing.role, .details = details);
    r = db_commit(&tx, err);
    gw_ended_done(people, &ended, !r);
    return r;
}

int gw_member_remove(struct gw_people *people, const struct gw_actor *actor, const char *course,
                     const char *account, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    struct gw_standing standing;
    struct gw_ended ended = {0};
    int old = 0;
    int r = db_begin(people->store->db, DB_WRITE, &tx, err);
    if (!r)
        r = may_change(tx, actor, course, account, GW_ROLE_STUDENT, &standing, &old, err);
    if (r)
        return r;
    if (!old)
        return gw_refuse(err, GW_PROBLEM_NOT_FOUND, "not a member of this course");
    db_exec(tx, SQL_MEMBER_REMOVE, DB_T(course), DB_T(account));
    gw_sessions_end(tx, account, NULL, &ended);
    AUDIT(tx, actor, .action = AUDIT_UNENROL, .object = account, .course = course,
          .role = standing.role);
    r = db_commit(&tx, err);
    gw_ended_done(people, &ended, !r);
    return r;
}

int gw_join_code_create(struct gw_people *people, const struct gw_actor *actor, const char *course,
                        uint64_t expires_ms, uint64_t uses, char ret_id[ULID_SIZE],
                        char ret_code[16], struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    struct gw_standing standing;
    char letters[9];
    if (expires_ms <= actor->now_ms || expires_ms > actor->now_ms + CODE_LIFE_MAX)
        return gw_refuse(err, GW_PROBLEM_INVALID_VALUE,
                         "expires_ms lies in the future, at most 200 days away");
    if (uses < 1 || uses > CODE_USES_MAX)
        return gw_refuse(err, GW_PROBLEM_INVALID_VALUE, "uses is 1 to %d", CODE_USES_MAX);
    int r = db_begin(people->store->db, DB_WRITE, &tx, err);
    if (!r)
        r = gw_course_may(tx, actor, course, GW_ACT_JOIN_CODE, &standing, err);
    if (r)
        return r;
    random_text(letters, 8);
    snprintf(ret_code, 16, "%.4s-%.4s", letters, letters + 4);
    ulid_make(actor->now_ms, ret_id);
    db_exec(tx, SQL_JOIN_CODE_INSERT, DB_T(ret_id), DB_T(ret_code), DB_T(course),
            DB_T(actor->account), DB_I(actor->now_ms), DB_I(expires_ms), DB_I(uses));
    AUDIT(tx, actor, .action = AUDIT_JOIN_CODE_CREATE, .object = ret_id, .course = course,
          .role = standing.role);
    return db_commit(&tx, err);
}

int gw_join_codes_list(struct gw_people *people, const struct gw_actor *actor, const char *course,
                       json_t **ret, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    struct gw_standing standing;
    int r = db_begin(people->store->db, DB_READ, &tx, err);
    if (!r)
        r = gw_course_may(tx, actor, course, GW_ACT_JOIN_CODE, &standing, err);
    if (r)
        return r;
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_JOIN_CODE_LIST, &rows, DB_T(course), DB_I(actor->now_ms));
    return db_rows_json(&rows, "id:s code:s created_ms:i expires_ms:i uses_left:i", ret, err);
}

int gw_join_code_revoke(struct gw_people *people, const struct gw_actor *actor, const char *course,
                        const char *id, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    struct gw_standing standing;
    int r = db_begin(people->store->db, DB_WRITE, &tx, err);
    if (!r)
        r = gw_course_may(tx, actor, course, GW_ACT_JOIN_CODE, &standing, err);
    if (r)
        return r;
    if (db_exec(tx, SQL_JOIN_CODE_REVOKE, DB_I(actor->now_ms), DB_T(id), DB_T(course)) == 0)
        return gw_refuse(err, GW_PROBLEM_NOT_FOUND, "there is no such code");
    AUDIT(tx, actor, .action = AUDIT_JOIN_CODE_REVOKE, .object = id, .course = course,
          .role = standing.role);
    return db_commit(&tx, err);
}

int gw_join(struct gw_people *people, const struct gw_actor *actor, const char *code,
            char ret_course[ULID_SIZE], struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    struct gw_standing standing;
    int r = db_begin(people->store->db, DB_WRITE, &tx, err);
    if (r)
        return r;
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_JOIN_CODE_USE, &rows, DB_T(code), DB_I(actor->now_ms));
    if (!db_next(&rows)) {
        r = db_fault(tx, err);
        return r ? r : gw_refuse(err, GW_PROBLEM_NOT_FOUND, "this code is not valid (any more)");
    }
    memset(ret_course, 0, ULID_SIZE);
    strncpy(ret_course, db_text(&rows, 0), ULID_SIZE - 1);
    db_rows_done(&rows);
    struct gw_actor enrolled = *actor;
    enrolled.admin = true; /* only to look the course up: it must not be archived */
    r = gw_course_standing(tx, &enrolled, ret_course, &standing, err);
    if (r)
        return r;
    if (standing.archived)
        return gw_refuse(err, GW_PROBLEM_CONFLICT, "the course is archived");
    gw_enrol(tx, ret_course, actor->account, GW_ROLE_STUDENT, actor->now_ms);
    AUDIT(tx, actor, .action = AUDIT_ENROL, .object = actor->account, .course = ret_course,
          .details = "{\"by\":\"join_code\"}");
    return db_commit(&tx, err);
}
