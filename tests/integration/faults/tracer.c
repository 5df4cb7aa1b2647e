/*
 * Makes one system call fail: a tracer that follows a process and what it makes, counts the calls
 * of each, and answers one of them with an error instead of letting the kernel do it.
 *
 * Theory of operation. ptrace(2), because it reaches everything alike: libc, vfork children that
 * share their parent's memory, and init, which has no libc. Whoever is followed has a role: "r" is
 * the first, "r/1" its first child since the last order, and an "x" follows when it has executed a
 * program ("r/1x" is a sandbox's init). A role of --leave is let go when it is reached. A call is
 * named by role, number, and how often that role has made it since the last order. To fail it, its
 * number is changed into getpid's, which every filter of ours allows, and its result into the
 * error. close() is done all the same: the kernel, too, closes before it says that something is
 * wrong.
 *
 * Orders on stdin, one a line; each is answered on stdout, "ready PID", when it is in force.
 *   record             count from here; a command starts with the first order
 *   fail ROLE NR N E   count, and answer the Nth call of number NR by ROLE with errno E
 *   stop               let everything run; answered by what was counted, "call ROLE NR COUNT" a
 * line in the order of the first time, then "hit 1" or "hit 0" When the first has ended, it says
 * "ended STATUS" (a signal: its negative number). Between stop and the next order nothing is traced
 * but births, and everything runs at full speed.
 */

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/elf.h>
#include <linux/ptrace.h>

enum { ROLE_MAX = 40, TRACEES_MAX = 256, COUNTS_MAX = 1024, LEAVE_MAX = 8 };

#define OPTIONS                                                                                    \
    (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |      \
     PTRACE_O_TRACEEXEC)

struct tracee {
    pid_t pid;
    bool stopped, born; /* born: its parent has told its role */
    bool in_call;       /* seen at its entry; the exit comes */
    int children;
    long answer; /* result that replaces the kernel's, or 0 */
    char role[ROLE_MAX];
};

struct count {
    char role[ROLE_MAX];
    long nr;
    unsigned n;
};

static struct tracee tracees[TRACEES_MAX];
static struct count counts[COUNTS_MAX];
static size_t n_counts;
static const char *leave[LEAVE_MAX];
static size_t n_leave;
static bool counting, hit;
static pid_t root;
static int start_fd = -1; /* a command waits for its other end */
static struct {
    char role[ROLE_MAX];
    long nr;
    unsigned n;
    int code; /* 0: none */
} target;

static struct tracee *find(pid_t pid)
{
    for (size_t i = 0; i < TRACEES_MAX; i++)
        if (tracees[i].pid == pid)
            return &tracees[i];
    return NULL;
}

static struct tracee *add(pid_t pid)
{
    struct tracee *t = find(pid);
    if (t)
        return t;
    t = find(0);
    if (!t) {
        fprintf(stderr, "tracer: too many processes\n");
        exit(1);
    }
    *t = (struct tracee){.pid = pid};
    return t;
}

static void forget(struct tracee *t)
{
    *t = (struct tracee){0};
}

static void go_on(struct tracee *t, int signo)
{
    /* The exit of a call whose entry was seen is waited for even when the order is over. */
    bool calls = counting || t->in_call;
    t->stopped = false;
    if (ptrace(calls ? PTRACE_SYSCALL : PTRACE_CONT, t->pid, 0, (long)signo) < 0 && errno == ESRCH)
        t->in_call = false;
}

static bool to_be_left(const char *role)
{
    for (size_t i = 0; i < n_leave; i++)
        if (fnmatch(leave[i], role, 0) == 0)
            return true;
    return false;
}

/* ---- registers ---- */

#if defined(__x86_64__)
static void set_number(pid_t pid, long nr)
{
    ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, orig_rax), nr);
}

static void set_result(pid_t pid, long result)
{
    ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, rax), result);
}
#else
static void set_number(pid_t pid, long nr)
{
    int number = (int)nr;
    struct iovec part = {&number, sizeof(number)};
    ptrace(PTRACE_SETREGSET, pid, 0x404 /* NT_ARM_SYSTEM_CALL */, &part);
}

static void set_result(pid_t pid, long result)
{
    struct user_regs_struct regs;
    struct iovec part = {&regs, sizeof(regs)};
    ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &part);
    regs.regs[0] = (unsigned long)result;
    ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &part);
}
#endif

/* ---- stops ---- */

static unsigned count(const char *role, long nr)
{
    for (size_t i = 0; i < n_counts; i++)
        if (counts[i].nr == nr && strcmp(counts[i].role, role) == 0)
            return ++counts[i].n;
    if (n_counts == COUNTS_MAX) {
        fprintf(stderr, "tracer: too many different calls\n");
        exit(1);
    }
    struct count *c = &counts[n_counts++];
    *c = (struct count){.nr = nr, .n = 1};
    snprintf(c->role, sizeof(c->role), "%s", role);
    return 1;
}

static void on_entry(struct tracee *t, long nr)
{
    t->in_call = true;
    t->answer = 0;
    if (!counting)
        return;
    unsigned n = count(t->role, nr);
    if (!target.code || nr != target.nr || n != target.n || strcmp(t->role, target.role) != 0)
        return;
    hit = true;
    t->answer = -target.code;
    if (nr != SYS_close)
        set_number(t->pid, SYS_getpid);
}

static void on_call(struct tracee *t)
{
    struct ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, t->pid, sizeof(info), &info) <= 0)
        return;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
        on_entry(t, (long)info.entry.nr);
    } else if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
        if (t->answer)
            set_result(t->pid, t->answer);
        t->answer = 0;
        t->in_call = false;
    }
}

static void let_go(struct tracee *t)
{
    ptrace(PTRACE_DETACH, t->pid, 0, 0);
    forget(t);
}

