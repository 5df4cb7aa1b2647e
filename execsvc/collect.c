#include "execsvc/collect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/err.h"

struct collect {
    struct collect_rules rules;
    struct files_out in;
    EVP_MD_CTX *sha;

    /* The file that is coming; its path is already in files[n_files]. */
    bool open; /* wanted: its bytes are kept */
    bool held; /* complete; the buffer is its last chunk */
    uint64_t sent;
    size_t used;
    uint8_t *buffer;              /* COLLECT_CHUNK_MAX */
    struct files_out_event event; /* waits until the held chunk has gone */
    bool event_waits;

    bool given_up;   /* the helper had to stop */
    bool incomplete; /* collect_stop() found so */
    uint64_t bytes;  /* of content taken so far */
    size_t listed;   /* bytes of names */
    struct collect_file *files;
    size_t n_files, files_cap;
    struct collect_skipped *skipped;
    size_t n_skipped;
    uint64_t n_skipped_more;
};

int collect_new(const struct collect_rules *rules, struct collect **ret, struct err *err)
{
    struct collect *c = calloc(1, sizeof(*c));
    if (c) {
        c->rules = *rules;
        files_out_init(&c->in);
        c->sha = EVP_MD_CTX_new();
        c->buffer = malloc(COLLECT_CHUNK_MAX);
    }
    if (!c || !c->sha || !c->buffer) {
        collect_free(c);
        return err_set(err, -ENOMEM, "collecting files: %m");
    }
    *ret = c;
    return 0;
}

struct collect *collect_free(struct collect *c)
{
    if (!c)
        return NULL;
    for (size_t i = 0; i < c->n_files + (c->open || c->held); i++)
        free(c->files[i].path);
    for (size_t i = 0; i < c->n_skipped; i++)
        free(c->skipped[i].path);
    free(c->files);
    free(c->skipped);
    free(c->buffer);
    EVP_MD_CTX_free(c->sha);
    free(c);
    return NULL;
}

bool collect_match(const char *pattern, size_t pattern_len, const char *text, size_t text_len)
{
    size_t p = 0, t = 0, star = SIZE_MAX, star_t = 0;
    while (t < text_len) {
        if (p < pattern_len && pattern[p] == '*') {
            star = p++;
            star_t = t;
        } else if (p < pattern_len &&
                   (pattern[p] == '?' ? text[t] != '/' : pattern[p] == text[t])) {
            p++;
            t++;
        } else if (star != SIZE_MAX && text[star_t] != '/') {
            p = star + 1;
            t = ++star_t;
        } else {
            return false;
        }
    }
    while (p < pattern_len && pattern[p] == '*')
        p++;
    return p == pattern_len;
}

static bool wanted(const struct collect *c, const struct files_out_event *file)
{
    for (size_t i = 0; i < c->rules.n_patterns; i++)
        if (collect_match(c->rules.patterns[i].data, c->rules.patterns[i].len, file->path,
                          file->path_len))
            return true;
    return c->rules.n_patterns == 0;
}

static char *copy_path(const char *path, size_t len)
{
    char *copy = malloc(len + 1);
    if (copy) {
        memcpy(copy, path, len);
        copy[len] = 0;
    }
    return copy;
}

static int skip(struct collect *c, const char *path, size_t len, uint64_t size, const char *reason)
{
    if (c->n_skipped >= COLLECT_SKIPPED_MAX || c->listed + len > COLLECT_LISTED_MAX) {
        c->n_skipped_more++;
        return 0;
    }
    if (!c->skipped)
        c->skipped = calloc(COLLECT_SKIPPED_MAX, sizeof(*c->skipped));
    char *copy = c->skipped ? copy_path(path, len) : NULL;
    if (!copy)
        return -ENOMEM;
    c->listed += len;
    c->skipped[c->n_skipped++] =
        (struct collect_skipped){.path = copy, .path_len = len, .size = size, .reason = reason};
    return 0;
}

static const char *why_not(const struct collect *c, const struct files_out_event *file)
{
    if (c->n_files >= c->rules.max_files)
        return "too many files";
    if (file->size > c->rules.max_bytes - c->bytes)
        return "too many bytes";
    /* Half of the names' room is for the files, so that the list of the skipped is never empty for
     * their sake. */
    if (c->listed + file->path_len > COLLECT_LISTED_MAX / 2)
        return "too many files";
    if (c->rules.room && !c->rules.room(c->rules.room_arg, file->size, file->path_len))
        return "no room to keep it";
    return NULL;
}

