#include "sandbox/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "cgroups/cgroup.h"
#include "sandbox/inner.h"
#include "sandbox/node.h"

extern char **environ;

static uint64_t clone_flags(const struct node_config *config)
{
    static const struct {
        enum layer layer;
        uint64_t flag;
    } namespaces[] = {{LAYER_USER_NS, CLONE_NEWUSER},
                      {LAYER_PID_NS, CLONE_NEWPID},
                      {LAYER_NET_NS, CLONE_NEWNET},
                      {LAYER_IPC_NS, CLONE_NEWIPC},
                      {LAYER_UTS_NS, CLONE_NEWUTS}};
    uint64_t flags = CLONE_NEWNS;
    for (size_t i = 0; i < sizeof(namespaces) / sizeof(namespaces[0]); i++)
        if (config->layers & LAYER_BIT(namespaces[i].layer))
            flags |= namespaces[i].flag;
    return flags;
}

/*
 * In the child. Until setresuid it is still the caller's uid on the host's files, so every step
 * that fails ends it; the exec gives it a memory image that belongs to U.
 */
__attribute__((noreturn)) static void child_main(const struct userns_start *start, int go_fd,
                                                 int fail_fd)
{
    static char arg0[] = INNER_ARG0;
    static char *const argv[] = {arg0, NULL};
    char go = 0;
    int code = 0;
    const char *what = "wait for the map";
    if (read(go_fd, &go, 1) != 1)
        _exit(1);
    if (start->config->many_uids) {
        what = "become uid 0 of the user namespace";
        if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
            code = errno;
    }
    if (code == 0) {
        what = "pass descriptors on";
        /* By way of numbers that are surely not the targets. */
        int config = fcntl(start->config_fd, F_DUPFD_CLOEXEC, INNER_FDS_LOW);
        int client = fcntl(start->client_fd, F_DUPFD_CLOEXEC, INNER_FDS_LOW);
        int exe = fcntl(start->exe_fd, F_DUPFD_CLOEXEC, INNER_FDS_LOW);
        int fail = fcntl(fail_fd, F_DUPFD_CLOEXEC, INNER_FDS_LOW);
        if (config < 0 || client < 0 || exe < 0 || fail < 0 || dup2(config, INNER_FD_CONFIG) < 0 ||
            dup2(client, INNER_FD_CLIENT) < 0) {
            code = errno;
        } else {
            fail_fd = fail;
            sigset_t none;
            sigemptyset(&none);
            sigprocmask(SIG_SETMASK, &none, NULL);
            what = "execute the inner spawner";
            execveat(exe, "", argv, environ, AT_EMPTY_PATH);
            code = errno;
        }
    }
    char words[ERR_TEXT_MAX];
    int n = snprintf(words, sizeof(words), "%s: %s", what, strerror(code));
    if (write(fail_fd, words, (size_t)n) < 0)
        _exit(2);
    _exit(1);
}

static int write_map(pid_t pid, const char *file, const char *text, struct err *err)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
    return file_write_text(path, text, err);
}

/* The first range of /etc/subuid (or subgid) that is this user's: "name:start:count". */
static bool find_subid(const char *path, uint32_t *ret_start, uint32_t *ret_count)
{
    const struct passwd *pw = getpwuid(geteuid());
    AUTO_FREE char *text = NULL;
    if (file_read_text(path, 1 << 20, &text, NULL) < 0)
        return false;
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char name[64];
        if (sscanf(line, "%63[^:]:%u:%u", name, ret_start, ret_count) != 3)
            continue;
        if ((pw && strcmp(name, pw->pw_name) == 0) || (uid_t)strtoul(name, NULL, 10) == geteuid())
            return *ret_count >= NODE_SLOT_UID + 1;
    }
    return false;
}

bool userns_can_map(const struct node_config *config)
{
    uint32_t start, count;
    (void)config;
    if (geteuid() == 0)
        return true;
    return access("/usr/bin/newuidmap", X_OK) == 0 && access("/usr/bin/newgidmap", X_OK) == 0 &&
           find_subid("/etc/subuid", &start, &count) && find_subid("/etc/subgid", &start, &count);
}

