/* Request heads, in the way the server does it: find the end, then parse in place. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "frontgw/http/cookie.h"
#include "frontgw/http/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void check(const struct gw_head *head)
{
    char value[80];

    require(head->method >= 0 && head->method < GW_METHOD_COUNT);
    require(head->target[0] == '/' && !strpbrk(head->target, " \t\r\n"));
    require(head->content_length >= -1);
    require(head->headers[GW_H_HOST] != NULL);
    for (int i = 0; i < GW_H_COUNT; i++)
        require(!head->headers[i] || !strpbrk(head->headers[i], "\r\n"));
    if (gw_cookie_find(head->headers[GW_H_COOKIE], "c", value, sizeof(value)) == 0)
        require(*value && !strpbrk(value, "=; \""));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gw_head head;
    const char *detail;
    size_t scan = 0;
    char *text = malloc(size + 1);

    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    size_t half = gw_head_end(text, size / 2, &scan);
    size_t end = half ? half : gw_head_end(text, size, &scan);
    if (end != 0 && end != GW_HEAD_BAD) {
        require(end <= size && memcmp(text + end - 4, "\r\n\r\n", 4) == 0);
        if (gw_head_parse(text, end, &head, &detail) == GW_PROBLEM_NONE)
            check(&head);
    }
    free(text);
    return 0;
}
