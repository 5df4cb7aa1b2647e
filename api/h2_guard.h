#pragma once
/*
 * What a peer may do with HTTP/2 before gRPC sees any of it.
 *
 * gRPC core 1.51 survives a well-behaved peer only: 60,000 streams that are opened and reset at
 * once cost it 800 MB, a header block may go on for ever in CONTINUATION frames, and control frames
 * are answered as fast as they come. The guard reads frame headers (nine bytes each; it never looks
 * into a payload) and says when a connection does more of one thing than any client of gRPC does.
 *
 *   struct h2_guard guard;
 *   h2_guard_init(&guard, now_us);
 *   while ((n = read(...)) > 0)
 *       if ((why = h2_guard_feed(&guard, bytes, n, now_us)))
 *           close the connection
 *
 * Pure: no descriptor, no clock, no allocation.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define H2_BLOCK_BYTES_MAX  (64u << 10) /* of one header block, compressed */
#define H2_BLOCK_FRAMES_MAX 16u         /* its HEADERS and CONTINUATIONs */

/* What is counted; the rates are in h2_guard.c and docs/SECURITY.md. */
enum h2_kind { H2_STREAMS, H2_RESETS, H2_CONTROL, H2_WINDOWS, H2_EMPTY, H2_KINDS };

struct h2_guard {
    uint64_t filled_us[H2_KINDS];
    uint64_t tokens[H2_KINDS]; /* in millionths */
    uint32_t preface;          /* bytes of it seen */
    uint32_t left;             /* of the frame's payload */
    uint32_t block_bytes, block_frames;
    uint8_t head[9], n_head;
    bool in_block;
};

void h2_guard_init(struct h2_guard *guard, uint64_t now_us);

/** h2_guard_begun() - the whole connection preface has been seen. */
bool h2_guard_begun(const struct h2_guard *guard);

/**
 * h2_guard_feed() - the next bytes from the peer
 * Return: NULL, or in a few words (static) why this connection must end. After that it says so
 * again for every further byte.
 */
const char *h2_guard_feed(struct h2_guard *guard, const uint8_t *bytes, size_t len,
                          uint64_t now_us);
