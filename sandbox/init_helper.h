#pragma once
/* The file helper's entry points for init: run in a child of init, as the program's uid, filtered.
 */

#include <stdint.h>

/* Memory shared by the unpacking and the packing child. */
struct files_shared;
struct files_shared *files_shared_new(void);
/* Why unpacking failed; "" when nothing was said. */
const char *files_shared_fault(const struct files_shared *shared);

/* Each returns 0 or a negative errno. */
int files_unpack_workspace(int pipe_fd, struct files_shared *shared);
/* @upper: the workspace's own part, what lies below it is not looked at; -EBADF: all is its own. */
int files_pack_workspace(int pipe_fd, int upper, struct files_shared *shared, uint32_t max_files,
                         uint64_t max_bytes);
/* files_find_size() - 1 when a regular file below @dir, of the directory @dir_fd or absolute, has
 * exactly @size bytes, else 0. */
int files_find_size(int dir_fd, const char *dir, uint64_t size);
