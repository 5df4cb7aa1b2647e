#pragma once
/* Streams of base/filestream.h for tests: built and taken apart in memory; and scratch directories.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/filestream.h"

/* A stream in the making. Free with fs_stream_done(). */
struct fs_stream {
    uint8_t *bytes;
    size_t len, cap;
};

void fs_stream_done(struct fs_stream *s);
void fs_put_bytes(struct fs_stream *s, const void *bytes, size_t len);
/* A record as it stands, right or wrong; @header's magic and path_len are taken as they are. */
void fs_put_record(struct fs_stream *s, const struct fs_header *header, const void *path,
                   const void *content);
void fs_put_file(struct fs_stream *s, const char *path, uint32_t mode, const void *content,
                 size_t len);
void fs_put_dir(struct fs_stream *s, const char *path, uint32_t mode);
void fs_put_end(struct fs_stream *s, int status, const char *words);
/* Return: a memory file with the stream, at its start. */
int fs_stream_fd(const struct fs_stream *s);

/* A record read back; path is NUL-terminated, content points into the stream. */
struct fs_record {
    struct fs_header header;
    char path[FS_PATH_MAX + 1];
    const uint8_t *content;
};

struct fs_cursor {
    const uint8_t *bytes;
    size_t len, at;
};

/** fs_next() - Return: 1 and a record, 0 after the end record, -1 for a stream that is none. */
int fs_next(struct fs_cursor *cursor, struct fs_record *ret);

/** fs_read_all() - all that is in @fd (a memory file), malloc'd. */
uint8_t *fs_read_all(int fd, size_t *ret_len);

/** scratch_new() - a new directory on tmpfs; its path into @path. Return: a descriptor of it. */
int scratch_new(char path[64]);
/** scratch_remove() - with all that is below. */
void scratch_remove(const char *path);
