/*
 * The outer spawner: real root for set-up only, then a supervisor.
 *
 * It starts the inner spawner (uid 0 of U only) and execsvc (no capability), hands each one end of
 * a socket pair, and reads nothing from either but how they end. They belong together: when one is
 * gone the other is ended, what is left of their runs is removed, and both are started again, after
 * a pause that grows while they keep failing.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/notify.h"
#include "sandbox/inner.h"
#include "sandbox/service.h"

#define PAUSE_MIN_MS UINT64_C(20)
#define PAUSE_MAX_MS UINT64_C(5000)
#define STEADY_MS    UINT64_C(10000) /* who lived that long did not fail at the start */
#define STOP_MORE_MS 15000           /* for the end of a drain */

struct supervisor {
    struct spawner_config config;
    struct node *node;
    pid_t service_pid;
    int service_pidfd;
    int heartbeat; /* a byte from the service: it is ready, and answers */
    int signals, lock;
    uint64_t pause_ms, started_ms, restarts;
};

static int make_heartbeat(struct supervisor *s, int *ret_end, struct err *err)
{
    int ends[2];
    s->heartbeat = fd_close(s->heartbeat);
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return err_set(err, -errno, "pipe: %m");
    s->heartbeat = ends[0];
    *ret_end = ends[1];
    return 0;
}

