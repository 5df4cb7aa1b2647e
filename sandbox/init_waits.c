/*
 * Does the program wait for a person? A run with a terminal has its wall clock stand still while it
 * does. There is no event for it, so init looks, ten times a second, for terminal runs only: a task
 * that sits in a read of the terminal, or in poll, select or epoll while standard input is the
 * terminal, and no task of the sandbox that runs. (CAP_SYS_PTRACE of init, inside U only.)
 *
 * People think for minutes, a class of them at once: while the task that was seen waiting still
 * does, all the others are looked at less often, and after a while it, too.
 *
 * Init is in the group of the program, which is not to pay for being looked at: minutes of it would
 * be seconds of processor time. A program of many tasks makes looking dear: that is bounded.
 */

#include "sandbox/init_run.h"

enum { TICK_MS = 100, PATIENT_TICK_MS = 400, PATIENT_US = 2000000, LOOK_COSTS_MAX_US = 1000 };
enum { TASKS_MAX = 256, LOOKS_MAX = 5, CALL_RUNNING = -2, CALL_NONE = -1 };

static char *put_text(char *p, const char *text)
{
    while (*text)
        *p++ = *text++;
    *p = 0;
    return p;
}

static int open_call(const char *pid, const char *tid)
{
    char path[96];
    char *p = put_text(path, "/proc/");
    p = put_text(p, pid);
    p = put_text(p, "/task/");
    p = put_text(p, tid);
    put_text(p, "/syscall");
    return raw_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
}

/* The number of the call that task sits in; CALL_RUNNING; CALL_NONE: none, or the task is gone. */
static long read_call(int fd, unsigned long *ret_first_arg)
{
    char text[128];
    long n = fd < 0 ? fd : raw_syscall4(__NR_pread64, fd, (long)text, sizeof(text) - 1, 0);
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
    int call; /* of the one that waits, or -EBADF */
};

static int look_at_task(void *arg, const char *tid)
{
    struct look *look = arg;
    unsigned long first = 0;
    int call = open_call(look->pid, tid);
    long nr = read_call(call, &first);
    int waits = reads_terminal(nr, first);
    look->runs |= nr == CALL_RUNNING;
    look->waits |= waits;
    if (waits && look->call < 0)
        look->call = call;
    else if (call >= 0)
        raw_close(call);
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

static int waits_still(struct init_state *s)
{
    unsigned long first = 0;
    if (s->waiting_call < 0 || ++s->waiting_looks >= LOOKS_MAX)
        return 0;
    return reads_terminal(read_call(s->waiting_call, &first), first);
}

static uint64_t cpu_now_us(void)
{
    return init_clock_us(2 /* CLOCK_PROCESS_CPUTIME_ID */);
}

void init_waits_begin(struct init_state *s)
{
    s->waiting_call = -EBADF;
    s->cpu_us = cpu_now_us();
}

struct timespec init_waits_tick(const struct init_state *s)
{
    int patient = s->waiting_since_us && init_now_us() - s->waiting_since_us > PATIENT_US;
    return (struct timespec){0, (patient ? PATIENT_TICK_MS : TICK_MS) * 1000000L};
}

static void look_at_all(struct init_state *s)
{
    if (s->waiting_call >= 0)
        raw_close(s->waiting_call);
    struct look look = {.call = -EBADF};
    each_number("/proc", look_at_process, &look);
    int waits = look.waits && !look.runs && look.tasks < TASKS_MAX;
    if (!waits && look.call >= 0) {
        raw_close(look.call);
        look.call = -EBADF;
    }
    s->waiting_call = look.call;
    s->waiting_looks = 0;
    uint64_t now = init_now_us();
    if (waits && !s->waiting_since_us)
        s->waiting_since_us = now;
    if (!waits && s->waiting_since_us) {
        s->waited_us += now - s->waiting_since_us;
        s->waiting_since_us = 0;
    }
}

void init_waits_look(struct init_state *s, int due)
{
    if (due && !waits_still(s))
        look_at_all(s);
    uint64_t now = cpu_now_us(), used = now - s->cpu_us;
    if (due)
        s->watch_us += used < LOOK_COSTS_MAX_US ? used : LOOK_COSTS_MAX_US;
    s->cpu_us = now;
}
