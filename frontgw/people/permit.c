#include "frontgw/people/permit.h"

#include <stddef.h>
#include <string.h>

/* Bits of roles, one mask per relation. What is not written is denied. */
#define N       (1u << GW_ROLE_NONE)
#define S       (1u << GW_ROLE_STUDENT)
#define A       (1u << GW_ROLE_ASSISTANT)
#define P       (1u << GW_ROLE_PROFESSOR)
#define AD      (1u << GW_ROLE_ADMIN)

#define ANYONE  (N | S | A | P | AD)
#define MEMBERS (S | A | P | AD)
#define STAFF   (A | P | AD)
#define LEAD    (P | AD)

struct rule {
    const char *name;
    unsigned roles[GW_REL_COUNT];
};

#define RULE(other, self, pupil)                                                                   \
    {                                                                                              \
        [GW_REL_OTHER] = (other), [GW_REL_SELF] = (self), [GW_REL_PUPIL] = (pupil)                 \
    }

static const struct rule rules[GW_ACT_COUNT] = {
    /*                                              others'   one's own  a pupil's */
    [GW_ACT_ACCOUNT_LIST] = {"account_list", RULE(AD, AD, AD)},
    [GW_ACT_ACCOUNT_CREATE] = {"account_create", RULE(AD, AD, AD)},
    [GW_ACT_ACCOUNT_READ] = {"account_read", RULE(AD, ANYONE, STAFF)},
    [GW_ACT_ACCOUNT_EDIT] = {"account_edit", RULE(AD, ANYONE, AD)},
    [GW_ACT_ACCOUNT_STATE] = {"account_state", RULE(AD, 0, AD)},
    [GW_ACT_ACCOUNT_QUOTA] = {"account_quota", RULE(AD, AD, AD)},
    [GW_ACT_PASSWORD_CHANGE] = {"password_change", RULE(0, ANYONE, 0)},
    [GW_ACT_PASSWORD_RESET] = {"password_reset", RULE(AD, 0, STAFF)},
    [GW_ACT_KEY_MANAGE] = {"key_manage", RULE(0, ANYONE, 0)},
    [GW_ACT_SESSION_MANAGE] = {"session_manage", RULE(AD, ANYONE, AD)},
    [GW_ACT_COURSE_CREATE] = {"course_create", RULE(AD, AD, AD)},
    [GW_ACT_COURSE_READ] = {"course_read", RULE(MEMBERS, MEMBERS, MEMBERS)},
    [GW_ACT_COURSE_EDIT] = {"course_edit", RULE(LEAD, LEAD, LEAD)},
    [GW_ACT_COURSE_ARCHIVE] = {"course_archive", RULE(AD, AD, AD)},
    [GW_ACT_MEMBER_LIST] = {"member_list", RULE(STAFF, STAFF, STAFF)},
    [GW_ACT_MEMBER_STUDENT] = {"member_student", RULE(STAFF, STAFF, STAFF)},
    [GW_ACT_MEMBER_ASSISTANT] = {"member_assistant", RULE(LEAD, LEAD, LEAD)},
    [GW_ACT_MEMBER_PROFESSOR] = {"member_professor", RULE(AD, AD, AD)},
    [GW_ACT_ROSTER_IMPORT] = {"roster_import", RULE(STAFF, STAFF, STAFF)},
    [GW_ACT_JOIN_CODE] = {"join_code", RULE(STAFF, STAFF, STAFF)},
    [GW_ACT_SECTION_READ] = {"section_read", RULE(MEMBERS, MEMBERS, MEMBERS)},
    [GW_ACT_SECTION_READ_HIDDEN] = {"section_read_hidden", RULE(STAFF, STAFF, STAFF)},
    [GW_ACT_SECTION_EDIT] = {"section_edit", RULE(STAFF, STAFF, STAFF)},
    [GW_ACT_MATERIAL_READ] = {"material_read", RULE(MEMBERS, MEMBERS, MEMBERS)},
    [GW_ACT_MATERIAL_READ_HIDDEN] = {"material_read_hidden", RULE(STAFF, STAFF, STAFF)},
    [GW_ACT_MATERIAL_WRITE] = {"material_write", RULE(STAFF, STAFF, STAFF)},
    [GW_ACT_PERSONAL_READ] = {"personal_read", RULE(STAFF, ANYONE, STAFF)},
    [GW_ACT_PERSONAL_WRITE] = {"personal_write", RULE(0, ANYONE, 0)},
    [GW_ACT_SUBMIT] = {"submit", RULE(0, MEMBERS, 0)},
    [GW_ACT_SUBMISSION_READ] = {"submission_read", RULE(STAFF, MEMBERS, STAFF)},
    [GW_ACT_SUBMISSION_GRADE] = {"submission_grade", RULE(STAFF, LEAD, STAFF)},
    [GW_ACT_AUDIT_READ] = {"audit_read", RULE(AD, AD, AD)},
};

bool gw_permit(enum gw_role role, enum gw_action action, enum gw_relation relation)
{
    if ((unsigned)role >= GW_ROLE_COUNT || (unsigned)action >= GW_ACT_COUNT ||
        (unsigned)relation >= GW_REL_COUNT)
        return false;
    return (rules[action].roles[relation] & 1u << role) != 0;
}

const char *gw_action_name(enum gw_action action)
{
    return rules[action].name;
}

static const char *const role_names[GW_ROLE_COUNT] = {"none", "student", "assistant", "professor",
                                                      "admin"};

const char *gw_role_name(enum gw_role role)
{
    return role_names[role];
}

int gw_role_by_name(const char *name)
{
    for (int i = GW_ROLE_STUDENT; i <= GW_ROLE_PROFESSOR; i++)
        if (!strcmp(role_names[i], name))
            return i;
    return -1;
}

static const char *const scope_names[] = {"read", "write", "submit", "course", "admin", "run"};
#define N_SCOPES (sizeof(scope_names) / sizeof(scope_names[0]))

const char *gw_scope_name(unsigned bit)
{
    return bit < N_SCOPES ? scope_names[bit] : NULL;
}

uint32_t gw_scope_by_name(const char *name)
{
    for (unsigned i = 0; i < N_SCOPES; i++)
        if (!strcmp(scope_names[i], name))
            return 1u << i;
    return 0;
}
