#include "frontgw/store/db.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>

#define LOCK_KEY "4801320156" /* any number, the same in every gateway */

static int lock_schema(struct db *db, struct db_tx *tx)
{
    /* On SQLite the write transaction is the lock. */
    if (!strcmp(db_dialect(db), "postgresql")) {
        int r = db_script(tx, "SELECT pg_advisory_xact_lock(" LOCK_KEY ")");
        if (r)
            return r;
    }
    return db_script(
        tx, "CREATE TABLE IF NOT EXISTS schema_migrations ("
            "version BIGINT PRIMARY KEY, checksum TEXT NOT NULL, applied_ms BIGINT NOT NULL)");
}

/* Holds what the database says it has against what this program knows. */
static int check_applied(struct db_tx *tx, int *ret_version, struct err *err)
{
    AUTO_ROWS struct db_rows rows = {0};
    int known = 0, version = 0;
    while (db_migrations[known].version)
        known++;
    db_query_text(tx, "SELECT version, checksum FROM schema_migrations ORDER BY version", &rows,
                  NULL, 0);
    while (db_next(&rows)) {
        version = (int)db_i64(&rows, 0);
        if (version < 1 || version > known)
            return err_set(err, -EPROTO,
                           "the database has schema %d, this program knows up to %d: use a newer "
                           "frontgw",
                           version, known);
        if (strcmp(db_text(&rows, 1), db_migrations[version - 1].checksum) != 0)
            return err_set(err, -EPROTO,
                           "migration %d was applied with another text than this program has",
                           version);
    }
    *ret_version = version;
    return db_fault(tx, err);
}

static int apply(struct db *db, struct db_tx *tx, const struct db_migration *m)
{
    bool sqlite = !strcmp(db_dialect(db), "sqlite");
    int r = db_script(tx, sqlite ? m->sqlite : m->pg);
    if (r)
        return r;
    AUTO_ROWS struct db_rows rows = {0};
    const struct db_arg args[] = {DB_I(m->version), DB_T(m->checksum), DB_I(clock_wall_ms())};
    db_query_text(tx,
                  sqlite ? "INSERT INTO schema_migrations VALUES (?1, ?2, ?3)"
                         : "INSERT INTO schema_migrations VALUES ($1, $2, $3)",
                  &rows, args, 3);
    while (db_next(&rows))
        continue;
    return db_fault(tx, NULL);
}

int db_migrate(struct db *db, int *ret_applied, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    int r = db_begin(db, DB_WRITE, &tx, err);
    if (r)
        return r;
    if (lock_schema(db, tx))
        return db_fault(tx, err);
    int version = 0;
    r = check_applied(tx, &version, err);
    if (r)
        return r;
    int applied = 0;
    for (const struct db_migration *m = db_migrations; m->version; m++) {
        if (m->version <= version)
            continue;
        if (apply(db, tx, m)) {
            r = db_fault(tx, err);
            err_prefix(err, "migration %s", m->name);
            return r;
        }
        applied++;
    }
    r = db_commit(&tx, err);
    if (!r && ret_applied)
        *ret_applied = applied;
    return r;
}