/* newuidmap PID 0 OWN 1 1 START COUNT */
static int run_mapper(const char *program, pid_t pid, uint32_t own, const char *subid_file,
                      struct err *err)
{
    uint32_t start, count;
    if (!find_subid(subid_file, &start, &count))
        return err_set(err, -ENOENT, "%s has no range for this user", subid_file);
    char texts[4][16];
    snprintf(texts[0], sizeof(texts[0]), "%d", pid);
    snprintf(texts[1], sizeof(texts[1]), "%u", own);
    snprintf(texts[2], sizeof(texts[2]), "%u", start);
    snprintf(texts[3], sizeof(texts[3]), "%u", count);
    const char *const argv[] = {program, texts[0], "0",      texts[1], "1",
                                "1",     texts[2], texts[3], NULL};
    pid_t mapper = vfork();
    if (mapper == 0) {
        execv(program, (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    int status = -1;
    while (mapper > 0 && waitpid(mapper, &status, 0) < 0 && errno == EINTR)
        ;
    return status == 0 ? 0 : err_set(err, -EPERM, "%s refused the map", program);
}

static int write_maps(pid_t pid, const struct node_config *config, struct err *err)
{
    char text[64];
    int r;
    if (!config->user_ns)
        return 0;
    if (geteuid() == 0) {
        snprintf(text, sizeof(text), "0 %u %u", config->uid_base, config->uid_count);
        r = write_map(pid, "uid_map", text, err);
        return r < 0 ? r : write_map(pid, "gid_map", text, err);
    }
    if (config->many_uids) {
        r = run_mapper("/usr/bin/newuidmap", pid, geteuid(), "/etc/subuid", err);
        return r < 0 ? r : run_mapper("/usr/bin/newgidmap", pid, getegid(), "/etc/subgid", err);
    }
    snprintf(text, sizeof(text), "0 %u 1", geteuid());
    r = write_map(pid, "setgroups", "deny", err);
    if (r == 0)
        r = write_map(pid, "uid_map", text, err);
    snprintf(text, sizeof(text), "0 %u 1", getegid());
    return r < 0 ? r : write_map(pid, "gid_map", text, err);
}

static int release_child(const struct userns_start *start, struct cg_tree *tree, pid_t pid,
                         int go_fd, int fail_fd, struct err *err)
{
    int r = write_maps(pid, start->config, err);
    /* v1: the child joins by itself, through `tasks`, without the stall of cgroup.procs. */
    if (r == 0 && tree && cg_tree_version(tree) == CG_V2)
        r = cg_tree_place(tree, "spawner", pid, err);
    if (r == 0 && write(go_fd, "g", 1) != 1)
        r = err_set(err, -errno, "let the child go: %m");
    if (r < 0)
        return r;
    char words[ERR_TEXT_MAX];
    ssize_t n = fd_read_all(fail_fd, words, sizeof(words) - 1);
    if (n <= 0)
        return 0; /* closed by the exec */
    words[n] = 0;
    return err_set(err, -EPERM, "layer user-namespace: %s", words);
}

int userns_start(const struct userns_start *start, struct cg_tree *tree, pid_t *ret_pid,
                 int *ret_pidfd, struct err *err)
{
    int go[2], fail[2], home = -EBADF;
    if (pipe2(go, O_CLOEXEC) < 0)
        return err_set(err, -errno, "pipe: %m");
    AUTO_CLOSE int go_read = go[0], go_write = go[1];
    if (pipe2(fail, O_CLOEXEC) < 0)
        return err_set(err, -errno, "pipe: %m");
    AUTO_CLOSE int fail_read = fail[0], fail_write = fail[1];
    AUTO_CLOSE int home_ns = -EBADF;
    AUTO_CLOSE int cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (start->staged_ns >= 0) {
        home_ns = home = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
        if (home < 0 || setns(start->staged_ns, CLONE_NEWNS) < 0)
            return err_set(err, -errno, "enter the staging namespace: %m");
    }
    int pidfd = -EBADF;
    struct clone_args args = {.flags = clone_flags(start->config) | CLONE_PIDFD,
                              .pidfd = (uint64_t)(uintptr_t)&pidfd,
                              .exit_signal = SIGCHLD};
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
    int code = -errno;
    if (pid == 0)
        child_main(start, go_read, fail_write);
    if (home >= 0 && setns(home, CLONE_NEWNS) < 0 && pid > 0) {
        kill(pid, SIGKILL);
        code = -errno;
    }
    if (cwd >= 0 && fchdir(cwd) < 0 && chdir("/") < 0)
        return err_set(err, -errno, "chdir: %m");
    if (pid < 0)
        return err_set(err, code, "layer user-namespace: clone3: %m");
    fail_write = fd_close(fail_write);
    int r = release_child(start, tree, pid, go_write, fail_read, err);
    if (r < 0) {
        kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
        fd_close(pidfd);
        return r;
    }
    *ret_pid = pid;
    *ret_pidfd = pidfd;
    return 0;
}
