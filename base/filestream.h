#pragma once
/*
 * Files in and out of a sandbox, as one stream over a pipe. The writer on the way in is the service
 * (or the command line); the reader is the file helper inside the sandbox, which is freestanding
 * code: so this header needs nothing but the compiler, and the format is records of fixed headers
 * in host byte order (both ends run on one machine).
 *
 * stream   := record* end
 * record   := header path[path_len] content[size]
 * FS_FILE: a regular file; FS_DIR: a directory, size 0; parents are made as needed.
 * FS_END: the last record, path_len 0, `size` unused; `status` is 0 or a negative errno, and then
 *         the path bytes (path_len may be > 0) are the words of the fault.
 * FS_SKIPPED (out only): a file that exists and was not sent: `status` says why (-EFBIG count or
 *         byte cap, -EACCES unreadable), size is its size, no content follows.
 * FS_BROKEN: the FS_FILE of this name that went before is padded with zero bytes, because its
 * sender failed in the middle.
 *
 * Paths are relative, `/`-separated, without empty, `.` or `..` parts, at most FS_PATH_MAX bytes
 * and FS_DEPTH_MAX parts of at most FS_NAME_MAX bytes; no NUL. The reader checks that again.
 */

#include <stdint.h>

#define FS_MAGIC     UINT32_C(0x53464c43) /* "CLFS" */
#define FS_PATH_MAX  4096
#define FS_NAME_MAX  255
#define FS_DEPTH_MAX 32

enum fs_type { FS_FILE = 1, FS_DIR = 2, FS_END = 3, FS_SKIPPED = 4, FS_BROKEN = 5 };

struct fs_header {
    uint32_t magic;
    uint16_t type; /* enum fs_type */
    uint16_t path_len;
    uint32_t mode; /* permission bits, 0777 at most */
    int32_t status;
    uint64_t size;
};
