#include "execsvc/pump.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

void pump_init(struct pump *pump, struct loop *loop)
{
    *pump = (struct pump){.loop = loop, .fd = -EBADF};
}

static void pump_close(struct pump *pump)
{
    loop_io_remove(&pump->io);
    pump->fd = fd_close(pump->fd);
    pump->used = pump->at = 0;
    pump->finish = true;
}

void pump_done(struct pump *pump)
{
    pump_close(pump);
    free(pump->queue);
    pump->queue = NULL;
    pump->cap = 0;
    pump->on_drained = NULL;
}

static bool piece(struct pump *pump, const void **ret, size_t *ret_len)
{
    if (pump->files)
        return files_in_piece(pump->files, ret, ret_len);
    *ret = pump->queue + pump->at;
    *ret_len = pump->used;
    return pump->used > 0;
}

static void advance(struct pump *pump, size_t n)
{
    if (pump->files) {
        files_in_advance(pump->files, n);
        return;
    }
    pump->at += n;
    pump->used -= n;
    if (pump->used == 0)
        pump->at = 0;
}

static void drained(struct pump *pump)
{
    if (pump->finish)
        pump_close(pump);
    else
        loop_io_remove(&pump->io);
    if (pump->on_drained)
        pump->on_drained(pump);
}

static void on_io(struct loop_io *io, uint32_t events);

static void write_some(struct pump *pump)
{
    const void *bytes;
    size_t len;
    while (piece(pump, &bytes, &len)) {
        ssize_t n = write(pump->fd, bytes, len);
        if (n > 0) {
            advance(pump, (size_t)n);
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN) {
            pump->finish = true;
            break;
        }
        if (!pump->io.loop &&
            loop_io_add(pump->loop, &pump->io, pump->fd, EPOLLOUT, on_io, NULL) < 0)
            break;
        return;
    }
    drained(pump);
}

static void on_io(struct loop_io *io, uint32_t events)
{
    (void)events;
    write_some(container_of(io, struct pump, io));
}

int pump_open(struct pump *pump, int fd)
{
    pump->fd = fd;
    int r = fd_set_nonblock(fd);
    if (r < 0)
        return r;
    if (pump->used > 0 || pump->finish)
        write_some(pump);
    return 0;
}

int pump_files(struct pump *pump, int fd, struct files_in *files)
{
    pump->files = files;
    pump->finish = true;
    return pump_open(pump, fd);
}

static int make_room(struct pump *pump, size_t len)
{
    if (pump->at + pump->used + len <= pump->cap)
        return 0;
    if (pump->at > 0) {
        memmove(pump->queue, pump->queue + pump->at, pump->used);
        pump->at = 0;
    }
    if (pump->used + len <= pump->cap)
        return 0;
    size_t cap = pump->used + len < 4096 ? 4096 : pump->used + len;
    uint8_t *queue = realloc(pump->queue, cap);
    if (!queue)
        return -ENOMEM;
    pump->queue = queue;
    pump->cap = cap;
    return 0;
}

int pump_put(struct pump *pump, const void *bytes, size_t len)
{
    if (len == 0 || pump->finish)
        return 0;
    int r = make_room(pump, len);
    if (r < 0)
        return r;
    memcpy(pump->queue + pump->at + pump->used, bytes, len);
    pump->used += len;
    if (pump->fd >= 0 && !pump->io.loop)
        write_some(pump);
    return 0;
}

void pump_finish(struct pump *pump)
{
    if (pump->finish)
        return;
    pump->finish = true;
    if (pump->fd >= 0 && pump->used == 0)
        pump_close(pump);
}

size_t pump_queued(const struct pump *pump)
{
    return pump->used;
}
