/* Packing: what a program left behind becomes a stream. Everything in the tree is of its making. */
#include "sandbox/init_files.h"

#include "sandbox/init_walk.h"

#define BUFFER_SIZE 65536

struct pack {
    int pipe_fd;
    struct files_caps left;
    const struct files_snapshot *snapshot;
    uint32_t skipped;
    size_t used;
    uint8_t buffer[BUFFER_SIZE];
};

static int flush(struct pack *p)
{
    size_t at = 0;
    while (at < p->used) {
        long n = raw_write(p->pipe_fd, p->buffer + at, p->used - at);
        if (n > 0)
            at += (size_t)n;
        else if (n == -EAGAIN)
            wait_ready(p->pipe_fd, POLLOUT);
        else if (n != -EINTR)
            return n < 0 ? (int)n : -EIO;
    }
    p->used = 0;
    return 0;
}

static int put(struct pack *p, const void *bytes, size_t len)
{
    if (len > BUFFER_SIZE - p->used) {
        int r = flush(p);
        if (r < 0)
            return r;
    }
    memcpy(p->buffer + p->used, bytes, len); /* a record's head is far smaller than the buffer */
    p->used += len;
    return 0;
}

struct record {
    enum fs_type type;
    const char *path;
    uint32_t mode;
    int status;
    uint64_t size;
};

static int put_record(struct pack *p, const struct record *record)
{
    size_t len = strlen(record->path);
    struct fs_header header = {
        .magic = FS_MAGIC,
        .type = (uint16_t)record->type,
        .path_len = (uint16_t)len,
        .mode = record->mode,
        .status = record->status,
        .size = record->size,
    };
    int r = put(p, &header, sizeof(header));
    return r < 0 ? r : put(p, record->path, len);
}

static int has_control(const char *path)
{
    while (*path && !is_control(*path))
        path++;
    return *path != 0;
}

static int put_skipped(struct pack *p, const char *path, int status, uint64_t size)
{
    static char shown[FS_PATH_MAX + 1];
    size_t len = 0;
    if (p->skipped == FILES_SKIPPED_MAX)
        return 0;
    p->skipped++;
    for (; path[len]; len++)
        shown[len] = is_control(path[len]) ? '?' : path[len];
    shown[len] = 0;
    return put_record(p, &(struct record){FS_SKIPPED, shown, 0, status, size});
}

static const struct files_entry *snapshot_find(const struct files_snapshot *s, const char *path)
{
    if (!s)
        return NULL;
    uint64_t hash = fnv1a(FNV_START, path, strlen(path));
    uint32_t i = s->buckets[hash % FILES_BUCKETS];
    while (i && s->entries[i - 1].path_hash != hash)
        i = s->entries[i - 1].next;
    return i ? &s->entries[i - 1] : NULL;
}

/* Return: 1 when @fd holds what the entry says, 0 when not (or it can't be read, or rewound). */
static int same_content(struct pack *p, int fd, const struct files_entry *entry)
{
    uint64_t hash = FNV_START, size = entry->size;
    if (flush(p) < 0)
        return 0; /* the next write says so again */
    while (size) {
        long n = raw_read(fd, p->buffer, size < BUFFER_SIZE ? (size_t)size : BUFFER_SIZE);
        if (n == -EINTR)
            continue;
        if (n <= 0)
            break;
        hash = fnv1a(hash, p->buffer, (size_t)n);
        size -= (uint64_t)n;
    }
    if (size == 0 && hash == entry->content_hash)
        return 1;
    raw_lseek(fd, 0, 0 /* SEEK_SET */);
    return 0;
}

static int may_be_same(const struct files_entry *entry, const struct statx *stx)
{
    return entry && entry->size == stx->stx_size && entry->mode == (stx->stx_mode & 07777U);
}

/* Exactly stx_size bytes follow the header, whatever happens to the file. Return: as files_pack().
 */
static int put_content(struct pack *p, int fd, uint64_t size, int *ret_broken)
{
    *ret_broken = 0;
    while (size) {
        int r = p->used == BUFFER_SIZE ? flush(p) : 0;
        if (r < 0)
            return r;
        size_t room = BUFFER_SIZE - p->used;
        room = room < size ? room : (size_t)size;
        long n = 0;
        if (!*ret_broken) {
            n = raw_read(fd, p->buffer + p->used, room);
            if (n == -EINTR)
                continue;
            *ret_broken = n < 0 ? (int)n : n == 0 ? -EIO : 0;
        }
        if (*ret_broken) {
            memset(p->buffer + p->used, 0, room);
            n = (long)room;
        }
        p->used += (size_t)n;
        size -= (uint64_t)n;
    }
    return 0;
}

