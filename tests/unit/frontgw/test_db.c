/* The store on both real databases: migrations, and every statement of the table. */
#include "store_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define EACH_DATABASE(kind)                                                                        \
    for (enum fixture_kind kind = FIXTURE_SQLITE; kind < FIXTURE_KINDS; kind++)

static void ok(int r, const struct err *err)
{
    if (r)
        fail_msg("%d: %s", r, err->text);
}

static void migrated(struct fixture *f, enum fixture_kind kind)
{
    struct err err = {0};
    fixture_open(f, kind);
    ok(db_migrate(f->db, NULL, &err), &err);
}

static void migrations_run_once(void **state)
{
    (void)state;
    EACH_DATABASE(kind)
    {
        struct fixture f;
        struct err err = {0};
        int applied = -1;
        fixture_open(&f, kind);
        ok(db_migrate(f.db, &applied, &err), &err);
        assert_true(applied > 0);
        ok(db_migrate(f.db, &applied, &err), &err);
        assert_int_equal(applied, 0);
        fixture_close(&f);
    }
}

static void change(struct fixture *f, const char *sql)
{
    struct err err = {0};
    struct db_tx *tx = NULL;
    ok(db_begin(f->db, DB_WRITE, &tx, &err), &err);
    db_script(tx, sql);
    ok(db_commit(&tx, &err), &err);
}

static void a_newer_schema_is_refused(void **state)
{
    (void)state;
    EACH_DATABASE(kind)
    {
        struct fixture f;
        struct err err = {0};
        migrated(&f, kind);
        change(&f, "INSERT INTO schema_migrations VALUES (9999, 'x', 0)");
        assert_int_equal(db_migrate(f.db, NULL, &err), -EPROTO);
        assert_non_null(strstr(err.text, "9999"));
        fixture_close(&f);
    }
}

static void a_migration_with_another_checksum_is_refused(void **state)
{
    (void)state;
    EACH_DATABASE(kind)
    {
        struct fixture f;
        struct err err = {0};
        migrated(&f, kind);
        change(&f, "UPDATE schema_migrations SET checksum = 'x' WHERE version = 1");
        assert_int_equal(db_migrate(f.db, NULL, &err), -EPROTO);
        fixture_close(&f);
    }
}

/* Constraints are put off and the transaction is rolled back: what is held against the database is
 * the statement itself, its names, its types and its parameters. */
static void run_one(struct fixture *f, enum db_statement id)
{
    const struct db_statement_info *info = &db_statements[id];
    struct err err = {0};
    AUTO_TX struct db_tx *tx = NULL;
    struct db_arg args[24];
    size_t n = strlen(info->params);
    assert_true(n <= 24);
    for (size_t i = 0; i < n; i++)
        args[i] = info->params[i] == 't'   ? DB_T("01ARZ3NDEKTSV4RRFFQ69G5FAV")
                  : info->params[i] == 'i' ? DB_I(2)
                                           : DB_B("bytes", 5);
    ok(db_begin(f->db, DB_WRITE, &tx, &err), &err);
    db_script(tx, f->kind == FIXTURE_SQLITE ? "PRAGMA defer_foreign_keys=ON"
                                            : "SET CONSTRAINTS ALL DEFERRED");
    int r = db_exec_args(tx, id, args, n);
    db_fault(tx, &err);
    if (r < 0)
        fail_msg("%s on %s: %s", info->name, db_dialect(f->db), err.text);
}

static void every_statement_runs_on_both_databases(void **state)
{
    (void)state;
    EACH_DATABASE(kind)
    {
        struct fixture f;
        migrated(&f, kind);
        for (enum db_statement id = 0; id < SQL_COUNT; id++)
            run_one(&f, id);
        fixture_close(&f);
    }
}

static void values_come_back_as_they_went_in(void **state)
{
    (void)state;
    EACH_DATABASE(kind)
    {
        struct fixture f;
        struct err err = {0};
        migrated(&f, kind);
        struct db_tx *tx = NULL;
        ok(db_begin(f.db, DB_WRITE, &tx, &err), &err);
        assert_int_equal(db_exec(tx, SQL_SETTING_PUT, DB_T("k'; DROP TABLE account; --"),
                                 DB_T("\xc3\xa9 \" \\ % _")),
                         1);
        assert_int_equal(db_exec(tx, SQL_LOAD_BLOB_DATA, DB_T("h"), DB_B("a\0b\xff", 4)), 1);
        ok(db_commit(&tx, &err), &err);

        ok(db_begin(f.db, DB_READ, &tx, &err), &err);
        struct db_rows rows;
        db_query(tx, SQL_SETTING_GET, &rows, DB_T("k'; DROP TABLE account; --"));
        assert_true(db_next(&rows));
        assert_string_equal(db_text(&rows, 0), "\xc3\xa9 \" \\ % _");
        assert_false(db_next(&rows));
        db_rows_done(&rows);
        db_query(tx, SQL_DUMP_BLOB_DATA, &rows);
        assert_true(db_next(&rows));
        size_t len = 0;
        assert_memory_equal(db_bytes(&rows, 1, &len), "a\0b\xff", 4);
        assert_int_equal(len, 4);
        /* The open result is closed with its transaction. */
        ok(db_commit(&tx, &err), &err);
        fixture_close(&f);
    }
}

static void a_fault_sticks_and_nothing_is_kept(void **state)
{
    (void)state;
    EACH_DATABASE(kind)
    {
        struct fixture f;
        struct err err = {0};
        migrated(&f, kind);
        struct db_tx *tx = NULL;
        ok(db_begin(f.db, DB_WRITE, &tx, &err), &err);
        db_exec(tx, SQL_SETTING_PUT, DB_T("kept"), DB_T("no"));
        assert_int_equal(db_exec(tx, SQL_LOAD_SETTING, DB_T("kept"), DB_T("twice")), -EEXIST);
        assert_int_equal(db_exec(tx, SQL_SETTING_PUT, DB_T("later"), DB_T("no")), -EEXIST);
        assert_int_equal(db_commit(&tx, &err), -EEXIST);
        ok(db_begin(f.db, DB_READ, &tx, &err), &err);
        struct db_rows rows;
        db_query(tx, SQL_SETTING_GET, &rows, DB_T("kept"));
        assert_false(db_next(&rows));
        db_rollback(&tx);
        fixture_close(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(migrations_run_once),
        cmocka_unit_test(a_newer_schema_is_refused),
        cmocka_unit_test(a_migration_with_another_checksum_is_refused),
        cmocka_unit_test(every_statement_runs_on_both_databases),
        cmocka_unit_test(values_come_back_as_they_went_in),
        cmocka_unit_test(a_fault_sticks_and_nothing_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
