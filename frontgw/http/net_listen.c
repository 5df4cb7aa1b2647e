/* Listeners: one per loop on the same port (SO_REUSEPORT); the kernel spreads connections. */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "frontgw/http/net_internal.h"

#define ACCEPT_BATCH 64
#define BACKLOG      1024

union any_address {
    struct sockaddr sa;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static socklen_t fill_address(const struct ip *ip, uint16_t port, union any_address *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (ip_is_v4(ip)) {
        ret->v4.sin_family = AF_INET;
        ret->v4.sin_port = htons(port);
        memcpy(&ret->v4.sin_addr, ip->bytes + 12, 4);
        return sizeof(ret->v4);
    }
    ret->v6.sin6_family = AF_INET6;
    ret->v6.sin6_port = htons(port);
    memcpy(&ret->v6.sin6_addr, ip->bytes, 16);
    return sizeof(ret->v6);
}

static int listen_once(struct net_server *server, const struct ip *ip, int *ret_fd, struct err *err)
{
    union any_address address;
    socklen_t len = fill_address(ip, server->port, &address);
    int one = 1;
    AUTO_CLOSE int fd = socket(address.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return err_set(err, -errno, "socket: %m");
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0 ||
        bind(fd, &address.sa, len) < 0 || listen(fd, BACKLOG) < 0)
        return err_set(err, -errno, "listen on %s port %u: %m", server->bind, server->port);
    if (server->port == 0) {
        len = sizeof(address);
        if (getsockname(fd, &address.sa, &len) < 0)
            return err_set(err, -errno, "name of the listener: %m");
        server->port =
            ntohs(address.sa.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
    }
    *ret_fd = take_fd(&fd);
    return 0;
}

/*
 * SO_REUSEPORT lets a second process of the same user share the port without a word. A first bind
 * without it fails when somebody is there already.
 */
static int port_is_free(struct net_server *server, const struct ip *ip, struct err *err)
{
    union any_address address;
    socklen_t len = fill_address(ip, server->port, &address);
    int one = 1;

    if (server->port == 0)
        return 0;
    AUTO_CLOSE int fd = socket(address.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set(err, -errno, "socket: %m");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, &address.sa, len) < 0)
        return err_set(err, -errno, "listen on %s port %u: %m", server->bind, server->port);
    return 0;
}

int net_listen(struct net_server *server, struct err *err)
{
    struct ip ip;
    int r;

    if (ip_parse(server->bind, &ip) < 0)
        return err_set(err, -EINVAL, "not a numeric address: %s", server->bind);
    if (!server->cert_file && !ip_is_loopback(&ip))
        return err_set(err, -EPERM,
                       "plain HTTP is only for loopback addresses, and %s is none: configure a "
                       "certificate and its key",
                       server->bind);
    r = port_is_free(server, &ip, err);
    for (unsigned i = 0; r == 0 && i < server->n_loops; i++)
        r = listen_once(server, &ip, &server->loops[i].listen_fd, err);
    return r;
}

static void refuse(int fd)
{
    /* RST instead of FIN: nothing is left in TIME_WAIT for somebody who floods. */
    struct linger linger = {.l_onoff = 1, .l_linger = 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(fd);
}

static void take_one(struct net_loop *loop, int fd, const struct ip *ip)
{
    struct net_server *server = loop->server;
    char text[NET_ADDRESS_SIZE];
    int one = 1;

    if (atomic_load(&server->open) >= server->config.connections_max) {
        atomic_fetch_add(&loop->refused_total, 1);
        refuse(fd);
        return;
    }
    if (!addresses_enter(server->addresses, ip, server->config.connections_per_address)) {
        atomic_fetch_add(&loop->refused_address, 1);
        refuse(fd);
        return;
    }
    atomic_fetch_add(&server->open, 1);
    atomic_fetch_add(&loop->accepted, 1);
    /* Without it every TLS handshake waits for a delayed ACK: 48 ms instead of 2. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    ip_format(ip, text, sizeof(text));
    net_adopt(loop, fd, text);
}

void net_accept_ready(uv_poll_t *poll, int status, int events)
{
    struct net_loop *loop = poll->data;

    (void)events;
    if (status < 0)
        return;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        union any_address address;
        socklen_t len = sizeof(address);
        struct ip ip;
        int fd = accept4(loop->listen_fd, &address.sa, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
            uv_poll_stop(poll); /* the next tick listens again */
            return;
        }
        if (fd < 0 && errno != EINTR && errno != ECONNABORTED)
            return;
        if (fd < 0)
            continue;
        if (ip_from_sockaddr(&address.sa, &ip) < 0)
            close(fd);
        else
            take_one(loop, fd, &ip);
    }
}
