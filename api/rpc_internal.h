#pragma once
/* What rpc_server.c, rpc_call.c, rpc_listen.c, rpc_health.c and rpc_reflection.c share. Loop thread
 * only. */

#include <grpc/grpc.h>

#include "api/rpc_cq.h"
#include "api/rpc_server.h"
#include "base/loop.h"

struct err;

#define RPC_METHODS_MAX 64
#define RPC_ACCEPTS     16 /* armed at any time */

struct rpc_entry {
    const struct rpc_method *method;
    void *arg;
};

struct door;
struct rpc_listener;
struct rpc_account;
struct rpc_conns;
struct rpc_health;

struct rpc_server {
    struct loop *loop;
    struct rpc_server_options options;
    struct rpc_cq *cq;
    grpc_server *server;
    grpc_resource_quota *quota;
    struct rpc_entry methods[RPC_METHODS_MAX];
    size_t n_methods;
    struct rpc_listener *listeners;
    struct door *door; /* NULL: no TCP */
    struct loop_io door_io;
    struct rpc_conns *conns;
    struct rpc_health *health;
    struct rpc_call *calls; /* live ones */
    uint32_t n_calls, n_accepts;
    uint64_t calls_total;
    bool started, draining, freeing;
    bool shutdown_done; /* gRPC has said so */
    struct rpc_tag shutdown_tag;
    void (*on_drained)(void *arg);
    void *on_drained_arg;
};

/*
 * Theory of operation of a call: six kinds of operations may be outstanding, each with a tag of
 * its own. `tags` counts them. The call ends when RECV_CLOSE has come back (`over`); it is told
 * (on_close) and freed when no tag is outstanding any more.
 */
struct rpc_call {
    struct rpc_server *server;
    struct rpc_call *prev, *next;
    grpc_call *call;
    grpc_metadata_array headers;
    grpc_call_details details;
    const struct rpc_method *method; /* NULL: refused before any handler saw it */
    const char *path;                /* of the method asked for; NULL: none of ours */
    void *user;
    struct rpc_peer peer;
    struct rpc_account *account; /* where it is counted; NULL: it was refused */
    struct rpc_tag accept_tag, close_tag, read_tag, open_tag, write_tag, status_tag;
    unsigned tags;
    grpc_byte_buffer *incoming, *outgoing;
    int cancelled; /* written by gRPC before close_tag comes back */
    bool reading, writing, got_message, half_closed, metadata_sent;
    bool finishing; /* its status is known */
    bool status_sent;
    bool over;
    enum rpc_code status_code;
    char reason[RPC_REASON_MAX];
    grpc_slice status_message;
    grpc_slice status_details; /* length 0: none */
};

/* rpc_call.c */
int rpc_call_arm(struct rpc_server *server);
void rpc_call_end_aside(struct rpc_server *server);
/* rpc_server.c */
const struct rpc_entry *rpc_server_find(const struct rpc_server *server, grpc_slice path);
void rpc_server_call_gone(struct rpc_server *server);

/* rpc_conns.c: connections that we accept ourselves, and who is behind them. */
int rpc_conns_new(struct rpc_server *server, struct rpc_conns **ret, struct err *err);
int rpc_conns_start(struct rpc_conns *conns, struct err *err);
struct rpc_conns *rpc_conns_free(struct rpc_conns *conns);
/* Both take the descriptor. @line: gRPC's end of a connection of the door. */
void rpc_conns_take_unix(struct rpc_conns *conns, int accepted);
void rpc_conns_take_tls(struct rpc_conns *conns, int line, const char *identity);
/* A call on the connection that gRPC calls "fd:N". Return: 0; RPC_CONNS_UNKNOWN when it is none of
 * ours that is still open; RPC_CONNS_FULL when it has as many calls as it may have,
 * RPC_CONNS_PEER_FULL when all connections of its peer together have. */
enum { RPC_CONNS_UNKNOWN = 1, RPC_CONNS_FULL, RPC_CONNS_PEER_FULL };
int rpc_conns_call(struct rpc_conns *conns, const char *peer_text, struct rpc_peer *ret,
                   struct rpc_account **ret_account);
/* The end of a call for which that was 0. */
void rpc_conns_call_done(struct rpc_conns *conns, const struct rpc_peer *peer,
                         struct rpc_account *account);
void rpc_conns_stats(struct rpc_conns *conns, struct rpc_server_stats *ret);
/* rpc_listen.c */
int rpc_listeners_start(struct rpc_server *server, struct err *err);
void rpc_listeners_stop(struct rpc_server *server);
void rpc_listeners_free(struct rpc_server *server);

/* rpc_health.c, rpc_reflection.c */
int rpc_health_add(struct rpc_server *server, struct err *err);
void rpc_health_drain(struct rpc_server *server);
struct rpc_health *rpc_health_free(struct rpc_health *health);
int rpc_reflection_add(struct rpc_server *server, struct err *err);
