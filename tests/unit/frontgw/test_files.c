/* Workspaces on both databases. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct world w;

static json_int_t number(const struct person *who, const char *workspace, const char *member)
{
    json_t *json = NULL;
    OK(gw_workspace_get(w.files, &who->actor, workspace, &json, &err));
    json_int_t n = json_integer_value(json_object_get(json, member));
    json_decref(json);
    return n;
}

static void same_text(const struct person *who, const char *id, int64_t seq, uint64_t at_ms,
                      const char *expected)
{
    char *text = content(&w, who, id, seq, at_ms);
    assert_string_equal(text, expected);
    free(text);
}

static void a_save_needs_the_version_it_began_with(void **state)
{
    (void)state;
    EACH_DATABASE(w)
    {
        struct gw_node node = put(&w, &w.ann, w.ann.workspace, "src/main.py", "one");
        assert_int_equal(node.seq, 1);
        assert_int_equal(save(&w, &w.ann, &node, 1, "two"), 0);
        assert_int_equal(node.seq, 2);
        /* The second editor still has version 1. */
        const struct gw_save late = {.bytes = "mine", .len = 4, .base_seq = 1};
        struct gw_conflict conflict;
        struct gw_node seen;
        REFUSED(GW_PROBLEM_EDIT_CONFLICT,
                gw_file_save(w.files, &w.ann.actor, node.id, &late, &seen, &conflict, &err));
        assert_int_equal(conflict.current.seq, 2);
        assert_int_equal(conflict.base_seq, 1);
        same_text(&w.ann, node.id, conflict.base_seq, 0, "one");
        same_text(&w.ann, node.id, 0, 0, "two");
        /* The same content again is no save, whatever it began with. */
        assert_int_equal(save(&w, &w.ann, &node, 1, "two"), 0);
        assert_int_equal(node.seq, 2);
    }
}

static void names_are_unique_and_directories_are_made(void **state)
{
    (void)state;
    EACH_DATABASE(w)
    {
        struct gw_node node = put(&w, &w.ann, w.ann.workspace, "a/b/c.py", "x"), other;
        const struct gw_save s = {.bytes = "y", .len = 1};
        REFUSED(GW_PROBLEM_EXISTS, gw_file_create(w.files, &w.ann.actor, w.ann.workspace,
                                                  "a/b/c.py", &s, &other, &err));
        REFUSED(GW_PROBLEM_CONFLICT, gw_file_create(w.files, &w.ann.actor, w.ann.workspace,
                                                    "a/b/c.py/d", &s, &other, &err));
        REFUSED(GW_PROBLEM_EXISTS,
                gw_dir_create(w.files, &w.ann.actor, w.ann.workspace, "a/b", &other, &err));
        REFUSED(GW_PROBLEM_INVALID_VALUE,
                gw_file_create(w.files, &w.ann.actor, w.ann.workspace, "../x", &s, &other, &err));
        assert_true(tree_has(&w, &w.ann, w.ann.workspace, 0, "a/b/c.py"));
        assert_int_equal(number(&w.ann, w.ann.workspace, "files"), 3);
        assert_int_equal(number(&w.ann, w.ann.workspace, "bytes"), 1);
        (void)node;
    }
}

static void moving_keeps_the_history_and_refuses_circles(void **state)
{
    (void)state;
    EACH_DATABASE(w)
    {
        struct gw_node file = put(&w, &w.ann, w.ann.workspace, "a/b/c.py", "x");
        struct gw_node dir, inner, moved;
        struct gw_path path;
        struct db_tx *tx = NULL;
        OK(db_begin(w.store.db, DB_READ, &tx, &err));
        OK(gw_path_parse("a/b", &path, &err));
        OK(gw_node_lookup(tx, w.ann.workspace, &path, 1, &dir, &err));
        OK(gw_node_lookup(tx, w.ann.workspace, &path, 2, &inner, &err));
        db_rollback(&tx);
        REFUSED(GW_PROBLEM_CONFLICT,
                gw_node_move(w.files, &w.ann.actor, dir.id, "a/b/a", &moved, &err));
        world_tick(&w, 1000);
        OK(gw_node_move(w.files, &w.ann.actor, file.id, "main.py", &moved, &err));
        assert_true(tree_has(&w, &w.ann, w.ann.workspace, 0, "main.py"));
        assert_false(tree_has(&w, &w.ann, w.ann.workspace, 0, "a/b/c.py"));
        assert_true(tree_has(&w, &w.ann, w.ann.workspace, START_MS, "a/b/c.py"));
        same_text(&w.ann, file.id, 1, 0, "x");
        put(&w, &w.ann, w.ann.workspace, "taken", "");
        REFUSED(GW_PROBLEM_EXISTS,
                gw_node_move(w.files, &w.ann.actor, file.id, "taken", &moved, &err));
        REFUSED(GW_PROBLEM_NOT_FOUND,
                gw_node_move(w.files, &w.ann.actor, file.id, "nowhere/x", &moved, &err));
        OK(gw_node_move(w.files, &w.ann.actor, file.id, "main.py", &moved, &err));
    }
}

