#pragma once
/*
 * System calls without a libc, for the program that is pid 1 of every sandbox.
 *
 * That program is started once per run, so it is a few kilobytes of static code: no libc, no
 * relocations, no errno. Every call here answers as the kernel does: a value >= 0, or a negative
 * errno. x86_64 and aarch64. The header also compiles in a hosted program (the unit tests do so);
 * raw.c (entry point, memcpy and friends) is only for the freestanding one.
 *
 * Signal sets are the kernel's own: one uint64_t, bit (signal - 1).
 */

#include <asm/unistd.h>
#include <stddef.h>
#include <stdint.h>

#if __STDC_HOSTED__
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#else
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/poll.h>
#include <linux/stat.h>
#endif
#include <linux/openat2.h>

#if !defined(__x86_64__) && !defined(__aarch64__)
#error "raw.h: write raw_syscall6() for this architecture"
#endif

struct iovec;
struct msghdr;
struct rlimit64;
struct statx;
struct timespec;

#define RAW_INLINE static inline __attribute__((always_inline, unused))

RAW_INLINE long raw_syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
    long ret;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
#else
    register long x8 __asm__("x8") = nr;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory", "cc");
    return x0;
#endif
}

RAW_INLINE long raw_syscall5(long nr, long a, long b, long c, long d, long e)
{
    return raw_syscall6(nr, a, b, c, d, e, 0);
}

RAW_INLINE long raw_syscall4(long nr, long a, long b, long c, long d)
{
    return raw_syscall6(nr, a, b, c, d, 0, 0);
}

RAW_INLINE long raw_syscall3(long nr, long a, long b, long c)
{
    return raw_syscall6(nr, a, b, c, 0, 0, 0);
}

RAW_INLINE long raw_syscall2(long nr, long a, long b)
{
    return raw_syscall6(nr, a, b, 0, 0, 0, 0);
}

RAW_INLINE long raw_syscall1(long nr, long a)
{
    return raw_syscall6(nr, a, 0, 0, 0, 0, 0);
}

RAW_INLINE long raw_syscall0(long nr)
{
    return raw_syscall6(nr, 0, 0, 0, 0, 0, 0);
}

/* --- files --- */

/* getdents64(2): records of d_reclen bytes, d_name NUL-terminated. */
struct raw_dirent {
    uint64_t d_ino;
    int64_t d_off;
    uint16_t d_reclen;
    uint8_t d_type;
    char d_name[];
};

RAW_INLINE int raw_openat(int dir_fd, const char *path, int flags, unsigned mode)
{
    return (int)raw_syscall4(__NR_openat, dir_fd, (long)path, flags, (long)mode);
}

RAW_INLINE int raw_openat2(int dir_fd, const char *path, const struct open_how *how)
{
    return (int)raw_syscall4(__NR_openat2, dir_fd, (long)path, (long)how, sizeof(*how));
}

RAW_INLINE int raw_close(int fd)
{
    return (int)raw_syscall1(__NR_close, fd);
}

RAW_INLINE int raw_close_range(unsigned first, unsigned last, unsigned flags)
{
    return (int)raw_syscall3(__NR_close_range, (long)first, (long)last, (long)flags);
}

RAW_INLINE long raw_read(int fd, void *buf, size_t size)
{
    return raw_syscall3(__NR_read, fd, (long)buf, (long)size);
}

RAW_INLINE long raw_write(int fd, const void *buf, size_t size)
{
    return raw_syscall3(__NR_write, fd, (long)buf, (long)size);
}

RAW_INLINE long raw_getdents64(int fd, void *buf, size_t size)
{
    return raw_syscall3(__NR_getdents64, fd, (long)buf, (long)size);
}

RAW_INLINE int raw_statx(int dir_fd, const char *path, int flags, unsigned mask, struct statx *ret)
{
    return (int)raw_syscall5(__NR_statx, dir_fd, (long)path, flags, (long)mask, (long)ret);
}

RAW_INLINE int raw_mkdirat(int dir_fd, const char *path, unsigned mode)
{
    return (int)raw_syscall3(__NR_mkdirat, dir_fd, (long)path, (long)mode);
}

