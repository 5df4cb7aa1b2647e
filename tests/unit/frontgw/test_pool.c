/* Connections: how many, how old, and what becomes of those that break. */
#include "store_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct db *open_pool(struct db_options options)
{
    struct db *db = NULL;
    struct err err = {0};
    options.url = getenv("TEST_POSTGRES_URL");
    assert_non_null(options.url);
    if (db_open(&options, &db, &err))
        fail_msg("%s", err.text);
    return db;
}

static int64_t number(struct db *db, const char *sql)
{
    struct db_tx *tx = NULL;
    struct db_rows rows;
    struct err err = {0};
    if (db_begin(db, DB_READ, &tx, &err))
        fail_msg("%s", err.text);
    db_query_text(tx, sql, &rows, NULL, 0);
    if (!db_next(&rows))
        fail_msg("%s", db_fault(tx, &err) ? err.text : "no row");
    int64_t n = db_i64(&rows, 0);
    db_rollback(&tx);
    return n;
}

#define PID "SELECT pg_backend_pid()"

static void a_full_pool_refuses_after_its_time(void **state)
{
    (void)state;
    struct db *db =
        open_pool((struct db_options){.pool_min = 1, .pool_max = 2, .acquire_timeout_ms = 50});
    struct db_tx *one = NULL, *two = NULL, *three = NULL;
    struct err err = {0};
    assert_int_equal(db_begin(db, DB_READ, &one, &err), 0);
    assert_int_equal(db_begin(db, DB_READ, &two, &err), 0);
    assert_int_equal(db_pool_in_use(db), 2);
    assert_int_equal(db_begin(db, DB_READ, &three, &err), -EAGAIN);
    db_rollback(&one);
    assert_int_equal(db_begin(db, DB_READ, &three, &err), 0);
    db_rollback(&two);
    db_rollback(&three);
    assert_int_equal(db_pool_in_use(db), 0);
    db_close(db);
}

static void connections_that_were_cut_are_replaced(void **state)
{
    (void)state;
    struct db *db = open_pool((struct db_options){.pool_min = 5, .pool_max = 5});
    struct db *other = open_pool((struct db_options){.pool_min = 1, .pool_max = 1});
    int64_t before = number(db, PID);
    assert_int_equal(number(other,
                            "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity "
                            "WHERE application_name = 'frontgw' AND pid <> pg_backend_pid()"),
                     5);
    /* All five are dead; the first try already succeeds. */
    assert_int_not_equal(number(db, PID), before);
    for (int i = 0; i < 10; i++)
        assert_int_equal(db_ping(db, NULL), 0);
    db_close(db);
    db_close(other);
}

static void a_connection_lost_in_a_transaction_is_a_fault_of_that_transaction_alone(void **state)
{
    (void)state;
    struct db *db = open_pool((struct db_options){.pool_min = 1, .pool_max = 1});
    struct db *other = open_pool((struct db_options){.pool_min = 1, .pool_max = 1});
    struct db_tx *tx = NULL;
    struct db_rows rows;
    struct err err = {0};
    assert_int_equal(db_begin(db, DB_WRITE, &tx, &err), 0);
    number(other, "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity "
                  "WHERE application_name = 'frontgw' AND pid <> pg_backend_pid()");
    assert_true(db_query_text(tx, "SELECT 1", &rows, NULL, 0) < 0);
    assert_int_equal(db_commit(&tx, &err), -ENOTCONN);
    assert_int_equal(db_ping(db, &err), 0);
    db_close(db);
    db_close(other);
}

static void statements_have_a_time(void **state)
{
    (void)state;
    struct db *db =
        open_pool((struct db_options){.pool_min = 1, .pool_max = 1, .statement_timeout_ms = 100});
    struct db_tx *tx = NULL;
    struct db_rows rows;
    struct err err = {0};
    assert_int_equal(db_begin(db, DB_READ, &tx, &err), 0);
    assert_int_equal(db_query_text(tx, "SELECT 1 FROM pg_sleep(5)", &rows, NULL, 0), -ETIMEDOUT);
    assert_int_equal(db_commit(&tx, &err), -ETIMEDOUT);
    assert_int_equal(db_ping(db, &err), 0);
    db_close(db);
}

static void old_connections_are_replaced(void **state)
{
    (void)state;
    struct db *db = open_pool((struct db_options){.pool_min = 1, .pool_max = 1, .recycle_ms = 50});
    int64_t first = number(db, PID);
    assert_int_equal(number(db, PID), first);
    nanosleep(&(struct timespec){.tv_nsec = 80000000}, NULL);
    assert_int_not_equal(number(db, PID), first);
    db_close(db);
}

static void nowhere_to_connect_to_is_told_at_once(void **state)
{
    (void)state;
    struct db *db = NULL;
    struct err err = {0};
    struct db_options options = {.url = "postgresql://x@/x?host=/nonexistent"};
    assert_int_equal(db_open(&options, &db, &err), -ENOTCONN);
    assert_null(strstr(err.text, "\n"));
    options = (struct db_options){.sqlite_path = "/nonexistent/x.db"};
    assert_true(db_open(&options, &db, &err) < 0);
}

static void the_url_may_stand_in_a_file(void **state)
{
    (void)state;
    char path[] = "/tmp/cloister-url.XXXXXX";
    struct err err = {0};
    char *url = NULL;
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "postgresql://a/b\n", 17), 17);
    close(fd);
    unsetenv("DATABASE_URL");
    setenv("DATABASE_URL_FILE", path, 1);
    assert_int_equal(db_url_from_env(&url, &err), 0);
    assert_string_equal(url, "postgresql://a/b");
    free(url);
    setenv("DATABASE_URL", "postgresql://c/d", 1);
    assert_int_equal(db_url_from_env(&url, &err), 0);
    assert_string_equal(url, "postgresql://c/d");
    free(url);
    unlink(path);
    unsetenv("DATABASE_URL");
    assert_true(db_url_from_env(&url, &err) < 0);
    unsetenv("DATABASE_URL_FILE");
    assert_int_equal(db_url_from_env(&url, &err), 0);
    assert_null(url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_pool_refuses_after_its_time),
        cmocka_unit_test(connections_that_were_cut_are_replaced),
        cmocka_unit_test(a_connection_lost_in_a_transaction_is_a_fault_of_that_transaction_alone),
        cmocka_unit_test(statements_have_a_time),
        cmocka_unit_test(old_connections_are_replaced),
        cmocka_unit_test(nowhere_to_connect_to_is_told_at_once),
        cmocka_unit_test(the_url_may_stand_in_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
