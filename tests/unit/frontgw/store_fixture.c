#include "store_fixture.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void empty_postgres(struct fixture *f)
{
    struct err err = {0};
    struct db_tx *tx = NULL;
    if (db_begin(f->db, DB_WRITE, &tx, &err))
        fail_msg("%s", err.text);
    assert_int_equal(db_script(tx, "DROP SCHEMA public CASCADE; CREATE SCHEMA public"), 0);
    assert_int_equal(db_commit(&tx, &err), 0);
}

void fixture_open(struct fixture *f, enum fixture_kind kind)
{
    struct err err = {0};
    memset(f, 0, sizeof(*f));
    f->kind = kind;
    snprintf(f->dir, sizeof(f->dir), "/tmp/cloister-store.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->sqlite_path, sizeof(f->sqlite_path), "%s/frontgw.db", f->dir);
    f->options.sqlite_path = f->sqlite_path;
    f->options.pool_min = 1; /* tests begin with many databases */
    if (kind == FIXTURE_POSTGRES) {
        f->options.url = getenv("TEST_POSTGRES_URL");
        if (!f->options.url)
            fail_msg(
                "TEST_POSTGRES_URL is not set: run this through tests/support/with_postgres.sh");
    }
    if (db_open(&f->options, &f->db, &err))
        fail_msg("%s", err.text);
    if (kind == FIXTURE_POSTGRES)
        empty_postgres(f);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

void fixture_close(struct fixture *f)
{
    f->db = db_close(f->db);
    nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
