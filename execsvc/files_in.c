#include "execsvc/files_in.h"

enum { PART_HEADER, PART_PATH, PART_CONTENT, PART_COUNT };

static void header_fill(struct files_in *in)
{
    in->header = (struct fs_header){.magic = FS_MAGIC, .type = FS_END};
    if (in->index >= in->n_files)
        return;
    const struct files_in_file *file = &in->files[in->index];
    in->header.type = FS_FILE;
    in->header.path_len = (uint16_t)file->path_len;
    in->header.mode = file->executable ? 0755 : 0644;
    in->header.size = file->len;
}

void files_in_init(struct files_in *in, const struct files_in_file *files, size_t n_files)
{
    *in = (struct files_in){.files = files, .n_files = n_files};
    header_fill(in);
}

static void part_get(const struct files_in *in, const void **ret, size_t *ret_len)
{
    *ret = &in->header;
    *ret_len = in->part == PART_HEADER ? sizeof(in->header) : 0;
    if (in->index >= in->n_files || in->part == PART_HEADER)
        return;
    const struct files_in_file *file = &in->files[in->index];
    *ret = in->part == PART_PATH ? file->path : file->content;
    *ret_len = in->part == PART_PATH ? file->path_len : file->len;
}

bool files_in_piece(struct files_in *in, const void **ret, size_t *ret_len)
{
    while (in->index <= in->n_files) {
        const void *part;
        size_t len;
        part_get(in, &part, &len);
        if (in->at < len) {
            *ret = (const uint8_t *)part + in->at;
            *ret_len = len - in->at;
            return true;
        }
        in->at = 0;
        if (++in->part < PART_COUNT)
            continue;
        in->part = PART_HEADER;
        in->index++;
        header_fill(in);
    }
    return false;
}

void files_in_advance(struct files_in *in, size_t n)
{
    in->at += n;
}
