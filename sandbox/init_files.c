/* Unpacking: a stream becomes files. The sender is ours, and is not believed. */
#include "sandbox/init_files.h"

#include "sandbox/init_walk.h"

#define BUFFER_SIZE 65536

struct unpack {
    int pipe_fd, dir_fd;
    struct files_caps left;
    struct files_snapshot *snapshot;
    struct files_fault *fault;

    int parent_fd;     /* of the last record; dir_fd, or owned */
    size_t parent_len; /* its path is the start of the last path */
    char parent[FS_PATH_MAX + 1];
    char path[FS_PATH_MAX + 1];
    struct fs_header header;

    size_t at, end; /* bytes read and not used yet */
    uint8_t buffer[BUFFER_SIZE];
};

static int fail(struct unpack *u, int code, const char *words, const char *path)
{
    if (code == -ENOSPC || code == -EDQUOT)
        words = "the input files do not fit into the workspace";
    return fault_set(u->fault, code, words, path);
}

/* At least one byte into the buffer. */
static int fill(struct unpack *u)
{
    if (u->at < u->end)
        return 0;
    for (;;) {
        long n = raw_read(u->pipe_fd, u->buffer, sizeof(u->buffer));
        if (n > 0) {
            u->at = 0;
            u->end = (size_t)n;
            return 0;
        }
        if (n == 0)
            return fail(u, -EPROTO, "the stream of input files ends in the middle", NULL);
        if (n == -EAGAIN)
            wait_ready(u->pipe_fd, POLLIN);
        else if (n != -EINTR)
            return fail(u, (int)n, "can't read the stream of input files", NULL);
    }
}

static int take(struct unpack *u, void *into, size_t len)
{
    uint8_t *to = into;
    while (len) {
        int r = fill(u);
        if (r < 0)
            return r;
        size_t n = u->end - u->at < len ? u->end - u->at : len;
        memcpy(to, u->buffer + u->at, n);
        u->at += n;
        to += n;
        len -= n;
    }
    return 0;
}

/* Return: what is wrong with it, or NULL. */
static const char *path_wrong(const char *path, size_t len)
{
    size_t start = 0, parts = 0;
    if (len == 0)
        return "an input file has no name";
    for (size_t i = 0; i <= len; i++) {
        if (i < len && path[i] == 0)
            return "a path has a NUL byte in it";
        if (i < len && is_control(path[i]))
            return "a path has a control character in it";
        if (i < len && path[i] != '/')
            continue;
        size_t part = i - start;
        const char *p = path + start;
        if (part == 0)
            return "a path is absolute or has an empty part";
        if ((part == 1 && p[0] == '.') || (part == 2 && p[0] == '.' && p[1] == '.'))
            return "a path has a . or .. part";
        if (part > FS_NAME_MAX)
            return "a name is too long";
        if (++parts > FS_DEPTH_MAX)
            return "a path is too deep";
        start = i + 1;
    }
    return NULL;
}

static int take_header(struct unpack *u)
{
    struct fs_header *h = &u->header;
    int r = take(u, h, sizeof(*h));
    if (r < 0)
        return r;
    if (h->magic != FS_MAGIC)
        return fail(u, -EPROTO, "the stream of input files has no magic where a record starts",
                    NULL);
    if (h->path_len > FS_PATH_MAX)
        return fail(u, -EPROTO, "a path is too long", NULL);
    r = take(u, u->path, h->path_len);
    if (r < 0)
        return r;
    u->path[h->path_len] = 0;
    if (h->type == FS_END)
        return 0;
    if (h->type != FS_FILE && h->type != FS_DIR && h->type != FS_BROKEN)
        return fail(u, -EPROTO, "the stream of input files has a record of unknown type", NULL);
    const char *wrong = path_wrong(u->path, h->path_len);
    if (wrong)
        return fail(u, -EPROTO, wrong, u->path);
    if (h->mode > 0777)
        return fail(u, -EPROTO, "a mode has more than permission bits", u->path);
    if (h->type == FS_DIR && h->size)
        return fail(u, -EPROTO, "a directory has a size", u->path);
    return 0;
}

static void forget_parent(struct unpack *u)
{
    if (u->parent_fd != u->dir_fd)
        raw_close(u->parent_fd);
    u->parent_fd = u->dir_fd;
    u->parent_len = 0;
}

static void set_parent(struct unpack *u, int fd)
{
    if (u->parent_fd != u->dir_fd)
        raw_close(u->parent_fd);
    u->parent_fd = fd;
}

/* One more step down from the parent directory; made if it is not there. */
static int descend(struct unpack *u, const char *name)
{
    int r = raw_mkdirat(u->parent_fd, name, 0755);
    if (r < 0 && r != -EEXIST)
        return fail(u, r, "can't make a directory for the input file", u->path);
    int fd = open_beneath(u->parent_fd, name, O_PATH | O_DIRECTORY, 0);
    if (fd < 0)
        return fail(u, fd, "what should be a directory is none", u->path);
    set_parent(u, fd);
    return 0;
}

