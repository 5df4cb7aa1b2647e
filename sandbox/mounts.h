#pragma once
#include <stdbool.h>

struct err;

/** mount_view() - a recursive copy of the tree at @source, nosuid, read-only unless @writable,
 * attached at @target below @dir_fd */
int mount_view(const char *source, int dir_fd, const char *target, bool writable, struct err *err);
/** make_dirs() - mkdir -p of the relative @path below @dir_fd, mode 0755 */
int make_dirs(int dir_fd, const char *path, struct err *err);
