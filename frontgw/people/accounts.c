#include "frontgw/people/audit.h"
#include "frontgw/people/people.h"
#include "frontgw/people/text.h"
#include "frontgw/store/db_json.h"

#include <errno.h>
#include <string.h>

#define ACCOUNT_SPEC                                                                               \
    "id:s login:s name:s admin:b must_change_password:b state:s locale:S created_ms:i bytes:i "    \
    "files:i bytes_max:i files_max:i"

int gw_password_check(const char *login, const char *password, struct err *err)
{
    size_t len = strlen(password);
    if (len < PASSWORD_MIN || len > PASSWORD_MAX)
        return gw_refuse(err, GW_PROBLEM_INVALID_VALUE, "a password has %d to %d bytes",
                         PASSWORD_MIN, PASSWORD_MAX);
    if (!strcmp(login, password))
        return gw_refuse(err, GW_PROBLEM_INVALID_VALUE, "a password must not be the login name");
    return 0;
}

int gw_account_insert(struct gw_people *people, struct db_tx *tx, const struct gw_actor *actor,
                      const struct gw_account_new *account, const char *hash,
                      char ret_id[ULID_SIZE], struct err *err)
{
    char quota[ULID_SIZE], home[ULID_SIZE];
    if (!text_login_ok(account->login))
        return gw_refuse(err, GW_PROBLEM_INVALID_VALUE,
                         "a login name has 1 to 64 of a-z 0-9 . _ - @ + and begins with a letter "
                         "or digit");
    if (!text_line_ok(account->name, 1, 200))
        return gw_refuse(err, GW_PROBLEM_INVALID_VALUE, "a name has 1 to 200 printable bytes");
    ulid_make(actor->now_ms, quota);
    ulid_make(actor->now_ms, ret_id);
    db_exec(tx, SQL_QUOTA_INSERT, DB_T(quota), DB_I(people->options.student_bytes_max),
            DB_I(people->options.student_files_max));
    int n = db_exec(tx, SQL_ACCOUNT_INSERT, DB_T(ret_id), DB_T(account->login), DB_T(account->name),
                    DB_T(hash), DB_I(account->password == NULL), DB_I(account->admin), DB_T(quota),
                    DB_T(account->home_course), DB_I(actor->now_ms));
    if (n == 0)
        return gw_refuse(err, GW_PROBLEM_EXISTS, "there is an account of this login name");
    ulid_make(actor->now_ms, home);
    db_exec(tx, SQL_WORKSPACE_PERSONAL, DB_T(home), DB_T(NULL), DB_I(actor->now_ms), DB_T(ret_id));
    return db_fault(tx, err);
}

int gw_account_create(struct gw_people *people, const struct gw_actor *actor,
                      const struct gw_account_new *account, char ret_id[ULID_SIZE],
                      char ret_password[PASSWORD_ONE_TIME_SIZE], struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    char hash[PASSWORD_HASH_MAX];
    ret_password[0] = 0;
    if (!gw_permit(gw_role_of(actor, GW_ROLE_NONE), GW_ACT_ACCOUNT_CREATE, GW_REL_OTHER))
        return gw_refuse(err, GW_PROBLEM_FORBIDDEN, "only admins make accounts");
    int r = account->password ? gw_password_check(account->login, account->password, err) : 0;
    if (r)
        return r;
    if (!account->password)
        pw_one_time(ret_password);
    r = pw_hash(people->passwords, account->password ? account->password : ret_password, hash, err);
    if (!r)
        r = db_begin(people->store->db, DB_WRITE, &tx, err);
    if (!r)
        r = gw_account_insert(people, tx, actor, account, hash, ret_id, err);
    if (r)
        return r;
    AUDIT(tx, actor, .action = AUDIT_ACCOUNT_CREATE, .object = ret_id,
          .details = account->admin ? "{\"admin\":true}" : "{}");
    return db_commit(&tx, err);
}

int gw_relation_to(struct db_tx *tx, const struct gw_actor *actor, const char *account,
                   enum gw_relation *ret_relation, enum gw_role *ret_role, struct err *err)
{
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_ACCOUNT_EXISTS, &rows, DB_T(account));
    bool exists = db_next(&rows);
    bool is_staff = exists && db_i64(&rows, 0) != 0;
    db_rows_done(&rows);
    db_query(tx, SQL_STAFF_SOMEWHERE, &rows, DB_T(account));
    is_staff |= db_next(&rows);
    db_rows_done(&rows);
    db_query(tx, SQL_HOME_ROLE, &rows, DB_T(actor->account), DB_T(account));
    int mine = db_next(&rows) ? gw_role_by_name(db_text(&rows, 0)) : -1;
    int r = db_fault(tx, err);
    if (r)
        return r;
    if (!exists)
        return gw_refuse(err, GW_PROBLEM_NOT_FOUND, "there is no such account");
    *ret_role = gw_role_of(actor, mine < 0 ? GW_ROLE_NONE : (enum gw_role)mine);
    if (!strcmp(actor->account, account))
        *ret_relation = GW_REL_SELF;
    else
        *ret_relation = mine >= GW_ROLE_ASSISTANT && !is_staff ? GW_REL_PUPIL : GW_REL_OTHER;
    return 0;
}

