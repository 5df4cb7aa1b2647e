#pragma once
/* What rpc_door.c (the thread) and rpc_door_setup.c (before and after it) share. */

#include <pthread.h>
#include <stdatomic.h>

#include "api/rpc_door.h"
#include "api/rpc_relay.h"
#include "base/loop.h"

struct news_item {
    struct news_item *next;
    struct door_news news;
};

struct door_counters {
    _Atomic uint32_t connections;
    _Atomic uint64_t accepted, admitted, handshakes_failed, identities_refused, limits_refused,
        reloads, reloads_failed;
};

struct door {
    /* Set before the thread, constant. */
    struct rpc_tls_options options;
    struct tls_files files;
    char **allowed;
    uint16_t port;
    struct door_counters counts;

    /* Between the threads. */
    pthread_mutex_t lock; /* over the news and the orders */
    struct news_item *first, *last;
    bool stop, finish, reload;
    int news_fd, orders_fd;

    /* The door's thread's (and before it exists, its maker's). */
    pthread_t thread;
    bool has_thread;
    struct loop *loop;
    struct loop_io listen_io, orders_io;
    struct loop_timer pause, end;
    int listen_fd;
    SSL_CTX *ctx;
    struct tls_stamp stamp;
    uint64_t looked_us;
    struct relay *oldest, *newest;
    uint32_t n_shaking, n_open;
    uint32_t *per_identity; /* open connections of each */
    uint64_t events_since_us;
    uint32_t n_events;
    bool finishing;
};

/* rpc_door.c */
void door_on_orders(struct loop_io *io, uint32_t events);
void door_on_connect(struct loop_io *io, uint32_t events);
void *door_main(void *arg);
void door_order(struct door *door, bool *what);
/** door_forget() - take the relay off the list and free it. */
void door_forget(struct door *door, struct relay *relay);
