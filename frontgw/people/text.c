#include "frontgw/people/text.h"

#include "base/utf8.h"

#include <string.h>

bool text_code_point_hidden(const char *sequence, size_t len)
{
    const unsigned char *p = (const unsigned char *)sequence;
    if (len == 1)
        return p[0] < 0x20 || p[0] == 0x7f;
    if (len == 2) /* U+0080 to U+009F, U+061C */
        return (p[0] == 0xc2 && p[1] < 0xa0) || (p[0] == 0xd8 && p[1] == 0x9c);
    if (len != 3)
        return len == 4 && p[0] == 0xf3 && p[1] == 0xa0; /* tags, U+E0000 and on */
    if (p[0] == 0xe2 && p[1] == 0x80) /* zero width space, marks, separators, embeddings */
        return p[2] == 0x8b || p[2] == 0x8e || p[2] == 0x8f || (p[2] >= 0xa8 && p[2] <= 0xae);
    if (p[0] == 0xe2 && p[1] == 0x81) /* word joiner to isolates */
        return p[2] >= 0xa0 && p[2] <= 0xaf;
    if (p[0] == 0xef && p[1] == 0xbb)
        return p[2] == 0xbf;
    return p[0] == 0xef && p[1] == 0xbf && p[2] >= 0xb0; /* U+FFF0 and on */
}

static bool well_formed(const char *text, size_t len, bool block)
{
    for (size_t at = 0; at < len;) {
        size_t n = utf8_sequence(text + at, len - at);
        if (!n)
            return false;
        bool layout = block && (text[at] == '\n' || text[at] == '\t' || text[at] == '\r');
        if (!layout && text_code_point_hidden(text + at, n))
            return false;
        at += n;
    }
    return true;
}

bool text_line_ok(const char *text, size_t min, size_t max)
{
    size_t len = strlen(text);
    if (len < min || len > max || (len && (text[0] == ' ' || text[len - 1] == ' ')))
        return false;
    return well_formed(text, len, false);
}

bool text_block_ok(const char *text, size_t max)
{
    size_t len = strlen(text);
    return len <= max && well_formed(text, len, true);
}

bool text_login_ok(const char *text)
{
    size_t len = strlen(text);
    if (len < 1 || len > 64 || strchr("._-@+", text[0]))
        return false;
    return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789._-@+") == len;
}
