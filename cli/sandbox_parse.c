#include <errno.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/filestream.h"
#include "base/wire.h"
#include "cli/sandbox_outputs.h"

static int add_file(struct sandbox_outputs *o, char *path, const uint8_t *content, uint64_t size)
{
    struct run_output *files = realloc(o->files, (o->n_files + 1) * sizeof(*files));
    if (!files)
        return -ENOMEM;
    o->files = files;
    struct run_output *file = &files[o->n_files++];
    *file = (struct run_output){.path = path, .size = size, .content = content};
    SHA256(content, size, file->sha256);
    return 0;
}

static int add_skipped(struct sandbox_outputs *o, char *path, uint64_t size, const char *reason)
{
    struct run_skipped *skipped = realloc(o->skipped, (o->n_skipped + 1) * sizeof(*skipped));
    if (!skipped)
        return -ENOMEM;
    o->skipped = skipped;
    skipped[o->n_skipped++] = (struct run_skipped){.path = path, .size = size, .reason = reason};
    return 0;
}

/* As the service says it; the file that the walk can't reach is the sandbox's own word. */
static const char *skipped_reason(int status)
{
    switch (-status) {
    case EFBIG:
        return "too many files or bytes";
    case EACCES:
        return "unreadable";
    case EILSEQ:
        return "control characters in its name";
    case ENAMETOOLONG:
        return "too deep, or its path is too long";
    default:
        return "could not be read";
    }
}

static int parse_record(struct sandbox_outputs *o, struct wire_reader *r, bool *ret_end)
{
    struct fs_header header;
    const void *bytes = wire_bytes(r, sizeof(header));
    if (!bytes)
        return -EPROTO;
    memcpy(&header, bytes, sizeof(header));
    const char *raw = wire_bytes(r, header.path_len);
    if (header.magic != FS_MAGIC || !raw)
        return -EPROTO;
    *ret_end = header.type == FS_END;
    if (*ret_end)
        return header.status < 0 ? header.status : 0;
    if (model_path_fault(raw, header.path_len))
        return -EPROTO;
    char *path = strndup(raw, header.path_len);
    if (!path)
        return -ENOMEM;
    int result = -EPROTO;
    if (header.type == FS_FILE) {
        const uint8_t *content = wire_bytes(r, header.size);
        result = content ? add_file(o, path, content, header.size) : -EPROTO;
    } else if (header.type == FS_SKIPPED || header.type == FS_BROKEN) {
        result = add_skipped(o, path, header.size, skipped_reason(header.status));
    }
    if (result < 0)
        free(path);
    return result;
}

int sandbox_outputs_parse(struct sandbox_outputs *o, struct err *err)
{
    struct wire_reader r;
    bool end = false;
    wire_reader_init(&r, o->bytes, o->used);
    while (!end) {
        int result = parse_record(o, &r, &end);
        if (result < 0)
            return err_set(err, result, "the files did not come out whole: %m");
    }
    return 0;
}
