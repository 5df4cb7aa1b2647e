#pragma once
/*
 * Reads what a program writes, without blocking, as fast as its owner takes it: a paused tap leaves
 * the bytes in the pipe, and so the program waits. Belongs to the loop's thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"

#define TAP_READ_MAX ((size_t)64 * 1024)

struct tap {
    struct loop *loop;
    struct loop_io io;
    struct loop_timer again; /* a terminal that nobody holds open at the moment */
    int fd;                  /* owned; -EBADF: ended or never opened */
    void *owner;             /* for the callbacks */
    bool paused, terminal;
    bool last_words; /* every writer is dead: what is there now is all that there will be */
    /* @bytes are valid during the callback; it may pause or close the tap. */
    void (*on_bytes)(struct tap *tap, const uint8_t *bytes, size_t len);
    /* All has been read; the descriptor is closed. Called once. */
    void (*on_end)(struct tap *tap);
};

/** tap_open() - read @fd (ownership moves in; it is made non-blocking). */
int tap_open(struct tap *tap, struct loop *loop, int fd, bool terminal);
/** tap_close() - without a callback. Safe twice, and on a zeroed tap with fd -EBADF. */
void tap_close(struct tap *tap);
void tap_pause(struct tap *tap, bool paused);
/** tap_last_words() - end as soon as nothing more can be read, even if the other end is still open
 * somewhere. */
void tap_last_words(struct tap *tap);
static inline bool tap_is_open(const struct tap *tap)
{
    return tap->fd >= 0;
}
