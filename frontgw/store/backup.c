#include "frontgw/store/backup.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define HELD_MS (6ull * 3600 * 1000)
#define FETCH   "500"

struct writer {
    struct gw_store *store;
    struct archive *archive;
    struct db_tx *tx;
    struct backup_counts counts;
    uint64_t now_ms;
};

static int archive_fault(struct archive *archive, struct err *err)
{
    return err_set(err, -EIO, "backup: %s", archive_error_string(archive));
}

static int add_header(struct writer *w, const char *path, uint64_t size, struct err *err)
{
    struct archive_entry *entry = archive_entry_new();
    if (!entry)
        return err_set(err, -ENOMEM, "backup: %m");
    archive_entry_set_pathname(entry, path);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0600);
    archive_entry_set_size(entry, (la_int64_t)size);
    archive_entry_set_mtime(entry, (time_t)(w->now_ms / 1000), 0);
    int code = archive_write_header(w->archive, entry);
    archive_entry_free(entry);
    return code == ARCHIVE_OK ? 0 : archive_fault(w->archive, err);
}

static int add_bytes(struct writer *w, const void *bytes, size_t len, struct err *err)
{
    if (len && archive_write_data(w->archive, bytes, len) != (la_ssize_t)len)
        return archive_fault(w->archive, err);
    return 0;
}

static int add_json(struct writer *w, const char *path, json_t *json, struct err *err)
{
    AUTO_FREE char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!text)
        return err_set(err, -ENOMEM, "backup: %m");
    int r = add_header(w, path, strlen(text), err);
    return r ? r : add_bytes(w, text, strlen(text), err);
}

static int write_row(FILE *file, const struct db_rows *rows, const char *columns, struct err *err)
{
    json_t *array = json_array();
    for (int i = 0; array && columns[i]; i++) {
        json_t *value = db_is_null(rows, i) ? json_null()
                        : columns[i] == 'i' ? json_integer(db_i64(rows, i))
                                            : json_string(db_text(rows, i));
        json_array_append_new(array, value);
    }
    bool ok = array && json_array_size(array) == strlen(columns) &&
              json_dumpf(array, file, JSON_COMPACT) == 0 && fputc('\n', file) != EOF;
    json_decref(array);
    return ok ? 0 : err_set(err, -EIO, "backup: a row could not be written");
}

/* SQLite gives rows one by one; PostgreSQL would give all at once, so there it is a cursor. */
static int each_page(struct writer *w, const struct db_table_info *table, FILE *file,
                     struct err *err)
{
    bool pg = !strcmp(db_dialect(w->store->db), "postgresql");
    char declare[2000];
    int r = 0, got = 0;
    if (pg) {
        snprintf(declare, sizeof(declare), "DECLARE backup NO SCROLL CURSOR FOR %s",
                 db_statements[table->dump].pg);
        db_script(w->tx, declare);
    }
    do {
        AUTO_ROWS struct db_rows rows = {0};
        if (pg)
            db_query_text(w->tx, "FETCH FORWARD " FETCH " FROM backup", &rows, NULL, 0);
        else
            db_query_args(w->tx, table->dump, &rows, NULL, 0);
        for (got = 0; !r && db_next(&rows); got++, w->counts.rows++)
            r = write_row(file, &rows, table->columns, err);
    } while (!r && pg && got && !db_fault(w->tx, NULL));
    if (pg && !r)
        db_script(w->tx, "CLOSE backup");
    return r ? r : db_fault(w->tx, err);
}

static int add_table(struct writer *w, const struct db_table_info *table, struct err *err)
{
    AUTO_FCLOSE FILE *file = tmpfile();
    char path[100], buffer[65536];
    size_t n = 0;
    if (!file)
        return err_set(err, -errno, "backup: temporary file: %m");
    int r = each_page(w, table, file, err);
    if (r)
        return r;
    snprintf(path, sizeof(path), "tables/%s.jsonl", table->name);
    long size = ftell(file);
    if (size < 0 || fseek(file, 0, SEEK_SET) < 0)
        return err_set(err, -errno, "backup: %m");
    r = add_header(w, path, (uint64_t)size, err);
    while (!r && (n = fread(buffer, 1, sizeof(buffer), file)) > 0)
        r = add_bytes(w, buffer, n, err);
    return r;
}

