#include "execsvc/metrics_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "execsvc/exs.h"
#include "execsvc/metrics.h"

#define CLIENTS_MAX 4
#define HEAD_MAX    4096
#define PATIENCE_US UINT64_C(5000000) /* for one client, all in all */
#define PAUSE_US    UINT64_C(1000000) /* after accept() failed */

struct client {
    struct loop_io io;
    struct loop_timer timer;
    struct metrics_http *http;
    char head[HEAD_MAX + 1];
    size_t head_len;
    char *text; /* the answer; NULL while the request is read */
    size_t text_len, text_at;
};

struct metrics_http {
    struct exs *exs;
    struct loop_io io;
    struct loop_timer pause;
    int listener;
    uint16_t port;
    struct client *clients[CLIENTS_MAX];
};

/* ---- the address ---- */

static int parse_ip(const char *text, uint16_t port, struct sockaddr_storage *ret, socklen_t *len)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
    memset(ret, 0, sizeof(*ret));
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        *len = sizeof(*v4);
        return ntohl(v4->sin_addr.s_addr) >> 24 == 127 ? 0 : -EPERM;
    }
    if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1)
        return -EINVAL;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    *len = sizeof(*v6);
    return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) ? 0 : -EPERM;
}

static int parse(const char *text, struct sockaddr_storage *ret, socklen_t *len, struct err *err)
{
    char host[64];
    unsigned long port = 0;
    const char *colon = strrchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : 0;
    if (n == 0 || n >= sizeof(host) || config_u64(colon + 1, 0, UINT16_MAX, &port, NULL) < 0)
        return err_set(err, -EINVAL, "metrics: off or ADDRESS:PORT, not '%.64s'", text);
    bool brackets = text[0] == '[' && text[n - 1] == ']';
    snprintf(host, sizeof(host), "%.*s", (int)(brackets ? n - 2 : n), text + brackets);
    int r = parse_ip(host, (uint16_t)port, ret, len);
    if (r == -EPERM)
        return err_set(err, -EINVAL,
                       "metrics: %s is not a loopback address: they are for this machine alone",
                       host);
    return r < 0 ? err_set(err, r, "metrics: '%s' is not a numeric address", host) : 0;
}

int metrics_http_address(const char *text, struct err *err)
{
    struct sockaddr_storage address;
    socklen_t len;
    return strcmp(text, "off") == 0 ? 0 : parse(text, &address, &len, err);
}

/* ---- a client ---- */

static void client_free(struct client *client)
{
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (client->http->clients[i] == client)
            client->http->clients[i] = NULL;
    int fd = client->io.fd;
    loop_io_remove(&client->io);
    loop_timer_cancel(&client->timer);
    fd_close(fd);
    free(client->text);
    free(client);
}

static void on_late(struct loop_timer *timer)
{
    client_free(container_of(timer, struct client, timer));
}

