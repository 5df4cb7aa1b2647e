#pragma once
/*
 * Accounts, sessions and API keys. Everything blocks (database, argon2): worker threads only.
 *
 * Outcomes are positive enum gw_problem with words in @err; see actor.h.
 */

#include "frontgw/http/request.h"
#include "frontgw/people/actor.h"
#include "frontgw/people/password.h"
#include "frontgw/store/store.h"

#include <jansson.h>

struct gw_people_options {
    uint64_t session_idle_ms;     /* 0: 12 h */
    uint64_t session_absolute_ms; /* 0: 7 days */
    uint64_t student_bytes_max;   /* 0: 150 MiB */
    uint64_t student_files_max;   /* 0: 2,000 */
    uint64_t course_bytes_max;    /* 0: 1 GiB */
    uint64_t course_files_max;    /* 0: 10,000 */
    unsigned password_threads;    /* 0: 2 */
    /* Called after a session has ended, with its public id: close what it holds open. Any thread.
     */
    void (*session_closed)(void *arg, const char *session);
    void *session_closed_arg;
};

struct gw_people {
    struct gw_store *store;
    struct pw_pool *passwords;
    struct gw_people_options options;
};

int gw_people_new(struct gw_store *store, const struct gw_people_options *options,
                  struct gw_people **ret, struct err *err);
struct gw_people *gw_people_free(struct gw_people *people);

/* ---- logging in (login.c, sessions.c) ---- */
struct gw_login {
    const char *login, *password;
    const char *agent;     /* User-Agent, shown in the list of sessions; may be NULL */
    const char *old_token; /* session cookie that came along: ended; may be NULL */
};
struct gw_login_result {
    char token[TOKEN_SIZE]; /* the cookie */
    char account[ULID_SIZE];
    uint64_t retry_ms; /* with GW_PROBLEM_LOGIN_DELAYED */
};
/** gw_login() - 0, GW_PROBLEM_LOGIN_FAILED or GW_PROBLEM_LOGIN_DELAYED. @actor: nobody yet, but has
 * ip and now. */
int gw_login(struct gw_people *people, const struct gw_actor *actor, const struct gw_login *login,
             struct gw_login_result *ret, struct err *err);
/** gw_login_delay_ms() - how long after the @fails-th failure the next try has to wait: 0 0 1 2 4
 * .. 30 s. */
uint64_t gw_login_delay_ms(int64_t fails);

/**
 * gw_try_begin() - count a try of @login's password from @from (an address) as failed, before it is
 * looked at
 *
 * GW_PROBLEM_LOGIN_DELAYED when it comes too early. SQL_LOGIN_DELAY_FORGET takes the count back.
 */
int gw_try_begin(struct db_tx *tx, const char *login, const char *from, uint64_t now_ms,
                 uint64_t *ret_retry_ms, struct err *err);

/** gw_identify_session() / gw_identify_key() - fills @ret; nobody is an ordinary outcome (0,
 * GW_VIA_NOBODY). */
int gw_identify_session(struct gw_people *people, const char *token, uint64_t now_ms,
                        struct gw_identity *ret, struct err *err);
int gw_identify_key(struct gw_people *people, const char *key, uint64_t now_ms,
                    struct gw_identity *ret, struct err *err);

int gw_logout(struct gw_people *people, const struct gw_actor *actor, struct err *err);
int gw_sessions_list(struct gw_people *people, const struct gw_actor *actor, json_t **ret,
                     struct err *err);
/** gw_session_revoke() - one of the actor's own. */
int gw_session_revoke(struct gw_people *people, const struct gw_actor *actor, const char *session,
                      struct err *err);
/** gw_sessions_expire() - housekeeping: sessions, login delays. */
int gw_sessions_expire(struct gw_people *people, uint64_t now_ms, struct err *err);
int gw_sessions_count(struct gw_people *people, uint64_t now_ms, uint64_t *ret_users,
                      uint64_t *ret_sessions, struct err *err);

