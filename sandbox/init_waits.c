/*
 * Does the program wait for a person? A run with a terminal has its wall clock stand still while it
 * does. There is no event for it, so init looks, ten times a second, for terminal runs only: a task
 * that sits in a read of the terminal, or in poll, select or epoll while standard input is the
 * terminal, and no task of the sandbox that runs. (CAP_SYS_PTRACE of init, inside U only.)
 */

#include "sandbox/init_run.h"

enum { TASKS_MAX = 256, CALL_RUNNING = -2, CALL_NONE = -1 };

static char *put_text(char *p, const char *text)
{
    while (*text)
        *p++ = *text++;
    *p = 0;
    return p;
}

/* The number of the call that task sits in; CALL_RUNNING; CALL_NONE: none, or the task is gone. */
static long task_call(const char *pid, const char *tid, unsigned long *ret_first_arg)
{
    char path[96], text[128];
    char *p = put_text(path, "/proc/");
    p = put_text(p, pid);
    p = put_text(p, "/task/");
    p = put_text(p, tid);
    put_text(p, "/syscall");
    int fd = raw_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return CALL_NONE;
    long n = raw_read(fd, text, sizeof(text) - 1);
    raw_close(fd);
    if (n <= 0)
        return CALL_NONE;
    text[n] = 0;
    if (text[0] == 'r')
        return CALL_RUNNING;
    if (text[0] < '0' || text[0] > '9')
        return CALL_NONE;
    long nr = 0;
    const char *c = text;
    while (*c >= '0' && *c <= '9')
        nr = nr * 10 + (*c++ - '0');
    unsigned long first = 0;
    if (c[0] == ' ' && c[1] == '0' && c[2] == 'x')
        for (c += 3; (*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'f'); c++)
            first = first * 16 + (unsigned long)(*c <= '9' ? *c - '0' : *c - 'a' + 10);
    *ret_first_arg = first;
    return nr;
}

static int reads_terminal(long nr, unsigned long first_arg)
{
    switch (nr) {
    case __NR_read:
    case __NR_readv:
        return first_arg <= 2;
#ifdef __NR_select
    case __NR_select:
    case __NR_poll:
    case __NR_epoll_wait:
#endif
    case __NR_pselect6:
    case __NR_ppoll:
    case __NR_epoll_pwait:
        return 1;
    default:
        return 0;
    }
}

static int is_number(const char *name)
{
    return name[0] >= '1' && name[0] <= '9';
}

/* Calls @fn for each numeric entry of @path until it says otherwise. */
static int each_number(const char *path, int (*fn)(void *arg, const char *name), void *arg)
{
    int fd = raw_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0)
        return fd;
    _Alignas(8) uint8_t buf[2048];
    long n;
    int r = 0;
    while (r == 0 && (n = raw_getdents64(fd, buf, sizeof(buf))) > 0) {
        for (long at = 0; r == 0 && at < n;) {
            const struct raw_dirent *entry = (const void *)(buf + at);
            if (is_number(entry->d_name))
                r = fn(arg, entry->d_name);
            at += entry->d_reclen;
        }
    }
    raw_close(fd);
    return r;
}

struct look {
    const char *pid;
    int tasks;
    int waits;
    int runs;
};

static int look_at_task(void *arg, const char *tid)
{
    struct look *look = arg;
    unsigned long first = 0;
    long nr = task_call(look->pid, tid, &first);
    look->runs |= nr == CALL_RUNNING;
    look->waits |= nr >= 0 && reads_terminal(nr, first);
    return look->runs || ++look->tasks >= TASKS_MAX;
}

static int look_at_process(void *arg, const char *pid)
{
    struct look *look = arg;
    if (pid[0] == '1' && !pid[1])
        return 0;
    char path[64];
    char *p = put_text(path, "/proc/");
    p = put_text(p, pid);
    put_text(p, "/task");
    look->pid = pid;
    int r = each_number(path, look_at_task, look);
    return r > 0;
}

void init_sample_waiting(struct init_state *s)
{
    struct look look = {0};
    each_number("/proc", look_at_process, &look);
    int waits = look.waits && !look.runs && look.tasks < TASKS_MAX;
    uint64_t now = init_now_us();
    if (waits && !s->waiting_since_us)
        s->waiting_since_us = now;
    if (!waits && s->waiting_since_us) {
        s->waited_us += now - s->waiting_since_us;
        s->waiting_since_us = 0;
    }
}
