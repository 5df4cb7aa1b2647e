#pragma once
/* What the rest of frontgw opens: the database and the contents. */

#include "frontgw/store/blob.h"
#include "frontgw/store/db.h"

struct gw_store {
    struct db *db;
    struct blobs *blobs;
    char *directory; /* for unlinked temporary files; NULL: /tmp */
};

struct gw_store_options {
    const char *state_dir;  /* holds frontgw.db and blobs/; made when absent */
    struct db_options db;   /* url NULL: SQLite in state_dir (sqlite_path is filled in here) */
    bool blobs_in_database; /* for several gateways on one PostgreSQL */
};

/**
 * gw_store_open() - and bring the schema up to date
 * @ret_migrated: migrations applied; may be NULL
 */
int gw_store_open(const struct gw_store_options *options, struct gw_store **ret, int *ret_migrated,
                  struct err *err);
struct gw_store *gw_store_close(struct gw_store *store);

/** gw_unavailable() - is @fault one that a later try may not meet (database gone, busy, timeout)?
 * For 503 rather than 500. */
bool gw_unavailable(int fault);
