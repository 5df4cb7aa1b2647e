/*
 * The wire cursor. The first half of the input is a script of reads over the second half; whatever
 * is read must lie within the message, and what is written back must read back.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void check_within(const uint8_t *message, size_t size, const void *p, size_t len)
{
    const uint8_t *start = p;
    require(start >= message && start <= message + size);
    require(len <= (size_t)(message + size - start));
}

static void read_one(struct wire_reader *r, uint8_t op, const uint8_t *message, size_t size)
{
    size_t left = r->left;
    const void *bytes;
    const char *text;
    switch (op & 3) {
    case 0:
        wire_u32(r);
        require(r->bad || r->left == left - 4);
        break;
    case 1:
        wire_u64(r);
        require(r->bad || r->left == left - 8);
        break;
    case 2:
        bytes = wire_bytes(r, op >> 2);
        require((bytes == NULL) == r->bad);
        if (bytes)
            check_within(message, size, bytes, op >> 2);
        break;
    default:
        text = wire_string(r, op >> 2);
        require((text == NULL) == r->bad);
        if (text) {
            require(strlen(text) <= (op >> 2));
            check_within(message, size, text, strlen(text) + 1);
        }
        break;
    }
}

static void write_and_read_back(const uint8_t *data, size_t size)
{
    char text[64];
    size_t len = size < sizeof(text) ? size : sizeof(text) - 1;
    memcpy(text, data, len);
    text[len] = 0;

    uint8_t buf[128];
    struct wire_writer w;
    wire_writer_init(&w, buf, size % sizeof(buf));
    wire_put_u32(&w, 0x01020304);
    wire_put_string(&w, text);
    wire_put_u64(&w, UINT64_MAX - 1);
    require(w.used <= w.cap);
    if (w.bad)
        return;
    struct wire_reader r;
    wire_reader_init(&r, buf, w.used);
    require(wire_u32(&r) == 0x01020304);
    const char *back = wire_string(&r, sizeof(text));
    require(back && strcmp(back, text) == 0);
    require(wire_u64(&r) == UINT64_MAX - 1);
    require(wire_done(&r));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *message = data + size / 2;
    size_t message_size = size - size / 2;
    struct wire_reader r;
    wire_reader_init(&r, message, message_size);
    for (size_t i = 0; i < size / 2; i++) {
        bool was_bad = r.bad;
        read_one(&r, data[i], message, message_size);
        require(!was_bad || r.bad);
        require(r.left <= message_size);
    }
    write_and_read_back(data, size);
    return 0;
}
