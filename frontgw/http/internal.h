#pragma once
/* Shared by the files of the HTTP server: http.c conn.c start.c send.c exchange.c. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frontgw/http/addresses.h"
#include "frontgw/http/head.h"
#include "frontgw/http/http.h"
#include "frontgw/http/job.h"
#include "frontgw/http/net_http.h"
#include "frontgw/http/request.h"
#include "frontgw/http/response.h"
#include "frontgw/http/route.h"
#include "frontgw/limits/limiter.h"

struct gw_conn;

/* Finished exchanges on their way back to a loop, and sessions to be closed there. */
struct mailbox {
    pthread_mutex_t lock;
    struct gw_exchange *done;
    struct revocation *revoked;
};

struct revocation {
    struct revocation *next;
    char session[GW_SESSION_SIZE];
};

struct gw_http {
    struct gw_http_parts parts;
    const struct gw_settings *settings;
    struct ip_nets *trusted;
    struct net_server *net;
    struct mailbox *mail; /* one per loop */
    atomic_bool draining;
    atomic_uint exchanges; /* alive */
    atomic_uint_fast64_t next_id;
    char id_prefix[13]; /* of request ids: random per process */
    int tmp_dir;        /* where uploads go before they have a name */
};

/* What the worker is to do with an exchange. */
enum gw_stage {
    GW_STAGE_ADMIT,  /* identity and rates only: a large body is waiting */
    GW_STAGE_HANDLE, /* everything that is left */
};

/* One request and its answer. Owned by the connection, or by the worker while its job runs. */
struct gw_exchange {
    struct gw_job job;
    struct gw_request req;
    struct gw_response res;
    struct gw_http *http;
    struct gw_conn *conn; /* loop thread; NULL: the connection is gone */
    struct net_loop *loop;
    struct gw_exchange *next;
    enum gw_stage stage;
    bool admitted;  /* identity and rates are done */
    unsigned allow; /* methods, for a 405 */
    struct gw_limit_key keys[GW_LIMIT_KEYS_MAX];
    size_t n_keys;
    struct gw_limit_verdict verdict;
    char *bytes;    /* body in memory */
    char token[96]; /* the session cookie */
};

/* exchange.c */
struct gw_exchange *gw_exchange_new(struct gw_conn *conn, const char *head, size_t len);
void gw_exchange_free(struct gw_exchange *x);
/** gw_exchange_post() - hand to a worker; -EAGAIN, -ESHUTDOWN as gw_pool_post(). */
int gw_exchange_post(struct gw_exchange *x, enum gw_stage stage);
/** gw_exchange_run() - on the worker: identity, rates, rights, body, handler. */
void gw_exchange_run(struct gw_exchange *x);
void gw_trace_init(struct gw_request *req);

/* start.c: from a complete head to a request that can be run. Return: a refusal is already in
 * x->res. */
enum gw_start { GW_START_ANSWERED, GW_START_BODY };
enum gw_start gw_start(struct gw_exchange *x, struct gw_head *head);

enum gw_conn_state {
    CONN_HEAD,  /* a head is coming, or nothing */
    CONN_ADMIT, /* a worker decides whether the body may come */
    CONN_BODY,
    CONN_WORK, /* a worker runs the handler */
    CONN_SEND,
    CONN_LINGER, /* answered and finished; what still comes is thrown away */
};

struct gw_conn {
    struct net_conn net; /* first */
    struct gw_http *http;
    enum gw_conn_state state;
    char *in; /* received and not yet used */
    size_t in_len, in_cap, scan;
    struct gw_exchange *x;
    uint64_t body_got, body_want;
    uint64_t since_ms;    /* when this state began to count */
    uint64_t deadline_ms; /* CLOCK_MONOTONIC; 0: none */
    bool fresh;           /* no byte of the next request yet */
    bool close_after;     /* no further request on this connection */
    bool interim;         /* "100 Continue" is to be written */
    bool paused;
    bool unread;                   /* more of the request may be on its way */
    char session[GW_SESSION_SIZE]; /* of the last identified request */
    char *out;                     /* head of the answer */
    size_t out_len;
    uint64_t sent, total; /* of head and body together */
    uint64_t lingered;
};

/* conn.c */
int gw_conn_opened(struct net_conn *net);
int gw_conn_received(struct net_conn *net, const char *bytes, size_t len);
void gw_conn_closed(struct net_conn *net);
/** gw_conn_done() - the worker is through with x; loop thread. */
void gw_conn_done(struct gw_exchange *x);
/** gw_conn_next() - the answer is out: on to the next request. -1: close. */
int gw_conn_next(struct gw_conn *conn);
void gw_conn_tick(struct gw_conn *conn, uint64_t now_ms);

/* send.c */
/** gw_send_begin() - send x->res. */
int gw_send_begin(struct gw_conn *conn);
int gw_conn_writable(struct net_conn *net);

/* http.c */
void gw_http_return(struct gw_exchange *x); /* worker thread: to the loop */
