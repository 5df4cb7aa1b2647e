#pragma once
/*
 * The cap on one output stream of a program: the head is forwarded as it comes; above it the last
 * bytes are kept in a ring and handed over when the stream ends; what lies between is counted and
 * dropped. Pure; the loop's thread owns it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OUTPUT_TAIL_MAX ((size_t)64 * 1024)

struct output {
    uint64_t limit; /* head plus tail */
    uint64_t head_max;
    uint64_t total; /* bytes that the program wrote */
    size_t tail_max, tail_at, tail_used;
    uint8_t *tail; /* made when the head is full */
    bool whole;    /* a terminal: everything is forwarded, only the kill limit holds */
};

void output_init(struct output *out, uint64_t limit, bool whole);
void output_done(struct output *out);

/**
 * output_feed() - @len bytes came from the program
 * @ret_forward: so many of the first of them go to the client now, at offset @ret_offset
 * Return: 0, or -ENOMEM.
 */
int output_feed(struct output *out, const void *bytes, size_t len, size_t *ret_forward,
                uint64_t *ret_offset);

/** output_is_silent() - nothing of what comes next will be forwarded before the end. */
bool output_is_silent(const struct output *out);

/**
 * output_tail() - the stream has ended: what is kept of its end, in up to two pieces
 * Return: the offset of the first piece's first byte.
 */
struct output_piece {
    const uint8_t *bytes;
    size_t len;
};
uint64_t output_tail(const struct output *out, struct output_piece ret[2]);

/** output_dropped() - bytes that no client will see. */
uint64_t output_dropped(const struct output *out);
bool output_limit_hit(const struct output *out);
/** output_must_end() - beyond LIMIT_OUTPUT_KILL_FACTOR times the limit. */
bool output_must_end(const struct output *out);
