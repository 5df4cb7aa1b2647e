/*
 * Archives from outside. Two passes in one: everything is read, checked and staged first (with
 * bounds on count, size and expansion), and only then one transaction makes the files. What an
 * archive says of owners, modes, times and links is not looked at, but for refusing whatever is no
 * plain file or directory.
 */
#include "frontgw/files/archive.h"
#include "frontgw/files/node_row.h"
#include "frontgw/people/audit.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define ENTRIES_MAX   20000
#define EXPANSION_MAX 100
#define SMALL_BYTES   (1u << 20) /* below this, any ratio is harmless */

struct item {
    char *path;
    bool is_dir;
    char hash[SHA256_SIZE];
    size_t size;
    char *bytes; /* kept only when contents live in the database */
};

struct intake {
    struct gw_files *files;
    struct archive *archive;
    const char *directory;
    struct item *items;
    size_t n;
    uint64_t packed, total, total_max;
    size_t n_max;
};

static void intake_done(struct intake *in)
{
    for (size_t i = 0; i < in->n; i++) {
        free(in->items[i].path);
        free(in->items[i].bytes);
    }
    free(in->items);
    if (in->archive)
        archive_read_free(in->archive);
}

#define refuse(...) gw_refuse(err, GW_PROBLEM_INVALID_VALUE, __VA_ARGS__)

static int open_archive(struct intake *in, int fd, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_set(err, -errno, "archive: %m");
    in->packed = (uint64_t)st.st_size;
    in->archive = archive_read_new();
    if (!in->archive)
        return err_set(err, -ENOMEM, "archive: %m");
    /* By its directory at the end, which a cut archive does not have. */
    archive_read_support_format_zip_seekable(in->archive);
    archive_read_support_format_tar(in->archive);
    archive_read_support_filter_gzip(in->archive);
    archive_read_support_filter_xz(in->archive);
    if (archive_read_open_fd(in->archive, fd, 65536) != ARCHIVE_OK)
        return refuse("this is no zip or tar archive");
    return 0;
}

/* "./a/b/" is a/b; "" is the root itself, which is skipped. */
static int clean_path(struct intake *in, struct archive_entry *entry, char ret[PATH_MAX_BYTES + 1],
                      struct err *err)
{
    struct gw_path checked;
    const char *name = archive_entry_pathname_utf8(entry);
    if (!name)
        name = archive_entry_pathname(entry);
    if (!name)
        return refuse("a name in the archive is not UTF-8");
    while (name[0] == '.' && name[1] == '/')
        name += 2;
    size_t len = strlen(name);
    while (len && name[len - 1] == '/')
        len--;
    ret[0] = 0;
    if (len == 0 || (len == 1 && name[0] == '.'))
        return *name == '/' ? refuse("a path in the archive is absolute") : 0;
    int n = snprintf(ret, PATH_MAX_BYTES + 1, "%s%s%.*s", in->directory, *in->directory ? "/" : "",
                     (int)(len < 4096 ? len : 4096), name);
    if (n < 0 || n > PATH_MAX_BYTES)
        return refuse("a path in the archive is too long");
    return gw_path_parse(ret, &checked, err);
}

static int too_much(const struct intake *in, struct err *err)
{
    if (in->total > in->total_max)
        return gw_refuse(err, GW_PROBLEM_QUOTA, "the archive holds more than there is room for");
    if (in->total > SMALL_BYTES && in->total > in->packed * EXPANSION_MAX)
        return refuse("the archive unpacks to more than %d times its size", EXPANSION_MAX);
    return 0;
}

/* What the headers say of the size is not believed: it is counted while it comes. */
static int read_file(struct intake *in, char **ret, size_t *ret_len, struct err *err)
{
    AUTO_FREE char *bytes = NULL;
    size_t len = 0, room = 0;
    for (;;) {
        if (len == room) {
            room = room ? room * 2 : 65536;
            void *grown = realloc(bytes, room + 1);
            if (!grown)
                return err_set(err, -ENOMEM, "archive: %m");
            bytes = grown;
        }
        la_ssize_t n = archive_read_data(in->archive, bytes + len, room - len);
        if (n < 0)
            return refuse("the archive is damaged or encrypted");
        if (n == 0)
            break;
        len += (size_t)n;
        in->total += (uint64_t)n;
        if (len > FILE_MAX_BYTES)
            return gw_refuse(err, GW_PROBLEM_TOO_LARGE, "a file in the archive is above %u bytes",
                             FILE_MAX_BYTES);
        int r = too_much(in, err);
        if (r)
            return r;
    }
    *ret = take_ptr(bytes);
    *ret_len = len;
    return 0;
}

static struct item *new_item(struct intake *in, const char *path)
{
    void *grown = realloc(in->items, (in->n + 1) * sizeof(struct item));
    if (!grown)
        return NULL;
    in->items = grown;
    struct item *item = &in->items[in->n];
    *item = (struct item){.path = strdup(path)};
    if (!item->path)
        return NULL;
    in->n++;
    return item;
}

static int take_entry(struct intake *in, struct archive_entry *entry, struct err *err)
{
    AUTO_FREE char *bytes = NULL;
    char path[PATH_MAX_BYTES + 1];
    unsigned type = archive_entry_filetype(entry);
    int r = clean_path(in, entry, path, err);
    if (r || !*path)
        return r;
    if (archive_entry_hardlink(entry) || archive_entry_symlink(entry) ||
        (type != AE_IFREG && type != AE_IFDIR))
        return refuse("the archive holds something that is neither file nor directory");
    if (archive_entry_is_encrypted(entry))
        return refuse("the archive is encrypted");
    if (in->n >= in->n_max)
        return gw_refuse(err, GW_PROBLEM_QUOTA,
                         "the archive holds more files than there is room for");
    struct item *item = new_item(in, path);
    if (!item)
        return err_set(err, -ENOMEM, "archive: %m");
    item->is_dir = type == AE_IFDIR;
    if (item->is_dir)
        return 0;
    r = read_file(in, &bytes, &item->size, err);
    if (!r)
        r = blob_stage(in->files->store->blobs, bytes, item->size, item->hash, err);
    if (!r && !blobs_directory(in->files->store->blobs))
        item->bytes = take_ptr(bytes);
    return r;
}

