#include "frontgw/http/cookie.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static bool value_ok(const char *value, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = value[i];
        if (!((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '-' ||
              c == '_'))
            return false;
    }
    return len > 0;
}

int gw_cookie_find(const char *header, const char *name, char *ret, size_t size)
{
    size_t name_len = strlen(name), found_len = 0;
    const char *found = NULL;

    for (const char *p = header; p && *p;) {
        p += strspn(p, " \t;");
        size_t len = strcspn(p, ";");
        if (len > name_len && strncmp(p, name, name_len) == 0 && p[name_len] == '=') {
            if (found)
                return -ENOENT;
            found = p + name_len + 1;
            found_len = len - name_len - 1;
            while (found_len && (found[found_len - 1] == ' ' || found[found_len - 1] == '\t'))
                found_len--;
        }
        p += len;
    }
    if (!found || found_len >= size || !value_ok(found, found_len))
        return -ENOENT;
    memcpy(ret, found, found_len);
    ret[found_len] = '\0';
    return 0;
}
