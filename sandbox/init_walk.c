#include "sandbox/init_walk.h"

#include <linux/limits.h>

#if !__STDC_HOSTED__
#define DT_UNKNOWN 0
#define DT_DIR     4
#else
#include <dirent.h>
#endif

#define DIRENTS_SIZE 4096

/* A directory that is being read. */
struct frame {
    int fd;
    size_t path_len; /* of the directory itself */
    size_t at, end;
    _Alignas(struct raw_dirent) uint8_t dirents[DIRENTS_SIZE];
};

struct walk {
    const struct walk_visitor *visitor;
    char path[FS_PATH_MAX + 1];
    size_t depth; /* frames in use; the first is the start */
    struct frame frames[FS_DEPTH_MAX];
};

uint64_t fnv1a(uint64_t hash, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
    return hash;
}

int open_beneath(int dir_fd, const char *path, int flags, unsigned mode)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | O_NOFOLLOW),
        .mode = mode,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
    };
    int fd;
    do {
        fd = raw_openat2(dir_fd, path, &how);
    } while (fd == -EAGAIN || fd == -EINTR); /* EAGAIN: a rename elsewhere disturbed the lookup */
    return fd;
}

static size_t append(char *text, size_t at, const char *more, int printable)
{
    for (; *more && at + 1 < FILES_FAULT_MAX; more++)
        text[at++] = !printable || (*more >= 0x20 && *more < 0x7f) ? *more : '?';
    text[at] = 0;
    return at;
}

int fault_set(struct files_fault *fault, int code, const char *words, const char *path)
{
    if (!fault)
        return code;
    fault->code = code;
    size_t at = append(fault->text, 0, words, 0);
    if (path) {
        at = append(fault->text, at, ": ", 0);
        append(fault->text, at, path, 1);
    }
    return code;
}

void wait_ready(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    raw_ppoll(&p, 1, NULL, NULL);
}

static int enter(struct walk *w, int parent_fd, const char *name, size_t path_len)
{
    if (w->depth == FS_DEPTH_MAX)
        return w->visitor->closed(w->visitor->arg, w->path, -ENAMETOOLONG);
    int fd = open_beneath(parent_fd, name, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return w->depth ? w->visitor->closed(w->visitor->arg, w->path, fd) : fd;
    struct frame *frame = &w->frames[w->depth++];
    frame->fd = fd;
    frame->path_len = path_len;
    frame->at = frame->end = 0;
    return 0;
}

static int is_directory(int dir_fd, const struct raw_dirent *entry)
{
    struct statx stx;
    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    int r = raw_statx(dir_fd, entry->d_name, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &stx);
    return r == 0 && S_ISDIR(stx.stx_mode);
}

static int visit(struct walk *w, struct frame *frame, const struct raw_dirent *entry)
{
    const char *name = entry->d_name;
    if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])))
        return 0;
    size_t at = frame->path_len, len = strlen(name);
    if (at + 1 + len > FS_PATH_MAX) {
        w->path[at] = 0;
        return w->visitor->closed(w->visitor->arg, w->path, -ENAMETOOLONG);
    }
    if (at)
        w->path[at++] = '/';
    memcpy(w->path + at, name, len + 1);
    if (is_directory(frame->fd, entry))
        return enter(w, frame->fd, name, at + len);
    return w->visitor->entry(w->visitor->arg, frame->fd, name, w->path);
}

/* Return: 1 when there is an entry at frame->at, 0 at the end of the directory, negative errno. */
static int refill(struct frame *frame)
{
    if (frame->at < frame->end)
        return 1;
    long n = raw_getdents64(frame->fd, frame->dirents, sizeof(frame->dirents));
    if (n <= 0)
        return (int)n;
    frame->at = 0;
    frame->end = (size_t)n;
    return 1;
}

static int step(struct walk *w)
{
    struct frame *frame = &w->frames[w->depth - 1];
    int r = refill(frame);
    if (r > 0) {
        const struct raw_dirent *entry = (const void *)(frame->dirents + frame->at);
        frame->at += entry->d_reclen;
        return visit(w, frame, entry);
    }
    raw_close(frame->fd);
    w->depth--;
    return r;
}

int walk_tree(int dir_fd, const struct walk_visitor *visitor)
{
    static struct walk walk;
    struct walk *w = &walk;
    w->visitor = visitor;
    w->depth = 0;
    w->path[0] = 0;
    int r = enter(w, dir_fd, ".", 0);
    while (r >= 0 && w->depth)
        r = step(w);
    while (w->depth)
        raw_close(w->frames[--w->depth].fd);
    return r;
}
