#include "frontgw/people/roster.h"
#include "frontgw/people/audit.h"
#include "frontgw/people/courses.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void find(struct db_tx *tx, struct roster_entry *e)
{
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_ACCOUNT_BY_LOGIN, &rows, DB_T(e->login));
    e->exists = db_next(&rows);
    if (e->exists)
        snprintf(e->id, sizeof(e->id), "%s", db_text(&rows, 0));
}

/* Before any password is hashed: may the actor, and who is new? */
static int look_up(struct gw_people *people, const struct gw_actor *actor, const char *course,
                   struct roster *roster, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    struct gw_standing standing;
    int r = db_begin(people->store->db, DB_READ, &tx, err);
    if (!r)
        r = gw_course_may(tx, actor, course, GW_ACT_ROSTER_IMPORT, &standing, err);
    for (size_t i = 0; !r && i < roster->n; i++)
        find(tx, &roster->entries[i]);
    return r ? r : db_fault(tx, err);
}

static int hash_new(struct gw_people *people, struct roster *roster, struct err *err)
{
    int r = 0;
    for (size_t i = 0; !r && i < roster->n; i++) {
        struct roster_entry *e = &roster->entries[i];
        if (e->exists)
            continue;
        pw_one_time(e->password);
        r = pw_hash(people->passwords, e->password, e->hash, err);
    }
    return r;
}

static int write_all(struct gw_people *people, const struct gw_actor *actor, const char *course,
                     struct roster *roster, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    struct gw_standing standing;
    char details[64];
    size_t created = 0;
    int r = db_begin(people->store->db, DB_WRITE, &tx, err);
    if (!r)
        r = gw_course_may(tx, actor, course, GW_ACT_ROSTER_IMPORT, &standing, err);
    for (size_t i = 0; !r && i < roster->n; i++) {
        struct roster_entry *e = &roster->entries[i];
        const struct gw_account_new account = {.login = e->login,
                                               .name = e->name,
                                               .home_course = course};
        if (!e->exists)
            r = gw_account_insert(people, tx, actor, &account, e->hash, e->id, err);
        created += !e->exists;
        if (!r)
            gw_enrol(tx, course, e->id, GW_ROLE_STUDENT, actor->now_ms);
    }
    if (r)
        return r;
    snprintf(details, sizeof(details), "{\"people\":%zu,\"created\":%zu}", roster->n, created);
    AUDIT(tx, actor, .action = AUDIT_ROSTER_IMPORT, .object = course, .course = course,
          .role = standing.role, .details = details);
    return db_commit(&tx, err);
}

int gw_roster_import(struct gw_people *people, const struct gw_actor *actor, const char *course,
                     const char *text, size_t len, json_t **ret, struct err *err)
{
    CLEANUP(roster_done) struct roster roster = {0};
    int r = roster_parse(text, len, &roster, err);
    if (!r)
        r = look_up(people, actor, course, &roster, err);
    if (!r)
        r = hash_new(people, &roster, err);
    if (!r)
        r = write_all(people, actor, course, &roster, err);
    if (r)
        return r;
    json_t *list = json_array();
    for (size_t i = 0; list && i < roster.n; i++) {
        const struct roster_entry *e = &roster.entries[i];
        json_t *one =
            json_pack("{ss ss ss sb ss?}", "id", e->id, "login", e->login, "name", e->name,
                      "created", !e->exists, "password", e->exists ? NULL : e->password);
        json_array_append_new(list, one);
    }
    *ret = list;
    return list ? 0 : err_set(err, -ENOMEM, "roster: %m");
}
