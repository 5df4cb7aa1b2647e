#include "world.h"

#include "base/fd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

void ok_(int r, const struct err *err, const char *what)
{
    if (r)
        fail_msg("%s: %d: %s", what, r, err->text);
}

static void closed(void *arg, const char *session)
{
    struct world *w = arg;
    assert_true(ulid_valid(session));
    w->closed++;
}

static void act(struct world *w, struct person *p, bool admin)
{
    p->actor = (struct gw_actor){
        .account = p->id, .admin = admin, .session = "s", .ip = "192.0.2.1", .now_ms = w->now_ms};
}

static void person(struct world *w, struct person *p, const char *login, const char *course,
                   enum gw_role role)
{
    struct err err = {0};
    struct db_tx *tx = NULL;
    const struct gw_account_new account = {.login = login,
                                           .name = login,
                                           .password = "x",
                                           .home_course = course};
    const struct gw_actor actor = {
        .account = "cli", .admin = true, .ip = "", .session = "", .now_ms = w->now_ms};
    ok_(db_begin(w->store.db, DB_WRITE, &tx, &err), &err, "begin");
    ok_(gw_account_insert(w->people, tx, &actor, &account, "no hash", p->id, &err), &err, login);
    if (course)
        gw_enrol(tx, course, p->id, role, w->now_ms);
    ok_(db_commit(&tx, &err), &err, "commit");
    act(w, p, false);
}

static void find_workspace(struct world *w, struct person *p)
{
    json_t *list = NULL;
    OK(gw_workspaces_list(w->files, &p->actor, NULL, &list, &err));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        if (!json_is_null(json_object_get(one, "course")))
            snprintf(p->workspace, ULID_SIZE, "%s", json_string_value(json_object_get(one, "id")));
    }
    json_decref(list);
    assert_true(ulid_valid(p->workspace));
}

static void find_notes(struct world *w)
{
    json_t *list = NULL;
    OK(gw_sections_list(w->people, &w->professor.actor, w->course, &list, &err));
    const json_t *one = json_array_get(list, 0);
    snprintf(w->notes, ULID_SIZE, "%s", json_string_value(json_object_get(one, "id")));
    snprintf(w->notes_workspace, ULID_SIZE, "%s",
             json_string_value(json_object_get(one, "workspace")));
    json_decref(list);
}

void world_open(struct world *w, enum fixture_kind kind)
{
    const struct gw_people_options options = {.session_closed = closed, .session_closed_arg = w};
    char blobs[100];
    memset(w, 0, sizeof(*w));
    w->now_ms = START_MS;
    fixture_open(&w->fixture, kind);
    w->store.db = w->fixture.db;
    OK(db_migrate(w->store.db, NULL, &err));
    snprintf(blobs, sizeof(blobs), "%s/blobs", w->fixture.dir);
    OK(blobs_open(kind == FIXTURE_SQLITE ? blobs : NULL, &w->store.blobs, &err));
    OK(gw_people_new(&w->store, &options, &w->people, &err));
    OK(gw_files_new(&w->store, w->people, &w->files, &err));
    person(w, &w->admin, "admin", NULL, GW_ROLE_NONE);
    act(w, &w->admin, true);
    OK(gw_course_create(w->people, &w->admin.actor, "CS1", "Programming", "2026", NULL, w->course,
                        &err));
    OK(gw_course_create(w->people, &w->admin.actor, "CS2", "Algorithms", "2026", NULL,
                        w->other_course, &err));
    person(w, &w->professor, "prof", w->course, GW_ROLE_PROFESSOR);
    person(w, &w->assistant, "assi", w->course, GW_ROLE_ASSISTANT);
    person(w, &w->ann, "ann", w->course, GW_ROLE_STUDENT);
    person(w, &w->ben, "ben", w->course, GW_ROLE_STUDENT);
    person(w, &w->stranger, "stranger", w->other_course, GW_ROLE_STUDENT);
    person(w, &w->other_professor, "prof2", w->other_course, GW_ROLE_PROFESSOR);
    find_notes(w);
    struct person *all[] = {&w->professor, &w->assistant, &w->ann, &w->ben, &w->stranger};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        find_workspace(w, all[i]);
}

void world_close(struct world *w)
{
    w->files = gw_files_free(w->files);
    w->people = gw_people_free(w->people);
    w->store.blobs = blobs_close(w->store.blobs);
    fixture_close(&w->fixture);
}

void world_tick(struct world *w, uint64_t ms)
{
    w->now_ms += ms;
    struct person *all[] = {&w->admin, &w->professor, &w->assistant,      &w->ann,
                            &w->ben,   &w->stranger,  &w->other_professor};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        all[i]->actor.now_ms = w->now_ms;
}

struct gw_node put(struct world *w, const struct person *who, const char *workspace,
                   const char *path, const char *text)
{
    const struct gw_save s = {.bytes = text, .len = strlen(text), .cause = GW_CAUSE_SAVE};
    struct gw_node node;
    OK(gw_file_create(w->files, &who->actor, workspace, path, &s, &node, &err));
    return node;
}

int save(struct world *w, const struct person *who, struct gw_node *node, int64_t base,
         const char *text)
{
    const struct gw_save s = {.bytes = text,
                              .len = strlen(text),
                              .cause = GW_CAUSE_AUTOSAVE,
                              .base_seq = base};
    struct gw_conflict conflict;
    struct err err = {0};
    return gw_file_save(w->files, &who->actor, node->id, &s, node, &conflict, &err);
}

char *content(struct world *w, const struct person *who, const char *id, int64_t seq,
              uint64_t at_ms)
{
    AUTO_CONTENT struct blob_content c = {.fd = -EBADF};
    struct gw_node node;
    OK(gw_file_open(w->files, &who->actor, id, seq, at_ms, &node, &c, &err));
    char *text = calloc(1, c.size + 1);
    assert_non_null(text);
    if (c.fd >= 0)
        assert_int_equal(fd_read_all(c.fd, text, c.size), c.size);
    else
        memcpy(text, c.bytes, c.size);
    return text;
}

bool tree_has(struct world *w, const struct person *who, const char *workspace, uint64_t at_ms,
              const char *path)
{
    json_t *list = NULL;
    bool found = false;
    OK(gw_tree_get(w->files, &who->actor, workspace, at_ms, &list, &err));
    for (size_t i = 0; i < json_array_size(list); i++)
        found |= !strcmp(path, json_string_value(json_object_get(json_array_get(list, i), "path")));
    json_decref(list);
    return found;
}
