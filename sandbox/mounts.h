#pragma once
#include <stdbool.h>

struct err;
struct node_config;

enum view_flags {
    VIEW_READ_ONLY = 0,
    VIEW_WRITABLE = 1 << 0,
    VIEW_DEVICES =
        1 << 1, /* device nodes in it can be opened: ours only, never the host's own tree */
};

/**
 * view_open() - a recursive copy of the tree at @source, attached nowhere yet; owned by the caller
 * nosuid; nodev and read-only unless @flags say otherwise; noatime where the host allows the change
 * (who reads a shared file leaves no trace for others).
 */
int view_open(const char *source, unsigned flags, int *ret, struct err *err);
/** mount_view() - the same, attached at @target below @dir_fd */
int mount_view(const char *source, int dir_fd, const char *target, unsigned flags, struct err *err);
/**
 * tmpfs_open() - a new tmpfs, attached nowhere yet; owned by the caller. nosuid, noatime, and
 * nodev, or with VIEW_DEVICES noexec. @options: names and values, the last name NULL
 */
int tmpfs_open(const char *const options[][2], unsigned flags, int *ret, struct err *err);
/** view_lock() - no writing any more through the mount @mount_fd */
int view_lock(int mount_fd, struct err *err);
/** view_again() - the same tree through another mount, with locks of its own. Return: the
 * descriptor; -1 where the kernel does not copy what is attached nowhere (before 6.15). */
int view_again(int mount_fd);
/** make_dirs() - mkdir -p of the relative @path below @dir_fd, mode 0755 */
int make_dirs(int dir_fd, const char *path, struct err *err);
/** pivot_into() - @root becomes "/", and what was before is unmounted */
int pivot_into(const char *root, struct err *err);
/** make_mount_point() - a place for @target (absolute) below @root: directories, or an empty file
 */
int make_mount_point(int root, const char *target, bool is_dir, struct err *err);
/** skeleton_make() - the default root before the mounts: places and links; /etc is empty */
int skeleton_make(int root, const struct node_config *config, struct err *err);
