#pragma once
/*
 * Writes to a program without blocking: bytes from a queue, or a stream of files. Belongs to the
 * loop's thread. A reader that is gone ends a pump quietly: what it was for tells itself elsewhere.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "execsvc/files_in.h"

struct pump {
    struct loop *loop;
    struct loop_io io;
    int fd;                 /* owned; -EBADF: closed */
    struct files_in *files; /* borrowed; NULL: the queue */
    uint8_t *queue;
    size_t at, used, cap;                  /* queue[at .. at + used) is to be written */
    bool finish;                           /* close when all is written */
    void (*on_drained)(struct pump *pump); /* the queue has become empty, or the reader is gone */
};

/** pump_init() - no descriptor yet: what is queued waits for pump_open(). */
void pump_init(struct pump *pump, struct loop *loop);
/** pump_done() - what is queued is lost. Safe twice. */
void pump_done(struct pump *pump);

/** pump_open() - write to @fd (ownership moves in; it is made non-blocking) from now on. */
int pump_open(struct pump *pump, int fd);
/** pump_files() - write the stream @files (borrowed until the pump is done) to @fd, then close it.
 */
int pump_files(struct pump *pump, int fd, struct files_in *files);

/** pump_put() - queue a copy. Nothing happens when the reader is gone. Return: 0 or -ENOMEM. */
int pump_put(struct pump *pump, const void *bytes, size_t len);
/** pump_finish() - close when all that is queued is written. */
void pump_finish(struct pump *pump);
size_t pump_queued(const struct pump *pump);
