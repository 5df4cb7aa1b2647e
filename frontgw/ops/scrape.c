#include "frontgw/ops/scrape.h"

#include <errno.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "frontgw/http/addresses.h"
#include "frontgw/http/head.h"
#include "frontgw/ops/metrics.h"

#define HEAD_MAX   8192
#define TIMEOUT_MS 2000

struct scrape {
    int listener, stop;
    uint16_t port;
    char *token;
    struct gw_metrics *metrics;
    pthread_t thread;
    bool running;
};

static int read_token(const char *path, char **ret, struct err *err)
{
    ssize_t n = file_read_text(path, 4096, ret, err);

    if (n < 0)
        return (int)n;
    (*ret)[strcspn(*ret, "\r\n")] = '\0';
    return **ret ? 0 : err_set(err, -EINVAL, "%s is empty", path);
}

static int open_listener(struct scrape *s, const char *address, uint16_t port, struct err *err)
{
    struct ip ip;
    struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    socklen_t len = sizeof(sa);
    int one = 1, zero = 0;

    if (ip_parse(address, &ip) < 0)
        return err_set(err, -EINVAL, "not a numeric address: %s", address);
    if (!ip_is_loopback(&ip) && !s->token)
        return err_set(err, -EPERM, "metrics on %s need metrics.token-file", address);
    if (ip_is_v4(&ip)) {
        struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
        memcpy(&v4.sin_addr, ip.bytes + 12, 4);
        memcpy(&sa, &v4, sizeof(v4));
        len = sizeof(v4);
    } else {
        memcpy(&sa.sin6_addr, ip.bytes, 16);
    }
    s->listener = socket(ip_is_v4(&ip) ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->listener < 0)
        return err_set(err, -errno, "socket: %m");
    setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    setsockopt(s->listener, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
    if (bind(s->listener, (struct sockaddr *)&sa, len) < 0 || listen(s->listener, 16) < 0)
        return err_set(err, -errno, "metrics on %s port %u: %m", address, port);
    len = sizeof(sa);
    if (getsockname(s->listener, (struct sockaddr *)&sa, &len) < 0)
        return err_set(err, -errno, "name of the metrics listener: %m");
    s->port = ntohs(sa.sin6_port); /* at the same place as in sockaddr_in */
    return 0;
}

int scrape_new(const char *address, uint16_t port, const char *token_file,
               struct gw_metrics *metrics, struct scrape **ret, struct err *err)
{
    struct scrape *s = calloc(1, sizeof(*s));
    int r = 0;

    if (!s)
        return err_set(err, -ENOMEM, "metrics: %m");
    s->metrics = metrics;
    s->listener = -EBADF;
    s->stop = eventfd(0, EFD_CLOEXEC);
    if (s->stop < 0)
        r = err_set(err, -errno, "eventfd: %m");
    if (r == 0 && token_file && *token_file)
        r = read_token(token_file, &s->token, err);
    if (r == 0)
        r = open_listener(s, address, port, err);
    if (r < 0) {
        scrape_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

static void answer(int fd, int status, const char *reason, const char *type, const char *body,
                   size_t len)
{
    char head[256];
    int n = snprintf(head, sizeof(head),
                     "HTTP/1.1 %d %s\r\ncontent-type: %s\r\ncontent-length: %zu\r\n"
                     "cache-control: no-store\r\nconnection: close\r\n\r\n",
                     status, reason, type, len);

    if (send(fd, head, (size_t)n, MSG_NOSIGNAL) == n && len > 0)
        for (ssize_t m; len > 0 && (m = send(fd, body, len, MSG_NOSIGNAL)) > 0;) {
            body += m;
            len -= (size_t)m;
        }
}

static void answer_text(int fd, int status, const char *reason)
{
    answer(fd, status, reason, "text/plain", reason, strlen(reason));
}

static bool token_ok(const struct scrape *s, const char *authorization)
{
    size_t want = s->token ? strlen(s->token) : 0;

    if (!s->token)
        return true;
    return authorization && strncmp(authorization, "Bearer ", 7) == 0 &&
           strlen(authorization + 7) == want &&
           CRYPTO_memcmp(authorization + 7, s->token, want) == 0;
}

/* One request: its head within the timeout, or nothing. */
static size_t read_head(int fd, char *buf)
{
    uint64_t until = clock_ms() + TIMEOUT_MS;
    size_t len = 0, scan = 0;

    while (len < HEAD_MAX) {
        uint64_t now = clock_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (now >= until || poll(&p, 1, (int)(until - now)) <= 0)
            return 0;
        ssize_t n = recv(fd, buf + len, HEAD_MAX - len, 0);
        if (n <= 0)
            return 0;
        len += (size_t)n;
        size_t end = gw_head_end(buf, len, &scan);
        if (end)
            return end == GW_HEAD_BAD ? 0 : end;
    }
    return 0;
}

static void serve(struct scrape *s, int fd)
{
    char buf[HEAD_MAX + 1];
    struct gw_head head;
    const char *detail;
    struct timeval timeout = {.tv_sec = TIMEOUT_MS / 1000};
    size_t len = read_head(fd, buf);

    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    if (len == 0 || gw_head_parse(buf, len, &head, &detail) != GW_PROBLEM_NONE) {
        answer_text(fd, 400, "Bad Request");
    } else if (!token_ok(s, head.headers[GW_H_AUTHORIZATION])) {
        answer_text(fd, 401, "Unauthorized");
    } else if (head.method != GW_GET || strcmp(head.target, "/metrics") != 0) {
        answer_text(fd, 404, "Not Found");
    } else {
        AUTO_FREE char *text = NULL;
        size_t n = 0;
        if (gw_metrics_render(s->metrics, &text, &n) < 0)
            answer_text(fd, 500, "Internal Server Error");
        else
            answer(fd, 200, "OK", "text/plain; version=0.0.4; charset=utf-8", text, n);
    }
}

static void *scrape_main(void *arg)
{
    struct scrape *s = arg;

    for (;;) {
        struct pollfd fds[2] = {{.fd = s->listener, .events = POLLIN},
                                {.fd = s->stop, .events = POLLIN}};
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return NULL;
        if (fds[1].revents)
            return NULL;
        AUTO_CLOSE int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            serve(s, fd);
    }
}

int scrape_start(struct scrape *s, struct err *err)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = -pthread_create(&s->thread, NULL, scrape_main, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    s->running = r == 0;
    return r < 0 ? err_set(err, r, "metrics thread: %m") : 0;
}

uint16_t scrape_port(const struct scrape *s)
{
    return s->port;
}

struct scrape *scrape_free(struct scrape *s)
{
    if (!s)
        return NULL;
    if (s->running) {
        uint64_t one = 1;
        fd_write_all(s->stop, &one, sizeof(one));
        pthread_join(s->thread, NULL);
    }
    fd_close(s->listener);
    fd_close(s->stop);
    free(s->token);
    free(s);
    return NULL;
}
