#pragma once
/* Small pieces of messages, for request_encode.c and result_proto.c. */

#include <string.h>

#include "api/arena.h"

static inline ProtobufCBinaryData proto_bytes(const void *data, size_t len)
{
    return (ProtobufCBinaryData){.len = len, .data = (uint8_t *)(uintptr_t)data};
}

static inline ProtobufCBinaryData proto_text_bytes(const char *text)
{
    return proto_bytes(text, strlen(text));
}

static inline char *proto_text(const char *text)
{
    return (char *)(uintptr_t)(text ? text : "");
}

/* An array of pointers to @n cleared messages of @size. */
static inline void *proto_array(struct arena *arena, size_t n, size_t size)
{
    void **list = arena_zalloc(arena, n, sizeof(*list));
    char *items = arena_zalloc(arena, n, size);
    if (!list || !items)
        return NULL;
    for (size_t i = 0; i < n; i++)
        list[i] = items + i * size;
    return list;
}