/* To those who may not even see the account, it is not there. */
static int may(struct db_tx *tx, const struct gw_actor *actor, const char *account,
               enum gw_action action, enum gw_role *ret_role, struct err *err)
{
    enum gw_relation relation = GW_REL_OTHER;
    int r = gw_relation_to(tx, actor, account, &relation, ret_role, err);
    if (r)
        return r;
    if (!gw_permit(*ret_role, GW_ACT_ACCOUNT_READ, relation))
        return gw_refuse(err, GW_PROBLEM_NOT_FOUND, "there is no such account");
    if (!gw_permit(*ret_role, action, relation))
        return gw_refuse(err, GW_PROBLEM_FORBIDDEN, "you may not do this to this account (%s)",
                         gw_action_name(action));
    return 0;
}

int gw_account_get(struct gw_people *people, const struct gw_actor *actor, const char *id,
                   json_t **ret, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    enum gw_role role = GW_ROLE_NONE;
    int r = db_begin(people->store->db, DB_READ, &tx, err);
    if (!r)
        r = may(tx, actor, id, GW_ACT_ACCOUNT_READ, &role, err);
    if (r)
        return r;
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_ACCOUNT_GET, &rows, DB_T(id));
    if (!db_next(&rows))
        return db_fault(tx, err);
    *ret = db_row_json(&rows, ACCOUNT_SPEC);
    return *ret ? 0 : err_set(err, -ENOMEM, "account: %m");
}

int gw_accounts_list(struct gw_people *people, const struct gw_actor *actor, const char *after,
                     uint64_t limit, json_t **ret, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    if (!gw_permit(gw_role_of(actor, GW_ROLE_NONE), GW_ACT_ACCOUNT_LIST, GW_REL_OTHER))
        return gw_refuse(err, GW_PROBLEM_FORBIDDEN, "only admins list accounts");
    int r = db_begin(people->store->db, DB_READ, &tx, err);
    if (r)
        return r;
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_ACCOUNT_LIST, &rows, DB_T(after), DB_I(limit));
    return db_rows_json(&rows, "id:s login:s name:s admin:b state:s created_ms:i", ret, err);
}

/* The last admin who can log in stays one, or nobody could ever make another. */
static int keep_an_admin(struct db_tx *tx, const char *id, const struct gw_account_change *change,
                         struct err *err)
{
    AUTO_ROWS struct db_rows rows = {0};
    bool loses = change->admin == 0 || (change->state && strcmp(change->state, "active") != 0);
    if (!loses)
        return 0;
    db_query(tx, SQL_ACCOUNT_ADMINS, &rows, DB_T(id));
    if (db_next(&rows) && db_i64(&rows, 0) == 0)
        return gw_refuse(err, GW_PROBLEM_CONFLICT, "this is the last admin");
    return db_fault(tx, err);
}

static int check_change(struct db_tx *tx, const struct gw_actor *actor, const char *id,
                        const struct gw_account_change *c, struct err *err)
{
    enum gw_role role = GW_ROLE_NONE;
    int r = 0;
    if (c->name || c->locale)
        r = may(tx, actor, id, GW_ACT_ACCOUNT_EDIT, &role, err);
    if (!r && (c->state || c->admin >= 0))
        r = may(tx, actor, id, GW_ACT_ACCOUNT_STATE, &role, err);
    if (!r && (c->bytes_max || c->files_max))
        r = may(tx, actor, id, GW_ACT_ACCOUNT_QUOTA, &role, err);
    if (r)
        return r;
    if (c->name && !text_line_ok(c->name, 1, 200))
        return gw_refuse(err, GW_PROBLEM_INVALID_VALUE, "a name has 1 to 200 printable bytes");
    if (c->locale && (!text_line_ok(c->locale, 0, 35)))
        return gw_refuse(err, GW_PROBLEM_INVALID_VALUE, "a locale is a language tag");
    if (c->state && strcmp(c->state, "active") != 0 && strcmp(c->state, "disabled") != 0)
        return gw_refuse(err, GW_PROBLEM_INVALID_VALUE, "a state is active or disabled");
    return keep_an_admin(tx, id, c, err);
}