static int file_begin(struct collect *c, const struct files_out_event *file)
{
    if (!wanted(c, file))
        return 0;
    const char *reason = why_not(c, file);
    if (reason)
        return skip(c, file->path, file->path_len, file->size, reason);
    if (c->n_files == c->files_cap) {
        size_t cap = c->files_cap ? 2 * c->files_cap : 16;
        struct collect_file *files = reallocarray(c->files, cap, sizeof(*files));
        if (!files)
            return -ENOMEM;
        c->files = files;
        c->files_cap = cap;
    }
    char *path = copy_path(file->path, file->path_len);
    if (!path || !EVP_DigestInit_ex(c->sha, EVP_sha256(), NULL)) {
        free(path);
        return -ENOMEM;
    }
    c->files[c->n_files] =
        (struct collect_file){.path = path, .path_len = file->path_len, .size = file->size};
    c->listed += file->path_len;
    c->bytes += file->size;
    c->open = true;
    c->used = 0;
    c->sent = 0;
    return 0;
}

static void chunk_fill(struct collect *c, bool last, struct collect_chunk *ret)
{
    const struct collect_file *file = &c->files[c->n_files];
    *ret = (struct collect_chunk){.path = file->path,
                                  .path_len = file->path_len,
                                  .offset = c->sent,
                                  .size = file->size,
                                  .data = c->buffer,
                                  .len = c->used,
                                  .last = last,
                                  .sha256 = last ? file->sha256 : NULL};
    c->sent += c->used;
    c->used = 0;
}

/* Up to a full buffer is taken from the event; the rest of it stays in c->event. */
static int file_data(struct collect *c, struct collect_chunk *ret)
{
    struct files_out_event *data = &c->event;
    if (!c->open)
        return COLLECT_MORE;
    if (c->used == COLLECT_CHUNK_MAX) { /* and more comes: it can't be the last */
        chunk_fill(c, false, ret);
        c->event_waits = true;
        return COLLECT_CHUNK;
    }
    size_t room = COLLECT_CHUNK_MAX - c->used;
    size_t n = data->len < room ? data->len : room;
    memcpy(c->buffer + c->used, data->bytes, n);
    if (!EVP_DigestUpdate(c->sha, data->bytes, n))
        return -ENOMEM;
    c->used += n;
    data->bytes += n;
    data->len -= n;
    c->event_waits = data->len > 0;
    return COLLECT_MORE;
}

static int held_send(struct collect *c, struct collect_chunk *ret)
{
    chunk_fill(c, true, ret);
    c->held = false;
    c->n_files++;
    return COLLECT_CHUNK;
}

static int held_drop(struct collect *c)
{
    struct collect_file *file = &c->files[c->n_files];
    c->held = false;
    c->listed -= file->path_len;
    c->bytes -= file->size;
    char *path = file->path;
    int r = skip(c, path, file->path_len, file->size, "changed while read");
    free(path);
    return r;
}

static const char *skipped_reason(int status)
{
    if (status == -EFBIG)
        return "too many files or bytes";
    return status == -EACCES ? "unreadable" : "could not be read";
}

static int handle(struct collect *c, struct collect_chunk *ret)
{
    const struct files_out_event *e = &c->event;
    c->event_waits = false;
    if (c->held && e->type == FILES_OUT_BROKEN)
        return held_drop(c);
    if (c->held) {
        c->event_waits = true;
        return held_send(c, ret);
    }
    switch (e->type) {
    case FILES_OUT_FILE:
        return file_begin(c, e);
    case FILES_OUT_DATA:
        return file_data(c, ret);
    case FILES_OUT_FILE_END:
        if (c->open && !EVP_DigestFinal_ex(c->sha, c->files[c->n_files].sha256, NULL))
            return -ENOMEM;
        c->held = c->open;
        c->open = false;
        return 0;
    case FILES_OUT_SKIPPED:
        return wanted(c, e) ? skip(c, e->path, e->path_len, e->size, skipped_reason(e->status)) : 0;
    case FILES_OUT_END:
        c->given_up = e->status < 0;
        return COLLECT_END;
    case FILES_OUT_MORE:
    case FILES_OUT_DIR:
    case FILES_OUT_BROKEN:
        break;
    }
    return 0;
}

int collect_next(struct collect *c, const uint8_t **at, size_t *left, struct collect_chunk *ret,
                 struct err *err)
{
    for (;;) {
        if (!c->event_waits) {
            int r = files_out_next(&c->in, at, left, &c->event, err);
            if (r < 0)
                return r;
            if (c->event.type == FILES_OUT_MORE)
                return COLLECT_MORE;
        }
        int r = handle(c, ret);
        if (r == -ENOMEM)
            return err_set(err, r, "collecting files: %m");
        if (r != 0)
            return r;
    }
}

void collect_stop(struct collect *c)
{
    c->incomplete = c->given_up || !files_out_ended(&c->in);
    if (!c->open && !c->held)
        return;
    struct collect_file *file = &c->files[c->n_files];
    c->listed -= file->path_len;
    skip(c, file->path, file->path_len, file->size, "collecting stopped early");
    free(file->path);
    c->open = c->held = false;
}

void collect_list(const struct collect *c, struct collect_list *ret)
{
    *ret = (struct collect_list){.files = c->files,
                                 .n_files = c->n_files,
                                 .skipped = c->skipped,
                                 .n_skipped = c->n_skipped,
                                 .n_skipped_more = c->n_skipped_more,
                                 .incomplete = c->incomplete};
}
