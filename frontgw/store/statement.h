#pragma once
/* The tables that gen_statements.py writes: every statement, table and migration, in both dialects.
 */

#include "statements_gen.h"

struct db_statement_info {
    const char *name;
    const char *sqlite;
    const char *pg;
    const char *params; /* a letter each: t text, i integer, b bytes */
    const char *scan;   /* why a full scan is meant, or NULL */
};

/* For backup and restore, in an order in which loading satisfies every foreign key. */
struct db_table_info {
    const char *name;
    const char *columns; /* a letter each, as in params */
    enum db_statement dump;
    enum db_statement load;
};

struct db_migration {
    int version;
    const char *name;
    const char *checksum; /* SHA-256 of the file, hex */
    const char *sqlite;
    const char *pg;
};

extern const struct db_statement_info db_statements[SQL_COUNT];
extern const struct db_table_info db_tables[];    /* ends with name NULL */
extern const struct db_migration db_migrations[]; /* ends with version 0 */
