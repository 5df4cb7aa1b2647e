#pragma once
/* A scratch directory, its snapshot and the stream that packing it made: for the tests of
 * init_pack.c. */

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/init_files.h"
#include "tests/support/fs_stream.h"

#define COUNT(a)    (sizeof(a) / sizeof((a)[0]))
#define RECORDS_MAX 8192
#define CAPACITY    8192

static const struct files_caps no_caps = {UINT32_MAX, UINT64_MAX};

struct box {
    char path[64];
    int fd;
    struct files_snapshot *snapshot;
    /* the last stream */
    uint8_t *bytes;
    size_t len, n;
    struct fs_record *records;
    struct fs_record end;
};

static inline void box_new(struct box *box)
{
    *box = (struct box){0};
    box->fd = scratch_new(box->path);
    box->snapshot = calloc(1, files_snapshot_size(CAPACITY));
    box->records = calloc(RECORDS_MAX, sizeof(*box->records));
    assert_non_null(box->snapshot);
    assert_non_null(box->records);
    box->snapshot->capacity = CAPACITY;
    alarm(60); /* a walk that blocks is a failure, not a wait */
}

static inline void box_done(struct box *box)
{
    alarm(0);
    close(box->fd);
    scratch_remove(box->path);
    free(box->snapshot);
    free(box->records);
    free(box->bytes);
}

static inline void parse(struct box *box)
{
    struct fs_cursor cursor = {box->bytes, box->len, 0};
    int r;
    box->n = 0;
    while ((r = fs_next(&cursor, &box->end)) == 1) {
        assert_true(box->n < RECORDS_MAX);
        box->records[box->n++] = box->end;
    }
    assert_int_equal(r, 0);
}

static inline int pack(struct box *box, const struct files_caps *caps,
                       const struct files_snapshot *snapshot)
{
    int out = memfd_create("out", MFD_CLOEXEC);
    assert_true(out >= 0);
    int r = files_pack(out, box->fd, caps, snapshot);
    free(box->bytes);
    box->bytes = fs_read_all(out, &box->len);
    close(out);
    parse(box);
    return r;
}

static inline const struct fs_record *record_of(const struct box *box, const char *path)
{
    for (size_t i = 0; i < box->n; i++)
        if (strcmp(box->records[i].path, path) == 0)
            return &box->records[i];
    return NULL;
}

static inline void put_file(const struct box *box, const char *path, const char *content)
{
    int fd = openat(box->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    close(fd);
}

static inline void assert_sent(const struct box *box, const char *path, const char *content)
{
    const struct fs_record *record = record_of(box, path);
    if (!record || record->header.type != FS_FILE)
        fail_msg("%s was not sent", path);
    assert_int_equal(record->header.size, strlen(content));
    assert_memory_equal(record->content, content, strlen(content));
}

static inline void assert_skipped(const struct box *box, const char *path, int status)
{
    const struct fs_record *record = record_of(box, path);
    if (!record || record->header.type != FS_SKIPPED)
        fail_msg("%s was not named as skipped", path);
    assert_int_equal(record->header.status, status);
}
