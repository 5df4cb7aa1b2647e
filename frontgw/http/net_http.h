#pragma once
/*
 * The transport under HTTP: threads, listeners, TLS, bytes in and out. The only header behind which
 * libwebsockets stands (about twenty calls of it, all in net_http.c and net_loop.c), so that
 * another transport can take its place.
 *
 * libwebsockets is used for sockets and TLS in its raw role only: its HTTP and h2 parsers never see
 * a byte (docs/adr/0013). Every loop is one thread with a libuv loop and a context
 * of its own and a listener of its own (SO_REUSEPORT). A connection lives and dies on its loop's
 * thread; nothing here may be called from another thread except net_wake(), net_server_drain() and
 * the counters.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct lws;
struct net_loop;
struct net_server;

#define NET_ADDRESS_SIZE 46
#define NET_WRITE_MAX    16384
#define NET_READ_MAX     32768

/* First member of whatever the user of this header keeps per connection; zeroed at birth. */
struct net_conn {
    struct lws *wsi;
    struct net_loop *loop;
    struct net_conn *prev, *next;   /* of the loop */
    char address[NET_ADDRESS_SIZE]; /* of the peer; IPv4 also when mapped */
    bool counted, settled;
};

/* Called on the connection's loop thread. A negative return closes the connection. */
struct net_events {
    size_t conn_size; /* of the struct that begins with struct net_conn */
    int (*opened)(struct net_conn *conn);
    int (*received)(struct net_conn *conn, const char *bytes, size_t len); /* len <= NET_READ_MAX */
    int (*writable)(struct net_conn *conn);
    void (*closed)(struct net_conn *conn);
    void (*ticked)(struct net_loop *loop); /* about four times a second */
    void (*woken)(struct net_loop *loop);  /* after net_wake() */
};

struct net_config {
    const char *bind; /* numeric address */
    uint16_t port;    /* 0: any; see net_server_port() */
    unsigned threads;
    const char *cert_file,
        *key_file; /* PEM; both NULL: plain, which only a loopback address may be */
    unsigned connections_max;
    unsigned connections_per_address;
    const struct net_events *events;
    void *arg;
};

/** net_server_new() - listen, and set everything up but run nothing yet. -EPERM: plain HTTP on an
 * address that is not loopback. */
int net_server_new(const struct net_config *config, struct net_server **ret, struct err *err);
int net_server_start(struct net_server *server, struct err *err);
/** net_server_stop_listening() - any thread; connections go on. */
void net_server_stop_listening(struct net_server *server);
/** net_server_stop() - close everything, end and join the threads. */
void net_server_stop(struct net_server *server);
struct net_server *net_server_free(struct net_server *server);

uint16_t net_server_port(const struct net_server *server);
unsigned net_server_loops(const struct net_server *server);
struct net_loop *net_server_loop(struct net_server *server, unsigned i);
/** net_server_reload_tls() - have every loop read certificate and key again; a pair that does not
 * fit together is refused and the old one stays. */
int net_server_reload_tls(struct net_server *server, struct err *err);

struct net_counts {
    uint64_t accepted, refused_address, refused_total, tls_failed;
    uint64_t open;
};
void net_server_counts(struct net_server *server, struct net_counts *ret);

void *net_loop_arg(struct net_loop *loop);
unsigned net_loop_index(const struct net_loop *loop);
/** net_loop_first() - walk with conn->next; the walker may net_close() the one it holds after
 * taking its next. */
struct net_conn *net_loop_first(struct net_loop *loop);
/** net_wake() - any thread: have `woken` called soon. */
void net_wake(struct net_loop *loop);

/** net_write() - in `writable` only, once per call; @len <= NET_WRITE_MAX; what the socket does not
 * take is kept. Return: 0, negative: close. */
int net_write(struct net_conn *conn, const void *bytes, size_t len);
/** net_want_write() - have `writable` called when the socket takes more. */
void net_want_write(struct net_conn *conn);
/** net_pause() / net_resume() - stop and go on receiving. */
void net_pause(struct net_conn *conn);
void net_resume(struct net_conn *conn);
/** net_finish() - nothing more will be sent (TLS close_notify, FIN); receiving goes on. */
void net_finish(struct net_conn *conn);
/** net_close() - at once. Not from within `opened`, `received` and `writable`: return -1 there. */
void net_close(struct net_conn *conn);
bool net_is_tls(const struct net_conn *conn);
