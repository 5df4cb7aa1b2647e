/*
 * Contents that people have stored. Nothing in them may run in our origin: only types that a
 * browser shows without executing anything may be inline, everything else is an attachment, and a
 * CSP of its own (sandbox, no sources at all) stands behind both.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "frontgw/http/range.h"
#include "frontgw/http/request.h"
#include "frontgw/http/response.h"

static const char *const inline_types[] = {
    "application/pdf", "image/gif", "image/jpeg", "image/png", "image/webp", "text/plain",
};

/* Sent with their own name as attachments; anything else becomes octet-stream. */
static const char *const safe_types[] = {
    "application/gzip",  "application/json", "application/x-ipynb+json",
    "application/x-tar", "application/zip",  "text/csv",
    "text/markdown",     "text/x-c",         "text/x-python",
};

static bool type_in(const char *type, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(type, list[i]) == 0)
            return true;
    }
    return false;
}

#define TYPE_IN(type, list) type_in((type), (list), sizeof(list) / sizeof((list)[0]))

/* RFC 6266 with RFC 8187: an ASCII fallback, and the real name percent-encoded. */
static int set_disposition(struct gw_response *res, bool is_inline, const char *filename)
{
    static const char hex[] = "0123456789ABCDEF";
    const char *kind = is_inline ? "inline" : "attachment";

    if (!filename)
        return gw_header_set(res, "content-disposition", kind);
    size_t len = strlen(filename);
    AUTO_FREE char *plain = malloc(len + 1);
    AUTO_FREE char *coded = malloc(3 * len + 1);
    if (!plain || !coded)
        return -ENOMEM;
    char *q = coded;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)filename[i];
        bool word = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '.' ||
                    c == '-' || c == '_';
        plain[i] = word || c == ' ' ? (char)c : '_';
        if (word) {
            *q++ = (char)c;
        } else {
            *q++ = '%';
            *q++ = hex[c >> 4];
            *q++ = hex[c & 15];
        }
    }
    plain[len] = '\0';
    *q = '\0';
    return gw_header_setf(res, "content-disposition", "%s; filename=\"%s\"; filename*=UTF-8''%s",
                          kind, plain, coded);
}

static int set_headers(struct gw_response *res, const struct gw_content *content)
{
    const char *type = content->type ? content->type : "application/octet-stream";
    bool is_inline = content->inline_ok && TYPE_IN(type, inline_types);
    int r;

    if (!is_inline && !TYPE_IN(type, safe_types) && !TYPE_IN(type, inline_types))
        type = "application/octet-stream";
    bool text = strncmp(type, "text/", 5) == 0;
    r = gw_header_setf(res, "content-type", "%s%s", type, text ? "; charset=utf-8" : "");
    if (r == 0)
        r = set_disposition(res, is_inline, content->filename);
    if (r == 0 && content->etag)
        r = gw_header_setf(res, "etag", "\"%s\"", content->etag);
    if (r == 0)
        r = gw_header_set(res, "cache-control", "private, no-cache");
    if (r == 0)
        r = gw_header_set(res, "accept-ranges", "bytes");
    if (r == 0)
        r = gw_header_set(res, "content-security-policy", "sandbox; default-src 'none'");
    return r;
}

static void content_done(struct gw_content *content)
{
    content->fd = fd_close(content->fd);
    free(take_ptr(content->bytes));
}

/* If-Range: a part only of what the caller has the rest of. */
static bool range_applies(const struct gw_request *req, const struct gw_content *content)
{
    const char *if_range = gw_header(req, GW_H_IF_RANGE);

    return !if_range || gw_etag_listed(if_range, content->etag, false);
}

static int send_part(struct gw_response *res, struct gw_content *content, uint64_t start,
                     uint64_t length)
{
    res->fd_offset = start;
    res->fd_size = length;
    res->fd = take_fd(&content->fd);
    if (content->bytes) {
        if (start)
            memmove(content->bytes, content->bytes + start, length);
        res->body = take_ptr(content->bytes);
        res->body_size = length;
    }
    return 0;
}

int gw_reply_content(const struct gw_request *req, struct gw_response *res,
                     struct gw_content *content)
{
    CLEANUP(content_done) struct gw_content owned = *content;
    uint64_t start = 0, length = owned.size;

    content->fd = -EBADF;
    content->bytes = NULL;
    int r = gw_reply_empty(res, 200);
    if (r == 0)
        r = set_headers(res, &owned);
    if (r < 0)
        return r;
    if (gw_etag_listed(gw_header(req, GW_H_IF_NONE_MATCH), owned.etag, true)) {
        res->status = 304;
        return 0;
    }
    enum gw_range_result range = GW_RANGE_ALL;
    if (range_applies(req, &owned))
        range = gw_range_parse(gw_header(req, GW_H_RANGE), owned.size, &start, &length);
    if (range == GW_RANGE_BAD) {
        r = gw_header_setf(res, "content-range", "bytes */%llu", (unsigned long long)owned.size);
        return r < 0 ? r
                     : gw_reply_problem(res, GW_PROBLEM_RANGE, "the content has %llu bytes",
                                        (unsigned long long)owned.size);
    }
    if (range == GW_RANGE_PART) {
        res->status = 206;
        r = gw_header_setf(res, "content-range", "bytes %llu-%llu/%llu", (unsigned long long)start,
                           (unsigned long long)(start + length - 1),
                           (unsigned long long)owned.size);
        if (r < 0)
            return r;
    }
    return send_part(res, &owned, start, length);
}
