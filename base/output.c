#include "base/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

void output_init(struct output *out, uint64_t limit, bool whole)
{
    *out = (struct output){.limit = limit, .whole = whole};
    uint64_t quarter = limit / 4;
    out->tail_max = quarter < OUTPUT_TAIL_MAX ? (size_t)quarter : OUTPUT_TAIL_MAX;
    out->head_max = limit - out->tail_max;
}

void output_done(struct output *out)
{
    free(out->tail);
    out->tail = NULL;
    out->tail_used = 0;
}

static void tail_add(struct output *out, const uint8_t *bytes, size_t len)
{
    if (len > out->tail_max) {
        bytes += len - out->tail_max;
        len = out->tail_max;
    }
    while (len > 0) {
        size_t room = out->tail_max - out->tail_at;
        size_t n = len < room ? len : room;
        memcpy(out->tail + out->tail_at, bytes, n);
        out->tail_at = (out->tail_at + n) % out->tail_max;
        out->tail_used = out->tail_used + n < out->tail_max ? out->tail_used + n : out->tail_max;
        bytes += n;
        len -= n;
    }
}

int output_feed(struct output *out, const void *bytes, size_t len, size_t *ret_forward,
                uint64_t *ret_offset)
{
    uint64_t offset = out->total;
    size_t forward = len;
    if (!out->whole) {
        uint64_t room = offset < out->head_max ? out->head_max - offset : 0;
        forward = len < room ? len : (size_t)room;
    }
    if (forward < len && out->tail_max > 0) {
        if (!out->tail)
            out->tail = malloc(out->tail_max);
        if (!out->tail)
            return -ENOMEM;
        tail_add(out, (const uint8_t *)bytes + forward, len - forward);
    }
    out->total += len;
    *ret_forward = forward;
    *ret_offset = offset;
    return 0;
}

bool output_is_silent(const struct output *out)
{
    return !out->whole && out->total >= out->head_max;
}

uint64_t output_tail(const struct output *out, struct output_piece ret[2])
{
    ret[0] = ret[1] = (struct output_piece){0};
    if (out->tail_used < out->tail_max) {
        ret[0] = (struct output_piece){out->tail, out->tail_used};
    } else if (out->tail) {
        ret[0] = (struct output_piece){out->tail + out->tail_at, out->tail_max - out->tail_at};
        ret[1] = (struct output_piece){out->tail, out->tail_at};
    }
    return out->total - out->tail_used;
}

uint64_t output_dropped(const struct output *out)
{
    if (out->whole || out->total <= out->head_max)
        return 0;
    return out->total - out->head_max - out->tail_used;
}

bool output_limit_hit(const struct output *out)
{
    return output_dropped(out) > 0 || output_must_end(out);
}

bool output_must_end(const struct output *out)
{
    return out->total / LIMIT_OUTPUT_KILL_FACTOR > out->limit ||
           (out->total / LIMIT_OUTPUT_KILL_FACTOR == out->limit &&
            out->total % LIMIT_OUTPUT_KILL_FACTOR > 0);
}
