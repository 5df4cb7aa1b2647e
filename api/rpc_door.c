#include "api/rpc_door_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"

#define ACCEPT_BATCH      16
#define ACCEPT_PAUSE_US   UINT64_C(100000)
#define SHAKING_MAX       128 /* at once; the oldest makes room */
#define RELOAD_EVERY_US   UINT64_C(1000000)
#define EVENTS_PER_SECOND 5 /* told; all are counted */
#define LAST_WORDS_US     UINT64_C(500000)

/* ---- to the server's thread ---------------------------------------------------------------- */

static void poke(int fd)
{
    uint64_t one = 1;
    ssize_t n;
    do {
        n = write(fd, &one, sizeof(one));
    } while (n < 0 && errno == EINTR); /* EAGAIN: it is readable already */
}

static bool drain(int fd)
{
    uint64_t count;
    return read(fd, &count, sizeof(count)) == sizeof(count);
}

static int tell(struct door *door, const struct door_news *news)
{
    struct news_item *item = calloc(1, sizeof(*item));
    if (!item)
        return -ENOMEM;
    item->news = *news;
    pthread_mutex_lock(&door->lock);
    if (door->last)
        door->last->next = item;
    else
        door->first = item;
    door->last = item;
    pthread_mutex_unlock(&door->lock);
    poke(door->news_fd);
    return 0;
}

/* An attack must not become a flood of log lines. */
static void tell_event(struct door *door, enum rpc_peer_event_kind kind, const struct relay *relay,
                       const char *words)
{
    uint64_t now = clock_us();
    if (now - door->events_since_us > 1000000) {
        door->events_since_us = now;
        door->n_events = 0;
    }
    if (door->n_events++ >= EVENTS_PER_SECOND)
        return;
    struct door_news news = {.kind = DOOR_EVENT, .fd = -EBADF, .event.kind = kind};
    snprintf(news.event.words, sizeof(news.event.words), "%s", words);
    if (relay) {
        snprintf(news.event.address, sizeof(news.event.address), "%s", relay->address);
        if (relay->identity != RELAY_NOBODY)
            snprintf(news.event.identity, sizeof(news.event.identity), "%s",
                     door->allowed[relay->identity]);
    }
    (void)tell(door, &news);
}

/* ---- certificates -------------------------------------------------------------------------- */

/* A broken pair is said once: its stamp is remembered as seen. */
static void look_at_certificates(struct door *door, bool now)
{
    struct tls_stamp stamp;
    struct err err = {0};
    SSL_CTX *ctx;
    if (!now && clock_us() - door->looked_us < RELOAD_EVERY_US)
        return;
    door->looked_us = clock_us();
    tls_stamp_read(&door->files, &stamp);
    if (memcmp(&stamp, &door->stamp, sizeof(stamp)) == 0)
        return;
    door->stamp = stamp;
    if (tls_context_new(&door->files, &ctx, &err) < 0) {
        atomic_fetch_add(&door->counts.reloads_failed, 1);
        tell_event(door, RPC_TLS_RELOAD_FAILED, NULL, err.text);
        return;
    }
    SSL_CTX_free(door->ctx); /* connections have a reference of their own */
    door->ctx = ctx;
    atomic_fetch_add(&door->counts.reloads, 1);
    tell_event(door, RPC_TLS_RELOADED, NULL, "the certificates were read again");
}

/* ---- connections --------------------------------------------------------------------------- */

void door_forget(struct door *door, struct relay *relay)
{
    if (relay->prev)
        relay->prev->next = relay->next;
    else
        door->oldest = relay->next;
    if (relay->next)
        relay->next->prev = relay->prev;
    else
        door->newest = relay->prev;
    if (relay->identity == RELAY_NOBODY) {
        door->n_shaking--;
    } else {
        door->n_open--;
        door->per_identity[relay->identity]--;
        atomic_store(&door->counts.connections, door->n_open);
    }
    relay_free(relay);
    if (door->finishing && !door->oldest)
        loop_stop(door->loop);
}

static void on_end(struct relay *relay, const char *why)
{
    struct door *door = relay->owner;
    if (why && !relay->shaken)
        atomic_fetch_add(&door->counts.handshakes_failed, 1);
    if (why)
        tell_event(door, RPC_PEER_REFUSED, relay, why);
    door_forget(door, relay);
}

/* gRPC's end goes to the server's thread, ours comes back. */
static int line_to_server(struct door *door, size_t identity)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return -errno;
    const struct door_news news = {.kind = DOOR_ARRIVAL,
                                   .fd = pair[1],
                                   .identity = door->allowed[identity]};
    int r = tell(door, &news);
    if (r == 0)
        return pair[0];
    fd_close(pair[0]);
    fd_close(pair[1]);
    return r;
}

