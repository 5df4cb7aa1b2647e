#pragma once
/* Courses, their members, join codes and sections. See actor.h for outcomes. */

#include "frontgw/people/people.h"

/* ---- courses ---- */
/** gw_course_create() - by an admin; @professor (account id or NULL) leads it. Makes one section
 * for lecture notes. */
int gw_course_create(struct gw_people *people, const struct gw_actor *actor, const char *code,
                     const char *title, const char *term, const char *professor,
                     char ret_id[ULID_SIZE], struct err *err);
int gw_courses_list(struct gw_people *people, const struct gw_actor *actor, bool all,
                    const char *after, uint64_t limit, json_t **ret, struct err *err);
int gw_course_get(struct gw_people *people, const struct gw_actor *actor, const char *id,
                  json_t **ret, struct err *err);
struct gw_course_change {
    const char *title, *term;
    const char *state; /* "active" or "archived": then it is read only for all but admins */
};
int gw_course_change(struct gw_people *people, const struct gw_actor *actor, const char *id,
                     const struct gw_course_change *change, struct err *err);

/* What the actor is in a course. */
struct gw_standing {
    enum gw_role role; /* GW_ROLE_ADMIN for an admin */
    bool archived;
    char quota[ULID_SIZE];
};
/**
 * gw_course_standing() - looked up in @tx
 *
 * Return: 0; GW_PROBLEM_NOT_FOUND when there is no such course, or none that the actor may see.
 */
int gw_course_standing(struct db_tx *tx, const struct gw_actor *actor, const char *course,
                       struct gw_standing *ret, struct err *err);
/** gw_course_may() - the same, and then @action or GW_PROBLEM_FORBIDDEN; changes of an archived
 * course are for admins. */
int gw_course_may(struct db_tx *tx, const struct gw_actor *actor, const char *course,
                  enum gw_action action, struct gw_standing *ret, struct err *err);

/* ---- members ---- */
int gw_members_list(struct gw_people *people, const struct gw_actor *actor, const char *course,
                    json_t **ret, struct err *err);
/** gw_member_put() - enrol or change the role of @account (id). */
int gw_member_put(struct gw_people *people, const struct gw_actor *actor, const char *course,
                  const char *account, enum gw_role role, struct err *err);
int gw_member_remove(struct gw_people *people, const struct gw_actor *actor, const char *course,
                     const char *account, struct err *err);
/** gw_enrol() - the rows, in @tx: enrolment (an existing role stays) and the personal workspace. */
void gw_enrol(struct db_tx *tx, const char *course, const char *account, enum gw_role role,
              uint64_t now_ms);

/* ---- join codes ---- */
int gw_join_code_create(struct gw_people *people, const struct gw_actor *actor, const char *course,
                        uint64_t expires_ms, uint64_t uses, char ret_id[ULID_SIZE],
                        char ret_code[16], struct err *err);
int gw_join_codes_list(struct gw_people *people, const struct gw_actor *actor, const char *course,
                       json_t **ret, struct err *err);
int gw_join_code_revoke(struct gw_people *people, const struct gw_actor *actor, const char *course,
                        const char *id, struct err *err);
/** gw_join() - the actor becomes a student of the code's course. */
int gw_join(struct gw_people *people, const struct gw_actor *actor, const char *code,
            char ret_course[ULID_SIZE], struct err *err);

/* ---- sections: lecture notes, assignments, tests; each with a workspace of its own ---- */
struct gw_section {
    const char *kind; /* "notes", "assignment", "test" */
    const char *title;
    int64_t pos, visible_from_ms, due_ms, locked; /* -1: as it is */
};
int gw_section_create(struct gw_people *people, const struct gw_actor *actor, const char *course,
                      const struct gw_section *section, char ret_id[ULID_SIZE], struct err *err);
int gw_sections_list(struct gw_people *people, const struct gw_actor *actor, const char *course,
                     json_t **ret, struct err *err);
int gw_section_get(struct gw_people *people, const struct gw_actor *actor, const char *course,
                   const char *id, json_t **ret, struct err *err);
int gw_section_change(struct gw_people *people, const struct gw_actor *actor, const char *course,
                      const char *id, const struct gw_section *change, struct err *err);
int gw_section_delete(struct gw_people *people, const struct gw_actor *actor, const char *course,
                      const char *id, struct err *err);

/* ---- roster ---- */
/**
 * gw_roster_import() - CSV of `login,name` (header optional): new accounts with one-time passwords,
 * all enrolled as students
 * @ret: array of {login, name, id, created, password (only when created)}
 *
 * All or nothing. An existing account is enrolled as it is: its name and password stay.
 */
int gw_roster_import(struct gw_people *people, const struct gw_actor *actor, const char *course,
                     const char *csv, size_t len, json_t **ret, struct err *err);
