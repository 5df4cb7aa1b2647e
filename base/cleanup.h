#pragma once
/* Locals that release themselves. `take_fd()` and `take_ptr()` hand ownership on. */

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define AUTO_CLOSE  CLEANUP(cleanup_close)
#define AUTO_FREE   CLEANUP(cleanup_free)
#define AUTO_FCLOSE CLEANUP(cleanup_fclose)
#define AUTO_DIR    CLEANUP(cleanup_closedir)

/** fd_close() - close a valid descriptor, keep errno; returns -EBADF, the invalid descriptor. */
static inline int fd_close(int fd)
{
    if (fd >= 0) {
        int saved = errno;
        close(fd);
        errno = saved;
    }
    return -EBADF;
}

static inline void cleanup_close(int *fd)
{
    *fd = fd_close(*fd);
}

static inline void cleanup_free(void *slot)
{
    void **p = (void **)slot;
    free(*p);
    *p = NULL;
}

static inline void cleanup_fclose(FILE **file)
{
    if (*file)
        fclose(*file);
    *file = NULL;
}

static inline void cleanup_closedir(DIR **dir)
{
    if (*dir)
        closedir(*dir);
    *dir = NULL;
}

static inline int take_fd(int *fd)
{
    int taken = *fd;
    *fd = -EBADF;
    return taken;
}

#define take_ptr(p)                                                                                \
    ({                                                                                             \
        __typeof__(p) *slot_ = &(p);                                                               \
        __typeof__(p) taken_ = *slot_;                                                             \
        *slot_ = NULL;                                                                             \
        taken_;                                                                                    \
    })
