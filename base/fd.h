#pragma once
/* Descriptors: everything is CLOEXEC at birth; EINTR is handled here and nowhere else. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

/** fd_read_all() - read up to @size bytes until end of file. Return: bytes, or negative errno. */
ssize_t fd_read_all(int fd, void *buf, size_t size);
/** fd_write_all() - all of it; the caller has SIGPIPE ignored. Return: 0 or negative errno. */
int fd_write_all(int fd, const void *buf, size_t size);
/**
 * fd_pread_text() - a small kernel file from offset 0, NUL-terminated, trailing newline cut
 * Return: its length, -EFBIG when it does not fit (never a part of it), or negative errno.
 */
ssize_t fd_pread_text(int fd, char *buf, size_t size);

/**
 * file_read_text() - a whole file of at most @max bytes, NUL-terminated, malloc'd into @ret
 * Return: its length, -EFBIG when it is larger, or negative errno.
 */
ssize_t file_read_text(const char *path, size_t max, char **ret, struct err *err);
/** file_write_text() - open (no create) and write @text in one call: for kernel files. */
int file_write_text(const char *path, const char *text, struct err *err);
int file_write_text_at(int dir_fd, const char *name, const char *text, struct err *err);

int fd_set_nonblock(int fd);
/**
 * fd_open_stdio() - first thing in main(): whichever of 0, 1 and 2 the caller has closed is opened
 *
 * Otherwise the next socket or pipe would get that number, and be taken for the caller's. Input is
 * empty and words on stderr are lost, but a write to stdout fails: nobody's output goes missing in
 * silence.
 *
 * Return: 0 or negative errno.
 */
int fd_open_stdio(void);
/**
 * fd_let_reopen() - let other uids open the pipe behind @fd anew, to read or to write it
 *
 * A sandboxed program is not the owner of its pipes, and /dev/stdin and its like are opened by
 * their owner's rights. Nobody can reach a pipe without a descriptor of it. Anything but a pipe
 * without a name is left alone, and so is one of another owner.
 */
void fd_let_reopen(int fd, bool writing);
/** fd_pipe_for_others() - a new pipe of that kind; with @we_write the far end is the reading one.
 * Return: 0, or a negative errno. */
int fd_pipe_for_others(int ret[2], bool we_write);
/** fd_memfd() - a memory file of @bytes, sealed against change. Return: fd or negative errno. */
int fd_memfd(const char *name, const void *bytes, size_t len);

#define FD_PASS_MAX 8
/** fd_send() - one message with @n_fds descriptors (borrowed). Return: 0 or negative errno. */
int fd_send(int sock, const void *buf, size_t len, const int *fds, size_t n_fds);
/**
 * fd_recv() - one message
 * @fds: room for FD_PASS_MAX descriptors; they arrive CLOEXEC and are the caller's
 *
 * Return: bytes (0: the peer is gone; an empty message looks the same and is never sent), -EMSGSIZE
 * when the message was cut (its descriptors are closed), or negative errno.
 */
ssize_t fd_recv(int sock, void *buf, size_t size, int *fds, size_t *ret_n_fds);
/**
 * fd_recv_or_lose() - the same, but a message whose descriptors found no room in this process's
 * table (RLIMIT_NOFILE) arrives all the same, without any of them
 *
 * @ret_lost: whether that is so. The peer is not to blame then, and its bytes are whole.
 */
ssize_t fd_recv_or_lose(int sock, void *buf, size_t size, int *fds, size_t *ret_n_fds,
                        bool *ret_lost);
