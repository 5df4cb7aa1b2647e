#include "api/h2_guard.h"

#include <string.h>

#define TOKEN       UINT64_C(1000000)
#define FAILED      UINT32_MAX /* in `preface` */
#define PREFACE     "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define PREFACE_LEN ((uint32_t)sizeof(PREFACE) - 1)

/* RFC 9113, section 6 */
enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE };
enum { CONTINUATION = 9 };
enum { END_STREAM = 1, END_HEADERS = 4 };

/*
 * Far above what clients do. A download of 800 MB/s takes some 12,000 window updates a second;
 * grpc-go sends a ping per round trip while it measures the line; every Interact call that the
 * program ends is reset by its client.
 */
static const struct {
    uint32_t per_second, burst;
    const char *words;
} rates[H2_KINDS] = {
    [H2_STREAMS] = {10000, 10000, "too many streams a second"},
    [H2_RESETS] = {1000, 2000, "too many streams reset"},
    [H2_CONTROL] = {5000, 10000, "too many control frames"},
    [H2_WINDOWS] = {100000, 200000, "too many window updates"},
    [H2_EMPTY] = {1000, 2000, "too many empty frames"},
};

void h2_guard_init(struct h2_guard *guard, uint64_t now_us)
{
    *guard = (struct h2_guard){0};
    for (int kind = 0; kind < H2_KINDS; kind++) {
        guard->filled_us[kind] = now_us;
        guard->tokens[kind] = rates[kind].burst * TOKEN;
    }
}

bool h2_guard_begun(const struct h2_guard *guard)
{
    return guard->preface == PREFACE_LEN;
}

static const char *charge(struct h2_guard *guard, enum h2_kind kind, uint64_t now_us)
{
    const uint64_t full = rates[kind].burst * TOKEN;
    uint64_t passed = now_us > guard->filled_us[kind] ? now_us - guard->filled_us[kind] : 0;
    guard->filled_us[kind] = now_us;
    /* A microsecond is worth per_second millionths of a token. */
    uint64_t tokens =
        passed >= TOKEN * 1000 ? full : guard->tokens[kind] + passed * rates[kind].per_second;
    guard->tokens[kind] = tokens < full ? tokens : full;
    if (guard->tokens[kind] < TOKEN)
        return rates[kind].words;
    guard->tokens[kind] -= TOKEN;
    return NULL;
}

/* A header block is HEADERS and the CONTINUATIONs right behind it. */
static const char *block(struct h2_guard *guard, uint32_t len, bool end)
{
    guard->block_bytes += len;
    guard->block_frames++;
    guard->in_block = !end;
    if (guard->block_bytes > H2_BLOCK_BYTES_MAX)
        return "a header block of too many bytes";
    return guard->block_frames > H2_BLOCK_FRAMES_MAX ? "a header block of too many frames" : NULL;
}

static const char *frame(struct h2_guard *guard, uint64_t now_us)
{
    const uint8_t *h = guard->head;
    uint32_t len = (uint32_t)h[0] << 16 | (uint32_t)h[1] << 8 | h[2];
    uint8_t type = h[3], flags = h[4];
    guard->left = len;
    if (guard->in_block != (type == CONTINUATION))
        return "a header block out of order";
    switch (type) {
    case DATA:
        return len == 0 && !(flags & END_STREAM) ? charge(guard, H2_EMPTY, now_us) : NULL;
    case HEADERS:
        guard->block_bytes = guard->block_frames = 0;
        const char *why = charge(guard, H2_STREAMS, now_us);
        return why ? why : block(guard, len, flags & END_HEADERS);
    case CONTINUATION:
        return block(guard, len, flags & END_HEADERS);
    case RST_STREAM:
        return charge(guard, H2_RESETS, now_us);
    case WINDOW_UPDATE:
        return charge(guard, H2_WINDOWS, now_us);
    default: /* PRIORITY SETTINGS PUSH_PROMISE PING GOAWAY, and what we have never heard of */
        return charge(guard, H2_CONTROL, now_us);
    }
}

static const char *fail(struct h2_guard *guard, const char *why)
{
    guard->preface = FAILED;
    return why;
}

const char *h2_guard_feed(struct h2_guard *guard, const uint8_t *bytes, size_t len, uint64_t now_us)
{
    while (len > 0) {
        if (guard->preface != PREFACE_LEN) {
            if (guard->preface == FAILED || *bytes != (uint8_t)PREFACE[guard->preface])
                return fail(guard, "not HTTP/2");
            guard->preface++;
            bytes++;
            len--;
            continue;
        }
        if (guard->left > 0) {
            size_t n = len < guard->left ? len : guard->left;
            guard->left -= (uint32_t)n;
            bytes += n;
            len -= n;
            continue;
        }
        guard->head[guard->n_head++] = *bytes++;
        len--;
        if (guard->n_head < sizeof(guard->head))
            continue;
        guard->n_head = 0;
        const char *why = frame(guard, now_us);
        if (why)
            return fail(guard, why);
    }
    return NULL;
}