static void send_on(struct client *client)
{
    while (client->text_at < client->text_len) {
        ssize_t n = send(client->io.fd, client->text + client->text_at,
                         client->text_len - client->text_at, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            break;
        client->text_at += (size_t)n;
    }
    client_free(client);
}

/* "GET /metrics HTTP/1.1"; whatever headers follow. */
static const char *judge(const char *head)
{
    static const char wanted[] = "GET /metrics HTTP/1.";
    if (strncmp(head, wanted, sizeof(wanted) - 1) == 0)
        return NULL;
    if (strncmp(head, "GET /", 5) == 0)
        return "404 Not Found";
    return strncmp(head, "GET ", 4) == 0 ? "400 Bad Request" : "405 Method Not Allowed";
}

static int make_answer(struct client *client)
{
    const char *refused = judge(client->head);
    char *body = NULL;
    size_t body_len = 0;
    FILE *out = open_memstream(&body, &body_len);
    if (!out)
        return -errno;
    if (refused)
        fprintf(out, "%s\n", refused);
    else
        metrics_write(client->http->exs, out);
    bool bad = fclose(out) != 0;
    out = bad ? NULL : open_memstream(&client->text, &client->text_len);
    if (out) {
        fprintf(out,
                "HTTP/1.1 %s\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\n"
                "content-length: %zu\r\ncache-control: no-store\r\nconnection: close\r\n\r\n",
                refused ? refused : "200 OK", body_len);
        fwrite(body, 1, body_len, out);
        bad = fclose(out) != 0;
    }
    free(body);
    return bad || !client->text ? -ENOMEM : 0;
}

static void on_client(struct loop_io *io, uint32_t events)
{
    struct client *client = container_of(io, struct client, io);
    (void)events;
    if (client->text) {
        send_on(client);
        return;
    }
    ssize_t n =
        recv(io->fd, client->head + client->head_len, HEAD_MAX - client->head_len, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        client_free(client);
        return;
    }
    client->head_len += (size_t)n;
    client->head[client->head_len] = '\0';
    bool whole = strstr(client->head, "\r\n\r\n") != NULL;
    if (!whole && client->head_len < HEAD_MAX)
        return;
    if (!whole || make_answer(client) < 0 || loop_io_change(io, EPOLLOUT) < 0)
        client_free(client);
    else
        send_on(client);
}

static int client_new(struct metrics_http *http, int fd)
{
    size_t i = 0;
    while (i < CLIENTS_MAX && http->clients[i])
        i++;
    struct client *client = i < CLIENTS_MAX ? calloc(1, sizeof(*client)) : NULL;
    if (!client)
        return -ENOMEM;
    client->http = http;
    if (loop_io_add(http->exs->loop, &client->io, fd, EPOLLIN, on_client, NULL) < 0) {
        free(client);
        return -ENOMEM;
    }
    http->clients[i] = client;
    if (loop_timer_set(http->exs->loop, &client->timer, clock_us() + PATIENCE_US, on_late) < 0)
        client_free(client);
    return 0;
}

/* ---- the listener ---- */

static void on_connection(struct loop_io *io, uint32_t events);

static void on_pause_over(struct loop_timer *timer)
{
    struct metrics_http *http = container_of(timer, struct metrics_http, pause);
    loop_io_change(&http->io, EPOLLIN);
}

static void on_connection(struct loop_io *io, uint32_t events)
{
    struct metrics_http *http = container_of(io, struct metrics_http, io);
    (void)events;
    int fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0 && client_new(http, fd) < 0) {
        fd_close(fd);
    } else if (fd < 0 && errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
        /* No descriptor left: it would be ready for ever. */
        loop_io_change(io, 0);
        loop_timer_set(http->exs->loop, &http->pause, clock_us() + PAUSE_US, on_pause_over);
    }
}

static int listen_on(struct metrics_http *http, const char *text, struct err *err)
{
    struct sockaddr_storage address;
    socklen_t len;
    int one = 1;
    int r = parse(text, &address, &len, err);
    if (r < 0)
        return r;
    http->listener = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (http->listener < 0)
        return err_set(err, -errno, "metrics: socket: %m");
    setsockopt(http->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(http->listener, (struct sockaddr *)&address, len) < 0 ||
        listen(http->listener, 16) < 0)
        return err_set(err, -errno, "metrics on %.64s: %m", text);
    if (getsockname(http->listener, (struct sockaddr *)&address, &len) < 0)
        return err_set(err, -errno, "metrics: name of the listener: %m");
    /* At the same place for both families. */
    http->port = ntohs(((struct sockaddr_in *)&address)->sin_port);
    return loop_io_add(http->exs->loop, &http->io, http->listener, EPOLLIN, on_connection, err);
}

int metrics_http_new(struct exs *exs, const char *address, struct metrics_http **ret,
                     struct err *err)
{
    struct metrics_http *http = calloc(1, sizeof(*http));
    if (!http)
        return err_set(err, -ENOMEM, "metrics: %m");
    http->exs = exs;
    http->listener = -EBADF;
    int r = listen_on(http, address, err);
    if (r < 0) {
        metrics_http_free(http);
        return r;
    }
    *ret = http;
    return 0;
}

uint16_t metrics_http_port(const struct metrics_http *http)
{
    return http->port;
}

struct metrics_http *metrics_http_free(struct metrics_http *http)
{
    if (!http)
        return NULL;
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (http->clients[i])
            client_free(http->clients[i]);
    loop_io_remove(&http->io);
    loop_timer_cancel(&http->pause);
    fd_close(http->listener);
    free(http);
    return NULL;
}
