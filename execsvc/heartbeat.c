#include "execsvc/heartbeat.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"

#define FRAME_HEAD   9
#define HEADERS      1
#define GOAWAY       7
#define FRAME_MAX    ((uint32_t)16384)
#define INTERVAL_MIN 50

struct heartbeat {
    pthread_t thread;
    char *socket_path;
    int pipe_fd, stop_fd;
    uint32_t interval_ms;
};

/*
 * grpc.health.v1.Health/Check of "" by hand (RFC 9113, RFC 7541 6.2.2): preface, SETTINGS, HEADERS
 * of stream 1 with fields that are neither indexed nor compressed, DATA with an empty message.
 */
static const char question[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                               "\0\0\0\4\0\0\0\0\0"
                               "\0\0\x81\1\4\0\0\0\1"
                               "\0\7:method\4POST"
                               "\0\7:scheme\4http"
                               "\0\5:path\34/grpc.health.v1.Health/Check"
                               "\0\12:authority\10cloister"
                               "\0\2te\10trailers"
                               "\0\14content-type\20application/grpc"
                               "\0\0\5\0\1\0\0\0\1\0\0\0\0\0";

static int connect_to(const char *path, uint32_t timeout_ms, int *ret)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = timeout_ms / 1000,
                                     .tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000};
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)); /* of connect() too */
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    *ret = take_fd(&fd);
    return 0;
}

struct answer {
    int fd, stop_fd;
    uint64_t until_us;
};

static int take(const struct answer *from, uint8_t *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        struct pollfd p[] = {{.fd = from->fd, .events = POLLIN},
                             {.fd = from->stop_fd, .events = POLLIN}};
        uint64_t now = clock_us();
        if (now >= from->until_us || poll(p, 2, (int)((from->until_us - now) / 1000) + 1) < 0 ||
            p[1].revents)
            return -ETIMEDOUT;
        if (!p[0].revents)
            continue;
        ssize_t n = recv(from->fd, bytes + at, len - at, 0);
        if (n <= 0)
            return n < 0 ? -errno : -EPIPE;
        at += (size_t)n;
    }
    return 0;
}

/* Frames are passed over until the answer begins: what it says is no business of ours. */
static int await_answer(const struct answer *from)
{
    uint8_t payload[FRAME_MAX], h[FRAME_HEAD];
    for (;;) {
        int r = take(from, h, sizeof(h));
        uint32_t len = (uint32_t)h[0] << 16 | (uint32_t)h[1] << 8 | h[2];
        if (r < 0)
            return r;
        if (h[3] == HEADERS)
            return 0;
        if (h[3] == GOAWAY || len > sizeof(payload))
            return -EPROTO;
        r = take(from, payload, len);
        if (r < 0)
            return r;
    }
}

int heartbeat_ask(const char *socket_path, uint32_t timeout_ms, int stop_fd)
{
    AUTO_CLOSE int fd = -EBADF;
    int r = connect_to(socket_path, timeout_ms, &fd);
    if (r < 0)
        return r;
    if (send(fd, question, sizeof(question) - 1, MSG_NOSIGNAL) != (ssize_t)sizeof(question) - 1)
        return -EIO;
    return await_answer(&(struct answer){fd, stop_fd, clock_us() + timeout_ms * UINT64_C(1000)});
}

static void *heartbeat_thread(void *arg)
{
    struct heartbeat *heartbeat = arg;
    struct pollfd stop = {.fd = heartbeat->stop_fd, .events = POLLIN};
    do {
        if (heartbeat_ask(heartbeat->socket_path, heartbeat->interval_ms, heartbeat->stop_fd) == 0)
            (void)!write(heartbeat->pipe_fd, "", 1);
    } while (poll(&stop, 1, (int)heartbeat->interval_ms) == 0);
    return NULL;
}

/* Return: 0, or -EINVAL for a variable that is not of our supervisor's making. */
static int parse(const char *text, struct heartbeat *ret)
{
    unsigned fd, interval;
    char rest;
    if (sscanf(text, "%u:%u%c", &fd, &interval, &rest) != 2 || fd < 3 || fd > 1024 ||
        interval < INTERVAL_MIN)
        return -EINVAL;
    ret->pipe_fd = (int)fd;
    ret->interval_ms = interval;
    return fcntl(ret->pipe_fd, F_SETFD, FD_CLOEXEC) < 0 ||
                   fcntl(ret->pipe_fd, F_SETFL, O_NONBLOCK) < 0
               ? -EINVAL
               : 0;
}

static int start_thread(struct heartbeat *heartbeat)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&heartbeat->thread, NULL, heartbeat_thread, heartbeat);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -rc;
}

int heartbeat_start(const char *socket_path, struct heartbeat **ret, struct err *err)
{
    const char *text = getenv(HEARTBEAT_VARIABLE);
    if (!text)
        return 0;
    struct heartbeat *heartbeat = calloc(1, sizeof(*heartbeat));
    if (!heartbeat)
        return err_set(err, -ENOMEM, "no memory for the heartbeat");
    heartbeat->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    heartbeat->socket_path = strdup(socket_path);
    int r = parse(text, heartbeat);
    if (r == 0 && (heartbeat->stop_fd < 0 || !heartbeat->socket_path))
        r = -ENOMEM;
    if (r == 0)
        r = start_thread(heartbeat);
    if (r == 0) {
        *ret = heartbeat;
        return 0;
    }
    fd_close(heartbeat->stop_fd);
    free(heartbeat->socket_path);
    free(heartbeat);
    return err_set(err, r, HEARTBEAT_VARIABLE "=%.32s: %m", text);
}

struct heartbeat *heartbeat_free(struct heartbeat *heartbeat)
{
    const uint64_t one = 1;
    if (!heartbeat)
        return NULL;
    (void)!write(heartbeat->stop_fd, &one, sizeof(one));
    pthread_join(heartbeat->thread, NULL);
    fd_close(heartbeat->stop_fd);
    fd_close(heartbeat->pipe_fd);
    free(heartbeat->socket_path);
    free(heartbeat);
    return NULL;
}
