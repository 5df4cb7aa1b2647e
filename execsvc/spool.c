#include "execsvc/spool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"

void spool_init(struct spool *spool)
{
    *spool = (struct spool){.fd = -EBADF};
}

/* Gives back the room of a file that was never ended. */
static void drop_open(struct spool *spool)
{
    if (!spool->open)
        return;
    free(spool->files[spool->n].path);
    spool->open = false;
    if (ftruncate(spool->fd, (off_t)spool->end) < 0)
        return; /* then it stays as large as it is */
}

void spool_done(struct spool *spool)
{
    drop_open(spool);
    for (size_t i = 0; i < spool->n; i++)
        free(spool->files[i].path);
    free(spool->files);
    fd_close(spool->fd);
    spool_init(spool);
}

static int begin(struct spool *spool, const struct collect_chunk *chunk)
{
    drop_open(spool);
    if (spool->fd < 0) {
        int fd = memfd_create("cloister-spool", MFD_CLOEXEC);
        if (fd < 0)
            return -errno;
        spool->fd = fd;
    }
    if (spool->n == spool->cap) {
        size_t cap = spool->cap ? 2 * spool->cap : 8;
        struct spool_file *files = reallocarray(spool->files, cap, sizeof(*files));
        if (!files)
            return -ENOMEM;
        spool->files = files;
        spool->cap = cap;
    }
    char *path = malloc(chunk->path_len + 1);
    if (!path)
        return -ENOMEM;
    memcpy(path, chunk->path, chunk->path_len);
    path[chunk->path_len] = 0;
    spool->files[spool->n] = (struct spool_file){.path = path,
                                                 .path_len = chunk->path_len,
                                                 .size = chunk->size,
                                                 .at = spool->end};
    spool->open = true;
    return 0;
}

static int write_all(int fd, const uint8_t *bytes, size_t len, uint64_t at)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, bytes, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ENOSPC;
        bytes += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

int spool_put(struct spool *spool, const struct collect_chunk *chunk, struct err *err)
{
    int r = chunk->offset == 0 ? begin(spool, chunk) : 0;
    if (r < 0)
        return err_set(err, r, "keeping files: %m");
    assert(spool->open);
    struct spool_file *file = &spool->files[spool->n];
    r = write_all(spool->fd, chunk->data, chunk->len, file->at + chunk->offset);
    if (r < 0)
        return err_set(err, r, "keeping files: %m");
    if (!chunk->last)
        return 0;
    memcpy(file->sha256, chunk->sha256, sizeof(file->sha256));
    spool->end = file->at + file->size;
    spool->names += file->path_len;
    spool->open = false;
    spool->n++;
    return 0;
}

void spool_trim(struct spool *spool)
{
    drop_open(spool);
}

int spool_read(const struct spool *spool, size_t file, uint64_t offset, void *to, size_t len,
               struct err *err)
{
    assert(file < spool->n && offset + len <= spool->files[file].size);
    uint8_t *bytes = to;
    uint64_t at = spool->files[file].at + offset;
    while (len > 0) {
        ssize_t n = pread(spool->fd, bytes, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_set(err, n < 0 ? -errno : -EIO, "kept files: %m");
        bytes += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

uint64_t spool_bytes(const struct spool *spool)
{
    return spool->end + spool->names + spool->n * sizeof(struct spool_file);
}

uint64_t spool_cost(uint64_t size, size_t path_len)
{
    return size + path_len + sizeof(struct spool_file);
}
