#include "api/arena.h"

#include <stdalign.h>
#include <string.h>

#define CHUNK_MIN ((size_t)4096)
#define ALIGN     ((size_t)16)

struct arena_chunk {
    struct arena_chunk *older;
    size_t used, size;
    alignas(16) unsigned char bytes[];
};

static void *allocator_alloc(void *data, size_t size)
{
    return arena_alloc(data, size);
}

static void allocator_free(void *data, void *pointer)
{
    (void)data;
    (void)pointer;
}

size_t arena_cap_for(size_t wire_bytes)
{
    return wire_bytes * 4 + ((size_t)1 << 20);
}

void arena_init(struct arena *arena, size_t cap)
{
    *arena = (struct arena){
        .cap = cap,
        .allocator = {.alloc = allocator_alloc, .free = allocator_free, .allocator_data = arena},
    };
}

void arena_done(struct arena *arena)
{
    while (arena->chunks) {
        struct arena_chunk *older = arena->chunks->older;
        free(arena->chunks);
        arena->chunks = older;
    }
    arena->used = 0;
}

/* Chunks double from 4 KiB, so that a small message costs little and a large one few calls. */
static struct arena_chunk *arena_grow(struct arena *arena, size_t size)
{
    size_t want = arena->chunks ? arena->chunks->size * 2 : CHUNK_MIN;
    if (want > arena->cap)
        want = arena->cap;
    if (want < size)
        want = size;
    struct arena_chunk *chunk = malloc(sizeof(*chunk) + want);
    if (!chunk)
        return NULL;
    chunk->older = arena->chunks;
    chunk->used = 0;
    chunk->size = want;
    arena->chunks = chunk;
    return chunk;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size > arena->cap)
        return NULL;
    size = size ? (size + ALIGN - 1) & ~(ALIGN - 1) : ALIGN; /* NULL would mean failure */
    if (size > arena->cap - arena->used)
        return NULL;
    struct arena_chunk *chunk = arena->chunks;
    if (!chunk || chunk->size - chunk->used < size) {
        chunk = arena_grow(arena, size);
        if (!chunk)
            return NULL;
    }
    void *pointer = chunk->bytes + chunk->used;
    chunk->used += size;
    arena->used += size;
    return pointer;
}

void *arena_zalloc(struct arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    void *pointer = arena_alloc(arena, bytes);
    if (pointer)
        memset(pointer, 0, bytes);
    return pointer;
}

char *arena_string(struct arena *arena, const void *bytes, size_t len)
{
    if (len == SIZE_MAX)
        return NULL;
    char *copy = arena_alloc(arena, len + 1);
    if (!copy)
        return NULL;
    if (len)
        memcpy(copy, bytes, len);
    copy[len] = '\0';
    return copy;
}
