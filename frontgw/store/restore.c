#include "frontgw/store/backup.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define ENTRY_MAX (64u << 20) /* a content; tables are read line by line */
#define LINE_MAX_ (1u << 20)

struct reader {
    struct gw_store *store;
    struct archive *archive;
    struct db_tx *tx;
    struct backup_counts counts;
    bool manifest, complete;
    uint64_t now_ms;
};

#define damaged(...) err_set(err, -EBADMSG, __VA_ARGS__)

/* The entry's bytes, at most @max, with a NUL after them. */
static int read_entry(struct reader *rd, size_t max, char **ret, size_t *ret_len, struct err *err)
{
    AUTO_FREE char *bytes = NULL;
    size_t len = 0, room = 0;
    for (;;) {
        if (len == room) {
            room = room ? room * 2 : 65536;
            void *grown = room <= 2 * max ? realloc(bytes, room + 1) : NULL;
            if (!grown)
                return damaged("an entry of the backup is too large");
            bytes = grown;
        }
        la_ssize_t n = archive_read_data(rd->archive, bytes + len, room - len);
        if (n < 0)
            return damaged("the backup is damaged: %s", archive_error_string(rd->archive));
        if (n == 0)
            break;
        len += (size_t)n;
    }
    bytes[len] = 0;
    *ret = take_ptr(bytes);
    *ret_len = len;
    return 0;
}

static int read_object(struct reader *rd, json_t **ret, struct err *err)
{
    AUTO_FREE char *text = NULL;
    size_t len = 0;
    int r = read_entry(rd, 1 << 20, &text, &len, err);
    if (r)
        return r;
    *ret = json_loadb(text, len, 0, NULL);
    return *ret ? 0 : damaged("the backup is damaged: no JSON where there should be");
}

static int64_t number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static int read_manifest(struct reader *rd, struct err *err)
{
    json_t *json = NULL;
    int schema = 0, r = read_object(rd, &json, err);
    if (r)
        return r;
    while (db_migrations[schema].version)
        schema++;
    if (number(json, "format") != BACKUP_FORMAT || number(json, "schema") != schema)
        r = err_set(
            err, -EPROTO,
            "the backup has format %lld and schema %lld, this program %d and %d: restore it "
            "with the frontgw that made it, then upgrade",
            (long long)number(json, "format"), (long long)number(json, "schema"), BACKUP_FORMAT,
            schema);
    rd->manifest = !r;
    json_decref(json);
    return r;
}

static int read_complete(struct reader *rd, struct err *err)
{
    json_t *json = NULL;
    int r = read_object(rd, &json, err);
    if (r)
        return r;
    if (number(json, "rows") != (int64_t)rd->counts.rows ||
        number(json, "blobs") != (int64_t)rd->counts.blobs)
        r = damaged("the backup should hold %lld rows and %lld contents, %llu and %llu are there",
                    (long long)number(json, "rows"), (long long)number(json, "blobs"),
                    (unsigned long long)rd->counts.rows, (unsigned long long)rd->counts.blobs);
    rd->complete = !r;
    json_decref(json);
    return r;
}

static int load_row(struct reader *rd, const struct db_table_info *table, const char *line,
                    size_t len, struct err *err)
{
    struct db_arg args[24];
    size_t n = strlen(table->columns);
    json_t *row = json_loadb(line, len, 0, NULL);
    bool ok = row && json_is_array(row) && json_array_size(row) == n && n <= 24;
    for (size_t i = 0; ok && i < n; i++) {
        const json_t *value = json_array_get(row, i);
        char type = table->columns[i];
        if (json_is_null(value))
            args[i] = (struct db_arg){.type = type, .is_null = true};
        else if (type == 'i' && json_is_integer(value))
            args[i] = DB_I(json_integer_value(value));
        else if (type == 't' && json_is_string(value))
            args[i] = DB_T(json_string_value(value));
        else
            ok = false;
    }
    if (ok)
        db_exec_args(rd->tx, table->load, args, n);
    json_decref(row);
    rd->counts.rows++;
    return ok ? db_fault(rd->tx, err) : damaged("a row of %s is damaged", table->name);
}

