#include "frontgw/http/assets.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "frontgw/http/range.h"
#include "frontgw/http/request.h"
#include "frontgw/http/response.h"

#define ASSETS_MAX     1000
#define ASSET_SIZE_MAX (UINT64_C(32) << 20)
#define DEPTH_MAX      4

enum coding { CODING_NONE, CODING_GZIP, CODING_BR, CODING_COUNT };

static const struct {
    const char *suffix, *name, *tag;
} codings[CODING_COUNT] = {{"", "", ""}, {".gz", "gzip", "-gz"}, {".br", "br", "-br"}};

struct form {
    char *bytes; /* NULL: not there */
    size_t size;
};

struct asset {
    char *path; /* "/assets/app.1a2b3c4d.js" */
    const char *type;
    char tag[17];
    bool immutable;
    struct form forms[CODING_COUNT];
};

struct gw_assets {
    struct asset *list; /* sorted by path */
    size_t n;
};

static const struct {
    const char *suffix, *type;
} types[] = {
    {".css", "text/css; charset=utf-8"},
    {".html", "text/html; charset=utf-8"},
    {".ico", "image/x-icon"},
    {".js", "text/javascript; charset=utf-8"},
    {".json", "application/json"},
    {".mjs", "text/javascript; charset=utf-8"},
    {".png", "image/png"},
    {".svg", "image/svg+xml"},
    {".txt", "text/plain; charset=utf-8"},
    {".wasm", "application/wasm"},
    {".webmanifest", "application/manifest+json"},
    {".woff2", "font/woff2"},
    {".yaml", "application/yaml"},
};

static bool ends_with(const char *text, const char *suffix)
{
    size_t n = strlen(text), m = strlen(suffix);

    return n >= m && strcmp(text + n - m, suffix) == 0;
}

static const char *type_of(const char *path)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (ends_with(path, types[i].suffix))
            return types[i].type;
    }
    return "application/octet-stream";
}

static int read_form(int dir, const char *name, struct form *ret, struct err *err)
{
    struct stat st;
    AUTO_CLOSE int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(err, -errno, "asset %s: %m", name);
    if ((uint64_t)st.st_size > ASSET_SIZE_MAX)
        return err_set(err, -EFBIG, "asset %s is larger than 32 MiB", name);
    ret->size = (size_t)st.st_size;
    ret->bytes = malloc(ret->size + 1);
    if (!ret->bytes)
        return err_set(err, -ENOMEM, "asset %s: %m", name);
    ssize_t n = fd_read_all(fd, ret->bytes, ret->size);
    return n == (ssize_t)ret->size ? 0 : err_set(err, n < 0 ? (int)n : -EIO, "read %s", name);
}

static int load_file(struct gw_assets *assets, int dir, const char *name, const char *path,
                     struct err *err)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];

    if (assets->n == ASSETS_MAX)
        return err_set(err, -E2BIG, "more than %d assets", ASSETS_MAX);
    struct asset *a = &assets->list[assets->n++];
    a->path = strdup(path);
    if (!a->path)
        return err_set(err, -ENOMEM, "asset %s: %m", path);
    a->type = type_of(path);
    a->immutable = strncmp(path, "/assets/", 8) == 0;
    int r = read_form(dir, name, &a->forms[CODING_NONE], err);
    if (r < 0)
        return r;
    SHA256((const unsigned char *)a->forms[0].bytes, a->forms[0].size, digest);
    for (size_t i = 0; i < 8; i++)
        snprintf(a->tag + 2 * i, 3, "%02x", digest[i]);
    for (int c = CODING_GZIP; r == 0 && c < CODING_COUNT; c++) {
        char coded[300];
        snprintf(coded, sizeof(coded), "%s%s", name, codings[c].suffix);
        if (faccessat(dir, coded, R_OK, 0) == 0)
            r = read_form(dir, coded, &a->forms[c], err);
    }
    return r;
}

static int load_directory(struct gw_assets *assets, int fd, const char *prefix, int depth,
                          struct err *err);

static int load_entry(struct gw_assets *assets, int dir, const char *name, const char *prefix,
                      int depth, struct err *err)
{
    struct stat st;
    char path[512];

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_set(err, -errno, "asset %s: %m", name);
    snprintf(path, sizeof(path), "%s/%s", prefix, name);
    if (S_ISREG(st.st_mode) && !ends_with(name, ".gz") && !ends_with(name, ".br"))
        return load_file(assets, dir, name, path, err);
    if (!S_ISDIR(st.st_mode) || depth == DEPTH_MAX)
        return 0;
    int sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (sub < 0)
        return err_set(err, -errno, "assets in %s: %m", path);
    return load_directory(assets, sub, path, depth + 1, err);
}

