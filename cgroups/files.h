#pragma once
/*
 * Control files: small, shown by the kernel in one piece, taken in one write.
 * A descriptor that is not open (negative) stands for a file that this kernel does not have.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

#define CG_FILE_MAX 4096 /* of the files read into a buffer on the stack */

/** Open @name in @dir; -EBADF when it does not exist or may not be opened so. */
int cg_open_if_any(int dir, const char *name, int flags);

/** One pread: kernfs shows a whole small file to one read. Return: length (NUL added) or -errno. */
ssize_t cg_pread(int fd, char buf[CG_FILE_MAX]);
ssize_t cg_read_at(int dir, const char *name, char buf[CG_FILE_MAX]);
/** All of a file of any length (cgroup.procs), malloc'd. Return: length or -errno. */
ssize_t cg_read_long_at(int dir, const char *name, char **ret);

/** A file that holds one number. */
int cg_read_u64(int fd, const char *name, uint64_t *ret, struct err *err);
bool cg_read_u64_at(int dir, const char *name, uint64_t *ret);
/** One key of a flat keyed file; a file or key that is not there leaves *@ret alone. */
int cg_read_flat(int fd, const char *name, const char *key, uint64_t *ret, struct err *err);
bool cg_read_flat_at(int dir, const char *name, const char *key, uint64_t *ret);

int cg_write_text(int fd, const char *name, const char *text, struct err *err);
/** UINT64_MAX is written as @none ("max", "-1"). */
int cg_write_u64(int fd, const char *name, uint64_t value, const char *none, struct err *err);
int cg_write_u64_at(int dir, const char *name, uint64_t value, const char *none, struct err *err);

bool cg_exists_at(int dir, const char *name);
void cg_sleep_us(unsigned us);