RAW_INLINE int raw_unlinkat(int dir_fd, const char *path, int flags)
{
    return (int)raw_syscall3(__NR_unlinkat, dir_fd, (long)path, flags);
}

RAW_INLINE int raw_fchmod(int fd, unsigned mode)
{
    return (int)raw_syscall2(__NR_fchmod, fd, (long)mode);
}

RAW_INLINE int raw_fchown(int fd, unsigned uid, unsigned gid)
{
    return (int)raw_syscall3(__NR_fchown, fd, (long)uid, (long)gid);
}

RAW_INLINE int raw_ftruncate(int fd, int64_t size)
{
    return (int)raw_syscall2(__NR_ftruncate, fd, (long)size);
}

RAW_INLINE int64_t raw_lseek(int fd, int64_t offset, int whence)
{
    return raw_syscall3(__NR_lseek, fd, (long)offset, whence);
}

RAW_INLINE int raw_chdir(const char *path)
{
    return (int)raw_syscall1(__NR_chdir, (long)path);
}

RAW_INLINE int raw_fchdir(int fd)
{
    return (int)raw_syscall1(__NR_fchdir, fd);
}

RAW_INLINE int raw_dup3(int fd, int as, int flags)
{
    return (int)raw_syscall3(__NR_dup3, fd, as, flags);
}

RAW_INLINE int raw_pipe2(int fds[2], int flags)
{
    return (int)raw_syscall2(__NR_pipe2, (long)fds, flags);
}

RAW_INLINE int raw_fcntl(int fd, int command, long arg)
{
    return (int)raw_syscall3(__NR_fcntl, fd, command, arg);
}

RAW_INLINE int raw_ioctl(int fd, unsigned request, void *arg)
{
    return (int)raw_syscall3(__NR_ioctl, fd, (long)request, (long)arg);
}

/* --- messages, waiting --- */

RAW_INLINE long raw_sendmsg(int sock, const struct msghdr *message, int flags)
{
    return raw_syscall3(__NR_sendmsg, sock, (long)message, flags);
}

RAW_INLINE long raw_recvmsg(int sock, struct msghdr *message, int flags)
{
    return raw_syscall3(__NR_recvmsg, sock, (long)message, flags);
}

/* @timeout may be NULL; the kernel's 64-bit timespec. */
RAW_INLINE int raw_ppoll(struct pollfd *fds, size_t n, struct timespec *timeout,
                         const uint64_t *mask)
{
    return (int)raw_syscall5(__NR_ppoll, (long)fds, (long)n, (long)timeout, (long)mask,
                             sizeof(uint64_t));
}

/* @fd: -1 for a new one. */
RAW_INLINE int raw_signalfd4(int fd, const uint64_t *mask, int flags)
{
    return (int)raw_syscall4(__NR_signalfd4, fd, (long)mask, sizeof(uint64_t), flags);
}

RAW_INLINE int raw_rt_sigprocmask(int how, const uint64_t *set, uint64_t *ret_old)
{
    return (int)raw_syscall4(__NR_rt_sigprocmask, how, (long)set, (long)ret_old, sizeof(uint64_t));
}

RAW_INLINE int raw_clock_gettime(int clock, struct timespec *ret)
{
    return (int)raw_syscall2(__NR_clock_gettime, clock, (long)ret);
}

/* --- processes --- */

RAW_INLINE int raw_getpid(void)
{
    return (int)raw_syscall0(__NR_getpid);
}

RAW_INLINE int raw_kill(int pid, int signo)
{
    return (int)raw_syscall2(__NR_kill, pid, signo);
}

RAW_INLINE int raw_wait4(int pid, int *ret_status, int options, void *ret_rusage)
{
    return (int)raw_syscall4(__NR_wait4, pid, (long)ret_status, options, (long)ret_rusage);
}

RAW_INLINE int raw_execve(const char *path, const char *const *argv, const char *const *envp)
{
    return (int)raw_syscall3(__NR_execve, (long)path, (long)argv, (long)envp);
}

RAW_INLINE int raw_execveat(int dir_fd, const char *path, const char *const *argv,
                            const char *const *envp, int flags)
{
    return (int)raw_syscall5(__NR_execveat, dir_fd, (long)path, (long)argv, (long)envp, flags);
}

