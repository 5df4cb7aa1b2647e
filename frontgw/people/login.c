/*
 * Logging in: theory of operation.
 *
 * Failures are counted per (name, address). The count goes up before the password is looked at, in
 * a write transaction: a thousand guesses sent at once meet the same growing delay as a thousand in
 * a row. A success forgets the count. A delay is an answer (429 with the time to wait), never a
 * thread that sleeps, and never a lock-out: from another address the owner of the account still
 * gets in.
 */
#include "frontgw/people/audit.h"
#include "frontgw/people/people.h"
#include "frontgw/people/text.h"

#include <errno.h>
#include <string.h>

#define FREE_TRIES   2
#define FORGET_MS    (60 * 60 * 1000)
#define DELAY_MAX_MS 30000

uint64_t gw_login_delay_ms(int64_t fails)
{
    if (fails <= FREE_TRIES)
        return 0;
    int64_t doublings = fails - FREE_TRIES - 1;
    return doublings >= 5 ? DELAY_MAX_MS : 1000ull << doublings;
}

struct candidate {
    bool known, usable;
    char id[ULID_SIZE];
    char hash[PASSWORD_HASH_MAX];
};

int gw_try_begin(struct db_tx *tx, const char *login, const char *from, uint64_t now_ms,
                 uint64_t *ret_retry_ms, struct err *err)
{
    AUTO_ROWS struct db_rows rows = {0};
    int64_t fails = 0;
    db_query(tx, SQL_LOGIN_DELAY_LOCK, &rows, DB_T(login), DB_T(from));
    if (db_next(&rows) && (uint64_t)db_i64(&rows, 1) + FORGET_MS > now_ms) {
        fails = db_i64(&rows, 0);
        uint64_t due = (uint64_t)db_i64(&rows, 1) + gw_login_delay_ms(fails);
        if (due > now_ms) {
            *ret_retry_ms = due - now_ms;
            return gw_refuse(err, GW_PROBLEM_LOGIN_DELAYED,
                             "too many wrong passwords: try again in %llu s",
                             (unsigned long long)(*ret_retry_ms + 999) / 1000);
        }
    }
    db_rows_done(&rows);
    db_exec(tx, SQL_LOGIN_DELAY_SET, DB_I(fails + 1), DB_I(now_ms), DB_T(login), DB_T(from));
    return db_fault(tx, err);
}

/* Refuses too early a try; else counts it and looks the account up. */
static int admit(struct db_tx *tx, const struct gw_actor *actor, const char *login,
                 struct candidate *ret, uint64_t *ret_retry_ms, struct err *err)
{
    AUTO_ROWS struct db_rows rows = {0};
    int r = gw_try_begin(tx, login, actor->ip, actor->now_ms, ret_retry_ms, err);
    if (r)
        return r;
    db_query(tx, SQL_ACCOUNT_BY_LOGIN, &rows, DB_T(login));
    if (db_next(&rows)) {
        ret->known = true;
        ret->usable = !strcmp(db_text(&rows, 2), "active") && !db_is_null(&rows, 1) &&
                      strlen(db_text(&rows, 1)) < PASSWORD_HASH_MAX;
        memcpy(ret->id, db_text(&rows, 0), ULID_SIZE);
        if (ret->usable)
            strncpy(ret->hash, db_text(&rows, 1), PASSWORD_HASH_MAX - 1);
    }
    return db_fault(tx, err);
}

static int let_in(struct gw_people *people, const struct gw_actor *actor,
                  const struct gw_login *login, const struct candidate *who, const char *rehashed,
                  struct gw_login_result *ret, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    struct gw_actor self = *actor;
    self.account = who->id;
    int r = db_begin(people->store->db, DB_WRITE, &tx, err);
    if (r)
        return r;
    db_exec(tx, SQL_LOGIN_DELAY_FORGET, DB_T(login->login), DB_T(actor->ip));
    if (login->old_token) {
        char hash[SHA256_SIZE];
        sha256_hex(login->old_token, strlen(login->old_token), hash);
        db_exec(tx, SQL_SESSION_END_HASH, DB_T(hash));
    }
    if (rehashed)
        db_exec(tx, SQL_ACCOUNT_REHASH, DB_T(rehashed), DB_T(who->id), DB_T(who->hash));
    gw_session_start(tx, who->id, login->agent, &self, ret->token);
    AUDIT(tx, &self, .action = AUDIT_LOGIN, .object = who->id);
    r = db_commit(&tx, err);
    memcpy(ret->account, who->id, ULID_SIZE);
    return r;
}

/* Only failures on accounts that exist: what was typed as an unknown name may be a password. */
static int note_failure(struct gw_people *people, const struct gw_actor *actor,
                        const struct candidate *who, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    if (!who->known)
        return 0;
    int r = db_begin(people->store->db, DB_WRITE, &tx, err);
    if (r)
        return r;
    AUDIT(tx, actor, .action = AUDIT_LOGIN_FAILED, .object = who->id);
    return db_commit(&tx, err);
}

int gw_login(struct gw_people *people, const struct gw_actor *actor, const struct gw_login *login,
             struct gw_login_result *ret, struct err *err)
{
    struct candidate who = {0};
    bool right = false, stale = false;
    char rehashed[PASSWORD_HASH_MAX];
    size_t len = strlen(login->password);
    if (!text_login_ok(login->login) || !len || len > PASSWORD_MAX)
        return gw_refuse(err, GW_PROBLEM_LOGIN_FAILED, "the name or the password is wrong");
    struct db_tx *tx = NULL;
    int r = db_begin(people->store->db, DB_WRITE, &tx, err);
    if (r)
        return r;
    r = admit(tx, actor, login->login, &who, &ret->retry_ms, err);
    if (r) {
        db_rollback(&tx);
        return r;
    }
    r = db_commit(&tx, err);
    if (!r)
        r = pw_verify(people->passwords, who.usable ? who.hash : NULL, login->password, &right,
                      &stale, err);
    if (!r && stale)
        r = pw_hash(people->passwords, login->password, rehashed, err);
    if (r)
        return r;
    if (right)
        return let_in(people, actor, login, &who, stale ? rehashed : NULL, ret, err);
    r = note_failure(people, actor, &who, err);
    return r ? r : gw_refuse(err, GW_PROBLEM_LOGIN_FAILED, "the name or the password is wrong");
}
