#include "sandbox/service.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

#define SPAWN_FD_NUMBER 3
#define SPAWN_FD_NAME   "CLOISTER_SPAWN_FD=3"
#define HEARTBEAT_FD    4
#define BEATS_PER_DOG   3    /* two may be lost */
#define BEAT_MS         5000 /* without a watchdog only the first counts: it is ready */

extern char **environ;

static int make_dir(const char *path, mode_t mode, uid_t uid, gid_t gid, struct err *err)
{
    if (mkdir(path, mode) < 0)
        return errno == EEXIST ? 0 : err_set(err, -errno, "mkdir %s: %m", path);
    /* The mode first: afterwards it is another's, and would take CAP_FOWNER. */
    if (chmod(path, mode) < 0 || chown(path, uid, gid) < 0)
        return err_set(err, -errno, "give %s to its user: %m", path);
    return 0;
}

/* Without one there are no blobs, and the log says why: nothing else depends on it. */
static void make_cache(const struct spawner_config *config)
{
    char parent[sizeof(config->node.cache_dir)];
    snprintf(parent, sizeof(parent), "%s", config->node.cache_dir);
    char *slash = strrchr(parent, '/');
    if (!slash)
        return;
    *slash = 0;
    if (parent[0])
        make_dir(parent, 0755, 0, 0, NULL);
    make_dir(config->node.cache_dir, 0700, config->uid, config->gid, NULL);
}

int service_prepare(const struct spawner_config *config, int *ret_lock, struct err *err)
{
    char path[sizeof(config->socket) + 80];
    snprintf(path, sizeof(path), "%s", config->socket);
    char *slash = strrchr(path, '/');
    *slash = 0;
    int r = path[0] ? make_dir(path, 0750, config->uid, config->socket_gid, err) : 0;
    if (r == 0)
        r = make_dir(config->run_dir, 0755, 0, 0, err);
    if (r < 0)
        return r;
    make_cache(config);
    snprintf(path, sizeof(path), "%s/spawner-%s.lock", config->run_dir, config->node.instance);
    AUTO_CLOSE int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0)
        return err_set(err, -errno, "open %s: %m", path);
    if (flock(lock, LOCK_EX | LOCK_NB) < 0)
        return err_set(err, -EBUSY, "another spawner runs as instance '%s' (%s is locked)",
                       config->node.instance, path);
    *ret_lock = take_fd(&lock);
    return 0;
}

/* In the child. Order: groups and gid while that is still allowed, then the uid, which takes every
 * capability along; no_new_privs so that nothing brings them back. */
static const char *become(const struct spawner_config *config)
{
    gid_t groups[1] = {config->socket_gid};
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return "PR_SET_PDEATHSIG";
    if (setgroups(1, groups) < 0 || setresgid(config->gid, config->gid, config->gid) < 0 ||
        setresuid(config->uid, config->uid, config->uid) < 0)
        return "become its user";
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return "no_new_privs";
    /* The change of uid cleared it. */
    return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? "PR_SET_PDEATHSIG" : NULL;
}

__attribute__((noreturn)) static void child_main(const struct spawner_config *config, int client_fd,
                                                 int heartbeat_fd, char **environment)
{
    const char *what = "hand over the socket";
    int copy = fcntl(client_fd, F_DUPFD_CLOEXEC, HEARTBEAT_FD + 1);
    int beat =
        heartbeat_fd < 0 ? HEARTBEAT_FD : fcntl(heartbeat_fd, F_DUPFD_CLOEXEC, HEARTBEAT_FD + 1);
    /* Opened as root: its directory need not be open to the service's user (a checkout in /root).
     */
    int program = open(config->execsvc, O_RDONLY | O_CLOEXEC);
    if (program >= 0 && program <= HEARTBEAT_FD)
        program = fcntl(program, F_DUPFD_CLOEXEC, HEARTBEAT_FD + 1);
    if (program < 0)
        what = "open";
    if (program >= 0 && copy >= 0 && dup2(copy, SPAWN_FD_NUMBER) >= 0 &&
        (heartbeat_fd < 0 || (beat >= 0 && dup2(beat, HEARTBEAT_FD) >= 0))) {
        sigset_t none;
        sigemptyset(&none);
        what = become(config);
        sigprocmask(SIG_SETMASK, &none, NULL);
        const char *argv[] = {"execsvc", config->config_path ? "--config" : NULL,
                              config->config_path, NULL};
        if (!what) {
            execveat(program, "", (char *const *)(uintptr_t)argv, environment, AT_EMPTY_PATH);
            what = "execute";
        }
    }
    fprintf(stderr, "cloister-spawner: %s: %s: %s\n", config->execsvc, what, strerror(errno));
    _exit(127);
}

int service_start(const struct spawner_config *config, int client_fd, int heartbeat_fd,
                  pid_t *ret_pid, int *ret_pidfd, struct err *err)
{
    size_t n = 0;
    while (environ[n])
        n++;
    AUTO_FREE char **environment = calloc(n + 4, sizeof(*environment));
    if (!environment)
        return err_set(err, -ENOMEM, "no memory for an environment");
    memcpy(environment, environ, n * sizeof(*environment));
    static char spawn_fd[] = SPAWN_FD_NAME;
    environment[n++] = spawn_fd;
    /* Each thread keeps seven freed pieces of each size, and gRPC has ten threads: a fifth of the
     * heap after some thousand runs. */
    static char thread_caches[] = "GLIBC_TUNABLES=glibc.malloc.tcache_count=1";
    if (!getenv("GLIBC_TUNABLES"))
        environment[n++] = thread_caches;
    uint64_t beat_ms = config->watchdog_ms ? config->watchdog_ms / BEATS_PER_DOG : BEAT_MS;
    char heartbeat[64];
    snprintf(heartbeat, sizeof(heartbeat), "CLOISTER_HEARTBEAT=%d:%llu", HEARTBEAT_FD,
             (unsigned long long)beat_ms);
    if (heartbeat_fd >= 0)
        environment[n] = heartbeat;

    pid_t pid = fork(); /* the supervisor has one thread and little memory */
    if (pid < 0)
        return err_set(err, -errno, "fork: %m");
    if (pid == 0)
        child_main(config, client_fd, heartbeat_fd, environment);
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0) {
        int code = err_set(err, -errno, "pidfd_open: %m");
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return code;
    }
    *ret_pid = pid;
    *ret_pidfd = pidfd;
    return 0;
}