static int add_blob(struct writer *w, const char *hash, struct err *err)
{
    AUTO_FREE char *bytes = NULL;
    char path[SHA256_SIZE + 8];
    size_t len = 0;
    int r = blob_read(w->store->blobs, w->tx, hash, &bytes, &len, err);
    if (r)
        return r;
    snprintf(path, sizeof(path), "blobs/%s", hash);
    w->counts.blobs++;
    w->counts.bytes += len;
    r = add_header(w, path, len, err);
    return r ? r : add_bytes(w, bytes, len, err);
}

static int add_blobs(struct writer *w, struct err *err)
{
    char last[SHA256_SIZE] = "";
    int r = 0;
    for (bool more = true; more && !r;) {
        AUTO_ROWS struct db_rows rows = {0};
        more = false;
        db_query(w->tx, SQL_BLOB_LIST_PAGE, &rows, DB_T(last), DB_I(200));
        while (!r && db_next(&rows)) {
            more = true;
            snprintf(last, sizeof(last), "%s", db_text(&rows, 0));
            r = add_blob(w, last, err);
        }
    }
    return r ? r : db_fault(w->tx, err);
}

static int schema_version(void)
{
    int version = 0;
    while (db_migrations[version].version)
        version++;
    return version;
}

static int write_all(struct writer *w, struct err *err)
{
    int r = add_json(w, "manifest.json",
                     json_pack("{si si sI ss}", "format", BACKUP_FORMAT, "schema", schema_version(),
                               "created_ms", (json_int_t)w->now_ms, "version", CLOISTER_VERSION),
                     err);
    for (const struct db_table_info *t = db_tables; !r && t->name; t++)
        if (strcmp(t->name, "blob_data") != 0) /* contents follow by themselves */
            r = add_table(w, t, err);
    if (!r)
        r = add_blobs(w, err);
    if (!r)
        r = add_json(w, "complete.json",
                     json_pack("{sI sI sI}", "rows", (json_int_t)w->counts.rows, "blobs",
                               (json_int_t)w->counts.blobs, "bytes", (json_int_t)w->counts.bytes),
                     err);
    return r;
}

/* Nothing is swept until @until_ms; 0 ends it. */
static int hold(struct gw_store *store, uint64_t until_ms, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    char text[24];
    int r = db_begin(store->db, DB_WRITE, &tx, err);
    if (r)
        return r;
    snprintf(text, sizeof(text), "%llu", (unsigned long long)until_ms);
    if (until_ms)
        db_exec(tx, SQL_SETTING_PUT, DB_T(BLOBS_HELD_KEY), DB_T(text));
    else
        db_exec(tx, SQL_SETTING_DELETE, DB_T(BLOBS_HELD_KEY));
    return db_commit(&tx, err);
}

static int write_to(struct writer *w, int fd, struct err *err)
{
    w->archive = archive_write_new();
    if (!w->archive)
        return err_set(err, -ENOMEM, "backup: %m");
    int r = 0;
    if (archive_write_set_format_pax_restricted(w->archive) != ARCHIVE_OK ||
        archive_write_add_filter_gzip(w->archive) != ARCHIVE_OK ||
        archive_write_open_fd(w->archive, fd) != ARCHIVE_OK)
        r = archive_fault(w->archive, err);
    if (!r)
        r = db_begin(w->store->db, DB_SNAPSHOT, &w->tx, err);
    if (!r)
        r = write_all(w, err);
    db_rollback(&w->tx);
    if (!r && archive_write_close(w->archive) != ARCHIVE_OK)
        r = archive_fault(w->archive, err);
    archive_write_free(w->archive);
    return r;
}

static int sync_directory_of(const char *path, struct err *err)
{
    char dir[4096];
    const char *slash = strrchr(path, '/');
    snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    AUTO_CLOSE int fd = open(*dir ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return err_set(err, -errno, "sync %s: %m", dir);
    return 0;
}

int backup_write(struct gw_store *store, const char *path, uint64_t now_ms,
                 struct backup_counts *ret, struct err *err)
{
    struct writer w = {.store = store, .now_ms = now_ms};
    char partial[4096];
    if (snprintf(partial, sizeof(partial), "%s.partial", path) >= (int)sizeof(partial))
        return err_set(err, -ENAMETOOLONG, "backup: %m");
    AUTO_CLOSE int fd = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set(err, -errno, "create %s: %m", partial);
    int r = hold(store, now_ms + HELD_MS, err);
    if (!r)
        r = write_to(&w, fd, err);
    if (!r)
        r = hold(store, 0, err);
    if (!r && (fsync(fd) < 0 || rename(partial, path) < 0))
        r = err_set(err, -errno, "write %s: %m", path);
    if (r) {
        unlink(partial);
        return r;
    }
    *ret = w.counts;
    return sync_directory_of(path, err);
}