static int take_all(struct intake *in, struct err *err)
{
    struct archive_entry *entry = NULL;
    int code = 0;
    while ((code = archive_read_next_header(in->archive, &entry)) == ARCHIVE_OK ||
           code == ARCHIVE_WARN) {
        int r = take_entry(in, entry, err);
        if (r)
            return r;
    }
    return code == ARCHIVE_EOF ? 0 : refuse("the archive is damaged, or of a kind not taken here");
}

struct counts {
    json_int_t files, directories, unchanged;
};

static int put_file(struct gw_change *c, struct intake *in, const struct item *item,
                    struct gw_node *node, bool exists, struct counts *counts, struct err *err)
{
    const struct gw_save save = {.cause = GW_CAUSE_UPLOAD, .base_seq = -1};
    if (exists && node->is_dir)
        return gw_refuse(err, GW_PROBLEM_CONFLICT, "%s is a directory here", item->path);
    if (exists && !strcmp(node->hash, item->hash)) {
        counts->unchanged++;
        return 0;
    }
    int r = exists ? 0 : gw_node_insert(c, node, err);
    if (r)
        return r;
    blob_link(in->files->store->blobs, c->tx, item->hash, item->bytes, item->size,
              c->actor->now_ms);
    counts->files++;
    return gw_version_add(c, node, item->hash, (int64_t)item->size, &save, err);
}

static int put_item(struct gw_change *c, struct intake *in, const struct item *item,
                    struct counts *counts, struct err *err)
{
    AUTO_ROWS struct db_rows rows = {0};
    struct gw_node node = {.is_dir = item->is_dir};
    struct gw_path path;
    int r = gw_path_parse(item->path, &path, err);
    if (!r)
        r = gw_parents(c, &path, true, node.parent, err);
    if (r)
        return r;
    gw_text_copy(node.name, sizeof(node.name), path.parts[path.depth - 1]);
    db_query(c->tx, SQL_NODE_BY_NAME, &rows, DB_T(c->ws.id), DB_T(node.parent), DB_T(node.name));
    bool exists = db_next(&rows);
    if (exists)
        gw_node_of_row(&rows, &node);
    db_rows_done(&rows);
    if (!item->is_dir)
        return put_file(c, in, item, &node, exists, counts, err);
    if (exists)
        return node.is_dir ? 0
                           : gw_refuse(err, GW_PROBLEM_CONFLICT, "%s is a file here", item->path);
    counts->directories++;
    return gw_node_insert(c, &node, err);
}

/* How much could be taken at all; looked up before anything is unpacked. */
static int room(struct gw_files *files, const struct gw_actor *actor, const char *workspace,
                struct intake *in, struct err *err)
{
    AUTO_TX struct db_tx *tx = NULL;
    AUTO_ROWS struct db_rows rows = {0};
    struct gw_workspace ws = {0};
    int r = db_begin(files->store->db, DB_READ, &tx, err);
    if (!r)
        r = gw_workspace_open(tx, actor, workspace, GW_NEED_WRITE, &ws, err);
    if (r)
        return r;
    db_query(tx, SQL_QUOTA_GET, &rows, DB_T(ws.quota));
    if (!db_next(&rows))
        return db_fault(tx, err);
    in->total_max = (uint64_t)db_i64(&rows, 3);
    in->n_max = (size_t)db_i64(&rows, 4) < ENTRIES_MAX ? (size_t)db_i64(&rows, 4) : ENTRIES_MAX;
    return 0;
}

static int put_all(struct gw_files *files, const struct gw_actor *actor, const char *workspace,
                   struct intake *in, struct counts *counts, struct err *err)
{
    AUTO_CHANGE struct gw_change c = {0};
    int r = gw_change_begin(files, actor, workspace, &c, err);
    for (size_t i = 0; !r && i < in->n; i++)
        r = put_item(&c, in, &in->items[i], counts, err);
    if (r)
        return r;
    gw_quota_write(c.tx, &c.quota);
    AUDIT(c.tx, actor, .action = AUDIT_ARCHIVE_IN, .object = workspace, .course = c.ws.course,
          .role = c.ws.role);
    return db_commit(&c.tx, err);
}

int gw_archive_in(struct gw_files *files, const struct gw_actor *actor, const char *workspace,
                  const char *directory, int fd, json_t **ret, struct err *err)
{
    AUTO_LOCALE struct utf8_locale *locale = NULL;
    AUTO_HOLD struct blobs *held = files->store->blobs;
    CLEANUP(intake_done) struct intake in = {.files = files, .directory = directory};
    struct counts counts = {0};
    struct gw_path checked;
    blobs_hold(held);
    utf8_locale_enter(&locale);
    int r = *directory ? gw_path_parse(directory, &checked, err) : 0;
    if (!r)
        r = room(files, actor, workspace, &in, err);
    if (!r)
        r = open_archive(&in, fd, err);
    if (!r)
        r = take_all(&in, err);
    if (!r)
        r = put_all(files, actor, workspace, &in, &counts, err);
    if (r)
        return r;
    *ret = json_pack("{sI sI sI}", "files", counts.files, "directories", counts.directories,
                     "unchanged", counts.unchanged);
    return *ret ? 0 : err_set(err, -ENOMEM, "archive: %m");
}
