#include "frontgw/people/audit.h"
#include "frontgw/people/people.h"
#include "frontgw/store/db_json.h"

#include "base/utf8.h"

#include <errno.h>
#include <string.h>

#define TOUCH_MS       60000 /* "last seen" is written at most once a minute */
#define DELAYS_KEPT_MS (60ull * 60 * 1000)

int gw_people_new(struct gw_store *store, const struct gw_people_options *options,
                  struct gw_people **ret, struct err *err)
{
    struct gw_people *people = calloc(1, sizeof(*people));
    if (!people)
        return err_set(err, -ENOMEM, "people: %m");
    people->store = store;
    people->options = *options;
    struct gw_people_options *o = &people->options;
#define DEFAULT(field, value) o->field = o->field ? o->field : (value)
    DEFAULT(session_idle_ms, 12ull * 3600 * 1000);
    DEFAULT(session_absolute_ms, 7ull * 24 * 3600 * 1000);
    DEFAULT(student_bytes_max, 150ull << 20);
    DEFAULT(student_files_max, 2000);
    DEFAULT(course_bytes_max, 1ull << 30);
    DEFAULT(course_files_max, 10000);
    DEFAULT(password_threads, 2);
#undef DEFAULT
    int r = pw_pool_new(o->password_threads, 2000, &people->passwords, err);
    if (r) {
        free(people);
        return r;
    }
    *ret = people;
    return 0;
}

struct gw_people *gw_people_free(struct gw_people *people)
{
    if (people)
        pw_pool_free(people->passwords);
    free(people);
    return NULL;
}

/* What a browser says of itself, cut to 120 bytes of well-formed text: it is shown to its owner. */
static void clean_agent(const char *agent, char ret[121])
{
    size_t len = agent ? strlen(agent) : 0, out = 0;
    for (size_t at = 0; at < len;) {
        size_t n = utf8_sequence(agent + at, len - at);
        if (!n || (n == 1 && (agent[at] < 0x20 || agent[at] == 0x7f))) {
            at++;
            continue;
        }
        if (out + n > 120)
            break;
        memcpy(ret + out, agent + at, n);
        out += n;
        at += n;
    }
    ret[out] = 0;
}

void gw_session_start(struct db_tx *tx, const char *account, const char *agent,
                      const struct gw_actor *actor, char ret_token[TOKEN_SIZE])
{
    char id[ULID_SIZE], hash[SHA256_SIZE], seen_agent[121];
    token_make(ret_token);
    sha256_hex(ret_token, strlen(ret_token), hash);
    ulid_make(actor->now_ms, id);
    clean_agent(agent, seen_agent);
    db_exec(tx, SQL_SESSION_INSERT, DB_T(hash), DB_T(id), DB_T(account), DB_I(actor->now_ms),
            DB_I(actor->now_ms), DB_T(actor->ip), DB_T(seen_agent));
}

/* Losing a "last seen" is no fault of the request it belongs to. */
static void touch(struct gw_people *people, enum db_statement id, const char *key, uint64_t now_ms)
{
    AUTO_TX struct db_tx *tx = NULL;
    if (db_begin(people->store->db, DB_WRITE, &tx, NULL))
        return;
    db_exec_args(tx, id, (const struct db_arg[]){DB_I(now_ms), DB_T(key)}, 2);
    db_commit(&tx, NULL);
}

static void copy_identity(const struct db_rows *rows, struct gw_identity *ret)
{
    strncpy(ret->user, db_text(rows, 0), sizeof(ret->user) - 1);
    strncpy(ret->login, db_text(rows, 1), sizeof(ret->login) - 1);
    ret->admin = db_i64(rows, 2) != 0;
    ret->must_change_password = db_i64(rows, 3) != 0;
}

int gw_identify_session(struct gw_people *people, const char *token, uint64_t now_ms,
                        struct gw_identity *ret, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    char hash[SHA256_SIZE];
    uint64_t seen = 0;
    *ret = (struct gw_identity){0};
    if (!token || strlen(token) != TOKEN_SIZE - 1)
        return 0;
    sha256_hex(token, TOKEN_SIZE - 1, hash);
    int r = db_begin(people->store->db, DB_READ, &tx, err);
    if (r)
        return r;
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_SESSION_BY_HASH, &rows, DB_T(hash));
    if (db_next(&rows)) {
        uint64_t created = (uint64_t)db_i64(&rows, 5);
        seen = (uint64_t)db_i64(&rows, 6);
        if (now_ms < seen + people->options.session_idle_ms &&
            now_ms < created + people->options.session_absolute_ms) {
            copy_identity(&rows, ret);
            strncpy(ret->session, db_text(&rows, 4), sizeof(ret->session) - 1);
            ret->via = GW_VIA_SESSION;
            ret->scopes = UINT32_MAX;
        }
    }
    r = db_commit(&tx, err);
    if (!r && ret->via == GW_VIA_SESSION && now_ms > seen + TOUCH_MS)
        touch(people, SQL_SESSION_TOUCH, hash, now_ms);
    return r;
}

