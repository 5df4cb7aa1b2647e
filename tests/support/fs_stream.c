#include "tests/support/fs_stream.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    perror(what);
    abort();
}

void fs_stream_done(struct fs_stream *s)
{
    free(s->bytes);
    *s = (struct fs_stream){0};
}

void fs_put_bytes(struct fs_stream *s, const void *bytes, size_t len)
{
    if (s->len + len > s->cap) {
        s->cap = 2 * (s->len + len) + 256;
        s->bytes = realloc(s->bytes, s->cap);
        require(s->bytes, "realloc");
    }
    if (len)
        memcpy(s->bytes + s->len, bytes, len);
    s->len += len;
}

void fs_put_record(struct fs_stream *s, const struct fs_header *header, const void *path,
                   const void *content)
{
    fs_put_bytes(s, header, sizeof(*header));
    fs_put_bytes(s, path, header->path_len);
    if (content)
        fs_put_bytes(s, content, (size_t)header->size);
}

void fs_put_file(struct fs_stream *s, const char *path, uint32_t mode, const void *content,
                 size_t len)
{
    struct fs_header header = {FS_MAGIC, FS_FILE, (uint16_t)strlen(path), mode, 0, len};
    fs_put_record(s, &header, path, content);
}

void fs_put_dir(struct fs_stream *s, const char *path, uint32_t mode)
{
    struct fs_header header = {FS_MAGIC, FS_DIR, (uint16_t)strlen(path), mode, 0, 0};
    fs_put_record(s, &header, path, NULL);
}

void fs_put_end(struct fs_stream *s, int status, const char *words)
{
    struct fs_header header = {FS_MAGIC, FS_END, (uint16_t)strlen(words), 0, status, 0};
    fs_put_record(s, &header, words, NULL);
}

int fs_stream_fd(const struct fs_stream *s)
{
    int fd = memfd_create("stream", MFD_CLOEXEC);
    require(fd >= 0, "memfd_create");
    require(s->len == 0 || pwrite(fd, s->bytes, s->len, 0) == (ssize_t)s->len, "pwrite");
    return fd;
}

static int take(struct fs_cursor *c, void *into, size_t len)
{
    if (c->len - c->at < len)
        return -1;
    memcpy(into, c->bytes + c->at, len);
    c->at += len;
    return 0;
}

int fs_next(struct fs_cursor *c, struct fs_record *ret)
{
    struct fs_header *h = &ret->header;
    if (take(c, h, sizeof(*h)) < 0 || h->magic != FS_MAGIC || h->path_len > FS_PATH_MAX ||
        take(c, ret->path, h->path_len) < 0)
        return -1;
    ret->path[h->path_len] = 0;
    ret->content = NULL;
    if (h->type == FS_END)
        return c->at == c->len ? 0 : -1;
    if (h->type == FS_FILE) {
        if (c->len - c->at < h->size)
            return -1;
        ret->content = c->bytes + c->at;
        c->at += (size_t)h->size;
    }
    return 1;
}

uint8_t *fs_read_all(int fd, size_t *ret_len)
{
    struct stat st;
    require(fstat(fd, &st) == 0, "fstat");
    uint8_t *bytes = malloc((size_t)st.st_size + 1);
    require(bytes, "malloc");
    require(pread(fd, bytes, (size_t)st.st_size, 0) == st.st_size, "pread");
    *ret_len = (size_t)st.st_size;
    return bytes;
}

int scratch_new(char path[64])
{
    snprintf(path, 64, "/dev/shm/cloister-test-%d-XXXXXX", (int)getpid());
    require(mkdtemp(path), "mkdtemp");
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    require(fd >= 0, "open scratch directory");
    return fd;
}

/* By descriptors: what the tests make is deeper and longer than a path may be. */
static void remove_below(int fd)
{
    DIR *dir = fdopendir(fd);
    require(dir, "fdopendir");
    for (struct dirent *entry; (entry = readdir(dir));) {
        const char *name = entry->d_name;
        if (!strcmp(name, ".") || !strcmp(name, "..") || unlinkat(fd, name, 0) == 0)
            continue;
        int below = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        require(below >= 0, name);
        remove_below(below);
        require(unlinkat(fd, name, AT_REMOVEDIR) == 0, name);
    }
    closedir(dir);
}

void scratch_remove(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    require(fd >= 0, path);
    remove_below(fd);
    require(rmdir(path) == 0, path);
}