/* Sessions that ended in a transaction; gw_ended_done() after the commit calls session_closed. */
struct gw_ended {
    char (*ids)[ULID_SIZE];
    size_t n;
};
/** gw_sessions_end() - all of @account but @except (public id, may be NULL), in @tx. */
void gw_sessions_end(struct db_tx *tx, const char *account, const char *except,
                     struct gw_ended *ended);
void gw_ended_done(struct gw_people *people, struct gw_ended *ended, bool committed);
/** gw_session_start() - a new session in @tx; its cookie in @ret_token. */
void gw_session_start(struct db_tx *tx, const char *account, const char *agent,
                      const struct gw_actor *actor, char ret_token[TOKEN_SIZE]);

/* ---- accounts (accounts.c) ---- */
struct gw_account_new {
    const char *login, *name;
    const char *password;    /* NULL: a one-time password is made */
    const char *home_course; /* whose staff may reset the password; or NULL */
    bool admin;
};
/** gw_account_create() - @ret_password: the one-time password, "" when one was given. */
int gw_account_create(struct gw_people *people, const struct gw_actor *actor,
                      const struct gw_account_new *account, char ret_id[ULID_SIZE],
                      char ret_password[PASSWORD_ONE_TIME_SIZE], struct err *err);
/** gw_account_insert() - the bare row and its quota, in @tx; @hash is the password's.
 * GW_PROBLEM_EXISTS. */
int gw_account_insert(struct gw_people *people, struct db_tx *tx, const struct gw_actor *actor,
                      const struct gw_account_new *account, const char *hash,
                      char ret_id[ULID_SIZE], struct err *err);
int gw_account_get(struct gw_people *people, const struct gw_actor *actor, const char *id,
                   json_t **ret, struct err *err);
/** gw_accounts_list() - admins; in order of login, after @after (may be ""). */
int gw_accounts_list(struct gw_people *people, const struct gw_actor *actor, const char *after,
                     uint64_t limit, json_t **ret, struct err *err);
struct gw_account_change {
    const char *name, *locale;
    const char *state;            /* "active" or "disabled" */
    int admin;                    /* -1: as it is */
    int64_t bytes_max, files_max; /* 0: as it is */
};
int gw_account_change(struct gw_people *people, const struct gw_actor *actor, const char *id,
                      const struct gw_account_change *change, struct err *err);
/** gw_password_change() - one's own; other sessions end, this one gets a new token. */
int gw_password_change(struct gw_people *people, const struct gw_actor *actor, const char *old,
                       const char *new, const char *agent, char ret_token[TOKEN_SIZE],
                       struct err *err);
/** gw_password_reset() - of a pupil by staff, of anyone by an admin: a one-time password, every
 * session ends. */
int gw_password_reset(struct gw_people *people, const struct gw_actor *actor, const char *id,
                      char ret_password[PASSWORD_ONE_TIME_SIZE], struct err *err);
int gw_password_check(const char *login, const char *password, struct err *err);

/**
 * gw_relation_to() - what @account is to @actor, with the actor's role in the account's home course
 *
 * GW_REL_PUPIL: the actor is staff of the course that made the account, and the account is staff
 * nowhere. Being enrolled in the actor's course is not enough: staff can enrol anybody.
 */
int gw_relation_to(struct db_tx *tx, const struct gw_actor *actor, const char *account,
                   enum gw_relation *ret_relation, enum gw_role *ret_role, struct err *err);

/* ---- API keys (keys.c) ---- */
#define GW_KEY_PREFIX "clk_"
#define GW_KEY_SIZE   (TOKEN_SIZE + 4)
int gw_key_create(struct gw_people *people, const struct gw_actor *actor, const char *name,
                  uint32_t scopes, uint64_t expires_ms, char ret_id[ULID_SIZE],
                  char ret_key[GW_KEY_SIZE], struct err *err);
int gw_keys_list(struct gw_people *people, const struct gw_actor *actor, json_t **ret,
                 struct err *err);
int gw_key_revoke(struct gw_people *people, const struct gw_actor *actor, const char *id,
                  struct err *err);
