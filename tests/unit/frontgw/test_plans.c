/* Every statement's plan on 100,000 rows a table, on both databases: no large table is read from
 * end to end, but where the statement says why ("-- scan:"). */
#include "store_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ROWS "100000"

/* Row i refers to row i of other tables; twenty nodes share a workspace, twenty members a course.
 */
static const char *const fill[] = {
    "quota (id, bytes_max, files_max) SELECT 'x' || i, 1, 1 FROM n",
    "course (id, code, title, term, state, quota_id, created_ms)"
    " SELECT 'x' || i, 'x' || i, 't', '', 'active', 'x' || i, i FROM n",
    "account (id, login, name, state, quota_id, home_course, created_ms)"
    " SELECT 'x' || i, 'x' || i, 'n', 'active', 'x' || i, 'x' || i, i FROM n",
    "session (hash, id, account, created_ms, seen_ms, ip, agent)"
    " SELECT 'x' || i, 'x' || i, 'x' || i, i * 1000, i * 1000, '', '' FROM n",
    "login_delay (login, ip, fails, last_ms) SELECT 'x' || i, 'x' || i, 1, i * 1000 FROM n",
    "api_key (id, hash, account, name, scopes, created_ms, expires_ms)"
    " SELECT 'x' || i, 'x' || i, 'x' || i, '', 1, i, i FROM n",
    "enrollment (course, account, role, created_ms)"
    " SELECT 'x' || (i / 20 + 1), 'x' || i, 'student', i FROM n",
    "join_code (id, code, course, author, created_ms, expires_ms, uses_left)"
    " SELECT 'x' || i, 'x' || i, 'x' || (i / 20 + 1), '', i, i, 1 FROM n",
    "section (id, course, kind, title, pos, visible_from_ms, created_ms)"
    " SELECT 'x' || i, 'x' || (i / 20 + 1), 'notes', '', i, 0, i FROM n",
    "workspace (id, owner, course, quota_id, created_ms)"
    " SELECT 'x' || i, 'x' || i, 'x' || (i / 20 + 1), 'x' || i, i FROM n",
    "blob (hash, size, touched_ms) SELECT 'x' || i, 1, i * 1000 FROM n",
    "blob_data (hash, bytes) SELECT 'x' || i, '' FROM n",
    "node (id, workspace, parent, name, is_dir, seq, hash, size, author, created_ms, modified_ms, "
    "deleted_ms)"
    " SELECT 'x' || i, 'x' || (i / 20 + 1), '', 'x' || i, 0, 1, 'x' || i, 1, '', i, i,"
    " CASE WHEN i % 10 = 0 THEN i * 1000 ELSE 0 END FROM n",
    "placement (node, n, workspace, parent, name, live, author, since_ms)"
    " SELECT 'x' || i, 1, 'x' || (i / 20 + 1), '', 'x' || i, 1, '', i FROM n",
    "version (node, seq, hash, size, author, cause, base_seq, created_ms)"
    " SELECT 'x' || i, 1, 'x' || i, 1, '', 'save', 0, i * 1000 FROM n",
    "snapshot (id, workspace, author, created_ms) SELECT 'x' || i, 'x' || (i / 20 + 1), '', i FROM "
    "n",
    "snapshot_entry (snapshot, path, is_dir, node, seq, hash, size)"
    " SELECT 'x' || (i / 20 + 1), 'x' || i, 0, '', 1, 'x' || i, 1 FROM n",
    "submission (id, section, account, snapshot, late, created_ms)"
    " SELECT 'x' || i, 'x' || (i / 20 + 1), 'x' || i, 'x' || i, 0, i FROM n",
    "execution (id, account, node, seq, verdict, cpu_ms, wall_ms, memory_peak_bytes, started_ms, "
    "ended_ms)"
    " SELECT 'x' || i, 'x' || (i / 20 + 1), 'x' || (i / 20 + 1), 1, '', 1, 1, 1, i, i FROM n",
    "audit (seq, at_ms, actor, role, ip, action, object, course, details, prev_hash, hash)"
    " SELECT i, i, '', '', '', '', '', '', '', '', '' FROM n",
};

static const char *const small[] = {"setting", "audit_head"};

static void ok(int r, const struct err *err)
{
    if (r)
        fail_msg("%d: %s", r, err->text);
}

