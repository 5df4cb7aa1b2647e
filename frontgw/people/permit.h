#pragma once
/*
 * Who may do what: one table, deny by default. A role is that of the actor in the course that the
 * object belongs to; without a course (or without enrolment) it is GW_ROLE_NONE. Admins are
 * GW_ROLE_ADMIN everywhere.
 */

#include <stdbool.h>
#include <stdint.h>

enum gw_role {
    GW_ROLE_NONE,
    GW_ROLE_STUDENT,
    GW_ROLE_ASSISTANT,
    GW_ROLE_PROFESSOR,
    GW_ROLE_ADMIN,
    GW_ROLE_COUNT
};

enum gw_relation {
    GW_REL_OTHER, /* someone else's, or nobody's (a course's) */
    GW_REL_SELF,  /* the actor's own */
    GW_REL_PUPIL, /* of a person who is a student wherever he is enrolled, and a student of the
                     actor's course */
    GW_REL_COUNT
};

enum gw_action {
    GW_ACT_ACCOUNT_LIST,
    GW_ACT_ACCOUNT_CREATE,
    GW_ACT_ACCOUNT_READ,
    GW_ACT_ACCOUNT_EDIT,  /* name, locale */
    GW_ACT_ACCOUNT_STATE, /* disable, enable, make admin */
    GW_ACT_ACCOUNT_QUOTA,
    GW_ACT_PASSWORD_CHANGE, /* with the old one */
    GW_ACT_PASSWORD_RESET,  /* to a one-time password */
    GW_ACT_KEY_MANAGE,
    GW_ACT_SESSION_MANAGE,
    GW_ACT_COURSE_CREATE,
    GW_ACT_COURSE_READ,
    GW_ACT_COURSE_EDIT,
    GW_ACT_COURSE_ARCHIVE,
    GW_ACT_MEMBER_LIST,
    GW_ACT_MEMBER_STUDENT,   /* enrol and remove students */
    GW_ACT_MEMBER_ASSISTANT, /* make and unmake assistants */
    GW_ACT_MEMBER_PROFESSOR,
    GW_ACT_ROSTER_IMPORT,
    GW_ACT_JOIN_CODE,
    GW_ACT_SECTION_READ,
    GW_ACT_SECTION_READ_HIDDEN, /* before its visible_from */
    GW_ACT_SECTION_EDIT,
    GW_ACT_MATERIAL_READ,
    GW_ACT_MATERIAL_READ_HIDDEN,
    GW_ACT_MATERIAL_WRITE,
    GW_ACT_PERSONAL_READ,
    GW_ACT_PERSONAL_WRITE,
    GW_ACT_SUBMIT,
    GW_ACT_SUBMISSION_READ,
    GW_ACT_SUBMISSION_GRADE,
    GW_ACT_AUDIT_READ,
    GW_ACT_COUNT
};

bool gw_permit(enum gw_role role, enum gw_action action, enum gw_relation relation);

/** gw_action_name() - "course_edit", as in the audit log and in refusals. */
const char *gw_action_name(enum gw_action action);
/** "student" ..; gw_role_by_name() knows the three that an enrolment may have, else -1. */
const char *gw_role_name(enum gw_role role);
int gw_role_by_name(const char *name);

/* What an API key may do at all, besides its owner's rights. */
enum gw_scope {
    GW_SCOPE_READ = 1 << 0,
    GW_SCOPE_WRITE = 1 << 1,  /* files */
    GW_SCOPE_SUBMIT = 1 << 2, /* hand in */
    GW_SCOPE_COURSE = 1 << 3, /* change courses and their members */
    GW_SCOPE_ADMIN = 1 << 4,
    GW_SCOPE_RUN = 1 << 5, /* run programs */
    GW_SCOPE_ALL = (1 << 6) - 1
};
const char *gw_scope_name(unsigned bit);
/** Return: the bit, or 0 for an unknown word. */
uint32_t gw_scope_by_name(const char *name);
