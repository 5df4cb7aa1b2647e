#include "execsvc/files_out.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"

enum { IN_HEADER, IN_PATH, IN_CONTENT, AT_FILE_END, ENDED };

void files_out_init(struct files_out *out)
{
    out->state = IN_HEADER;
    out->have = 0;
    out->left = 0;
    out->path[0] = 0;
}

int files_out_ended(const struct files_out *out)
{
    return out->state == ENDED;
}

static void take(void *into, size_t *have, size_t want, const uint8_t **at, size_t *left)
{
    size_t n = want - *have < *left ? want - *have : *left;
    if (n > 0)
        memcpy((uint8_t *)into + *have, *at, n);
    *have += n;
    *at += n;
    *left -= n;
}

static int check_header(const struct fs_header *h, struct err *err)
{
    if (h->magic != FS_MAGIC)
        return err_set(err, -EPROTO, "files out: record without magic");
    if (h->type < FS_FILE || h->type > FS_BROKEN)
        return err_set(err, -EPROTO, "files out: record of unknown type %u", h->type);
    if (h->path_len > FS_PATH_MAX || (h->path_len == 0 && h->type != FS_END))
        return err_set(err, -EPROTO, "files out: path of %u bytes", h->path_len);
    if (h->mode > 0777)
        return err_set(err, -EPROTO, "files out: mode %o", h->mode);
    if (h->status > 0)
        return err_set(err, -EPROTO, "files out: status %d", h->status);
    return 0;
}

static int check_part(const char *part, size_t len, struct err *err)
{
    if (len == 0 || (len == 1 && part[0] == '.') || (len == 2 && part[0] == '.' && part[1] == '.'))
        return err_set(err, -EPROTO, "files out: path with an empty, `.` or `..` part");
    if (len > FS_NAME_MAX)
        return err_set(err, -EPROTO, "files out: name of %zu bytes", len);
    return 0;
}

static int check_path(const char *path, size_t len, struct err *err)
{
    if (memchr(path, 0, len))
        return err_set(err, -EPROTO, "files out: path with a NUL");
    unsigned int depth = 0;
    for (const char *end = path + len;;) {
        const char *slash = memchr(path, '/', (size_t)(end - path));
        int r = check_part(path, (size_t)((slash ? slash : end) - path), err);
        if (r < 0)
            return r;
        if (++depth > FS_DEPTH_MAX)
            return err_set(err, -EPROTO, "files out: path deeper than %d", FS_DEPTH_MAX);
        if (!slash)
            return 0;
        path = slash + 1;
    }
}

/* Header and path are complete. */
static int record_begin(struct files_out *out, struct files_out_event *ret, struct err *err)
{
    static const enum files_out_type types[] = {[FS_FILE] = FILES_OUT_FILE,
                                                [FS_DIR] = FILES_OUT_DIR,
                                                [FS_END] = FILES_OUT_END,
                                                [FS_SKIPPED] = FILES_OUT_SKIPPED,
                                                [FS_BROKEN] = FILES_OUT_BROKEN};
    const struct fs_header *h = &out->header;
    out->path[h->path_len] = 0;
    int r = h->type == FS_END ? 0 : check_path(out->path, h->path_len, err);
    if (r < 0)
        return r;
    out->have = 0;
    out->left = h->type == FS_FILE ? h->size : 0;
    out->state = h->type == FS_FILE  ? (h->size ? IN_CONTENT : AT_FILE_END)
                 : h->type == FS_END ? ENDED
                                     : IN_HEADER;
    *ret = (struct files_out_event){.type = types[h->type],
                                    .path = out->path,
                                    .path_len = h->path_len,
                                    .mode = h->mode,
                                    .status = h->status,
                                    .size = h->size};
    return 0;
}

static void content_piece(struct files_out *out, const uint8_t **at, size_t *left,
                          struct files_out_event *ret)
{
    size_t n = out->left < *left ? (size_t)out->left : *left;
    *ret = (struct files_out_event){.type = FILES_OUT_DATA, .bytes = *at, .len = n};
    *at += n;
    *left -= n;
    out->left -= n;
    if (out->left == 0)
        out->state = AT_FILE_END;
}

int files_out_next(struct files_out *out, const uint8_t **at, size_t *left,
                   struct files_out_event *ret, struct err *err)
{
    *ret = (struct files_out_event){.type = FILES_OUT_MORE};
    if (out->state == AT_FILE_END) {
        out->state = IN_HEADER;
        ret->type = FILES_OUT_FILE_END;
        return 0;
    }
    if (*left == 0)
        return 0;
    if (out->state == ENDED)
        return err_set(err, -EPROTO, "files out: bytes after the end");
    if (out->state == IN_CONTENT) {
        content_piece(out, at, left, ret);
        return 0;
    }
    if (out->state == IN_HEADER) {
        take(&out->header, &out->have, sizeof(out->header), at, left);
        if (out->have < sizeof(out->header))
            return 0;
        int r = check_header(&out->header, err);
        if (r < 0)
            return r;
        out->state = IN_PATH;
        out->have = 0;
    }
    take(out->path, &out->have, out->header.path_len, at, left);
    if (out->have < out->header.path_len)
        return 0;
    return record_begin(out, ret, err);
}
