#pragma once
/*
 * Memory for one message: grows up to a cap, is released all at once. Unpacking hostile protobuf
 * multiplies it (1 MiB of empty sub-messages becomes 56 MiB), so everything from outside is
 * unpacked through one of these, and a cap that is reached makes protobuf-c fail cleanly.
 * Belongs to one thread at a time.
 */

#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/cleanup.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* newest first */
    size_t used;                /* bytes taken from the cap */
    size_t cap;
    ProtobufCAllocator allocator; /* for *__unpack(); freeing is a no-op */
};

/** arena_cap_for() - the cap for a message of @wire_bytes: four times its size, and as much as the
 * many small parts take that the contract allows (4096 files of a few bytes). */
size_t arena_cap_for(size_t wire_bytes);

/** arena_init() - nothing is allocated yet. The struct must not be moved while its allocator is in
 * use. */
void arena_init(struct arena *arena, size_t cap);
/** arena_done() - release everything; safe twice, and on a zeroed struct. */
void arena_done(struct arena *arena);

/** arena_alloc() - @size bytes, aligned for anything, not cleared. Return: NULL at the cap or
 * without memory. */
void *arena_alloc(struct arena *arena, size_t size);
/** arena_zalloc() - the same for an array, cleared; NULL also on overflow. */
void *arena_zalloc(struct arena *arena, size_t count, size_t size);
/** arena_string() - a copy of @len bytes with a NUL behind them. */
char *arena_string(struct arena *arena, const void *bytes, size_t len);

#define AUTO_ARENA CLEANUP(arena_done)
