#include "cli/run_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "api/client_blobs.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"

#define ARENA_CAP ((size_t)16 << 20)

void run_files_init(struct run_files *files)
{
    *files = (struct run_files){0};
    arena_init(&files->arena, ARENA_CAP);
}

void run_files_done(struct run_files *files)
{
    arena_done(&files->arena);
    free(take_ptr(files->list));
    free(take_ptr(files->hosts));
    files->n = files->size = files->n_blobs = 0;
}

static int grow(struct run_files *files, struct err *err)
{
    if (files->n < files->size)
        return 0;
    size_t size = files->size ? files->size * 2 : 16;
    struct model_file *list = reallocarray(files->list, size, sizeof(*list));
    if (!list)
        return err_set(err, -ENOMEM, "files: %m");
    files->list = list;
    const char **hosts = reallocarray(files->hosts, size, sizeof(*hosts));
    if (!hosts)
        return err_set(err, -ENOMEM, "files: %m");
    files->hosts = hosts;
    files->size = size;
    return 0;
}

/* What the file is called here: @name, with its beginning put back. */
static const char *host_path(struct run_files *files, const char *name)
{
    size_t host_len = strlen(files->host), rest = strlen(name) - files->name_len;
    char *path = arena_alloc(&files->arena, host_len + rest + 1);
    if (!path)
        return NULL;
    memcpy(path, files->host, host_len);
    memcpy(path + host_len, name + files->name_len, rest + 1);
    return path;
}

static int add_blob(struct run_files *files, int fd, const struct stat *st, const char *name,
                    struct err *err)
{
    uint8_t *sha256 = arena_alloc(&files->arena, MODEL_SHA256);
    const char *host = host_path(files, name);
    char *path = arena_string(&files->arena, name, strlen(name));
    if (!sha256 || !host || !path)
        return err_set(err, -ENOMEM, "%s: %m", name);
    uint64_t size = 0;
    int rc = client_blob_hash(fd, sha256, &size, err);
    if (rc < 0)
        return err ? err_prefix(err, "%s", name) : rc;
    files->hosts[files->n] = host;
    files->list[files->n++] = (struct model_file){.path = path,
                                                  .size = (size_t)size,
                                                  .sha256 = sha256,
                                                  .executable = (st->st_mode & S_IXUSR) != 0};
    files->n_blobs++;
    return 0;
}

/* Of the file open at @fd, all of it; or its hash. */
static int add_file(struct run_files *files, int fd, const struct stat *st, const char *name,
                    struct err *err)
{
    const char *words = model_path_fault(name, strlen(name));
    if (words)
        return err_set(err, -EINVAL, "%s as a path of the workspace: %s", name, words);
    int rc = grow(files, err);
    if (rc < 0)
        return rc;
    size_t size = (size_t)st->st_size;
    if (size > MODEL_INLINE_BYTES_MAX || files->total + size > MODEL_INLINE_BYTES_MAX)
        return add_blob(files, fd, st, name, err);
    uint8_t *content = arena_alloc(&files->arena, size);
    char *path = arena_string(&files->arena, name, strlen(name));
    if (!content || !path)
        return err_set(err, -ENOMEM, "%s: %m", name);
    ssize_t got = fd_read_all(fd, content, size);
    if (got < 0)
        return err_set(err, (int)got, "read %s: %m", name);
    files->hosts[files->n] = NULL;
    files->list[files->n++] = (struct model_file){
        .path = path,
        .content = got > 0 ? content : NULL,
        .size = (size_t)got,
        .executable = (st->st_mode & S_IXUSR) != 0,
    };
    files->total += (size_t)got;
    return 0;
}

static int add_directory(struct run_files *files, int taken_fd, const char *name, int depth,
                         struct err *err);

/* One entry of the directory open at @dir_fd. */
static int add_entry(struct run_files *files, int dir_fd, const char *entry, const char *dir_name,
                     int depth, struct err *err)
{
    char name[MODEL_PATH_MAX + 1];
    struct stat st;
    int n = snprintf(name, sizeof(name), "%s/%s", dir_name, entry);
    if (n < 0 || (size_t)n >= sizeof(name))
        return err_set(err, -ENAMETOOLONG, "%s/%s: the path is too long", dir_name, entry);
    if (fstatat(dir_fd, entry, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_set(err, -errno, "%s: %m", name);
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return 0;
    AUTO_CLOSE int fd = openat(dir_fd, entry, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(err, -errno, "open %s: %m", name);
    if (S_ISDIR(st.st_mode))
        return add_directory(files, take_fd(&fd), name, depth + 1, err);
    return S_ISREG(st.st_mode) ? add_file(files, fd, &st, name, err) : 0;
}

/* Takes @taken_fd. */
static int add_directory(struct run_files *files, int taken_fd, const char *name, int depth,
                         struct err *err)
{
    AUTO_CLOSE int fd = taken_fd;
    if (depth > MODEL_DEPTH_MAX)
        return err_set(err, -ELOOP, "%s: deeper than %d directories", name, MODEL_DEPTH_MAX);
    AUTO_DIR DIR *dir = fdopendir(fd);
    if (!dir)
        return err_set(err, -errno, "read directory %s: %m", name);
    int dir_fd = take_fd(&fd);
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry)
            return errno ? err_set(err, -errno, "read directory %s: %m", name) : 0;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        int rc = add_entry(files, dir_fd, entry->d_name, name, depth, err);
        if (rc < 0)
            return rc;
    }
}

/* The last part of a path: "dir/file.py" and "dir/file.py/" are both "file.py". */
static void last_part(const char *path, char *buf, size_t size)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    size_t start = len;
    while (start > 0 && path[start - 1] != '/')
        start--;
    snprintf(buf, size, "%.*s", (int)(len - start), path + start);
}

static int cannot_open(const char *path, int fault, struct err *err)
{
    struct stat st;
    if (fault == ENOENT && lstat(path, &st) == 0)
        return err_set(err, -fault, "%s is a symbolic link to something that is not there", path);
    if (fault == EACCES)
        return err_set(err, -fault, "%s: you may not read it (Permission denied)", path);
    return err_set(err, -fault, "%s: %s", path, strerror(fault));
}

int run_files_add(struct run_files *files, const char *spec, struct err *err)
{
    AUTO_FREE char *path = strdup(spec);
    if (!path)
        return err_set(err, -ENOMEM, "files: %m");
    char name[MODEL_PATH_MAX + 1];
    char *equals = access(path, F_OK) == 0 ? NULL : strrchr(path, '=');
    if (equals) {
        *equals = '\0';
        snprintf(name, sizeof(name), "%s", equals + 1);
    } else {
        last_part(path, name, sizeof(name));
    }
    files->host = path;
    files->name_len = strlen(name);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return cannot_open(path, errno, err);
    if (S_ISDIR(st.st_mode))
        return add_directory(files, take_fd(&fd), name, 1, err);
    if (!S_ISREG(st.st_mode))
        return err_set(err, -EINVAL, "%s is neither a file nor a directory", path);
    return add_file(files, fd, &st, name, err);
}
