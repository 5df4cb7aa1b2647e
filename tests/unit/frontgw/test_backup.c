/* A backup goes into either database and is the same there, row by row and byte by byte. */
#include "world.h"

#include "frontgw/store/backup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct world w;

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All rows of a table as sorted texts. */
static char **rows_of(struct db *db, const struct db_table_info *table, size_t *ret_n)
{
    struct db_tx *tx = NULL;
    struct db_rows rows;
    char **list = NULL;
    size_t n = 0;
    OK(db_begin(db, DB_SNAPSHOT, &tx, &err));
    db_query_args(tx, table->dump, &rows, NULL, 0);
    while (db_next(&rows)) {
        char line[2000] = "";
        for (int i = 0; table->columns[i]; i++) {
            size_t len = strlen(line);
            if (db_is_null(&rows, i))
                snprintf(line + len, sizeof(line) - len, "NULL|");
            else if (table->columns[i] == 'i')
                snprintf(line + len, sizeof(line) - len, "%lld|", (long long)db_i64(&rows, i));
            else
                snprintf(line + len, sizeof(line) - len, "%s|", db_text(&rows, i));
        }
        list = realloc(list, (n + 1) * sizeof(*list));
        list[n++] = strdup(line);
    }
    OK(db_commit(&tx, &err));
    if (n)
        qsort(list, n, sizeof(*list), by_text);
    *ret_n = n;
    return list;
}

static void same_table(struct db *a, struct db *b, const struct db_table_info *table)
{
    size_t n_a = 0, n_b = 0;
    char **rows_a = rows_of(a, table, &n_a), **rows_b = rows_of(b, table, &n_b);
    if (n_a != n_b)
        fail_msg("%s: %zu rows became %zu", table->name, n_a, n_b);
    for (size_t i = 0; i < n_a; i++) {
        assert_string_equal(rows_a[i], rows_b[i]);
        free(rows_a[i]);
        free(rows_b[i]);
    }
    free(rows_a);
    free(rows_b);
}

static void same_contents(struct gw_store *a, struct gw_store *b)
{
    struct db_tx *tx_a = NULL, *tx_b = NULL;
    struct db_rows rows;
    OK(db_begin(a->db, DB_READ, &tx_a, &err));
    OK(db_begin(b->db, DB_READ, &tx_b, &err));
    db_query(tx_a, SQL_BLOB_LIST_PAGE, &rows, DB_T(""), DB_I(1000));
    int n = 0;
    for (; db_next(&rows); n++) {
        char *x = NULL, *y = NULL;
        size_t len_x = 0, len_y = 0;
        OK(blob_read(a->blobs, tx_a, db_text(&rows, 0), &x, &len_x, &err));
        OK(blob_read(b->blobs, tx_b, db_text(&rows, 0), &y, &len_y, &err));
        assert_int_equal(len_x, len_y);
        assert_memory_equal(x, y, len_x);
        free(x);
        free(y);
    }
    assert_true(n >= 3);
    db_rollback(&tx_a);
    db_rollback(&tx_b);
}

static void populate(void)
{
    struct gw_node a =
        put(&w, &w.ann, w.ann.workspace, "src/\xc3\xa9t\xc3\xa9.py", "one\n\"two\"\n");
    assert_int_equal(save(&w, &w.ann, &a, 1, "three \xf0\x9f\x90\x8d"), 0);
    struct gw_node b = put(&w, &w.ben, w.ben.workspace, "gone", "");
    OK(gw_node_delete(w.files, &w.ben.actor, b.id, -1, &err));
    const struct gw_section s = {
        .kind = "test", .title = "T", .pos = -1, .visible_from_ms = -1, .due_ms = -1, .locked = -1};
    char section[ULID_SIZE], id[ULID_SIZE];
    OK(gw_section_create(w.people, &w.professor.actor, w.course, &s, section, &err));
    OK(gw_submit(w.files, &w.ann.actor, w.course, section, NULL, id, &err));
    const struct gw_execution e = {.id = id,
                                   .account = w.ann.id,
                                   .node = a.id,
                                   .verdict = "EXITED"};
    OK(gw_execution_add(w.files, &e, &err));
}