static void what_is_deleted_together_comes_back_together(void **state)
{
    (void)state;
    EACH_DATABASE(w)
    {
        struct gw_node one = put(&w, &w.ann, w.ann.workspace, "d/one", "1");
        struct gw_node two = put(&w, &w.ann, w.ann.workspace, "d/e/two", "22");
        struct gw_node dir, back;
        struct gw_path path;
        struct db_tx *tx = NULL;
        OK(db_begin(w.store.db, DB_READ, &tx, &err));
        OK(gw_path_parse("d", &path, &err));
        OK(gw_node_lookup(tx, w.ann.workspace, &path, 1, &dir, &err));
        db_rollback(&tx);
        world_tick(&w, 10);
        OK(gw_node_delete(w.files, &w.ann.actor, one.id, -1, &err));
        world_tick(&w, 10);
        OK(gw_node_delete(w.files, &w.ann.actor, dir.id, -1, &err));
        assert_int_equal(number(&w.ann, w.ann.workspace, "files"), 0);
        assert_int_equal(number(&w.ann, w.ann.workspace, "bytes"), 0);
        REFUSED(GW_PROBLEM_NOT_FOUND, save(&w, &w.ann, &two, 1, "x"));
        /* Something else took the name in the meantime. */
        struct gw_node other = put(&w, &w.ann, w.ann.workspace, "d", "file");
        REFUSED(GW_PROBLEM_EXISTS, gw_node_undelete(w.files, &w.ann.actor, dir.id, &back, &err));
        OK(gw_node_delete(w.files, &w.ann.actor, other.id, other.seq, &err));
        OK(gw_node_undelete(w.files, &w.ann.actor, dir.id, &back, &err));
        assert_true(tree_has(&w, &w.ann, w.ann.workspace, 0, "d/e/two"));
        assert_false(tree_has(&w, &w.ann, w.ann.workspace, 0, "d/one"));
        assert_int_equal(number(&w.ann, w.ann.workspace, "files"), 3);
        assert_int_equal(number(&w.ann, w.ann.workspace, "bytes"), 2);
        OK(gw_node_undelete(w.files, &w.ann.actor, one.id, &back, &err));
        assert_true(tree_has(&w, &w.ann, w.ann.workspace, 0, "d/one"));
    }
}

static void a_directory_is_copied_with_all_that_is_in_it(void **state)
{
    (void)state;
    EACH_DATABASE(w)
    {
        struct gw_node two = put(&w, &w.professor, w.notes_workspace, "week1/e/two.py", "22"), made,
                       dir;
        put(&w, &w.professor, w.notes_workspace, "week1/one.py", "1");
        struct gw_path path;
        struct db_tx *tx = NULL;
        OK(db_begin(w.store.db, DB_READ, &tx, &err));
        OK(gw_path_parse("week1", &path, &err));
        OK(gw_node_lookup(tx, w.notes_workspace, &path, 1, &dir, &err));
        db_rollback(&tx);
        OK(gw_node_copy(w.files, &w.ann.actor, dir.id, w.ann.workspace, "mine", &made, &err));
        assert_true(tree_has(&w, &w.ann, w.ann.workspace, 0, "mine/e/two.py"));
        assert_true(tree_has(&w, &w.ann, w.ann.workspace, 0, "mine/one.py"));
        assert_int_equal(number(&w.ann, w.ann.workspace, "bytes"), 3);
        /* Into itself: the copy is of what was there before. */
        OK(gw_node_copy(w.files, &w.professor.actor, dir.id, w.notes_workspace, "week1/copy", &made,
                        &err));
        assert_true(tree_has(&w, &w.professor, w.notes_workspace, 0, "week1/copy/e/two.py"));
        REFUSED(GW_PROBLEM_FORBIDDEN,
                gw_node_copy(w.files, &w.ann.actor, two.id, w.notes_workspace, "x", &made, &err));
    }
}

