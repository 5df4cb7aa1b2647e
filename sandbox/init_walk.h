#pragma once
/* What unpacking and packing share: careful opens, hashes, words, and the walk through a tree. */

#include "sandbox/init_files.h"
#include "sandbox/raw.h"

#define FNV_START UINT64_C(0xcbf29ce484222325)

/** fnv1a() - continue @hash over more bytes. */
uint64_t fnv1a(uint64_t hash, const void *bytes, size_t len);

/** open_beneath() - openat2 below @dir_fd: no symbolic links, no other mount, close-on-exec. */
int open_beneath(int dir_fd, const char *path, int flags, unsigned mode);

/** fault_set() - words and, if @path is not NULL, a path made printable. Return: @code. */
int fault_set(struct files_fault *fault, int code, const char *words, const char *path);

/* The contract's paths have none: a name may end in a terminal or in a log. */
static inline int is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

/** wait_ready() - for a descriptor that said EAGAIN. */
void wait_ready(int fd, short events);

#define FILES_STATX_MASK (STATX_TYPE | STATX_MODE | STATX_SIZE)

/* @path is relative to the walk's start, @name to @dir_fd. A negative return ends the walk. */
struct walk_visitor {
    void *arg;
    /* Anything but a directory. */
    int (*entry)(void *arg, int dir_fd, const char *name, const char *path);
    /* A directory whose content can't be seen. */
    int (*closed)(void *arg, const char *path, int code);
};

/** walk_tree() - every entry below @dir_fd, FS_DEPTH_MAX parts deep at most. Not reentrant. */
int walk_tree(int dir_fd, const struct walk_visitor *visitor);
