#include "frontgw/files/thin.h"

#define HOUR_MS  (3600ull * 1000)
#define DAY_MS   (24 * HOUR_MS)
#define SLICE_MS (600ull * 1000)

/* The slice of absolute time that a version falls into; 0: it stays for its youth alone. Days and
 * ten minutes never share a number. */
static uint64_t slice_of(uint64_t created_ms, uint64_t now_ms)
{
    uint64_t age = now_ms > created_ms ? now_ms - created_ms : 0;
    if (age < HOUR_MS)
        return 0;
    return age < DAY_MS ? created_ms / SLICE_MS * 2 + 2 : created_ms / DAY_MS * 2 + 1;
}

size_t thin_select(struct thin_version *versions, size_t n, uint64_t now_ms)
{
    size_t dropped = 0;
    uint64_t newer = 0; /* slice of the next newer version that was kept for its slice */
    for (size_t i = n; i-- > 0;) {
        struct thin_version *v = &versions[i];
        uint64_t slice = slice_of(v->created_ms, now_ms);
        bool keep = i == 0 || i + 1 == n || v->pinned || slice == 0 || slice != newer;
        v->drop = !keep;
        dropped += v->drop;
        if (slice && !v->pinned)
            newer = slice;
    }
    return dropped;
}
