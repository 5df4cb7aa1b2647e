#include "api/text.h"

#include <string.h>

#include "base/utf8.h"

static bool is_control(unsigned char c)
{
    return c < 0x20 || c == 0x7f;
}

bool text_valid(const void *text, size_t len)
{
    const unsigned char *p = text;
    while (len > 0) {
        size_t n = utf8_sequence(p, len);
        if (n == 0 || is_control(*p))
            return false;
        p += n;
        len -= n;
    }
    return true;
}

void text_clean(char *text)
{
    size_t len = strlen(text);
    while (len > 0) {
        size_t n = utf8_sequence(text, len);
        if (n == 0 || is_control((unsigned char)*text)) {
            *text = '?';
            n = 1;
        }
        text += n;
        len -= n;
    }
}
