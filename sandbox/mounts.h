#pragma once
#include <stdbool.h>

struct err;

enum view_flags {
    VIEW_READ_ONLY = 0,
    VIEW_WRITABLE = 1 << 0,
    VIEW_DEVICES =
        1 << 1, /* device nodes in it can be opened: ours only, never the host's own tree */
};

/**
 * mount_view() - a recursive copy of the tree at @source, attached at @target below @dir_fd
 * nosuid; nodev and read-only unless @flags say otherwise; noatime where the host allows the change
 * (who reads a shared file leaves no trace for others).
 */
int mount_view(const char *source, int dir_fd, const char *target, unsigned flags, struct err *err);
/** make_dirs() - mkdir -p of the relative @path below @dir_fd, mode 0755 */
int make_dirs(int dir_fd, const char *path, struct err *err);
/** pivot_into() - @root becomes "/", and what was before is unmounted */
int pivot_into(const char *root, struct err *err);
