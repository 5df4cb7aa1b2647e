#pragma once
/*
 * Reads the stream of base/filestream.h that comes back from a sandbox. The bytes are hostile: the
 * helper that writes them runs with a program's uid, and every name is of the program's making.
 * Pure: bytes in, one record event at a time out, nothing allocated. What a file is called is
 * checked here (relative, no `.` or `..`, lengths, depth, no NUL); control characters and invalid
 * UTF-8 are left in, so whoever shows a name must escape it.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/filestream.h"

struct err;

enum files_out_type {
    FILES_OUT_MORE,     /* all input is used up */
    FILES_OUT_FILE,     /* path, mode, size of a file whose content comes next */
    FILES_OUT_DATA,     /* bytes, len: a piece of it, borrowed from the input */
    FILES_OUT_FILE_END, /* it is complete */
    FILES_OUT_DIR,
    FILES_OUT_SKIPPED, /* path, size, status: it is there and does not come */
    FILES_OUT_BROKEN,  /* the file before this was padded: its content is worthless */
    FILES_OUT_END, /* status; path holds the words of a fault, not a path. Nothing may follow. */
};

struct files_out_event {
    enum files_out_type type;
    const char *path; /* in the parser, until its next call; NUL-terminated */
    size_t path_len;
    uint32_t mode;
    int status;
    uint64_t size;
    const uint8_t *bytes;
    size_t len;
};

struct files_out {
    int state;
    size_t have;   /* bytes of the header or the path */
    uint64_t left; /* bytes of content */
    struct fs_header header;
    char path[FS_PATH_MAX + 1];
};

void files_out_init(struct files_out *out);

/**
 * files_out_next() - the next event from *@at; both are moved past what was used
 * Return: 0, or -EPROTO: the stream is no such stream and nothing more can be read from it.
 */
int files_out_next(struct files_out *out, const uint8_t **at, size_t *left,
                   struct files_out_event *ret, struct err *err);

/** files_out_ended() - the end record has been read. */
int files_out_ended(const struct files_out *out);
