/*
 * The heap of a command that lives for one run: pieces of one array, one after the other. What is
 * freed is used again only if it was the last; that is most of what is freed here, since little is
 * kept and the rest is taken and given back at once.
 *
 * musl's own asks the kernel for a mapping for each size of piece, and gives it back with the last:
 * a dozen calls and twice as many page faults a run, which is 0.1 ms (docs/adr/0014).
 */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define FIRST   (256u << 10)
#define MORE    (1u << 20)
#define AHEAD   (48u << 10) /* what a plain run uses: its pages in one call */
#define ALIGN   16u
#define LARGEST (SIZE_MAX / 4)

#ifndef MADV_POPULATE_WRITE /* since Linux 5.14; before, each page comes with its fault */
#define MADV_POPULATE_WRITE 23
#endif

static _Alignas(4096) uint8_t first[FIRST];
static struct {
    uint8_t *at, *end;
    uint8_t *dirty; /* from here on nobody has written yet */
    size_t *last;   /* the size of the last piece, in front of it */
} heap;

static bool grow(size_t need)
{
    if (!heap.at) {
        madvise(first, AHEAD, MADV_POPULATE_WRITE);
        heap.at = heap.dirty = first;
        heap.end = first + sizeof(first);
        if (need <= sizeof(first))
            return true;
    }
    size_t size = need > MORE ? need : MORE;
    void *more = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (more == MAP_FAILED)
        return false;
    heap.at = heap.dirty = more;
    heap.end = heap.at + size;
    return true;
}

static void *take(size_t size, bool zero)
{
    if (size > LARGEST) {
        errno = ENOMEM;
        return NULL;
    }
    size_t whole = ALIGN + (size + ALIGN - 1) / ALIGN * ALIGN;
    if ((size_t)(heap.end - heap.at) < whole && !grow(whole))
        return NULL;
    uint8_t *piece = heap.at + ALIGN;
    heap.last = (size_t *)(void *)heap.at;
    *heap.last = size;
    heap.at += whole;
    if (zero && heap.dirty > piece)
        memset(piece, 0, heap.dirty < piece + size ? (size_t)(heap.dirty - piece) : size);
    if (heap.dirty < heap.at)
        heap.dirty = heap.at;
    return piece;
}

static size_t *size_of(void *piece)
{
    return (size_t *)(void *)((uint8_t *)piece - ALIGN);
}

void *malloc(size_t size)
{
    return take(size, false);
}

void *calloc(size_t n, size_t size)
{
    size_t all;
    if (__builtin_mul_overflow(n, size, &all)) {
        errno = ENOMEM;
        return NULL;
    }
    return take(all, true);
}

void free(void *piece)
{
    if (!piece || size_of(piece) != heap.last)
        return;
    heap.at = (uint8_t *)heap.last;
    heap.last = NULL;
}

void *realloc(void *piece, size_t size)
{
    if (!piece)
        return take(size, false);
    size_t *old = size_of(piece);
    if (old == heap.last && size <= LARGEST) {
        size_t whole = (size + ALIGN - 1) / ALIGN * ALIGN;
        if (whole <= (size_t)(heap.end - (uint8_t *)piece)) {
            *old = size;
            heap.at = (uint8_t *)piece + whole;
            if (heap.dirty < heap.at)
                heap.dirty = heap.at;
            return piece;
        }
    }
    if (size <= *old)
        return piece;
    void *moved = take(size, false);
    if (moved)
        memcpy(moved, piece, *old);
    return moved;
}