static void fill_all(struct fixture *f)
{
    struct err err = {0};
    struct db_tx *tx = NULL;
    ok(db_begin(f->db, DB_WRITE, &tx, &err), &err);
    if (f->kind ==
        FIXTURE_POSTGRES) /* the references are right; checking each of them takes minutes */
        db_script(tx,
                  "SET LOCAL session_replication_role = replica; SET LOCAL statement_timeout = 0");
    for (size_t i = 0; i < sizeof(fill) / sizeof(fill[0]); i++) {
        char sql[1000];
        snprintf(sql, sizeof(sql),
                 "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " ROWS
                 ") INSERT INTO %s",
                 fill[i]);
        if (db_script(tx, sql) < 0) {
            db_fault(tx, &err);
            fail_msg("%.40s: %s", fill[i], err.text);
        }
    }
    db_script(tx, "ANALYZE");
    ok(db_commit(&tx, &err), &err);
}

static bool reads_all_of_a_large_table(const char *line, bool sqlite)
{
    const char *at = strstr(line, sqlite ? "SCAN " : "Seq Scan on ");
    if (!at)
        return false;
    at += strlen(sqlite ? "SCAN " : "Seq Scan on ");
    if (!strncmp(at, "CONSTANT ROW", 12) || *at == '(')
        return false;
    for (size_t i = 0; i < sizeof(small) / sizeof(small[0]); i++)
        if (!strncmp(at, small[i], strlen(small[i])))
            return false;
    return true;
}

static int faults;

/* Returns how many lines the plan has, so that an empty answer is no pass. */
static int look_at(struct fixture *f, enum db_statement id)
{
    const struct db_statement_info *info = &db_statements[id];
    bool sqlite = f->kind == FIXTURE_SQLITE;
    struct err err = {0};
    AUTO_TX struct db_tx *tx = NULL;
    AUTO_ROWS struct db_rows rows = {0};
    struct db_arg args[24];
    char sql[4000];
    int lines = 0;
    for (size_t i = 0; info->params[i]; i++)
        args[i] = info->params[i] == 't'   ? DB_T("x777")
                  : info->params[i] == 'i' ? DB_I(777)
                                           : DB_B("b", 1);
    ok(db_begin(f->db, DB_WRITE, &tx, &err), &err);
    snprintf(sql, sizeof(sql), "%s %s", sqlite ? "EXPLAIN QUERY PLAN" : "EXPLAIN",
             sqlite ? info->sqlite : info->pg);
    db_query_text(tx, sql, &rows, args, strlen(info->params));
    for (; db_next(&rows); lines++) {
        const char *line = db_text(&rows, sqlite ? 3 : 0);
        if (!info->scan && reads_all_of_a_large_table(line, sqlite))
            print_error("%s on %s: %s\n", info->name, db_dialect(f->db), line), faults++;
    }
    if (db_fault(tx, &err))
        fail_msg("%s: %s", info->name, err.text);
    return lines;
}

static void no_statement_reads_a_large_table_from_end_to_end(void **state)
{
    (void)state;
    for (enum fixture_kind kind = FIXTURE_SQLITE; kind < FIXTURE_KINDS; kind++) {
        struct fixture f;
        struct err err = {0};
        int lines = 0;
        fixture_open(&f, kind);
        ok(db_migrate(f.db, NULL, &err), &err);
        fill_all(&f);
        for (enum db_statement id = 0; id < SQL_COUNT; id++)
            lines += look_at(&f, id);
        assert_true(lines > SQL_COUNT / 2); /* a bare INSERT has no plan on SQLite */
        fixture_close(&f);
    }
    assert_int_equal(faults, 0);
}

/* The check itself: a query without an index is found. */
static void a_statement_without_an_index_would_be_found(void **state)
{
    (void)state;
    assert_true(reads_all_of_a_large_table("SCAN node", true));
    assert_true(reads_all_of_a_large_table("  ->  Seq Scan on version  (cost=0.00..1)", false));
    assert_false(
        reads_all_of_a_large_table("SEARCH node USING INDEX node_name (workspace=?)", true));
    assert_false(reads_all_of_a_large_table("Index Scan using node_pkey on node", false));
    assert_false(reads_all_of_a_large_table("Seq Scan on audit_head", false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_statement_without_an_index_would_be_found),
        cmocka_unit_test(no_statement_reads_a_large_table_from_end_to_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
