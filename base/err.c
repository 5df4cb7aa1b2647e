#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void replace_control_characters(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

int err_set(struct err *err, int code, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        errno = -code;
        vsnprintf(err->text, sizeof(err->text), format, args);
        va_end(args);
        replace_control_characters(err->text);
        err->code = code;
    }
    return code;
}

int err_prefix(struct err *err, const char *format, ...)
{
    if (!err)
        return -EIO;
    char old[ERR_TEXT_MAX];
    memcpy(old, err->text, sizeof(old));
    old[sizeof(old) - 1] = 0;
    va_list args;
    va_start(args, format);
    int used = vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    /* Cut where the room ends: the beginning says more than the end. */
    if (used >= 0 && (size_t)used < sizeof(err->text) &&
        snprintf(err->text + used, sizeof(err->text) - (size_t)used, ": %s", old) < 0)
        err->text[used] = 0;
    replace_control_characters(err->text);
    return err->code ? err->code : -EIO;
}

void err_clear(struct err *err)
{
    if (err) {
        err->code = 0;
        err->text[0] = 0;
    }
}