/* Takes @fd. */
static int load_directory(struct gw_assets *assets, int fd, const char *prefix, int depth,
                          struct err *err)
{
    AUTO_DIR DIR *dir = fdopendir(fd);
    int r = 0;

    if (!dir) {
        r = err_set(err, -errno, "assets: %m");
        close(fd);
        return r;
    }
    for (struct dirent *entry; r == 0 && (entry = readdir(dir));) {
        if (entry->d_name[0] != '.')
            r = load_entry(assets, dirfd(dir), entry->d_name, prefix, depth, err);
    }
    return r;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct asset *)a)->path, ((const struct asset *)b)->path);
}

int gw_assets_load(const char *directory, struct gw_assets **ret, struct err *err)
{
    struct gw_assets *assets = calloc(1, sizeof(*assets));

    if (assets)
        assets->list = calloc(ASSETS_MAX, sizeof(*assets->list));
    if (!assets || !assets->list) {
        gw_assets_free(assets);
        return err_set(err, -ENOMEM, "assets: %m");
    }
    if (directory && *directory) {
        int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r = fd < 0 ? err_set(err, -errno, "web root %s: %m", directory)
                       : load_directory(assets, fd, "", 0, err);
        if (r < 0) {
            gw_assets_free(assets);
            return r;
        }
    }
    qsort(assets->list, assets->n, sizeof(*assets->list), by_path);
    *ret = assets;
    return 0;
}

struct gw_assets *gw_assets_free(struct gw_assets *assets)
{
    if (!assets)
        return NULL;
    for (size_t i = 0; assets->list && i < assets->n; i++) {
        free(assets->list[i].path);
        for (int c = 0; c < CODING_COUNT; c++)
            free(assets->list[i].forms[c].bytes);
    }
    free(assets->list);
    free(assets);
    return NULL;
}

size_t gw_assets_count(const struct gw_assets *assets)
{
    return assets->n;
}

/* Does Accept-Encoding name @coding, and not with q=0? */
static bool accepts(const char *header, const char *coding)
{
    size_t len = strlen(coding);

    for (const char *p = header ? header : ""; *p;) {
        p += strspn(p, " \t,");
        size_t n = strcspn(p, " \t,;");
        const char *params = p + n;
        size_t rest = strcspn(params, ",");
        if (n == len && strncasecmp(p, coding, n) == 0) {
            const char *q = strstr(params, "q=0");
            return !(q && q < params + rest && strspn(q + 2, "0.") == strcspn(q + 2, " ,"));
        }
        p = params + rest;
    }
    return false;
}

static enum coding choose(const struct asset *a, const char *accept)
{
    if (a->forms[CODING_BR].bytes && accepts(accept, "br"))
        return CODING_BR;
    if (a->forms[CODING_GZIP].bytes && accepts(accept, "gzip"))
        return CODING_GZIP;
    return CODING_NONE;
}

bool gw_assets_answer(const struct gw_assets *assets, const char *path,
                      const struct gw_request *req, struct gw_response *res)
{
    struct asset key = {.path = (char *)(uintptr_t)(strcmp(path, "/") == 0 ? "/index.html" : path)};
    const struct asset *a = bsearch(&key, assets->list, assets->n, sizeof(*assets->list), by_path);
    char tag[32];

    if (!a)
        return false;
    enum coding coding = choose(a, gw_header(req, GW_H_ACCEPT_ENCODING));
    snprintf(tag, sizeof(tag), "%s%s", a->tag, codings[coding].tag);
    gw_header_setf(res, "etag", "\"%s\"", tag);
    gw_header_set(res, "vary", "accept-encoding");
    gw_header_set(res, "cache-control",
                  a->immutable ? "public, max-age=31536000, immutable" : "no-cache");
    res->shared = a->forms[coding].bytes;
    if (gw_etag_listed(gw_header(req, GW_H_IF_NONE_MATCH), tag, true)) {
        res->status = 304;
        return true;
    }
    gw_header_set(res, "content-type", a->type);
    if (coding != CODING_NONE)
        gw_header_set(res, "content-encoding", codings[coding].name);
    res->body_size = a->forms[coding].size;
    res->status = 200;
    return true;
}
