#include "cgroups/files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "cgroups/parse.h"

/* 32 bytes a process would still be more than any pid_max. */
#define LONG_FILE_MAX (64u << 20)

int cg_open_if_any(int dir, const char *name, int flags)
{
    int fd = openat(dir, name, flags | O_CLOEXEC);
    return fd >= 0 ? fd : -EBADF;
}

ssize_t cg_pread(int fd, char buf[CG_FILE_MAX])
{
    ssize_t n;
    do
        n = pread(fd, buf, CG_FILE_MAX - 1, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    buf[n] = 0;
    return n;
}

ssize_t cg_read_at(int dir, const char *name, char buf[CG_FILE_MAX])
{
    AUTO_CLOSE int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : cg_pread(fd, buf);
}

ssize_t cg_read_long_at(int dir, const char *name, char **ret)
{
    AUTO_CLOSE int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    AUTO_FREE char *text = NULL;
    size_t used = 0, size = 0;
    for (;;) {
        if (used == size) {
            size = size ? size * 2 : CG_FILE_MAX;
            char *grown = size <= LONG_FILE_MAX ? realloc(text, size) : NULL;
            if (!grown)
                return -ENOMEM;
            text = grown;
        }
        ssize_t n = read(fd, text + used, size - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        used += (size_t)n;
    }
    *ret = take_ptr(text);
    return (ssize_t)used;
}

int cg_read_u64(int fd, const char *name, uint64_t *ret, struct err *err)
{
    char text[CG_FILE_MAX];
    ssize_t len = cg_pread(fd, text);
    if (len < 0)
        return err_set(err, (int)len, "read %s: %m", name);
    if (!cg_parse_u64(text, (size_t)len, ret))
        return err_set(err, -EBADMSG, "%s holds no number: '%.40s'", name, text);
    return 0;
}

bool cg_read_u64_at(int dir, const char *name, uint64_t *ret)
{
    char text[CG_FILE_MAX];
    ssize_t len = cg_read_at(dir, name, text);
    return len >= 0 && cg_parse_u64(text, (size_t)len, ret);
}

int cg_read_flat(int fd, const char *name, const char *key, uint64_t *ret, struct err *err)
{
    char text[CG_FILE_MAX];
    if (fd < 0)
        return 0;
    ssize_t len = cg_pread(fd, text);
    if (len < 0)
        return err_set(err, (int)len, "read %s: %m", name);
    cg_parse_flat(text, (size_t)len, key, ret);
    return 0;
}

bool cg_read_flat_at(int dir, const char *name, const char *key, uint64_t *ret)
{
    char text[CG_FILE_MAX];
    ssize_t len = cg_read_at(dir, name, text);
    return len >= 0 && cg_parse_flat(text, (size_t)len, key, ret);
}

int cg_write_text(int fd, const char *name, const char *text, struct err *err)
{
    ssize_t n;
    do
        n = pwrite(fd, text, strlen(text), 0);
    while (n < 0 && errno == EINTR);
    return n < 0 ? err_set(err, -errno, "write '%s' to %s: %m", text, name) : 0;
}

static const char *number(uint64_t value, const char *none, char buf[24])
{
    if (value == UINT64_MAX)
        return none;
    snprintf(buf, 24, "%" PRIu64, value);
    return buf;
}

int cg_write_u64(int fd, const char *name, uint64_t value, const char *none, struct err *err)
{
    char buf[24];
    return cg_write_text(fd, name, number(value, none, buf), err);
}

int cg_write_u64_at(int dir, const char *name, uint64_t value, const char *none, struct err *err)
{
    char buf[24];
    return file_write_text_at(dir, name, number(value, none, buf), err);
}

bool cg_exists_at(int dir, const char *name)
{
    return faccessat(dir, name, F_OK, 0) == 0;
}

void cg_sleep_us(unsigned us)
{
    struct timespec pause = {.tv_sec = us / 1000000, .tv_nsec = (long)(us % 1000000) * 1000};
    nanosleep(&pause, NULL);
}