static void on_birth(struct tracee *parent)
{
    unsigned long pid = 0;
    if (ptrace(PTRACE_GETEVENTMSG, parent->pid, 0, &pid) < 0 || !pid)
        return;
    struct tracee *child = add((pid_t)pid);
    child->born = true;
    snprintf(child->role, sizeof(child->role), "%.26s/%d", parent->role, ++parent->children);
    if (child->stopped) { /* it came first */
        if (to_be_left(child->role))
            let_go(child);
        else
            go_on(child, 0);
    }
}

static void on_exec(struct tracee *t)
{
    size_t len = strlen(t->role);
    if (len + 1 < sizeof(t->role))
        snprintf(t->role + len, sizeof(t->role) - len, "x");
}

static void report_end(int status)
{
    printf("ended %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
    fflush(stdout);
}

static void on_stop(pid_t pid, int status)
{
    struct tracee *t = find(pid);
    if (!WIFSTOPPED(status)) {
        if (t)
            forget(t);
        if (pid == root)
            report_end(status);
        return;
    }
    if (!t)
        t = add(pid); /* a child before its parent's event */
    t->stopped = true;
    int event = status >> 16, signo = WSTOPSIG(status), pass = 0;
    if (event == PTRACE_EVENT_STOP) {
        if (!t->born)
            return; /* go_on() by on_birth() */
    } else if (event == PTRACE_EVENT_EXEC) {
        on_exec(t);
    } else if (event) {
        on_birth(t);
    } else if (signo == (SIGTRAP | 0x80)) {
        on_call(t);
    } else {
        pass = signo;
    }
    if (t->born && to_be_left(t->role))
        let_go(t);
    else
        go_on(t, pass);
}

/* Everything there is; an order begins with all in hand. */
static void reap(int flags)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, __WALL | flags)) > 0)
        on_stop(pid, status);
}

/* ---- orders ---- */

static void restart(void)
{
    n_counts = 0;
    hit = false;
    for (size_t i = 0; i < TRACEES_MAX; i++)
        if (tracees[i].pid) {
            tracees[i].children = 0;
            if (!tracees[i].stopped)
                ptrace(PTRACE_INTERRUPT, tracees[i].pid, 0, 0);
        }
}

static void report(void)
{
    for (size_t i = 0; i < n_counts; i++)
        printf("call %s %ld %u\n", counts[i].role, counts[i].nr, counts[i].n);
    printf("hit %d\n", hit);
}

/* Waits until the interrupted have stopped once and gone on in the mode that is wanted now. */
static void settle(void)
{
    struct timespec moment = {0, 1000000};
    for (int i = 0; i < 3; i++) {
        reap(WNOHANG);
        nanosleep(&moment, NULL);
    }
    reap(WNOHANG);
}

static bool obey(char *line)
{
    target.code = 0;
    if (strncmp(line, "record", 6) == 0) {
        counting = true;
    } else if (strncmp(line, "fail", 4) == 0) {
        if (sscanf(line, "fail %39s %ld %u %d", target.role, &target.nr, &target.n, &target.code) !=
            4)
            return false;
        counting = true;
    } else if (strncmp(line, "stop", 4) == 0) {
        counting = false;
        report();
        fflush(stdout);
        return true;
    } else {
        return false;
    }
    restart();
    settle();
    printf("ready %d\n", root);
    fflush(stdout);
    if (start_fd >= 0 && write(start_fd, "", 1) == 1) {
        close(start_fd);
        start_fd = -1;
    }
    return true;
}

static int serve(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int births = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    for (;;) {
        reap(WNOHANG);
        struct pollfd p[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                             {.fd = births, .events = POLLIN}};
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return 1;
        struct signalfd_siginfo info;
        while (read(births, &info, sizeof(info)) > 0)
            ;
        if (!p[0].revents)
            continue;
        char line[128];
        ssize_t n = read(STDIN_FILENO, line, sizeof(line) - 1);
        if (n <= 0)
            return 0;
        line[n] = 0;
        if (!obey(line)) {
            fprintf(stderr, "tracer: what is '%s'?\n", line);
            return 1;
        }
    }
}

static int follow(pid_t pid)
{
    struct tracee *t = add(pid);
    t->born = true;
    snprintf(t->role, sizeof(t->role), "r");
    root = pid;
    if (ptrace(PTRACE_SEIZE, pid, 0, OPTIONS) < 0) {
        fprintf(stderr, "tracer: follow %d: %s\n", pid, strerror(errno));
        return 1;
    }
    return serve();
}

/* The command waits for the first order, and has its stdout and stderr on our stderr. */
static int follow_command(char **argv)
{
    int start[2];
    char byte;
    if (pipe2(start, O_CLOEXEC) < 0)
        return 1;
    pid_t pid = fork();
    if (pid < 0)
        return 1;
    if (pid == 0) {
        int null = open("/dev/null", O_RDONLY);
        if (read(start[0], &byte, 1) != 1 || null < 0 || dup2(null, STDIN_FILENO) < 0 ||
            dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
            _exit(126);
        close(null);
        execv(argv[0], argv);
        _exit(126);
    }
    close(start[0]);
    start_fd = start[1];
    return follow(pid);
}

int main(int argc, char **argv)
{
    int option;
    while ((option = getopt(argc, argv, "+l:")) == 'l' && n_leave < LEAVE_MAX)
        leave[n_leave++] = optarg;
    if (option != -1 || optind == argc) {
        fprintf(stderr, "usage: fault_tracer [-l ROLE]... PID | PROGRAM [ARGUMENT]...\n");
        return 2;
    }
    char *end;
    pid_t pid = (pid_t)strtol(argv[optind], &end, 10);
    return *end ? follow_command(argv + optind) : follow(pid);
}
