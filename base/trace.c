#include "base/trace.h"

#include <stdint.h>
#include <string.h>
#include <sys/random.h>

/* 00-<32 hex>-<16 hex>-<2 hex>; later versions may have more behind another '-'. */
#define PARENT_LEN 55
#define TRACE_AT   3
#define SPAN_AT    36
#define FLAGS_AT   53

static const char digits[] = "0123456789abcdef";

static bool hex_only(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!text[i] || !strchr(digits, text[i]))
            return false;
    return true;
}

static bool zeros_only(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] != '0')
            return false;
    return true;
}

bool trace_parse(const char *text, size_t len, char ret_trace_id[TRACE_ID_SIZE])
{
    if (len < PARENT_LEN || !hex_only(text, 2) || strncmp(text, "ff", 2) == 0)
        return false;
    bool first_version = strncmp(text, "00", 2) == 0;
    if (len > PARENT_LEN && (first_version || text[PARENT_LEN] != '-'))
        return false;
    if (text[TRACE_AT - 1] != '-' || text[SPAN_AT - 1] != '-' || text[FLAGS_AT - 1] != '-')
        return false;
    if (!hex_only(text + TRACE_AT, TRACE_ID_SIZE - 1) ||
        !hex_only(text + SPAN_AT, SPAN_ID_SIZE - 1) || !hex_only(text + FLAGS_AT, 2))
        return false;
    if (zeros_only(text + TRACE_AT, TRACE_ID_SIZE - 1) ||
        zeros_only(text + SPAN_AT, SPAN_ID_SIZE - 1))
        return false;
    memcpy(ret_trace_id, text + TRACE_AT, TRACE_ID_SIZE - 1);
    ret_trace_id[TRACE_ID_SIZE - 1] = '\0';
    return true;
}

static void put_hex(char *to, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        to[2 * i] = digits[bytes[i] >> 4];
        to[2 * i + 1] = digits[bytes[i] & 15];
    }
    to[2 * n] = '\0';
}

void trace_begin(const char *parent, size_t len, struct trace *ret)
{
    uint8_t random[(TRACE_ID_SIZE - 1 + SPAN_ID_SIZE - 1) / 2];
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        memset(random, 1, sizeof(random));
    put_hex(ret->trace_id, random, (TRACE_ID_SIZE - 1) / 2);
    put_hex(ret->span_id, random + (TRACE_ID_SIZE - 1) / 2, (SPAN_ID_SIZE - 1) / 2);
    if (parent)
        trace_parse(parent, len, ret->trace_id);
}
