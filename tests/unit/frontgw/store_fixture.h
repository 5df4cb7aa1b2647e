#pragma once
/* Both databases for a test: SQLite in a directory of its own, PostgreSQL as TEST_POSTGRES_URL
 * names it (tests/support/with_postgres.sh starts one). Each fixture begins with an empty database.
 */

#include "frontgw/store/db.h"

enum fixture_kind { FIXTURE_SQLITE, FIXTURE_POSTGRES, FIXTURE_KINDS };

struct fixture {
    enum fixture_kind kind;
    char dir[64];
    char sqlite_path[96];
    struct db_options options;
    struct db *db;
};

/** fixture_open() - opened, not migrated. Fails the test when the database cannot be had. */
void fixture_open(struct fixture *f, enum fixture_kind kind);
void fixture_close(struct fixture *f);
