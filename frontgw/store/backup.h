#pragma once
/*
 * One archive with everything, taken while the service runs, and back again. The same archive goes
 * into either database, so that it is also the way from SQLite to PostgreSQL.
 *
 * tar.gz: manifest.json, tables/NAME.jsonl (a row a line, as an array), blobs/SHA256, complete.json
 * with the counts. All rows come from one snapshot. Contents never change and are not swept while a
 * backup runs.
 */

#include "frontgw/store/store.h"

#define BACKUP_FORMAT 1

struct backup_counts {
    uint64_t rows, blobs, bytes;
};

/** backup_write() - to @path, which appears whole or not at all (mode 0600). */
int backup_write(struct gw_store *store, const char *path, uint64_t now_ms,
                 struct backup_counts *ret, struct err *err);
/**
 * backup_read() - into a store without any account (-ENOTEMPTY), in one transaction
 *
 * Every content is held against its name, and the counts against complete.json: a cut or changed
 * archive is refused (-EBADMSG), and so is one of another schema version (-EPROTO).
 */
int backup_read(struct gw_store *store, const char *path, uint64_t now_ms,
                struct backup_counts *ret, struct err *err);
