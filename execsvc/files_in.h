#pragma once
/* The files of a request as a base/filestream.h stream: pieces to write, in order, without a copy.
 * Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/filestream.h"

/* Borrowed for as long as the stream is written. */
struct files_in_file {
    const void *path;
    size_t path_len;
    const void *content;
    size_t len;
    bool executable;
};

struct files_in {
    const struct files_in_file *files;
    size_t n_files, index;
    int part; /* header, path, content of files[index]; index == n_files: the end record */
    size_t at;
    struct fs_header header;
};

/** files_in_init() - the paths have been validated: each at most FS_PATH_MAX bytes. */
void files_in_init(struct files_in *in, const struct files_in_file *files, size_t n_files);

/** files_in_piece() - the next bytes to write. Return: false when all is written. */
bool files_in_piece(struct files_in *in, const void **ret, size_t *ret_len);
/** files_in_advance() - @n of the piece are written. */
void files_in_advance(struct files_in *in, size_t n);