/* parent_fd becomes the directory of u->path, @ret_name its last part. Most records stay in one. */
static int go_to_parent(struct unpack *u, const char **ret_name)
{
    size_t len = u->header.path_len;
    while (len && u->path[len - 1] != '/')
        len--;
    *ret_name = u->path + len;
    if (len == u->parent_len && memcmp(u->path, u->parent, len) == 0)
        return 0;
    forget_parent(u);
    memcpy(u->parent, u->path, len);
    for (size_t i = 0, start = 0; i < len; i++) {
        if (u->parent[i] != '/')
            continue;
        u->parent[i] = 0;
        int r = descend(u, u->parent + start);
        u->parent[i] = '/';
        start = i + 1;
        if (r < 0)
            return r;
    }
    u->parent_len = len;
    return 0;
}

static int write_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len) {
        long n = raw_write(fd, bytes, len);
        if (n == -EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

static int write_content(struct unpack *u, int fd, uint64_t *ret_hash)
{
    uint64_t left = u->header.size, hash = FNV_START;
    while (left) {
        int r = fill(u);
        if (r < 0)
            return r;
        size_t n = u->end - u->at;
        n = n < left ? n : (size_t)left;
        r = write_all(fd, u->buffer + u->at, n);
        if (r < 0)
            return fail(u, r, "can't write the input file", u->path);
        hash = fnv1a(hash, u->buffer + u->at, n);
        u->at += n;
        left -= n;
    }
    *ret_hash = hash;
    return 0;
}

static void remember(struct unpack *u, uint64_t content_hash)
{
    struct files_snapshot *s = u->snapshot;
    if (!s || s->n == s->capacity)
        return;
    uint64_t path_hash = fnv1a(FNV_START, u->path, u->header.path_len);
    uint32_t *bucket = &s->buckets[path_hash % FILES_BUCKETS];
    s->entries[s->n] = (struct files_entry){
        .path_hash = path_hash,
        .content_hash = content_hash,
        .size = u->header.size,
        .mode = u->header.mode,
        .next = *bucket,
    };
    *bucket = ++s->n;
}

static int unpack_file(struct unpack *u, const char *name)
{
    int fd = open_beneath(u->parent_fd, name, O_WRONLY | O_CREAT | O_EXCL, u->header.mode);
    if (fd == -EEXIST)
        return fail(u, fd, "an input file is there twice", u->path);
    if (fd < 0)
        return fail(u, fd, "can't make the input file", u->path);
    uint64_t hash = 0;
    int r = write_content(u, fd, &hash);
    raw_close(fd);
    if (r == 0)
        remember(u, hash);
    return r;
}

static int unpack_dir(struct unpack *u, const char *name)
{
    int r = raw_mkdirat(u->parent_fd, name, u->header.mode | 0700);
    if (r == -EEXIST) {
        int fd = open_beneath(u->parent_fd, name, O_RDONLY | O_DIRECTORY, 0);
        r = fd < 0 ? fd : raw_fchmod(fd, u->header.mode | 0700);
        if (fd >= 0)
            raw_close(fd);
    }
    return r < 0 ? fail(u, r, "can't make the input directory", u->path) : 0;
}

static int unpack_record(struct unpack *u)
{
    const char *name;
    if (u->header.type == FS_BROKEN)
        return fail(u, -EIO, "the sender could not read the input file", u->path);
    if (u->left.max_files == 0)
        return fail(u, -EFBIG, "there are too many input files", NULL);
    if (u->header.size > u->left.max_bytes)
        return fail(u, -EFBIG, "the input files are too large", u->path);
    u->left.max_files--;
    u->left.max_bytes -= u->header.size;
    int r = go_to_parent(u, &name);
    if (r < 0)
        return r;
    return u->header.type == FS_DIR ? unpack_dir(u, name) : unpack_file(u, name);
}

/* The end record: 0, or the fault of the sender. */
static int sender_status(struct unpack *u)
{
    int status = u->header.status;
    if (status == 0)
        return 0;
    return fail(u, status > 0 || status < -4095 ? -EPROTO : status,
                "the sender of the input files failed", u->path);
}

int files_unpack(int pipe_fd, int dir_fd, const struct files_caps *caps,
                 struct files_snapshot *snapshot, struct files_fault *fault)
{
    static struct unpack unpack;
    struct unpack *u = &unpack;
    u->pipe_fd = pipe_fd;
    u->dir_fd = u->parent_fd = dir_fd;
    u->parent_len = u->at = u->end = 0;
    u->left = *caps;
    u->snapshot = snapshot;
    u->fault = fault;

    long mask = raw_syscall1(__NR_umask, 0); /* modes are exact */
    int r;
    while ((r = take_header(u)) == 0 && u->header.type != FS_END)
        if ((r = unpack_record(u)) < 0)
            break;
    if (r == 0)
        r = sender_status(u);
    forget_parent(u);
    raw_syscall1(__NR_umask, mask);
    return r;
}
