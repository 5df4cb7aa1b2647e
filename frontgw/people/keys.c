#include "frontgw/people/audit.h"
#include "frontgw/people/people.h"
#include "frontgw/people/text.h"
#include "frontgw/store/db_json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define KEYS_MAX     20
#define KEY_LIFE_MAX (366ull * 24 * 3600 * 1000)

static int check(struct db_tx *tx, const struct gw_actor *actor, const char *name, uint32_t scopes,
                 uint64_t expires_ms, struct err *err)
{
    AUTO_ROWS struct db_rows rows = {0};
    if (!*actor->session) /* a key that could make keys could outlive its own end */
        return gw_refuse(err, GW_PROBLEM_FORBIDDEN, "an API key cannot make API keys");
    if (!text_line_ok(name, 1, 100))
        return gw_refuse(err, GW_PROBLEM_INVALID_VALUE, "a name has 1 to 100 printable bytes");
    if (!scopes || scopes & ~(uint32_t)GW_SCOPE_ALL)
        return gw_refuse(err, GW_PROBLEM_INVALID_VALUE, "a key has at least one scope");
    if (scopes & GW_SCOPE_ADMIN && !actor->admin)
        return gw_refuse(err, GW_PROBLEM_FORBIDDEN, "only an admin's key has the scope admin");
    if (expires_ms <= actor->now_ms || expires_ms > actor->now_ms + KEY_LIFE_MAX)
        return gw_refuse(err, GW_PROBLEM_INVALID_VALUE,
                         "expires_ms lies in the future, at most a year away");
    db_query(tx, SQL_KEY_COUNT, &rows, DB_T(actor->account));
    if (db_next(&rows) && db_i64(&rows, 0) >= KEYS_MAX)
        return gw_refuse(err, GW_PROBLEM_CONFLICT, "you have %d keys already", KEYS_MAX);
    return db_fault(tx, err);
}

int gw_key_create(struct gw_people *people, const struct gw_actor *actor, const char *name,
                  uint32_t scopes, uint64_t expires_ms, char ret_id[ULID_SIZE],
                  char ret_key[GW_KEY_SIZE], struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    char token[TOKEN_SIZE], hash[SHA256_SIZE];
    int r = db_begin(people->store->db, DB_WRITE, &tx, err);
    if (!r)
        r = check(tx, actor, name, scopes, expires_ms, err);
    if (r)
        return r;
    token_make(token);
    snprintf(ret_key, GW_KEY_SIZE, "%s%s", GW_KEY_PREFIX, token);
    sha256_hex(ret_key, strlen(ret_key), hash);
    ulid_make(actor->now_ms, ret_id);
    db_exec(tx, SQL_KEY_INSERT, DB_T(ret_id), DB_T(hash), DB_T(actor->account), DB_T(name),
            DB_I(scopes), DB_I(actor->now_ms), DB_I(expires_ms));
    AUDIT(tx, actor, .action = AUDIT_KEY_CREATE, .object = ret_id);
    return db_commit(&tx, err);
}

static json_t *scope_words(int64_t scopes)
{
    json_t *words = json_array();
    for (unsigned bit = 0; words && gw_scope_name(bit); bit++)
        if (scopes & 1 << bit)
            json_array_append_new(words, json_string(gw_scope_name(bit)));
    return words;
}

int gw_keys_list(struct gw_people *people, const struct gw_actor *actor, json_t **ret,
                 struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    int r = db_begin(people->store->db, DB_READ, &tx, err);
    if (r)
        return r;
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_KEY_LIST, &rows, DB_T(actor->account));
    r = db_rows_json(&rows, "id:s name:s scopes:i created_ms:i expires_ms:i used_ms:n", ret, err);
    for (size_t i = 0; !r && i < json_array_size(*ret); i++) {
        json_t *key = json_array_get(*ret, i);
        json_object_set_new(key, "scopes",
                            scope_words(json_integer_value(json_object_get(key, "scopes"))));
    }
    return r;
}

int gw_key_revoke(struct gw_people *people, const struct gw_actor *actor, const char *id,
                  struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    int r = db_begin(people->store->db, DB_WRITE, &tx, err);
    if (r)
        return r;
    if (db_exec(tx, SQL_KEY_REVOKE, DB_I(actor->now_ms), DB_T(id), DB_T(actor->account)) == 0)
        return gw_refuse(err, GW_PROBLEM_NOT_FOUND, "you have no such key");
    AUDIT(tx, actor, .action = AUDIT_KEY_REVOKE, .object = id);
    return db_commit(&tx, err);
}
