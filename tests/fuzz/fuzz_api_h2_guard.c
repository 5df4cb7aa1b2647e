/*
 * The guard before gRPC. However the bytes are cut into pieces, it says the same of them; what it
 * let through begins with the preface; once it has said no, it never says yes again.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/h2_guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

/* Return: how many bytes were taken in pieces of @piece before it said no. */
static size_t taken(const uint8_t *data, size_t size, size_t piece, const char **ret_why)
{
    struct h2_guard guard;
    h2_guard_init(&guard, 0);
    *ret_why = NULL;
    for (size_t at = 0; at < size; at += piece) {
        size_t n = size - at < piece ? size - at : piece;
        *ret_why = h2_guard_feed(&guard, data + at, n, at / 64);
        if (*ret_why) {
            require(h2_guard_feed(&guard, data, 1, UINT64_MAX) != NULL);
            require(!h2_guard_begun(&guard));
            return at;
        }
        require(guard.n_head < sizeof(guard.head));
        require(guard.block_bytes <= H2_BLOCK_BYTES_MAX);
        require(guard.block_frames <= H2_BLOCK_FRAMES_MAX);
    }
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const char *one, *some, *all;
    size_t n = taken(data, size, 1, &one);
    taken(data, size, 7, &some);
    taken(data, size, size ? size : 1, &all);
    require((one == NULL) == (some == NULL) && (one == NULL) == (all == NULL));
    if (one)
        require(strcmp(one, some) == 0 && strcmp(one, all) == 0);
    size_t begin = n < sizeof(preface) - 1 ? n : sizeof(preface) - 1;
    require(memcmp(data, preface, begin) == 0);
    return 0;
}
