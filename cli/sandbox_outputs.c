#include "cli/sandbox_outputs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

#define STREAM_MAX (UINT64_C(512) << 20) /* more than RUN_COLLECT_BYTES and all names */

int sandbox_outputs_feed(struct sandbox_outputs *o, int fd, struct err *err)
{
    if (o->used == o->cap) {
        size_t cap = o->cap ? o->cap * 2 : 65536;
        uint8_t *bytes = cap <= STREAM_MAX ? realloc(o->bytes, cap) : NULL;
        if (!bytes)
            return err_set(err, -ENOMEM, "no memory for the files that come out");
        o->bytes = bytes;
        o->cap = cap;
    }
    ssize_t n = read(fd, o->bytes + o->used, o->cap - o->used);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 1 : err_set(err, -errno, "read files: %m");
    o->used += (size_t)n;
    return n > 0;
}

void sandbox_outputs_done(struct sandbox_outputs *o)
{
    for (size_t i = 0; i < o->n_files; i++)
        free((char *)(uintptr_t)o->files[i].path);
    for (size_t i = 0; i < o->n_skipped; i++)
        free((char *)(uintptr_t)o->skipped[i].path);
    free(o->files);
    free(o->skipped);
    free(o->bytes);
    memset(o, 0, sizeof(*o));
}