static int on_peer(struct relay *relay)
{
    struct door *door = relay->owner;
    size_t identity;
    if (tls_identity(relay->ssl, (const char *const *)door->allowed, door->options.n_allowed,
                     &identity) < 0) {
        atomic_fetch_add(&door->counts.identities_refused, 1);
        tell_event(door, RPC_PEER_REFUSED, relay, "no name of its certificate is in tls_allowed");
        return -EACCES;
    }
    if (door->n_open >= door->options.connections_max ||
        door->per_identity[identity] >= door->options.connections_per_identity_max) {
        atomic_fetch_add(&door->counts.limits_refused, 1);
        tell_event(door, RPC_PEER_REFUSED, relay, "too many connections");
        return -EACCES;
    }
    int fd = line_to_server(door, identity);
    if (fd < 0)
        return fd;
    relay->identity = identity;
    door->n_shaking--;
    door->n_open++;
    door->per_identity[identity]++;
    atomic_store(&door->counts.connections, door->n_open);
    atomic_fetch_add(&door->counts.admitted, 1);
    return fd;
}

static const struct relay_events relay_events = {.on_peer = on_peer, .on_end = on_end};

static void write_address(const struct sockaddr_storage *from, char *buf, size_t size)
{
    char text[INET6_ADDRSTRLEN] = "?";
    unsigned port = 0;
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)from;
        inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
        port = ntohs(v4->sin_port);
    } else if (from->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;
        inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
        port = ntohs(v6->sin6_port);
    }
    snprintf(buf, size, from->ss_family == AF_INET6 ? "[%s]:%u" : "%s:%u", text, port);
}

/* Of those who have not said who they are, the one that has taken longest. */
static void make_room(struct door *door)
{
    struct relay *relay = door->oldest;
    while (relay && relay->identity != RELAY_NOBODY)
        relay = relay->next;
    if (relay)
        on_end(relay, "others wait to shake hands");
}

/* Takes @accepted. */
static void admit(struct door *door, int accepted, const struct sockaddr_storage *from)
{
    AUTO_CLOSE int fd = accepted;
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    atomic_fetch_add(&door->counts.accepted, 1);
    look_at_certificates(door, false);
    if (door->n_shaking >= SHAKING_MAX)
        make_room(door);
    struct relay *relay =
        relay_new(door->loop, door->ctx, fd,
                  clock_us() + door->options.handshake_ms * UINT64_C(1000), &relay_events, door);
    if (!relay)
        return;
    take_fd(&fd);
    write_address(from, relay->address, sizeof(relay->address));
    relay->prev = door->newest;
    if (door->newest)
        door->newest->next = relay;
    else
        door->oldest = relay;
    door->newest = relay;
    door->n_shaking++;
}

static void on_pause_over(struct loop_timer *timer)
{
    struct door *door = container_of(timer, struct door, pause);
    (void)loop_io_change(&door->listen_io, EPOLLIN);
}

void door_on_connect(struct loop_io *io, uint32_t events)
{
    (void)events;
    struct door *door = container_of(io, struct door, listen_io);
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        struct sockaddr_storage from = {0};
        socklen_t len = sizeof(from);
        int fd =
            accept4(door->listen_fd, (struct sockaddr *)&from, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            admit(door, fd, &from);
            continue;
        }
        if (errno == EAGAIN)
            return;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            /* The backlog holds the others meanwhile; without a pause the loop would spin. */
            (void)loop_io_change(&door->listen_io, 0);
            (void)loop_timer_set(door->loop, &door->pause, clock_us() + ACCEPT_PAUSE_US,
                                 on_pause_over);
            return;
        }
    }
}

/* ---- the thread ---------------------------------------------------------------------------- */

static void on_end_of_patience(struct loop_timer *timer)
{
    loop_stop(container_of(timer, struct door, end)->loop);
}

void door_on_orders(struct loop_io *io, uint32_t events)
{
    (void)events;
    struct door *door = container_of(io, struct door, orders_io);
    drain(door->orders_fd);
    pthread_mutex_lock(&door->lock);
    bool stop = door->stop, finish = door->finish, reload = door->reload;
    door->reload = false;
    pthread_mutex_unlock(&door->lock);
    if (reload)
        look_at_certificates(door, true);
    if (stop && door->listen_fd >= 0) {
        loop_io_remove(&door->listen_io);
        loop_timer_cancel(&door->pause);
        door->listen_fd = fd_close(door->listen_fd);
    }
    if (!finish)
        return;
    door->finishing = true;
    if (!door->oldest)
        loop_stop(door->loop);
    else
        (void)loop_timer_set(door->loop, &door->end, clock_us() + LAST_WORDS_US,
                             on_end_of_patience);
}

void *door_main(void *arg)
{
    struct door *door = arg;
    (void)loop_run(door->loop, NULL);
    return NULL;
}

void door_order(struct door *door, bool *what)
{
    pthread_mutex_lock(&door->lock);
    *what = true;
    pthread_mutex_unlock(&door->lock);
    poke(door->orders_fd);
}

/* ---- what the server calls ----------------------------------------------------------------- */

void door_stop(struct door *door)
{
    door_order(door, &door->stop);
}

void door_reload(struct door *door)
{
    door_order(door, &door->reload);
}

int door_fd(const struct door *door)
{
    return door->news_fd;
}

bool door_next(struct door *door, struct door_news *ret)
{
    pthread_mutex_lock(&door->lock);
    struct news_item *item = door->first;
    if (item) {
        door->first = item->next;
        if (!door->first)
            door->last = NULL;
    } else {
        drain(door->news_fd);
    }
    pthread_mutex_unlock(&door->lock);
    if (!item)
        return false;
    *ret = item->news;
    free(item);
    return true;
}
