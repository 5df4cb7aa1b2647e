#include "base/wire.h"

#include <string.h>

void wire_reader_init(struct wire_reader *r, const void *bytes, size_t len)
{
    *r = (struct wire_reader){.p = bytes, .left = len};
}

const void *wire_bytes(struct wire_reader *r, size_t len)
{
    if (r->bad || len > r->left) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *p = r->p;
    r->p += len;
    r->left -= len;
    return p;
}

uint32_t wire_u32(struct wire_reader *r)
{
    uint32_t v = 0;
    const void *p = wire_bytes(r, sizeof(v));
    if (p)
        memcpy(&v, p, sizeof(v));
    return v;
}

uint64_t wire_u64(struct wire_reader *r)
{
    uint64_t v = 0;
    const void *p = wire_bytes(r, sizeof(v));
    if (p)
        memcpy(&v, p, sizeof(v));
    return v;
}

const char *wire_string(struct wire_reader *r, size_t max_len)
{
    size_t len = wire_u32(r);
    if (len > max_len)
        r->bad = true;
    const char *text = r->bad ? NULL : wire_bytes(r, len + 1);
    /* The first NUL must be the one that ends it: what was checked is then what every reader sees.
     */
    if (text && memchr(text, 0, len + 1) != text + len) {
        r->bad = true;
        text = NULL;
    }
    return text;
}

bool wire_done(const struct wire_reader *r)
{
    return !r->bad && r->left == 0;
}

void wire_writer_init(struct wire_writer *w, void *buf, size_t cap)
{
    *w = (struct wire_writer){.p = buf, .cap = cap};
}

void wire_put_bytes(struct wire_writer *w, const void *bytes, size_t len)
{
    if (w->bad || len > w->cap - w->used) {
        w->bad = true;
        return;
    }
    if (len)
        memcpy(w->p + w->used, bytes, len);
    w->used += len;
}

void wire_put_u32(struct wire_writer *w, uint32_t v)
{
    wire_put_bytes(w, &v, sizeof(v));
}

void wire_put_u64(struct wire_writer *w, uint64_t v)
{
    wire_put_bytes(w, &v, sizeof(v));
}

void wire_put_string(struct wire_writer *w, const char *text)
{
    size_t len = strlen(text);
    if (len >= UINT32_MAX) {
        w->bad = true;
        return;
    }
    wire_put_u32(w, (uint32_t)len);
    wire_put_bytes(w, text, len + 1);
}
