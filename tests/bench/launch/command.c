/* Launchers that are commands: vfork, exec, wait. */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "bench.h"

#define OUTPUT_MAX (256 * 1024)

extern char **environ;

const char *const *program_argv(enum program program, const char *tiny)
{
    static const char *const python[] = {"/usr/bin/python3", "-I", "-S", "-c", "pass", NULL};
    static const char *own[2];
    own[0] = tiny;
    return program == PROGRAM_PYTHON ? python : own;
}

struct command *command_new(const char *const *prefix, const char *tiny)
{
    struct command *command = calloc(1, sizeof(*command));
    if (!command)
        return NULL;
    for (int p = 0; p < PROGRAMS; p++) {
        const char *const *lists[] = {prefix, program_argv((enum program)p, tiny)};
        size_t n = 0;
        for (int l = 0; l < 2; l++)
            for (size_t i = 0; lists[l][i] && n < COMMAND_ARGS - 1; i++) {
                char *copy = command->text + command->used;
                size_t len = strlen(lists[l][i]) + 1;
                if (len > sizeof(command->text) - command->used)
                    break;
                memcpy(copy, lists[l][i], len);
                command->used += len;
                command->argv[p][n++] = copy;
            }
    }
    return command;
}

/* Some tools refuse a host that has both versions. What this takes counts as theirs: 0.1 ms. */
static void hide_v2(void)
{
    if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
        umount2("/sys/fs/cgroup/unified", MNT_DETACH);
}

/* The child shares our memory until it executes: it may only make system calls. */
static pid_t spawn(const struct command *command, enum program program, int output)
{
    static unsigned long serial;
    static char id[64];
    static const char *argv[COMMAND_ARGS];
    snprintf(id, sizeof(id), "bench-%d-%lu", getpid(), serial++);
    for (size_t i = 0; i < COMMAND_ARGS; i++) {
        const char *arg = command->argv[program][i];
        argv[i] = arg && strcmp(arg, "%ID%") == 0 ? id : arg;
    }
    static int null = -EBADF;
    if (null < 0)
        null = open("/dev/null", O_RDWR | O_CLOEXEC);
    pid_t pid = vfork();
    if (pid == 0) {
        if (command->without_v2)
            hide_v2();
        dup2(null, 0);
        dup2(output >= 0 ? output : null, 1);
        if (output < 0)
            dup2(null, 2);
        execve(argv[0], (char *const *)(uintptr_t)argv, environ);
        _exit(127);
    }
    return pid;
}

static int check_status(const char *name, int status, struct err *err)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return err_set(err, -EIO, "%s: %s %d", name, WIFEXITED(status) ? "exit status" : "signal",
                   WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

int command_run(struct launcher *launcher, enum program program, struct err *err)
{
    int status;
    pid_t pid = spawn(launcher->data, program, -1);
    if (pid < 0)
        return err_set(err, -errno, "vfork: %m");
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_set(err, -errno, "waitpid: %m");
    return check_status(launcher->name, status, err);
}

int command_rate(struct launcher *launcher, unsigned clients, uint64_t for_us, double *ret,
                 struct err *err)
{
    uint64_t begin = clock_us(), done = 0;
    pid_t pids[64];
    for (unsigned i = 0; i < clients; i++)
        pids[i] = spawn(launcher->data, PROGRAM_TINY, -1);
    unsigned left = clients;
    while (left > 0) {
        siginfo_t info;
        if (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) < 0)
            return err_set(err, -errno, "waitid: %m");
        unsigned i = 0;
        while (i < clients && pids[i] != info.si_pid)
            i++;
        if (i == clients)
            return err_set(err, -EIO, "process %d of ours ended meanwhile", info.si_pid);
        int status;
        waitpid(pids[i], &status, 0);
        int r = check_status(launcher->name, status, err);
        if (r < 0)
            return r;
        done++;
        bool over = clock_us() - begin >= for_us;
        pids[i] = over ? 0 : spawn(launcher->data, PROGRAM_TINY, -1);
        left -= over;
    }
    *ret = (double)done * 1e6 / (double)(clock_us() - begin);
    return 0;
}

static unsigned count(const char *text, const char *word)
{
    unsigned n = 0;
    for (const char *p = text; (p = strstr(p, word)); p += strlen(word))
        n++;
    return n;
}

int oneshot_attest(const struct bench *bench, struct err *err)
{
    char program[PATH_MAX + 16], bind[PATH_MAX + 32];
    snprintf(program, sizeof(program), "%s/cloister", bench->bin);
    snprintf(bind, sizeof(bind), "%s:" INSIDE_DIR ":ro", bench->tiny_dir);
    const char *prefix[] = {program, "sandbox", "run", "--json", "--bind", bind, "--", NULL};
    AUTO_FREE struct command *command = command_new(prefix, INSIDE_DIR "/tiny");
    AUTO_FREE char *text = calloc(1, OUTPUT_MAX);
    int pair[2], status = -1;
    if (!command || !text || pipe2(pair, O_CLOEXEC) < 0)
        return err_set(err, -errno, "attest: %m");
    pid_t pid = spawn(command, PROGRAM_TINY, pair[1]);
    fd_close(pair[1]);
    fd_read_all(pair[0], text, OUTPUT_MAX - 1);
    fd_close(pair[0]);
    waitpid(pid, &status, 0);
    int r = check_status("cloister sandbox run --json", status, err);
    unsigned active = count(text, "\"active\":true"), absent = count(text, "\"active\":false");
    if (r == 0 && (active != LAYER_COUNT || absent != 0))
        r = err_set(err, -EPERM, "one-shot: %u of %d layers are active", active, LAYER_COUNT);
    return r;
}