int gw_identify_key(struct gw_people *people, const char *key, uint64_t now_ms,
                    struct gw_identity *ret, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    char hash[SHA256_SIZE];
    uint64_t used = 0;
    *ret = (struct gw_identity){0};
    if (strlen(key) != GW_KEY_SIZE - 1 || strncmp(key, GW_KEY_PREFIX, 4) != 0)
        return 0;
    sha256_hex(key, GW_KEY_SIZE - 1, hash);
    int r = db_begin(people->store->db, DB_READ, &tx, err);
    if (r)
        return r;
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_KEY_BY_HASH, &rows, DB_T(hash), DB_I(now_ms));
    if (db_next(&rows)) {
        copy_identity(&rows, ret);
        ret->scopes = (uint32_t)db_i64(&rows, 4);
        ret->via = GW_VIA_API_KEY;
        used = (uint64_t)db_i64(&rows, 5);
    }
    r = db_commit(&tx, err);
    if (!r && ret->via == GW_VIA_API_KEY && now_ms > used + TOUCH_MS)
        touch(people, SQL_KEY_TOUCH, hash, now_ms);
    return r;
}

void gw_sessions_end(struct db_tx *tx, const char *account, const char *except,
                     struct gw_ended *ended)
{
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_SESSION_END_ALL, &rows, DB_T(account), DB_T(except ? except : ""));
    while (db_next(&rows)) {
        void *grown = realloc(ended->ids, (ended->n + 1) * ULID_SIZE);
        if (!grown) {
            db_fail(tx, -ENOMEM, "sessions: no memory");
            return;
        }
        ended->ids = grown;
        strncpy(ended->ids[ended->n], db_text(&rows, 0), ULID_SIZE - 1);
        ended->ids[ended->n++][ULID_SIZE - 1] = 0;
    }
}

void gw_ended_done(struct gw_people *people, struct gw_ended *ended, bool committed)
{
    for (size_t i = 0; committed && people->options.session_closed && i < ended->n; i++)
        people->options.session_closed(people->options.session_closed_arg, ended->ids[i]);
    free(ended->ids);
    *ended = (struct gw_ended){0};
}

static int end_one(struct gw_people *people, const struct gw_actor *actor, const char *session,
                   const char *action, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    int r = db_begin(people->store->db, DB_WRITE, &tx, err);
    if (r)
        return r;
    int n = db_exec(tx, SQL_SESSION_END_ONE, DB_T(session), DB_T(actor->account));
    if (n == 0)
        return gw_refuse(err, GW_PROBLEM_NOT_FOUND, "you have no such session");
    AUDIT(tx, actor, .action = action, .object = session);
    r = db_commit(&tx, err);
    if (!r && people->options.session_closed)
        people->options.session_closed(people->options.session_closed_arg, session);
    return r;
}

int gw_logout(struct gw_people *people, const struct gw_actor *actor, struct err *err)
{
    return end_one(people, actor, actor->session, AUDIT_LOGOUT, err);
}

int gw_session_revoke(struct gw_people *people, const struct gw_actor *actor, const char *session,
                      struct err *err)
{
    return end_one(people, actor, session, AUDIT_SESSION_REVOKE, err);
}

int gw_sessions_list(struct gw_people *people, const struct gw_actor *actor, json_t **ret,
                     struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    int r = db_begin(people->store->db, DB_READ, &tx, err);
    if (r)
        return r;
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_SESSION_LIST, &rows, DB_T(actor->account));
    return db_rows_json(&rows, "id:s created_ms:i seen_ms:i address:s agent:s", ret, err);
}

int gw_sessions_expire(struct gw_people *people, uint64_t now_ms, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    int r = db_begin(people->store->db, DB_WRITE, &tx, err);
    if (r)
        return r;
    db_exec(tx, SQL_SESSION_EXPIRE_IDLE, DB_I(now_ms - people->options.session_idle_ms + 1));
    db_exec(tx, SQL_SESSION_EXPIRE_OLD, DB_I(now_ms - people->options.session_absolute_ms + 1));
    db_exec(tx, SQL_LOGIN_DELAY_EXPIRE, DB_I(now_ms - DELAYS_KEPT_MS));
    return db_commit(&tx, err);
}

int gw_sessions_count(struct gw_people *people, uint64_t now_ms, uint64_t *ret_users,
                      uint64_t *ret_sessions, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    int r = db_begin(people->store->db, DB_READ, &tx, err);
    if (r)
        return r;
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_SESSION_COUNT, &rows, DB_I(now_ms - people->options.session_idle_ms));
    if (db_next(&rows)) {
        *ret_users = (uint64_t)db_i64(&rows, 0);
        *ret_sessions = (uint64_t)db_i64(&rows, 1);
    }
    return db_commit(&tx, err);
}