int gw_account_change(struct gw_people *people, const struct gw_actor *actor, const char *id,
                      const struct gw_account_change *c, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    struct gw_ended ended = {0};
    enum gw_role role = GW_ROLE_NONE;
    int r = db_begin(people->store->db, DB_WRITE, &tx, err);
    if (!r)
        r = may(tx, actor, id, GW_ACT_ACCOUNT_READ, &role, err);
    if (!r)
        r = check_change(tx, actor, id, c, err);
    if (r)
        return r;
    db_exec(tx, SQL_QUOTA_SET_MAX, DB_I(c->bytes_max), DB_I(c->bytes_max), DB_I(c->files_max),
            DB_I(c->files_max), DB_T(id));
    db_exec(tx, SQL_ACCOUNT_SET, DB_T(c->name), DB_T(c->locale), DB_T(c->state), DB_I(c->admin),
            DB_I(c->admin), DB_T(id));
    /* Another role, another session: what was open under the old rights ends. */
    if (c->state || c->admin >= 0) {
        gw_sessions_end(tx, id, NULL, &ended);
        if (c->state && strcmp(c->state, "active") != 0)
            db_exec(tx, SQL_KEY_REVOKE_ALL, DB_I(actor->now_ms), DB_T(id));
    }
    AUDIT(tx, actor, .action = c->bytes_max || c->files_max ? AUDIT_QUOTA : AUDIT_ACCOUNT_CHANGE,
          .object = id, .role = role);
    r = db_commit(&tx, err);
    gw_ended_done(people, &ended, !r);
    return r;
}

/* Guesses of the old password, by somebody who found a session open, are delayed like those at the
 * login. */
#define CHANGE_FROM "password change"

static int load_hash(struct gw_people *people, const struct gw_actor *actor, char login[65],
                     char hash[PASSWORD_HASH_MAX], struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    uint64_t retry_ms = 0;
    int r = db_begin(people->store->db, DB_WRITE, &tx, err);
    if (r)
        return r;
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_ACCOUNT_LOCK, &rows, DB_T(actor->account));
    if (!db_next(&rows)) {
        r = db_fault(tx, err);
        return r ? r : gw_refuse(err, GW_PROBLEM_NOT_FOUND, "there is no such account");
    }
    strncpy(login, db_text(&rows, 0), 64);
    strncpy(hash, db_text(&rows, 1), PASSWORD_HASH_MAX - 1);
    db_rows_done(&rows);
    r = gw_try_begin(tx, login, CHANGE_FROM, actor->now_ms, &retry_ms, err);
    return r ? r : db_commit(&tx, err);
}

int gw_password_change(struct gw_people *people, const struct gw_actor *actor, const char *old,
                       const char *new, const char *agent, char ret_token[TOKEN_SIZE],
                       struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    struct gw_ended ended = {0};
    char login[65] = "", hash[PASSWORD_HASH_MAX] = "", fresh[PASSWORD_HASH_MAX];
    bool right = false, stale = false;
    int r = load_hash(people, actor, login, hash, err);
    if (!r)
        r = gw_password_check(login, new, err);
    if (!r)
        r = pw_verify(people->passwords, hash, old, &right, &stale, err);
    if (!r && !right)
        return gw_refuse(err, GW_PROBLEM_LOGIN_FAILED, "the old password is wrong");
    if (!r)
        r = pw_hash(people->passwords, new, fresh, err);
    if (!r)
        r = db_begin(people->store->db, DB_WRITE, &tx, err);
    if (r)
        return r;
    db_exec(tx, SQL_LOGIN_DELAY_FORGET, DB_T(login), DB_T(CHANGE_FROM));
    db_exec(tx, SQL_ACCOUNT_PASSWORD, DB_T(fresh), DB_I(0), DB_T(actor->account));
    /* This session goes on under a new token; the connection that asks for it may stay. */
    gw_sessions_end(tx, actor->account, actor->session, &ended);
    db_exec(tx, SQL_SESSION_END_ONE, DB_T(actor->session), DB_T(actor->account));
    gw_session_start(tx, actor->account, agent, actor, ret_token);
    AUDIT(tx, actor, .action = AUDIT_PASSWORD_CHANGE, .object = actor->account);
    r = db_commit(&tx, err);
    gw_ended_done(people, &ended, !r);
    return r;
}

int gw_password_reset(struct gw_people *people, const struct gw_actor *actor, const char *id,
                      char ret_password[PASSWORD_ONE_TIME_SIZE], struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    struct gw_ended ended = {0};
    enum gw_role role = GW_ROLE_NONE;
    char hash[PASSWORD_HASH_MAX];
    pw_one_time(ret_password);
    int r = pw_hash(people->passwords, ret_password, hash, err);
    if (!r)
        r = db_begin(people->store->db, DB_WRITE, &tx, err);
    if (!r)
        r = may(tx, actor, id, GW_ACT_PASSWORD_RESET, &role, err);
    if (r)
        return r;
    db_exec(tx, SQL_ACCOUNT_PASSWORD, DB_T(hash), DB_I(1), DB_T(id));
    db_exec(tx, SQL_KEY_REVOKE_ALL, DB_I(actor->now_ms), DB_T(id));
    gw_sessions_end(tx, id, NULL, &ended);
    AUDIT(tx, actor, .action = AUDIT_PASSWORD_RESET, .object = id, .role = role);
    r = db_commit(&tx, err);
    gw_ended_done(people, &ended, !r);
    return r;
}
