#include "frontgw/http/text.h"

#include "base/utf8.h"

bool gw_text_ok(const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)text[i];
        size_t n = utf8_sequence(text + i, len - i);
        if (n == 0 || c < 0x20 || c == 0x7f)
            return false;
        if (c == 0xc2 && (unsigned char)text[i + 1] < 0xa0)
            return false; /* U+0080..U+009F */
        i += n;
    }
    return true;
}
