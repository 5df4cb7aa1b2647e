#include "frontgw/people/audit.h"
#include "frontgw/people/courses.h"
#include "frontgw/people/csv.h"
#include "frontgw/people/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ROSTER_MAX 1000

struct entry {
    char login[65];
    char name[201];
    char id[ULID_SIZE];
    char password[PASSWORD_ONE_TIME_SIZE];
    char hash[PASSWORD_HASH_MAX];
    bool exists;
};

struct roster {
    struct entry *entries;
    size_t n;
};

static void roster_done(struct roster *roster)
{
    free(roster->entries);
}

static bool is_header(const struct csv *csv)
{
    return csv->n_fields >= 2 && !strcasecmp(csv->fields[0], "login") &&
           !strcasecmp(csv->fields[1], "name");
}

static void lower(char *text)
{
    for (; *text; text++)
        if (*text >= 'A' && *text <= 'Z')
            *text = (char)(*text + ('a' - 'A'));
}

static int add(struct roster *roster, struct csv *csv, unsigned line, struct err *err)
{
    lower(csv->fields[0]);
    if (csv->n_fields < 2 || !text_login_ok(csv->fields[0]) ||
        !text_line_ok(csv->fields[1], 1, 200))
        return gw_refuse(err, GW_PROBLEM_INVALID_VALUE,
                         "line %u: expected login,name (login: a-z 0-9 . _ - @ +)", line);
    for (size_t i = 0; i < roster->n; i++)
        if (!strcmp(roster->entries[i].login, csv->fields[0]))
            return gw_refuse(err, GW_PROBLEM_INVALID_VALUE, "line %u: %s stands there twice", line,
                             csv->fields[0]);
    if (roster->n >= ROSTER_MAX)
        return gw_refuse(err, GW_PROBLEM_INVALID_VALUE, "a roster has at most %d people",
                         ROSTER_MAX);
    struct entry *e = &roster->entries[roster->n++];
    snprintf(e->login, sizeof(e->login), "%.64s", csv->fields[0]);
    snprintf(e->name, sizeof(e->name), "%.200s", csv->fields[1]);
    return 0;
}

static int parse(const char *text, size_t len, struct roster *roster, struct err *err)
{
    AUTO_FREE struct csv *csv = malloc(sizeof(*csv));
    roster->entries = calloc(ROSTER_MAX, sizeof(struct entry));
    if (!csv || !roster->entries)
        return err_set(err, -ENOMEM, "roster: %m");
    csv_init(csv, text, len);
    for (bool first = true;; first = false) {
        unsigned line = csv->line;
        int r = csv_next(csv, err);
        if (r < 0)
            return GW_PROBLEM_INVALID_VALUE;
        if (r == 0)
            break;
        r = first && is_header(csv) ? 0 : add(roster, csv, line, err);
        if (r)
            return r;
    }
    return roster->n ? 0 : gw_refuse(err, GW_PROBLEM_INVALID_VALUE, "the roster names nobody");
}

static void find(struct db_tx *tx, struct entry *e)
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
        struct entry *e = &roster->entries[i];
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
        struct entry *e = &roster->entries[i];
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
    int r = parse(text, len, &roster, err);
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
        const struct entry *e = &roster.entries[i];
        json_t *one =
            json_pack("{ss ss ss sb ss?}", "id", e->id, "login", e->login, "name", e->name,
                      "created", !e->exists, "password", e->exists ? NULL : e->password);
        json_array_append_new(list, one);
    }
    *ret = list;
    return list ? 0 : err_set(err, -ENOMEM, "roster: %m");
}