/* Lines are put together from whatever pieces the archive gives. */
static int load_table(struct reader *rd, const struct db_table_info *table, struct err *err)
{
    AUTO_FREE char *buffer = malloc(LINE_MAX_);
    size_t len = 0;
    if (!buffer)
        return err_set(err, -ENOMEM, "restore: %m");
    for (;;) {
        la_ssize_t n = archive_read_data(rd->archive, buffer + len, LINE_MAX_ - len);
        if (n < 0)
            return damaged("the backup is damaged: %s", archive_error_string(rd->archive));
        if (n == 0)
            return len ? damaged("a row of %s is cut or too long", table->name) : 0;
        len += (size_t)n;
        char *start = buffer, *end;
        while ((end = memchr(start, '\n', len - (size_t)(start - buffer)))) {
            int r = load_row(rd, table, start, (size_t)(end - start), err);
            if (r)
                return r;
            start = end + 1;
        }
        len -= (size_t)(start - buffer);
        memmove(buffer, start, len);
    }
}

static int load_blob(struct reader *rd, const char *name, struct err *err)
{
    AUTO_FREE char *bytes = NULL;
    char hash[SHA256_SIZE];
    size_t len = 0;
    int r = read_entry(rd, ENTRY_MAX, &bytes, &len, err);
    if (!r)
        r = blob_stage(rd->store->blobs, bytes, len, hash, err);
    if (r)
        return r;
    if (strcmp(hash, name) != 0)
        return damaged("content %s is not what its name says", name);
    if (!blobs_directory(rd->store->blobs))
        db_exec(rd->tx, SQL_BLOB_DATA_PUT, DB_T(hash), DB_B(bytes, len));
    rd->counts.blobs++;
    rd->counts.bytes += len;
    return db_fault(rd->tx, err);
}

static int load_entry(struct reader *rd, const char *path, struct err *err)
{
    if (!strcmp(path, "manifest.json"))
        return read_manifest(rd, err);
    if (!rd->manifest)
        return damaged("this is no backup of frontgw: it does not begin with a manifest");
    if (!strcmp(path, "complete.json"))
        return read_complete(rd, err);
    if (!strncmp(path, "blobs/", 6))
        return load_blob(rd, path + 6, err);
    for (const struct db_table_info *t = db_tables; t->name; t++) {
        size_t len = strlen(t->name);
        if (!strncmp(path, "tables/", 7) && !strncmp(path + 7, t->name, len) &&
            !strcmp(path + 7 + len, ".jsonl"))
            return load_table(rd, t, err);
    }
    return damaged("the backup holds something unknown: %.100s", path);
}

static int load_all(struct reader *rd, struct err *err)
{
    struct archive_entry *entry = NULL;
    int code = 0;
    while ((code = archive_read_next_header(rd->archive, &entry)) == ARCHIVE_OK) {
        const char *path = archive_entry_pathname(entry);
        int r = load_entry(rd, path ? path : "", err);
        if (r)
            return r;
    }
    if (code != ARCHIVE_EOF)
        return damaged("the backup is damaged: %s", archive_error_string(rd->archive));
    return rd->complete ? 0 : damaged("the backup is cut: its end is missing");
}

static int must_be_empty(struct db_tx *tx, struct err *err)
{
    AUTO_ROWS struct db_rows rows = {0};
    db_query(tx, SQL_ACCOUNT_ANY, &rows);
    if (db_next(&rows))
        return err_set(err, -ENOTEMPTY, "there are accounts already: restore into an empty store");
    db_exec(tx, SQL_AUDIT_HEAD_CLEAR); /* the one row that the schema begins with */
    return db_fault(tx, err);
}

static int read_from(struct reader *rd, int fd, struct err *err)
{
    rd->archive = archive_read_new();
    if (!rd->archive)
        return err_set(err, -ENOMEM, "restore: %m");
    archive_read_support_format_tar(rd->archive);
    archive_read_support_filter_gzip(rd->archive);
    int r = 0;
    if (archive_read_open_fd(rd->archive, fd, 65536) != ARCHIVE_OK)
        r = damaged("this is no backup: %s", archive_error_string(rd->archive));
    if (!r)
        r = db_begin(rd->store->db, DB_WRITE, &rd->tx, err);
    if (!r)
        r = must_be_empty(rd->tx, err);
    if (!r)
        r = load_all(rd, err);
    if (!r) {
        /* The archive was made under a hold of its own. */
        db_exec(rd->tx, SQL_SETTING_DELETE, DB_T(BLOBS_HELD_KEY));
        r = db_commit(&rd->tx, err);
    }
    db_rollback(&rd->tx);
    archive_read_free(rd->archive);
    return r;
}

int backup_read(struct gw_store *store, const char *path, uint64_t now_ms,
                struct backup_counts *ret, struct err *err)
{
    struct reader rd = {.store = store, .now_ms = now_ms};
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, -errno, "open %s: %m", path);
    int r = read_from(&rd, fd, err);
    if (!r)
        *ret = rd.counts;
    return r;
}