static void versions_and_workspaces_as_they_were(void **state)
{
    (void)state;
    EACH_DATABASE(w)
    {
        struct gw_node a = put(&w, &w.ann, w.ann.workspace, "a", "a1");
        uint64_t first = w.now_ms;
        world_tick(&w, 60000);
        struct gw_node b = put(&w, &w.ann, w.ann.workspace, "b", "b1"), back;
        assert_int_equal(save(&w, &w.ann, &a, 1, "a2"), 0);
        uint64_t second = w.now_ms;
        world_tick(&w, 60000);
        OK(gw_node_move(w.files, &w.ann.actor, a.id, "z", &back, &err));
        OK(gw_node_move(w.files, &w.ann.actor, b.id, "a", &back, &err));
        assert_int_equal(save(&w, &w.ann, &a, 2, "a3"), 0);
        same_text(&w.ann, a.id, 0, first, "a1");
        same_text(&w.ann, a.id, 0, second, "a2");
        assert_false(tree_has(&w, &w.ann, w.ann.workspace, first, "b"));
        assert_true(tree_has(&w, &w.ann, w.ann.workspace, second, "b"));
        world_tick(&w, 60000);
        json_t *counts = NULL;
        OK(gw_workspace_restore(w.files, &w.ann.actor, w.ann.workspace, second, &counts, &err));
        json_decref(counts);
        assert_true(tree_has(&w, &w.ann, w.ann.workspace, 0, "b"));
        assert_false(tree_has(&w, &w.ann, w.ann.workspace, 0, "z"));
        same_text(&w.ann, a.id, 0, 0, "a2");
        world_tick(&w, 60000);
        OK(gw_version_restore(w.files, &w.ann.actor, a.id, 3, &a, &err));
        same_text(&w.ann, a.id, 0, 0, "a3");
        world_tick(&w, 60000);
        OK(gw_workspace_restore(w.files, &w.ann.actor, w.ann.workspace, first, &counts, &err));
        json_decref(counts);
        assert_false(tree_has(&w, &w.ann, w.ann.workspace, 0, "b"));
        same_text(&w.ann, a.id, 0, 0, "a1");
        assert_int_equal(number(&w.ann, w.ann.workspace, "files"), 1);
        assert_int_equal(number(&w.ann, w.ann.workspace, "bytes"), 2);
    }
}

static void the_quota_is_exact(void **state)
{
    (void)state;
    EACH_DATABASE(w)
    {
        const struct gw_account_change change = {.admin = -1, .bytes_max = 10, .files_max = 3};
        OK(gw_account_change(w.people, &w.admin.actor, w.ann.id, &change, &err));
        struct gw_node a = put(&w, &w.ann, w.ann.workspace, "a", "12345"), n;
        assert_int_equal(save(&w, &w.ann, &a, 1, "1234567890"), 0);
        assert_int_equal(save(&w, &w.ann, &a, 2, "1234567890+"), GW_PROBLEM_QUOTA);
        assert_int_equal(save(&w, &w.ann, &a, 2, "1"), 0);
        OK(gw_dir_create(w.files, &w.ann.actor, w.ann.workspace, "d/e", &n, &err));
        REFUSED(GW_PROBLEM_QUOTA,
                gw_dir_create(w.files, &w.ann.actor, w.ann.workspace, "f", &n, &err));
        /* A full history makes room by its oldest versions; 30 bytes in all. */
        char text[11] = "123456789x";
        for (int i = 0; i < 12; i++) {
            text[9] = (char)('a' + i);
            world_tick(&w, 1000);
            assert_int_equal(save(&w, &w.ann, &a, a.seq, text), 0);
        }
        assert_true(number(&w.ann, w.ann.workspace, "history_bytes") <= 30);
        same_text(&w.ann, a.id, 0, 0, text);
    }
}

