#pragma once
/*
 * A bounds-checked cursor over bytes from outside, and its writing twin. Integers are in host byte
 * order: the peers run on one machine. After the first fault every further read fails, so that a
 * caller may read a whole message and check once.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wire_reader {
    const uint8_t *p;
    size_t left;
    bool bad;
};

struct wire_writer {
    uint8_t *p;
    size_t used, cap;
    bool bad;
};

void wire_reader_init(struct wire_reader *r, const void *bytes, size_t len);
uint32_t wire_u32(struct wire_reader *r);
uint64_t wire_u64(struct wire_reader *r);
/* Return: pointer into the message, or NULL (and bad). */
const void *wire_bytes(struct wire_reader *r, size_t len);
/* A string: u32 length, bytes, one NUL, none inside. Return: borrowed, or NULL (and bad). */
const char *wire_string(struct wire_reader *r, size_t max_len);
/* True when everything was read and nothing failed. */
bool wire_done(const struct wire_reader *r);

void wire_writer_init(struct wire_writer *w, void *buf, size_t cap);
void wire_put_u32(struct wire_writer *w, uint32_t v);
void wire_put_u64(struct wire_writer *w, uint64_t v);
void wire_put_bytes(struct wire_writer *w, const void *bytes, size_t len);
void wire_put_string(struct wire_writer *w, const char *text);
