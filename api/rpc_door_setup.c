#include "api/rpc_door_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/err.h"

#define BACKLOG          512
#define CONNECTIONS_MAX  256
#define PER_IDENTITY_MAX 64
#define HANDSHAKE_MS     10000

/* "127.0.0.1:7443", "[::1]:7443": numbers, so that nobody's name server decides where we listen. */
static int parse_address(const char *text, struct sockaddr_storage *ret, socklen_t *ret_len,
                         struct err *err)
{
    char host[64];
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    unsigned long port = colon ? strtoul(colon + 1, &end, 10) : 0;
    size_t len = colon ? (size_t)(colon - text) : 0;
    if (!colon || end == colon + 1 || *end || port > 65535 || len >= sizeof(host))
        return err_set(err, -EINVAL, "'%.64s' is not ADDRESS:PORT", text);
    bool v6 = len > 2 && text[0] == '[' && text[len - 1] == ']';
    snprintf(host, sizeof(host), "%.*s", (int)(v6 ? len - 2 : len), text + v6);
    *ret = (struct sockaddr_storage){0};
    struct sockaddr_in *in = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
    if (v6 && inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)port);
        *ret_len = sizeof(*in6);
        return 0;
    }
    if (!v6 && inet_pton(AF_INET, host, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t)port);
        *ret_len = sizeof(*in);
        return 0;
    }
    return err_set(err, -EINVAL, "'%.64s' is no numeric address ([...] around IPv6)", text);
}

int rpc_tls_address_check(const char *listen, struct err *err)
{
    struct sockaddr_storage address;
    socklen_t len;
    return parse_address(listen, &address, &len, err);
}

static int door_bind(struct door *door, struct err *err)
{
    struct sockaddr_storage address;
    socklen_t len;
    const int on = 1;
    int r = parse_address(door->options.listen, &address, &len, err);
    if (r < 0)
        return r;
    door->listen_fd =
        socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
    if (door->listen_fd < 0)
        return err_set(err, -errno, "socket: %m");
    (void)setsockopt(door->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (address.ss_family == AF_INET6)
        (void)setsockopt(door->listen_fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (bind(door->listen_fd, (struct sockaddr *)&address, len) < 0 ||
        listen(door->listen_fd, BACKLOG) < 0 ||
        getsockname(door->listen_fd, (struct sockaddr *)&address, &len) < 0)
        return err_set(err, -errno, "listen on %s: %m", door->options.listen);
    door->port =
        ntohs(address.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)&address)->sin6_port
                                            : ((const struct sockaddr_in *)&address)->sin_port);
    return 0;
}

static int copy_options(struct door *door, const struct rpc_tls_options *from, struct err *err)
{
    door->options = *from;
    if (!door->options.connections_max)
        door->options.connections_max = CONNECTIONS_MAX;
    if (!door->options.connections_per_identity_max)
        door->options.connections_per_identity_max = PER_IDENTITY_MAX;
    if (!door->options.handshake_ms)
        door->options.handshake_ms = HANDSHAKE_MS;
    door->options.listen = strdup(from->listen);
    door->files = (struct tls_files){.certificate = strdup(from->certificate),
                                     .key = strdup(from->key),
                                     .client_ca = strdup(from->client_ca)};
    door->allowed = calloc(from->n_allowed + 1, sizeof(*door->allowed));
    door->per_identity = calloc(from->n_allowed + 1, sizeof(*door->per_identity));
    bool ok = door->options.listen && door->files.certificate && door->files.key &&
              door->files.client_ca && door->allowed && door->per_identity;
    for (size_t i = 0; ok && i < from->n_allowed; i++)
        ok = (door->allowed[i] = strdup(from->allowed[i])) != NULL;
    return ok ? 0 : err_set(err, -ENOMEM, "no memory for the TLS door");
}

static int door_fds(struct door *door, struct err *err)
{
    door->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    door->orders_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (door->news_fd < 0 || door->orders_fd < 0)
        return err_set(err, -errno, "eventfd: %m");
    int r = loop_new(&door->loop, err);
    if (r == 0)
        r = loop_io_add(door->loop, &door->orders_io, door->orders_fd, EPOLLIN, door_on_orders,
                        err);
    if (r == 0)
        r = loop_io_add(door->loop, &door->listen_io, door->listen_fd, EPOLLIN, door_on_connect,
                        err);
    return r;
}

int door_new(const struct rpc_tls_options *options, struct door **ret, struct err *err)
{
    struct door *door = calloc(1, sizeof(*door));
    if (!door)
        return err_set(err, -ENOMEM, "no memory for the TLS door");
    pthread_mutex_init(&door->lock, NULL);
    door->listen_fd = door->news_fd = door->orders_fd = -EBADF;
    int r = copy_options(door, options, err);
    if (r == 0) {
        tls_stamp_read(&door->files, &door->stamp);
        r = tls_context_new(&door->files, &door->ctx, err);
    }
    if (r == 0)
        r = door_bind(door, err);
    if (r == 0)
        r = door_fds(door, err);
    if (r < 0) {
        door_free(door);
        return r;
    }
    *ret = door;
    return 0;
}

int door_start(struct door *door, struct err *err)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the server's thread's */
    int rc = pthread_create(&door->thread, NULL, door_main, door);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    door->has_thread = rc == 0;
    return rc == 0 ? 0 : err_set(err, -rc, "start the TLS thread: %m");
}

static void free_options(struct door *door)
{
    for (size_t i = 0; door->allowed && i < door->options.n_allowed; i++)
        free(door->allowed[i]);
    free(door->allowed);
    free(door->per_identity);
    free((char *)(uintptr_t)door->options.listen);
    free((char *)(uintptr_t)door->files.certificate);
    free((char *)(uintptr_t)door->files.key);
    free((char *)(uintptr_t)door->files.client_ca);
}

struct door *door_free(struct door *door)
{
    struct door_news news;
    if (!door)
        return NULL;
    if (door->has_thread) {
        door_order(door, &door->stop);
        door_order(door, &door->finish);
        pthread_join(door->thread, NULL);
    }
    while (door->oldest)
        door_forget(door, door->oldest);
    while (door_next(door, &news))
        fd_close(news.fd);
    loop_io_remove(&door->listen_io);
    loop_io_remove(&door->orders_io);
    loop_timer_cancel(&door->pause);
    loop_timer_cancel(&door->end);
    loop_free(door->loop);
    SSL_CTX_free(door->ctx);
    fd_close(door->listen_fd);
    fd_close(door->news_fd);
    fd_close(door->orders_fd);
    pthread_mutex_destroy(&door->lock);
    free_options(door);
    free(door);
    return NULL;
}

uint16_t door_port(const struct door *door)
{
    return door->port;
}

void door_counts(struct door *door, struct rpc_door_counts *ret)
{
    const struct door_counters *c = &door->counts;
    *ret = (struct rpc_door_counts){
        .connections = atomic_load(&c->connections),
        .accepted = atomic_load(&c->accepted),
        .admitted = atomic_load(&c->admitted),
        .handshakes_failed = atomic_load(&c->handshakes_failed),
        .identities_refused = atomic_load(&c->identities_refused),
        .limits_refused = atomic_load(&c->limits_refused),
        .reloads = atomic_load(&c->reloads),
        .reloads_failed = atomic_load(&c->reloads_failed),
    };
}
