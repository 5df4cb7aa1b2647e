/* Names and paths: what is taken leads nowhere else, and can be put together again to what it was.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "frontgw/files/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_part(const char *part)
{
    size_t len = strlen(part);
    if (!len || len > NAME_MAX_BYTES || !strcmp(part, ".") || !strcmp(part, "..") ||
        strpbrk(part, "/\\\n\r\t\x7f\x1b"))
        abort();
    for (size_t at = 0; at < len;) {
        size_t n = utf8_sequence(part + at, len - at);
        if (!n || (unsigned char)part[at] < 0x20)
            abort();
        at += n;
    }
    if (gw_name_check(part, NULL))
        abort();
}

static void check_path(const char *text)
{
    struct gw_path path;
    char again[PATH_MAX_BYTES + 1] = "";
    if (gw_path_parse(text, &path, NULL))
        return;
    if (path.depth < 1 || path.depth > PATH_DEPTH_MAX)
        abort();
    for (size_t i = 0; i < path.depth; i++) {
        check_part(path.parts[i]);
        if (i)
            strncat(again, "/", sizeof(again) - strlen(again) - 1);
        strncat(again, path.parts[i], sizeof(again) - strlen(again) - 1);
    }
    if (strcmp(again, text) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    check_path(text);
    if (!gw_name_check(text, NULL))
        check_part(text);
    const char *mime = gw_mime_of(text);
    if (gw_mime_inline_ok(mime) &&
        (strstr(mime, "html") || strstr(mime, "svg") || strstr(mime, "xml")))
        abort();
    free(text);
    return 0;
}