static int start_both(struct supervisor *s, struct err *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_set(err, -errno, "socketpair: %m");
    AUTO_CLOSE int spawner_end = pair[0], service_end = pair[1];
    int room = 1 << 20;
    setsockopt(spawner_end, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    setsockopt(service_end, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    int r = s->node ? node_restart_inner(s->node, spawner_end, err)
                    : node_start(&s->config.node, spawner_end, &s->node, err);
    AUTO_CLOSE int beat_end = -EBADF;
    if (r == 0)
        r = make_heartbeat(s, &beat_end, err);
    if (r == 0)
        r = service_start(&s->config, service_end, beat_end, &s->service_pid, &s->service_pidfd,
                          err);
    s->started_ms = clock_ms();
    if (r == 0)
        log_info("supervisor.started", "the spawner and the service are started",
                 LOG_I64("spawner_pid", node_inner_pid(s->node)),
                 LOG_I64("service_pid", s->service_pid));
    return r;
}

static int reap_service(struct supervisor *s)
{
    int status = 0;
    if (s->service_pidfd < 0)
        return 0;
    while (waitpid(s->service_pid, &status, 0) < 0 && errno == EINTR)
        ;
    s->service_pidfd = fd_close(s->service_pidfd);
    return status;
}

static void signal_service(struct supervisor *s, int signo)
{
    if (s->service_pidfd >= 0)
        syscall(SYS_pidfd_send_signal, s->service_pidfd, signo, NULL, 0);
}

/* Return: the signal, or 0. */
static int read_signal(struct supervisor *s)
{
    struct signalfd_siginfo info;
    ssize_t n = read(s->signals, &info, sizeof(info));
    return n == (ssize_t)sizeof(info) ? (int)info.ssi_signo : 0;
}

/* Sleeps, but wakes for the operator. Return: true to stop. */
static bool pause_before_restart(struct supervisor *s)
{
    bool steady = clock_ms() - s->started_ms > STEADY_MS;
    s->pause_ms = steady || !s->pause_ms ? PAUSE_MIN_MS : s->pause_ms * 2;
    if (s->pause_ms > PAUSE_MAX_MS)
        s->pause_ms = PAUSE_MAX_MS;
    struct pollfd p = {.fd = s->signals, .events = POLLIN};
    while (poll(&p, 1, (int)s->pause_ms) > 0)
        if (read_signal(s) != SIGHUP)
            return true;
    return false;
}

/* A spawner that could not start, at its first try, will not do better at the next. */
static bool gave_up(const struct supervisor *s)
{
    siginfo_t info = {0};
    if (s->restarts ||
        waitid(P_PID, (id_t)node_inner_pid(s->node), &info, WEXITED | WNOHANG | WNOWAIT) < 0)
        return false;
    return info.si_pid && info.si_code == CLD_EXITED && info.si_status == INNER_EXIT_NO_START;
}

/* What the bytes say does not matter, only that they come. */
static void hear(struct supervisor *s, uint64_t *last_ms)
{
    char bytes[64];
    ssize_t n = read(s->heartbeat, bytes, sizeof(bytes));
    if (n > 0)
        *last_ms = clock_ms();
    else if (n == 0) /* the service has no more to say: how it ends, its pidfd tells */
        s->heartbeat = fd_close(s->heartbeat);
}

/* It looks alive and does not answer. It may drain, as long as it has been waited for. */
static void put_down(struct supervisor *s)
{
    log_error("supervisor.silent", "the service does not answer: ending it",
              LOG_U64("watchdog_ms", s->config.watchdog_ms));
    signal_service(s, SIGTERM);
    struct pollfd p = {.fd = s->service_pidfd, .events = POLLIN};
    while (poll(&p, 1, (int)s->config.watchdog_ms) < 0 && errno == EINTR)
        ;
    signal_service(s, SIGKILL);
}

/* How long the service may still be silent; -1: for ever. */
static int patience_ms(const struct supervisor *s, uint64_t heard_ms)
{
    if (!heard_ms || !s->config.watchdog_ms)
        return -1;
    uint64_t silent_ms = clock_ms() - heard_ms;
    return silent_ms < s->config.watchdog_ms ? (int)(s->config.watchdog_ms - silent_ms) : 0;
}

/* Waits until one of the two is gone (0), or the operator wants the end (1). Until the service has
 * been heard for the first time it is starting, which takes as long as it takes. */
static int watch(struct supervisor *s)
{
    uint64_t heard_ms = 0;
    for (;;) {
        struct pollfd p[] = {{.fd = node_inner_pidfd(s->node), .events = POLLIN},
                             {.fd = s->service_pidfd, .events = POLLIN},
                             {.fd = s->signals, .events = POLLIN},
                             {.fd = s->heartbeat, .events = POLLIN}};
        int n = poll(p, 4, patience_ms(s, heard_ms));
        if (n < 0 && errno != EINTR)
            return 1;
        if (p[3].revents) {
            bool first = !heard_ms;
            hear(s, &heard_ms);
            if (first && heard_ms)
                notify_send("READY=1");
        }
        if (p[2].revents & POLLIN) {
            int signo = read_signal(s);
            if (signo != SIGHUP)
                return 1;
            signal_service(s, SIGHUP);
        }
        if (p[0].revents || p[1].revents) {
            log_error("supervisor.lost", p[0].revents ? "the spawner is gone; starting both again"
                                                      : "the service is gone; starting both again");
            return 0;
        }
        if (patience_ms(s, heard_ms) == 0) {
            put_down(s);
            return 0;
        }
    }
}

/* SIGTERM to the service, which drains; a second signal or too long a wait ends it. */
static void stop_service(struct supervisor *s)
{
    notify_send("STOPPING=1");
    signal_service(s, SIGTERM);
    struct pollfd p[] = {{.fd = s->service_pidfd, .events = POLLIN},
                         {.fd = s->signals, .events = POLLIN}};
    int n;
    do {
        n = poll(p, 2, (int)(s->config.drain_ms + STOP_MORE_MS));
    } while (n < 0 && errno == EINTR);
    if (!(p[0].revents & POLLIN))
        signal_service(s, SIGKILL);
    reap_service(s);
}

static int supervise(struct supervisor *s, struct err *err)
{
    int r = start_both(s, err);
    bool stop = false;
    while (r == 0 && !stop) {
        if (watch(s)) {
            stop_service(s);
            break;
        }
        if (gave_up(s)) {
            reap_service(s); /* it has logged the spawner's words */
            r = err_set(err, -ECANCELED, "the spawner can't start; why is in the line before");
            break;
        }
        s->restarts++;
        signal_service(s, SIGKILL);
        reap_service(s);
        stop = pause_before_restart(s);
        while (!stop && (r = start_both(s, err)) < 0) {
            log_error("supervisor.restart_failed", err->text);
            signal_service(s, SIGKILL);
            reap_service(s);
            stop = pause_before_restart(s);
        }
        if (stop)
            r = 0;
    }
    signal_service(s, SIGKILL);
    reap_service(s);
    node_stop(s->node);
    return r;
}

static int catch_signals(struct supervisor *s, struct err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    s->signals = signalfd(-1, &set, SFD_CLOEXEC);
    return s->signals < 0 ? err_set(err, -errno, "signalfd: %m") : 0;
}

/* The rest of the file is execsvc's; its own words say what is wrong. */
static int check_service(const struct spawner_config *config)
{
    execl(config->execsvc, "execsvc", "--check-config", config->config_path ? "--config" : NULL,
          config->config_path, (char *)NULL);
    fprintf(stderr, "cloister-spawner: %s: %s\n", config->execsvc, strerror(errno));
    return 2;
}

static void usage(FILE *out)
{
    fputs("usage: cloister-spawner [--config FILE] [--check-config]\n\n"
          "Starts Cloister on this machine and keeps it running: the spawner of sandboxes, in a\n"
          "user namespace, and the gRPC service execsvc. Needs root to set up, and gives it away.\n"
          "Without FILE: /etc/cloister/cloister.conf if it is there, else the defaults.\n"
          "--check-config asks execsvc for its part of the file too.\n",
          out);
}

/* Return: -1 to go on, else the exit status. */
static int parse(int argc, char **argv, const char **ret_path, bool *ret_check)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"check-config", no_argument, NULL, 'k'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'V'},
                                            {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        if (option == 'c') {
            *ret_path = optarg;
        } else if (option == 'k') {
            *ret_check = true;
        } else if (option == 'V') {
            puts("cloister-spawner " CLOISTER_VERSION);
            return 0;
        } else {
            usage(option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    return -1;
}

int main(int argc, char **argv)
{
    if (node_is_inner(argc, argv))
        return node_inner_main();
    signal(SIGCHLD, SIG_DFL); /* ignored by the caller, our children's ends would be lost on us */
    if (fd_open_stdio() < 0)
        return 1;
    static struct supervisor s = {.service_pidfd = -EBADF,
                                  .heartbeat = -EBADF,
                                  .signals = -EBADF,
                                  .lock = -EBADF};
    struct err err = {0};
    const char *path = NULL;
    bool check = false;
    int status = parse(argc, argv, &path, &check);
    if (status >= 0)
        return status;
    log_init("cloister-spawner", LOG_INFO);
    notify_take();
    int r = spawner_config_load(&s.config, path, &err);
    if (r < 0) {
        log_error("config.bad", err.text);
        return 2;
    }
    if (check)
        return check_service(&s.config);
    if (geteuid() != 0)
        r = err_set(
            &err, -EPERM,
            "the service is started by root, who gives everything away; as an ordinary user "
            "try `cloister sandbox run`");
    if (r == 0)
        r = service_prepare(&s.config, &s.lock, &err);
    if (r == 0)
        r = catch_signals(&s, &err);
    if (r == 0)
        r = supervise(&s, &err);
    if (r < 0)
        log_error("supervisor.failed", err.text);
    return r < 0 ? 1 : 0;
}
