/* Steps that make files up to a limit and beyond. */

#include "tests/integration/verdicts/steps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK   4096
#define PATH    256
#define NO_SIZE UINT64_MAX

/* "PATH,SIZE" into both. */
static uint64_t split(const char *arg, char path[PATH])
{
    const char *comma = strchr(arg, ',');
    size_t len = comma ? (size_t)(comma - arg) : strlen(arg);
    if (len == 0 || len >= PATH)
        unmet("PATH,SIZE: '%s'", arg);
    memcpy(path, arg, len);
    path[len] = 0;
    return comma ? number(comma + 1) : NO_SIZE;
}

static int make(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        unmet("%s: %s", path, strerror(errno));
    return fd;
}

/* Return: 0 when all @size bytes are written, else errno. */
static int write_up_to(int fd, uint64_t size)
{
    static const char chunk[CHUNK] = "x";
    while (size) {
        ssize_t n = write(fd, chunk, size < CHUNK ? size : CHUNK);
        if (n < 0)
            return errno;
        size -= (uint64_t)n;
    }
    return 0;
}

static void step_write(const char *arg)
{
    char path[PATH];
    uint64_t size = split(arg, path);
    int fd = make(path), error = write_up_to(fd, size);
    if (error)
        unmet("%s: %s", path, strerror(error));
    close(fd);
}

static void write_until(const char *path, int expected)
{
    int fd = make(path), error = write_up_to(fd, NO_SIZE);
    if (error != expected)
        unmet("%s: %s", path, strerror(error));
    close(fd);
}

static void step_until_efbig(const char *arg)
{
    write_until(arg, EFBIG);
}

static void step_until_enospc(const char *arg)
{
    write_until(arg, ENOSPC);
}

/* Bytes only at its end: a file of this size that takes no room. */
static void step_sparse(const char *arg)
{
    char path[PATH];
    uint64_t size = split(arg, path);
    int fd = make(path);
    if (pwrite(fd, "x", 1, (off_t)size - 1) != 1)
        unmet("%s: %s", path, strerror(errno));
    close(fd);
}

static void step_truncate(const char *arg)
{
    char path[PATH];
    uint64_t size = split(arg, path);
    int fd = make(path);
    if (ftruncate(fd, (off_t)size) == 0)
        unmet("%s: ftruncate to %llu bytes worked", path, (unsigned long long)size);
    if (errno != EFBIG)
        unmet("%s: %s", path, strerror(errno));
    close(fd);
}

static void step_mkdir(const char *arg)
{
    if (mkdir(arg, 0755) < 0)
        unmet("%s: %s", arg, strerror(errno));
}

static void step_unlink(const char *arg)
{
    if (unlink(arg) < 0)
        unmet("%s: %s", arg, strerror(errno));
}

/* Empty files in a directory, until there is no inode left. */
static void step_until_no_inodes(const char *arg)
{
    for (unsigned i = 0; i < 100000; i++) {
        char path[PATH];
        snprintf(path, sizeof(path), "%s/%u", arg, i);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0 && errno == ENOSPC)
            return;
        if (fd < 0)
            unmet("%s: %s", path, strerror(errno));
        close(fd);
    }
    unmet("100000 files, and none refused");
}

static void step_until_emfile(const char *arg)
{
    uint64_t most = number(arg);
    for (uint64_t i = 0; i < most; i++) {
        if (dup(1) >= 0)
            continue;
        if (errno != EMFILE)
            unmet("dup: %s", strerror(errno));
        return;
    }
    unmet("%s descriptors, and none refused", arg);
}

const struct step file_steps[] = {
    {"write", step_write},
    {"until-efbig", step_until_efbig},
    {"until-enospc", step_until_enospc},
    {"sparse", step_sparse},
    {"truncate-efbig", step_truncate},
    {"mkdir", step_mkdir},
    {"unlink", step_unlink},
    {"until-no-inodes", step_until_no_inodes},
    {"until-emfile", step_until_emfile},
    {NULL, NULL},
};
