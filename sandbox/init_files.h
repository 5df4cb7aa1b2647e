#pragma once
/*
 * Files in and out of a sandbox (format: base/filestream.h). Part of the sandbox's pid 1:
 * freestanding, raw system calls, nothing allocated; the unit tests compile it hosted.
 *
 * Both functions run in a child of init that has the program's uid, no capability and the
 * program's filter, so that no privileged process follows a path that a program has made. Unpacking
 * happens before the program exists, packing after all of its processes are dead; yet no path is
 * trusted: every open is an openat2 beneath the directory, without symbolic links, without
 * crossing mounts.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/filestream.h"

struct files_caps {
    uint32_t max_files; /* in: files and directories; out: files */
    uint64_t max_bytes; /* of content */
};

#define FILES_FAULT_MAX 160

struct files_fault {
    int code;                   /* negative errno; 0: none */
    char text[FILES_FAULT_MAX]; /* printable ASCII */
};

/* A file as it was unpacked. */
struct files_entry {
    uint64_t path_hash, content_hash; /* FNV-1a */
    uint64_t size;
    uint32_t mode;
    uint32_t next; /* index + 1 of the next entry of the same bucket; 0: none */
};

#define FILES_BUCKETS 1024

/*
 * What went in, so that only new and changed files come out. Lives in memory that the unpacking and
 * the packing child share (MAP_SHARED); the caller provides it, zero pages are enough of an
 * initialisation but for `capacity`. Files beyond the capacity count as new later.
 *
 * Content decides, not times: a store through a mapping is not stamped on every kernel and file
 * system, and times are coarse enough (up to 10 ms) to hide a change right after unpacking.
 */
struct files_snapshot {
    uint32_t capacity, n;
    uint32_t buckets[FILES_BUCKETS];
    struct files_entry entries[];
};

static inline size_t files_snapshot_size(uint32_t capacity)
{
    return sizeof(struct files_snapshot) + capacity * sizeof(struct files_entry);
}

/**
 * files_unpack() - read a stream from @pipe_fd and make its files and directories below @dir_fd
 * @snapshot: filled in; may be NULL
 * @fault: words for the caller of the run, set on failure; may be NULL
 *
 * Modes are exact (directories are always usable by their owner). A file that is there already is
 * a fault. Stops at the first fault and leaves what was made.
 *
 * Return: 0 after the end record, or a negative errno: -EPROTO for a stream that is none (bad
 * magic, type, path; cut off), -EFBIG above a cap, the sender's own status, or what the kernel
 * said.
 */
int files_unpack(int pipe_fd, int dir_fd, const struct files_caps *caps,
                 struct files_snapshot *snapshot, struct files_fault *fault);

/**
 * files_pack() - send the regular files below @dir_fd that are new or changed, as a stream
 * @snapshot: of files_unpack() on the same directory; NULL: all files are new
 *
 * Unchanged is a file that has the path, size, mode and content of one that went in. Hard links are
 * sent as copies, modes without set-id bits. What is above a cap, unreadable or too deep is named
 * as skipped (FILES_SKIPPED_MAX times at most). Anything that is no regular file is passed over
 * without being opened.
 *
 * Return: 0, or a negative errno: -EPIPE when nobody reads (then without end record).
 */
int files_pack(int pipe_fd, int dir_fd, const struct files_caps *caps,
               const struct files_snapshot *snapshot);

#define FILES_SKIPPED_MAX 1024

/** files_find() - 1 if a regular file of exactly @size bytes is below @dir_fd, 0, or negative
 * errno. */
int files_find(int dir_fd, uint64_t size);
