#include "cli/run_outputs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"

#define SKIPPED_TOLD_MAX 10 /* thousands of lines help nobody */

int run_outputs_init(struct run_outputs *outputs, const char *dir, struct err *err)
{
    *outputs = (struct run_outputs){.dir_fd = -EBADF, .file_fd = -EBADF};
    if (!dir)
        return 0;
    if (mkdir(dir, 0777) < 0 && errno != EEXIST)
        return err_set(err, -errno, "make directory %s: %m", dir);
    outputs->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return outputs->dir_fd < 0 ? err_set(err, -errno, "%s: %m", dir) : 0;
}

void run_outputs_done(struct run_outputs *outputs)
{
    outputs->dir_fd = fd_close(outputs->dir_fd);
    outputs->file_fd = fd_close(outputs->file_fd);
    for (size_t i = 0; i < outputs->n_kept; i++) {
        free(outputs->kept[i].path);
        free(outputs->kept[i].content);
    }
    free(take_ptr(outputs->kept));
    outputs->n_kept = 0;
}

/* ---- to a directory ----------------------------------------------------------------------- */

/* Opens (and makes) the directories of @path one by one. Return: the last one's descriptor. */
static int open_parent(int dir_fd, const char *path, const char **ret_name, struct err *err)
{
    AUTO_CLOSE int fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
    const char *slash;
    while (fd >= 0 && (slash = strchr(path, '/'))) {
        AUTO_FREE char *part = strndup(path, (size_t)(slash - path));
        if (!part)
            return err_set(err, -ENOMEM, "%s: %m", path);
        if (mkdirat(fd, part, 0777) < 0 && errno != EEXIST)
            return err_set(err, -errno, "make directory %s: %m", part);
        int next = openat(fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        fd_close(fd);
        fd = next;
        path = slash + 1;
    }
    if (fd < 0)
        return err_set(err, -errno, "open the directory of %s: %m", path);
    *ret_name = path;
    return take_fd(&fd);
}

static int open_file(struct run_outputs *outputs, const char *path, struct err *err)
{
    const char *name;
    AUTO_CLOSE int parent = open_parent(outputs->dir_fd, path, &name, err);
    if (parent < 0)
        return parent;
    fd_close(outputs->file_fd);
    outputs->file_fd =
        openat(parent, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
               0666);
    if (outputs->file_fd < 0)
        return err_set(err, -errno, "write %s: %m", path);
    struct stat st;
    if (fstat(outputs->file_fd, &st) < 0 || !S_ISREG(st.st_mode))
        return err_set(err, -EINVAL, "write %s: not a regular file", path);
    return 0;
}

static int write_chunk(struct run_outputs *outputs, const struct client_file_chunk *chunk,
                       struct err *err)
{
    if (chunk->offset == 0) {
        int rc = open_file(outputs, chunk->path, err);
        if (rc < 0)
            return rc;
    }
    int rc = fd_write_all(outputs->file_fd, chunk->data, chunk->len);
    if (rc < 0)
        return err_set(err, rc, "write %s: %m", chunk->path);
    if (chunk->last)
        outputs->file_fd = fd_close(outputs->file_fd);
    return 0;
}

/* ---- in memory ---------------------------------------------------------------------------- */

static int keep_new(struct run_outputs *outputs, const struct client_file_chunk *chunk,
                    struct err *err)
{
    if (chunk->size > MODEL_COLLECT_BYTES_MAX || outputs->n_kept == MODEL_COLLECT_FILES_MAX)
        return err_set(err, -E2BIG, "%s: more than was asked for", chunk->path);
    struct run_kept *kept =
        reallocarray(outputs->kept, outputs->n_kept + 1, sizeof(*outputs->kept));
    if (!kept)
        return err_set(err, -ENOMEM, "%s: %m", chunk->path);
    outputs->kept = kept;
    kept += outputs->n_kept;
    kept->path = strdup(chunk->path);
    kept->content = malloc(chunk->size ? (size_t)chunk->size : 1);
    kept->size = chunk->size;
    if (!kept->path || !kept->content) {
        free(kept->path);
        free(kept->content);
        return err_set(err, -ENOMEM, "%s: %m", chunk->path);
    }
    outputs->n_kept++;
    return 0;
}

static int keep_chunk(struct run_outputs *outputs, const struct client_file_chunk *chunk,
                      struct err *err)
{
    if (chunk->offset == 0) {
        int rc = keep_new(outputs, chunk, err);
        if (rc < 0)
            return rc;
    }
    struct run_kept *kept = &outputs->kept[outputs->n_kept - 1];
    if (chunk->len > kept->size - chunk->offset)
        return err_set(err, -EBADMSG, "%s: more bytes than announced", chunk->path);
    if (chunk->len > 0)
        memcpy(kept->content + chunk->offset, chunk->data, chunk->len);
    return 0;
}

void run_outputs_take(struct run_outputs *outputs, const struct client_file_chunk *chunk)
{
    if (outputs->err.code)
        return;
    if (chunk->offset != 0 && chunk->offset != outputs->next_offset) {
        err_set(&outputs->err, -EBADMSG, "%s: a piece is missing", chunk->path);
        return;
    }
    outputs->next_offset = chunk->offset + chunk->len;
    if (outputs->dir_fd >= 0)
        (void)write_chunk(outputs, chunk, &outputs->err);
    else
        (void)keep_chunk(outputs, chunk, &outputs->err);
}

const uint8_t *run_outputs_content(const struct run_outputs *outputs, const char *path,
                                   uint64_t size)
{
    for (size_t i = 0; i < outputs->n_kept; i++) {
        if (outputs->kept[i].size == size && strcmp(outputs->kept[i].path, path) == 0)
            return outputs->kept[i].content;
    }
    return NULL;
}

void run_outputs_tell_skipped(const struct run_skipped *skipped, size_t n)
{
    for (size_t i = 0; i < n && i < SKIPPED_TOLD_MAX; i++)
        fprintf(stderr, "cloister: %s was not brought back: %s\n", skipped[i].path,
                skipped[i].reason);
    if (n > SKIPPED_TOLD_MAX)
        fprintf(stderr, "cloister: nor were %zu more\n", n - SKIPPED_TOLD_MAX);
}
