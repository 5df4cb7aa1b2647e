#pragma once
/* Shared by net_http.c, net_loop.c and net_listen.c only. */

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "frontgw/http/addresses.h"
#include "frontgw/http/net_http.h"

struct lws_context;
struct ssl_ctx_st;
struct lws_vhost;

struct net_loop {
    struct net_server *server;
    unsigned index;
    pthread_t thread;
    bool running;
    uv_loop_t uv;
    uv_async_t wake; /* net_wake(), stop, stop listening, reload */
    uv_timer_t tick;
    uv_poll_t listen_poll;
    int listen_fd;
    bool listening;
    struct lws_context *context;
    struct lws_vhost *vhost;
    struct net_conn *conns;
    unsigned char *scratch; /* LWS_PRE + NET_WRITE_MAX */
    _Atomic uint64_t accepted, refused_address, refused_total, tls_failed;
    atomic_bool stop, stop_listening, reload;
};

struct net_server {
    struct net_config config;
    char *bind, *cert_file, *key_file;
    uint16_t port;
    struct addresses *addresses;
    _Atomic uint64_t open;
    unsigned char ticket_key[80]; /* TLS session tickets open on every loop */
    struct ssl_ctx_st *no_client; /* an SSL_CTX: we never connect anywhere */
    unsigned n_loops;
    struct net_loop *loops;
};

/* net_listen.c */
int net_listen(struct net_server *server, struct err *err);
void net_accept_ready(uv_poll_t *poll, int status, int events);

/* net_loop.c */
int net_loop_init(struct net_loop *loop, struct err *err);
void net_loop_done(struct net_loop *loop);
void *net_loop_main(void *arg);
/** net_adopt() - takes @fd. */
void net_adopt(struct net_loop *loop, int fd, const char *address);
