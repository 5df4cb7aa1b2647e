#include "frontgw/files/name.h"

#include "base/utf8.h"
#include "frontgw/people/actor.h"
#include "frontgw/people/text.h"

#include <string.h>
#include <strings.h>

#define refuse(...) gw_refuse(err, GW_PROBLEM_INVALID_VALUE, __VA_ARGS__)

int gw_name_check(const char *name, struct err *err)
{
    size_t len = strlen(name);
    if (len < 1 || len > NAME_MAX_BYTES)
        return refuse("a name has 1 to %d bytes", NAME_MAX_BYTES);
    if (name[len - 1] == '.' || name[len - 1] == ' ' || name[0] == ' ')
        return refuse("a name does not end with a dot, nor begin or end with a blank");
    for (size_t at = 0; at < len;) {
        size_t n = utf8_sequence(name + at, len - at);
        if (!n)
            return refuse("a name is well-formed UTF-8");
        if (name[at] == '/' || name[at] == '\\')
            return refuse("a name has no slash and no backslash");
        if (text_code_point_hidden(name + at, n))
            return refuse("a name has no control or invisible characters");
        at += n;
    }
    return 0;
}

int gw_path_parse(const char *path, struct gw_path *ret, struct err *err)
{
    size_t len = strlen(path);
    if (len < 1 || len > PATH_MAX_BYTES)
        return refuse("a path has 1 to %d bytes", PATH_MAX_BYTES);
    memcpy(ret->text, path, len + 1);
    ret->depth = 0;
    for (char *part = ret->text; part;) {
        char *slash = strchr(part, '/');
        if (slash)
            *slash = 0;
        if (ret->depth == PATH_DEPTH_MAX)
            return refuse("a path has at most %d parts", PATH_DEPTH_MAX);
        int r = gw_name_check(part, err);
        if (r)
            return r;
        ret->parts[ret->depth++] = part;
        part = slash ? slash + 1 : NULL;
    }
    return 0;
}

static const struct {
    const char *ending, *mime;
    int inline_ok;
} types[] = {
    {"py", "text/x-python", 0},
    {"txt", "text/plain; charset=utf-8", 1},
    {"md", "text/markdown; charset=utf-8", 0},
    {"csv", "text/csv; charset=utf-8", 0},
    {"tsv", "text/tab-separated-values; charset=utf-8", 0},
    {"json", "application/json", 0},
    {"ipynb", "application/x-ipynb+json", 0},
    {"png", "image/png", 1},
    {"jpg", "image/jpeg", 1},
    {"jpeg", "image/jpeg", 1},
    {"gif", "image/gif", 1},
    {"webp", "image/webp", 1},
    {"bmp", "image/bmp", 1},
    {"pdf", "application/pdf", 1},
    {"zip", "application/zip", 0},
    {"gz", "application/gzip", 0},
    {"tar", "application/x-tar", 0},
    {"html", "text/html", 0},
    {"htm", "text/html", 0},
    {"xhtml", "application/xhtml+xml", 0},
    {"svg", "image/svg+xml", 0},
    {"xml", "application/xml", 0},
    {"c", "text/x-c; charset=utf-8", 0},
    {"h", "text/x-c; charset=utf-8", 0},
    {"js", "text/javascript", 0},
    {"sh", "application/x-sh", 0},
};
#define N_TYPES (sizeof(types) / sizeof(types[0]))

const char *gw_mime_of(const char *name)
{
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < N_TYPES; i++)
        if (!strcasecmp(dot + 1, types[i].ending))
            return types[i].mime;
    return "application/octet-stream";
}

int gw_mime_inline_ok(const char *mime)
{
    for (size_t i = 0; i < N_TYPES; i++)
        if (!strcmp(types[i].mime, mime))
            return types[i].inline_ok;
    return 0;
}
