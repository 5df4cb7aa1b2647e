#pragma once
/*
 * The audit log: written in the transaction of the change itself, as its last statement (it locks
 * the head of the chain). Each entry's hash covers the one before it, so that a row that was
 * changed, removed or put in between is found. Whoever can write to the database could rebuild the
 * chain from some row on: keep a printed head (`frontgw audit verify`) elsewhere and give it back
 * to the next check.
 */

#include "frontgw/people/actor.h"
#include "frontgw/store/store.h"

/* What happened: the name is the "action" of the log. */
#define AUDIT_LOGIN            "login"
#define AUDIT_LOGIN_FAILED     "login_failed"
#define AUDIT_LOGOUT           "logout"
#define AUDIT_SESSION_REVOKE   "session_revoke"
#define AUDIT_PASSWORD_CHANGE  "password_change"
#define AUDIT_PASSWORD_RESET   "password_reset"
#define AUDIT_ACCOUNT_CREATE   "account_create"
#define AUDIT_ACCOUNT_CHANGE   "account_change"
#define AUDIT_KEY_CREATE       "key_create"
#define AUDIT_KEY_REVOKE       "key_revoke"
#define AUDIT_COURSE_CREATE    "course_create"
#define AUDIT_COURSE_CHANGE    "course_change"
#define AUDIT_ENROL            "enrol"
#define AUDIT_UNENROL          "unenrol"
#define AUDIT_ROSTER_IMPORT    "roster_import"
#define AUDIT_JOIN_CODE_CREATE "join_code_create"
#define AUDIT_JOIN_CODE_REVOKE "join_code_revoke"
#define AUDIT_SECTION_CREATE   "section_create"
#define AUDIT_SECTION_CHANGE   "section_change"
#define AUDIT_SECTION_DELETE   "section_delete"
#define AUDIT_STAFF_READ       "staff_read" /* staff looked into a person's own files */
#define AUDIT_ARCHIVE_IN       "archive_in"
#define AUDIT_RESTORE          "restore"
#define AUDIT_SUBMIT           "submit"
#define AUDIT_GRADE            "grade"
#define AUDIT_QUOTA            "quota"
#define AUDIT_EXPORT           "audit_export"

struct audit_entry {
    const char *action;
    const char *object;  /* id of what was changed; may be "" */
    const char *course;  /* id; may be "" */
    enum gw_role role;   /* in which the actor acted */
    const char *details; /* JSON text without secrets; NULL: {} */
};

/** audit_add() - faults stick to @tx. */
void audit_add(struct db_tx *tx, const struct gw_actor *actor, const struct audit_entry *entry);

#define AUDIT(tx, actor, ...) audit_add((tx), (actor), &(const struct audit_entry){__VA_ARGS__})

/**
 * audit_verify() - walk the whole chain
 * @anchor: "SEQ:HASH" of an earlier check that must be on the chain; or NULL
 * @ret_head: "SEQ:HASH" of its end
 *
 * Return: 0; GW_PROBLEM_CONFLICT with the place in @err when the chain is broken; or a fault.
 */
#define AUDIT_HEAD_SIZE (SHA256_SIZE + 24)
int audit_verify(struct db *db, const char *anchor, char ret_head[AUDIT_HEAD_SIZE],
                 struct err *err);

/** audit_row_fn: one entry as a line of JSON (no newline); non-zero ends the walk with that value.
 */
typedef int audit_row_fn(void *arg, const char *json_line);
/** audit_export() - entries after @after_seq, at most @limit (0: all), oldest first. */
int audit_export(struct db *db, uint64_t after_seq, uint64_t limit, audit_row_fn *fn, void *arg,
                 struct err *err);

/* One entry's hash: pure, for the tests. */
struct audit_row {
    int64_t seq, at_ms;
    const char *actor, *role, *ip, *action, *object, *course, *details, *prev_hash;
};
int audit_hash(const struct audit_row *row, char ret[SHA256_SIZE]);
