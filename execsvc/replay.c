#include "execsvc/replay.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REPLAY_FIRST ((size_t)4 * 1024)

struct header {
    uint32_t stream, len;
    uint64_t offset;
};

_Static_assert(REPLAY_RECORD_MAX + sizeof(struct header) <= REPLAY_MAX, "a record fits the ring");

void replay_init(struct replay *replay)
{
    *replay = (struct replay){0};
}

void replay_done(struct replay *replay)
{
    free(replay->ring);
    replay_init(replay);
}

static void copy_out(const struct replay *replay, uint64_t position, void *to, size_t len)
{
    size_t at = (size_t)(position % replay->cap);
    size_t first = replay->cap - at < len ? replay->cap - at : len;
    memcpy(to, replay->ring + at, first);
    memcpy((uint8_t *)to + first, replay->ring, len - first);
}

static void copy_in(struct replay *replay, const void *from, size_t len)
{
    size_t at = (size_t)(replay->end % replay->cap);
    size_t first = replay->cap - at < len ? replay->cap - at : len;
    memcpy(replay->ring + at, from, first);
    memcpy(replay->ring, (const uint8_t *)from + first, len - first);
    replay->end += len;
}

static size_t record_size(const struct replay *replay, uint64_t position)
{
    struct header header;
    copy_out(replay, position, &header, sizeof(header));
    return sizeof(header) + header.len;
}

/* Double the ring until @need more bytes fit or it is as large as it gets. Positions keep their
 * meaning. */
static int grow(struct replay *replay, size_t need)
{
    uint64_t used = replay->end - replay->oldest;
    size_t cap = replay->cap ? replay->cap : REPLAY_FIRST;
    while (cap < REPLAY_MAX && cap - used < need)
        cap *= 2;
    if (cap == replay->cap)
        return 0;
    uint8_t *ring = malloc(cap);
    if (!ring)
        return -ENOMEM;
    for (uint64_t p = replay->oldest; p < replay->end;) {
        size_t at = (size_t)(p % cap), run = cap - at;
        size_t n = replay->end - p < run ? (size_t)(replay->end - p) : run;
        copy_out(replay, p, ring + at, n);
        p += n;
    }
    free(replay->ring);
    replay->ring = ring;
    replay->cap = cap;
    return 0;
}

int replay_add(struct replay *replay, int stream, uint64_t offset, const void *bytes, size_t len)
{
    assert(len > 0 && len <= REPLAY_RECORD_MAX);
    const struct header header = {.stream = (uint32_t)stream,
                                  .len = (uint32_t)len,
                                  .offset = offset};
    size_t need = sizeof(header) + len;
    int r = grow(replay, need);
    if (r < 0)
        return r;
    while (replay->cap - (replay->end - replay->oldest) < need)
        replay->oldest += record_size(replay, replay->oldest);
    copy_in(replay, &header, sizeof(header));
    copy_in(replay, bytes, len);
    return 0;
}

bool replay_read(const struct replay *replay, uint64_t *position, struct replay_record *ret,
                 uint8_t *bytes)
{
    if (*position < replay->oldest)
        *position = replay->oldest;
    if (*position >= replay->end)
        return false;
    struct header header;
    copy_out(replay, *position, &header, sizeof(header));
    copy_out(replay, *position + sizeof(header), bytes, header.len);
    *position += sizeof(header) + header.len;
    *ret = (struct replay_record){.stream = (int)header.stream,
                                  .offset = header.offset,
                                  .len = header.len};
    return true;
}

void replay_forget(struct replay *replay, uint64_t position)
{
    assert(position <= replay->end);
    if (position > replay->oldest)
        replay->oldest = position;
}

uint64_t replay_unread(const struct replay *replay, uint64_t position)
{
    if (position < replay->oldest)
        position = replay->oldest;
    return replay->end > position ? replay->end - position : 0;
}