__attribute__((noreturn)) RAW_INLINE void raw_exit_group(int status)
{
    for (;;)
        raw_syscall1(__NR_exit_group, status);
}

/*
 * clone(2) as it is: @flags with the exit signal in the low byte, @stack NULL for the parent's own
 * (a copy without CLONE_VM). raw_clone(SIGCHLD, NULL, NULL, NULL, 0) is fork. With CLONE_VM give
 * the child a stack of its own by raw_clone_call() instead: it must not return into this frame.
 */
RAW_INLINE int raw_clone(unsigned long flags, void *stack, int *parent_tid, int *child_tid,
                         unsigned long tls)
{
#if defined(__x86_64__)
    return (int)raw_syscall5(__NR_clone, (long)flags, (long)stack, (long)parent_tid,
                             (long)child_tid, (long)tls);
#else
    return (int)raw_syscall5(__NR_clone, (long)flags, (long)stack, (long)parent_tid, (long)tls,
                             (long)child_tid);
#endif
}

/**
 * raw_clone_call() - run @fn(@arg) in a new process on a stack of its own
 * @stack_top: one past the end of its memory, 16-byte aligned
 *
 * The way to use CLONE_VM | CLONE_VFORK: the parent waits, @fn calls execve or leaves by its return
 * value. In raw.c (freestanding only). Return, in the parent: pid or negative errno.
 */
int raw_clone_call(unsigned long flags, void *stack_top, int (*fn)(void *), void *arg);

RAW_INLINE int raw_setsid(void)
{
    return (int)raw_syscall0(__NR_setsid);
}

RAW_INLINE int raw_prctl(int option, unsigned long a, unsigned long b, unsigned long c,
                         unsigned long d)
{
    return (int)raw_syscall5(__NR_prctl, option, (long)a, (long)b, (long)c, (long)d);
}

RAW_INLINE int raw_prlimit64(int pid, unsigned resource, const struct rlimit64 *limit,
                             struct rlimit64 *ret_old)
{
    return (int)raw_syscall4(__NR_prlimit64, pid, (long)resource, (long)limit, (long)ret_old);
}

RAW_INLINE int raw_setresuid(unsigned real, unsigned effective, unsigned saved)
{
    return (int)raw_syscall3(__NR_setresuid, (long)real, (long)effective, (long)saved);
}

RAW_INLINE int raw_setresgid(unsigned real, unsigned effective, unsigned saved)
{
    return (int)raw_syscall3(__NR_setresgid, (long)real, (long)effective, (long)saved);
}

RAW_INLINE int raw_setgroups(size_t n, const unsigned *groups)
{
    return (int)raw_syscall2(__NR_setgroups, (long)n, (long)groups);
}

/* @header, @data: struct __user_cap_header_struct and two __user_cap_data_struct. */
RAW_INLINE int raw_capget(void *header, void *data)
{
    return (int)raw_syscall2(__NR_capget, (long)header, (long)data);
}

RAW_INLINE int raw_capset(void *header, const void *data)
{
    return (int)raw_syscall2(__NR_capset, (long)header, (long)data);
}

RAW_INLINE int raw_seccomp(unsigned operation, unsigned flags, void *args)
{
    return (int)raw_syscall3(__NR_seccomp, (long)operation, (long)flags, (long)args);
}

/* --- memory --- */

/* Return: the address, or (as an integer of -4095..-1) a negative errno: raw_is_error(). */
RAW_INLINE void *raw_mmap(void *at, size_t size, int prot, int flags, int fd, int64_t offset)
{
    return (void *)raw_syscall6(__NR_mmap, (long)at, (long)size, prot, flags, fd, (long)offset);
}

RAW_INLINE int raw_munmap(void *at, size_t size)
{
    return (int)raw_syscall2(__NR_munmap, (long)at, (long)size);
}

RAW_INLINE int raw_is_error(const void *address)
{
    return (uintptr_t)address >= (uintptr_t)-4095;
}

#if !__STDC_HOSTED__
/* raw.c. The compiler also calls these by itself. */
void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *text);

/** raw_main() - the program: called by _start in raw.c, its return value is the exit status. */
int raw_main(int argc, char **argv, char **envp);
#endif