static void only_those_who_may_see_a_workspace_see_it(void **state)
{
    (void)state;
    EACH_DATABASE(w)
    {
        struct gw_node mine = put(&w, &w.ann, w.ann.workspace, "a", "secret"), n;
        struct gw_node notes = put(&w, &w.professor, w.notes_workspace, "n", "notes");
        json_t *json = NULL;
        const struct person *nobody[] = {&w.ben, &w.stranger, &w.other_professor};
        for (size_t i = 0; i < 3; i++) {
            REFUSED(GW_PROBLEM_NOT_FOUND,
                    gw_tree_get(w.files, &nobody[i]->actor, w.ann.workspace, 0, &json, &err));
            REFUSED(GW_PROBLEM_NOT_FOUND,
                    gw_node_get(w.files, &nobody[i]->actor, mine.id, &json, &err));
            REFUSED(GW_PROBLEM_NOT_FOUND,
                    gw_node_delete(w.files, &nobody[i]->actor, mine.id, -1, &err));
        }
        same_text(&w.professor, mine.id, 0, 0, "secret");
        REFUSED(GW_PROBLEM_FORBIDDEN, save(&w, &w.professor, &mine, 1, "x"));
        REFUSED(GW_PROBLEM_FORBIDDEN, save(&w, &w.admin, &mine, 1, "x"));
        same_text(&w.ben, notes.id, 0, 0, "notes");
        REFUSED(GW_PROBLEM_FORBIDDEN, save(&w, &w.ben, &notes, 1, "x"));
        assert_int_equal(save(&w, &w.assistant, &notes, 1, "x"), 0);
        REFUSED(GW_PROBLEM_NOT_FOUND,
                gw_node_move(w.files, &w.stranger.actor, notes.id, "y", &n, &err));
        /* Hidden until its time, gone when the section is gone. */
        const struct gw_section later = {.visible_from_ms = (int64_t)w.now_ms + 1000,
                                         .pos = -1,
                                         .due_ms = -1,
                                         .locked = -1};
        OK(gw_section_change(w.people, &w.professor.actor, w.course, w.notes, &later, &err));
        REFUSED(GW_PROBLEM_NOT_FOUND, gw_node_get(w.files, &w.ben.actor, notes.id, &json, &err));
        world_tick(&w, 1001);
        same_text(&w.ben, notes.id, 0, 0, "x");
        OK(gw_section_delete(w.people, &w.professor.actor, w.course, w.notes, &err));
        REFUSED(GW_PROBLEM_NOT_FOUND, gw_node_get(w.files, &w.ben.actor, notes.id, &json, &err));
    }
}

static void handing_in_freezes_what_is_there(void **state)
{
    (void)state;
    EACH_DATABASE(w)
    {
        const struct gw_section s = {.kind = "assignment",
                                     .title = "Sheet 1",
                                     .pos = 1,
                                     .visible_from_ms = -1,
                                     .due_ms = (int64_t)w.now_ms + 5000,
                                     .locked = -1};
        char section[ULID_SIZE], id[ULID_SIZE], late[ULID_SIZE];
        json_t *json = NULL;
        OK(gw_section_create(w.people, &w.professor.actor, w.course, &s, section, &err));
        REFUSED(GW_PROBLEM_CONFLICT,
                gw_submit(w.files, &w.ann.actor, w.course, section, NULL, id, &err));
        struct gw_node a = put(&w, &w.ann, w.ann.workspace, "sheet1/a.py", "v1");
        put(&w, &w.ann, w.ann.workspace, "private.txt", "p");
        OK(gw_submit(w.files, &w.ann.actor, w.course, section, "sheet1", id, &err));
        assert_int_equal(save(&w, &w.ann, &a, 1, "v2"), 0);
        REFUSED(GW_PROBLEM_NOT_FOUND, gw_submission_get(w.files, &w.ben.actor, id, &json, &err));
        REFUSED(GW_PROBLEM_NOT_FOUND,
                gw_submission_get(w.files, &w.other_professor.actor, id, &json, &err));
        OK(gw_submission_get(w.files, &w.professor.actor, id, &json, &err));
        const json_t *entries = json_object_get(json, "entries");
        assert_int_equal(json_array_size(entries), 1);
        assert_string_equal(json_string_value(json_object_get(json_array_get(entries, 0), "path")),
                            "a.py");
        assert_int_equal(json_integer_value(json_object_get(json_array_get(entries, 0), "seq")), 1);
        json_decref(json);
        world_tick(&w, 6000);
        OK(gw_submit(w.files, &w.ann.actor, w.course, section, NULL, late, &err));
        OK(gw_submissions_list(w.files, &w.professor.actor, w.course, section, &json, &err));
        assert_int_equal(json_array_size(json), 2);
        assert_true(json_is_true(json_object_get(json_array_get(json, 1), "late")));
        json_decref(json);
        OK(gw_submissions_list(w.files, &w.ben.actor, w.course, section, &json, &err));
        assert_int_equal(json_array_size(json), 0);
        json_decref(json);
        REFUSED(GW_PROBLEM_FORBIDDEN,
                gw_submission_grade(w.files, &w.ann.actor, id, "1.0", "", &err));
        OK(gw_submission_grade(w.files, &w.assistant.actor, id, "1.7", "good\nwork", &err));
        REFUSED(GW_PROBLEM_NOT_FOUND,
                gw_submit(w.files, &w.stranger.actor, w.course, section, NULL, id, &err));
    }
}