static int put_file(struct pack *p, int fd, const char *path, const struct statx *stx)
{
    int broken;
    p->left.max_files--;
    p->left.max_bytes -= stx->stx_size;
    int r = put_record(p, &(struct record){FS_FILE, path, stx->stx_mode & 0777U, 0, stx->stx_size});
    if (r == 0)
        r = put_content(p, fd, stx->stx_size, &broken);
    if (r == 0 && broken)
        r = put_record(p, &(struct record){FS_BROKEN, path, 0, broken, stx->stx_size});
    return r;
}

/* @fd is open: what it is can't be exchanged any more. */
static int pack_open_file(struct pack *p, int fd, const char *path)
{
    struct statx stx;
    int r = raw_statx(fd, "", AT_EMPTY_PATH, FILES_STATX_MASK, &stx);
    if (r < 0)
        return put_skipped(p, path, r, 0);
    if (!S_ISREG(stx.stx_mode))
        return 0;
    const struct files_entry *entry = snapshot_find(p->snapshot, path);
    if (may_be_same(entry, &stx) && same_content(p, fd, entry))
        return 0;
    if (p->left.max_files == 0 || stx.stx_size > p->left.max_bytes)
        return put_skipped(p, path, -EFBIG, stx.stx_size);
    return put_file(p, fd, path, &stx);
}

static int pack_entry(void *arg, int dir_fd, const char *name, const char *path)
{
    struct pack *p = arg;
    struct statx stx;
    int r = raw_statx(dir_fd, name, AT_SYMLINK_NOFOLLOW, FILES_STATX_MASK, &stx);
    if (r < 0)
        return r == -ENOENT ? 0 : put_skipped(p, path, r, 0);
    if (!S_ISREG(stx.stx_mode))
        return 0; /* opening a FIFO would wait, opening a device could do anything */
    if (has_control(path))
        return put_skipped(p, path, -EILSEQ, stx.stx_size);
    int fd = open_beneath(dir_fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    if (fd == -ENOENT || fd == -ELOOP || fd == -EXDEV)
        return 0; /* exchanged while we looked, or a mount of the operator's */
    if (fd < 0)
        return put_skipped(p, path, fd, stx.stx_size);
    r = pack_open_file(p, fd, path);
    raw_close(fd);
    return r;
}

static int pack_closed(void *arg, const char *path, int code)
{
    return code == -EXDEV ? 0 : put_skipped(arg, path, code, 0);
}

int files_pack(int pipe_fd, int dir_fd, const struct files_caps *caps,
               const struct files_snapshot *snapshot)
{
    static struct pack pack;
    struct pack *p = &pack;
    p->pipe_fd = pipe_fd;
    p->left = *caps;
    p->snapshot = snapshot;
    p->skipped = 0;
    p->used = 0;

    struct walk_visitor visitor = {.arg = p, .entry = pack_entry, .closed = pack_closed};
    int walked = walk_tree(dir_fd, &visitor);
    const char *words = walked < 0 ? "the workspace can't be read to its end" : "";
    int r = put_record(p, &(struct record){FS_END, words, 0, walked < 0 ? walked : 0, 0});
    if (r == 0)
        r = flush(p);
    return walked < 0 ? walked : r;
}

struct find {
    uint64_t size;
    int found;
};

static int find_entry(void *arg, int dir_fd, const char *name, const char *path)
{
    struct find *find = arg;
    struct statx stx;
    (void)path;
    int r = raw_statx(dir_fd, name, AT_SYMLINK_NOFOLLOW, STATX_TYPE | STATX_SIZE, &stx);
    if (r == 0 && S_ISREG(stx.stx_mode) && stx.stx_size == find->size) {
        find->found = 1;
        return -ECANCELED; /* ends the walk */
    }
    return 0;
}

static int find_closed(void *arg, const char *path, int code)
{
    (void)arg, (void)path, (void)code;
    return 0;
}

int files_find(int dir_fd, uint64_t size)
{
    struct find find = {.size = size};
    struct walk_visitor visitor = {.arg = &find, .entry = find_entry, .closed = find_closed};
    int r = walk_tree(dir_fd, &visitor);
    return find.found ? 1 : r;
}