static void into(enum fixture_kind kind, const char *archive, const struct backup_counts *expected)
{
    struct fixture f;
    struct gw_store store = {0};
    struct backup_counts counts = {0};
    char blobs[100], head[AUDIT_HEAD_SIZE];
    fixture_open(&f, kind);
    store.db = f.db;
    OK(db_migrate(store.db, NULL, &err));
    snprintf(blobs, sizeof(blobs), "%s/blobs", f.dir);
    OK(blobs_open(kind == FIXTURE_SQLITE ? blobs : NULL, &store.blobs, &err));
    OK(backup_read(&store, archive, w.now_ms, &counts, &err));
    assert_int_equal(counts.rows, expected->rows);
    assert_int_equal(counts.blobs, expected->blobs);
    OK(audit_verify(store.db, NULL, head, &err));
    for (const struct db_table_info *t = db_tables; t->name; t++)
        if (strcmp(t->name, "setting") != 0 && strcmp(t->name, "blob_data") != 0)
            same_table(w.store.db, store.db, t);
    same_contents(&w.store, &store);
    REFUSED(-ENOTEMPTY, backup_read(&store, archive, w.now_ms, &counts, &err));
    blobs_close(store.blobs);
    fixture_close(&f);
}

static void a_backup_of_sqlite_goes_into_both(void **state)
{
    (void)state;
    struct backup_counts counts = {0};
    struct stat st;
    char archive[100];
    world_open(&w, FIXTURE_SQLITE);
    populate();
    snprintf(archive, sizeof(archive), "%s/b.tar.gz", w.fixture.dir);
    OK(backup_write(&w.store, archive, w.now_ms, &counts, &err));
    assert_int_equal(stat(archive, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    into(FIXTURE_SQLITE, archive, &counts);
    into(FIXTURE_POSTGRES, archive, &counts);
    world_close(&w);
}

static void a_backup_of_postgresql_goes_into_sqlite(void **state)
{
    (void)state;
    struct backup_counts counts = {0};
    char archive[100];
    world_open(&w, FIXTURE_POSTGRES);
    populate();
    snprintf(archive, sizeof(archive), "%s/b.tar.gz", w.fixture.dir);
    OK(backup_write(&w.store, archive, w.now_ms, &counts, &err));
    into(FIXTURE_SQLITE, archive, &counts);
    world_close(&w);
}

static void what_is_cut_or_changed_leaves_the_store_empty(void **state)
{
    (void)state;
    struct backup_counts counts = {0};
    char archive[100];
    struct stat st;
    world_open(&w, FIXTURE_SQLITE);
    populate();
    snprintf(archive, sizeof(archive), "%s/b.tar.gz", w.fixture.dir);
    OK(backup_write(&w.store, archive, w.now_ms, &counts, &err));
    stat(archive, &st);
    struct fixture f;
    struct gw_store store = {0};
    char blobs[100];
    fixture_open(&f, FIXTURE_SQLITE);
    store.db = f.db;
    OK(db_migrate(store.db, NULL, &err));
    snprintf(blobs, sizeof(blobs), "%s/blobs", f.dir);
    OK(blobs_open(blobs, &store.blobs, &err));
    for (int percent = 99; percent >= 0; percent -= 33) {
        assert_int_equal(truncate(archive, st.st_size * percent / 100), 0);
        REFUSED(-EBADMSG, backup_read(&store, archive, w.now_ms, &counts, &err));
    }
    struct db_tx *tx = NULL;
    struct db_rows rows;
    OK(db_begin(store.db, DB_READ, &tx, &err));
    db_query(tx, SQL_ACCOUNT_ANY, &rows);
    assert_false(db_next(&rows));
    db_rollback(&tx);
    blobs_close(store.blobs);
    fixture_close(&f);
    world_close(&w);
}

static void nothing_is_swept_while_a_backup_runs(void **state)
{
    (void)state;
    EACH_DATABASE(w)
    {
        struct db_tx *tx = NULL;
        unsigned swept = 9;
        populate();
        world_tick(&w, 86400ull * 3 * 1000);
        OK(db_begin(w.store.db, DB_WRITE, &tx, &err));
        db_script(tx, "DELETE FROM execution");
        db_script(tx, "DELETE FROM snapshot_entry");
        db_script(tx, "DELETE FROM version");
        db_exec(tx, SQL_SETTING_PUT, DB_T(BLOBS_HELD_KEY), DB_T("99999999999999"));
        OK(db_commit(&tx, &err));
        OK(blobs_sweep(w.store.blobs, w.store.db, w.now_ms, 1000, &swept, &err));
        assert_int_equal(swept, 0);
        OK(db_begin(w.store.db, DB_WRITE, &tx, &err));
        db_exec(tx, SQL_SETTING_DELETE, DB_T(BLOBS_HELD_KEY));
        OK(db_commit(&tx, &err));
        OK(blobs_sweep(w.store.blobs, w.store.db, w.now_ms, 1000, &swept, &err));
        assert_true(swept >= 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backup_of_sqlite_goes_into_both),
        cmocka_unit_test(a_backup_of_postgresql_goes_into_sqlite),
        cmocka_unit_test(what_is_cut_or_changed_leaves_the_store_empty),
        cmocka_unit_test(nothing_is_swept_while_a_backup_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