static void housekeeping_thins_and_sweeps(void **state)
{
    (void)state;
    EACH_DATABASE(w)
    {
        struct gw_node a = put(&w, &w.ann, w.ann.workspace, "a", "0");
        char text[8];
        for (int i = 1; i <= 40; i++) {
            world_tick(&w, 30000);
            snprintf(text, sizeof(text), "%d", i);
            assert_int_equal(save(&w, &w.ann, &a, a.seq, text), 0);
        }
        OK(gw_files_keep(w.files, w.now_ms, &err));
        json_t *list = NULL;
        OK(gw_versions_list(w.files, &w.ann.actor, a.id, 0, 100, &list, &err));
        assert_int_equal(json_array_size(list), 41);
        json_decref(list);
        world_tick(&w, 2 * 3600 * 1000);
        OK(gw_files_keep(w.files, w.now_ms, &err));
        OK(gw_versions_list(w.files, &w.ann.actor, a.id, 0, 100, &list, &err));
        assert_in_range(json_array_size(list), 3, 5);
        json_decref(list);
        same_text(&w.ann, a.id, 0, 0, "40");
        same_text(&w.ann, a.id, 1, 0, "0");
        unsigned swept = 0;
        world_tick(&w, 3 * 86400 * 1000);
        OK(blobs_sweep(w.store.blobs, w.store.db, w.now_ms, 86400 * 1000, &swept, &err));
        assert_true(swept >= 36);
        same_text(&w.ann, a.id, 0, 0, "40");
        same_text(&w.ann, a.id, 1, 0, "0");
    }
}

static void the_trash_is_emptied_after_a_month(void **state)
{
    (void)state;
    EACH_DATABASE(w)
    {
        struct gw_node a = put(&w, &w.ann, w.ann.workspace, "a", "12345"), back;
        OK(gw_node_delete(w.files, &w.ann.actor, a.id, -1, &err));
        world_tick(&w, 29ull * 86400 * 1000);
        OK(gw_files_keep(w.files, w.now_ms, &err));
        OK(gw_node_undelete(w.files, &w.ann.actor, a.id, &back, &err));
        OK(gw_node_delete(w.files, &w.ann.actor, a.id, -1, &err));
        world_tick(&w, 31ull * 86400 * 1000);
        OK(gw_files_keep(w.files, w.now_ms, &err));
        REFUSED(GW_PROBLEM_NOT_FOUND, gw_node_undelete(w.files, &w.ann.actor, a.id, &back, &err));
        assert_int_equal(number(&w.ann, w.ann.workspace, "history_bytes"), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_save_needs_the_version_it_began_with),
        cmocka_unit_test(names_are_unique_and_directories_are_made),
        cmocka_unit_test(moving_keeps_the_history_and_refuses_circles),
        cmocka_unit_test(what_is_deleted_together_comes_back_together),
        cmocka_unit_test(a_directory_is_copied_with_all_that_is_in_it),
        cmocka_unit_test(versions_and_workspaces_as_they_were),
        cmocka_unit_test(the_quota_is_exact),
        cmocka_unit_test(only_those_who_may_see_a_workspace_see_it),
        cmocka_unit_test(handing_in_freezes_what_is_there),
        cmocka_unit_test(housekeeping_thins_and_sweeps),
        cmocka_unit_test(the_trash_is_emptied_after_a_month),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
