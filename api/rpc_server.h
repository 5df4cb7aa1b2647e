#pragma once
/*
 * A gRPC server for a single-threaded process.
 *
 * Theory of operation: gRPC C core wants a thread that waits on its completion queue. That thread
 * (rpc_cq.c) enters the loop of base/loop.h, which is shared from rpc_server_new() on, and runs the
 * callbacks below there: everything happens as in one thread, and no lock is needed anywhere. A
 * call is a small state machine: at most one read and one write are outstanding.
 *
 *   on_start       headers are here; look at rpc_call_peer(), rpc_call_metadata(), refuse early
 *   on_message     one request message. RPC_ONE_REQUEST: comes by itself, exactly once.
 *                  RPC_STREAM_REQUEST: comes after each rpc_call_read(), so that a slow program
 *                  slows its writer down
 *   on_half_close  the client has said everything (only RPC_STREAM_REQUEST)
 *   on_writable    the message sent before has passed the peer's flow control window: the next may
 *                  be sent. Stop reading the program's pipe until then
 *   on_close       the last callback, exactly once per on_start: after it @call is gone.
 *                  @cancelled: the client went away, cancelled, or its deadline passed, and the
 *                  status (if one was given) may not have arrived
 *
 * rpc_call_finish() may be called from any callback but on_close; after it only on_close follows.
 * A handler that is told on_close(cancelled) without having finished needs to finish nothing.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <protobuf-c/protobuf-c.h>

#include "api/rpc_status.h"

struct err;
struct loop;
struct rpc_call;
struct rpc_server;

#define RPC_MESSAGE_BYTES_MAX (4u << 20)  /* a request or reply message */
#define RPC_CHUNK_MAX         (64u << 10) /* data in one Output or FileChunk */

enum rpc_shape { RPC_ONE_REQUEST, RPC_STREAM_REQUEST };

/* One method. Callbacks that are NULL are not called; on_start and on_close are required. */
struct rpc_method {
    const char *path; /* "/cloister.exec.v1.Execution/Execute" */
    enum rpc_shape shape;
    bool aside; /* holds up no drain: ended with UNAVAILABLE when one begins (watches) */
    void (*on_start)(struct rpc_call *call, void *arg);
    /* @bytes are the message's, valid during the callback. */
    void (*on_message)(struct rpc_call *call, const uint8_t *bytes, size_t len);
    void (*on_half_close)(struct rpc_call *call);
    void (*on_writable)(struct rpc_call *call);
    void (*on_close)(struct rpc_call *call, bool cancelled);
};

enum rpc_transport { RPC_TRANSPORT_UNIX, RPC_TRANSPORT_TLS };

/* Who is at the other end. */
struct rpc_peer {
    enum rpc_transport transport;
    uid_t uid; /* RPC_TRANSPORT_UNIX, from SO_PEERCRED */
    gid_t gid;
    pid_t pid;
    char identity[256];  /* "uid:1000", or the name in the client's certificate; "" when unknown */
    uint64_t connection; /* a number per connection; 0 when unknown */
    uint32_t slot;       /* the server's own */
};

/* What happens before there is a call, for a log line. At most a few a second are told. */
enum rpc_peer_event_kind {
    RPC_PEER_REFUSED,     /* over TCP: the handshake, the name or a limit */
    RPC_PEER_ABUSE,       /* it did what no client of gRPC does, and is disconnected */
    RPC_TLS_RELOADED,     /* the certificates have changed */
    RPC_TLS_RELOAD_FAILED /* and are no good: those from before stay */
};

struct rpc_peer_event {
    enum rpc_peer_event_kind kind;
    char address[64];   /* the peer's, or "" */
    char identity[256]; /* or "" */
    char words[256];
};

struct rpc_server_options {
    uint32_t streams_per_connection_max; /* 0: 100 */
    uint32_t connections_max;            /* 0: 256, on unix sockets */
    uint32_t connections_per_uid_max;    /* 0: 64; root is not counted */
    bool admit_self;    /* connections from this process (a watchdog's) are beyond the limits */
    uint32_t calls_max; /* 0: 4096 live calls; beyond it RESOURCE_EXHAUSTED */
    size_t memory_quota_bytes; /* 0: 96 MiB, of gRPC's own buffers */
    bool reflection;           /* answer grpc.reflection.v1 and v1alpha */
    /* A call is over: @path as of its method (the same pointer), NULL for none of ours; CANCELLED
     * when its client was gone before a status reached it. May be NULL. */
    void (*on_answered)(void *arg, const char *path, enum rpc_code code, const char *reason);
    void *on_answered_arg;
    void (*on_peer_event)(void *arg, const struct rpc_peer_event *event); /* may be NULL */
    void *on_peer_event_arg;
};

/** rpc_server_new() - @options is copied, NULL: defaults. Blocks all signals in the threads that
 * gRPC makes. */
int rpc_server_new(struct loop *loop, const struct rpc_server_options *options,
                   struct rpc_server **ret, struct err *err);
/** rpc_server_free() - waits for what is outstanding (calls are cancelled first). NULL is fine. */
struct rpc_server *rpc_server_free(struct rpc_server *server);

/** rpc_server_add() - before rpc_server_start(). @method (borrowed) must live as long as the
 * server. -EEXIST: path taken. */
int rpc_server_add(struct rpc_server *server, const struct rpc_method *method, void *arg,
                   struct err *err);

struct rpc_unix_options {
    const char *path;
    mode_t mode;     /* of the socket; 0: 0660 */
    mode_t dir_mode; /* of its directory, only if it is made here; 0: 0750 */
    gid_t gid;       /* group of both; (gid_t)-1: as it is */
};

/**
 * rpc_server_listen_unix() - bind now, accept after rpc_server_start()
 * Holds a lock on `path`.lock: -EADDRINUSE when another instance has it; a socket left behind by a
 * dead one is replaced, anything that is not a socket is refused. May be called several times.
 */
int rpc_server_listen_unix(struct rpc_server *server, const struct rpc_unix_options *options,
                           struct err *err);
/** rpc_server_listen_fd() - the same on a listening unix socket that somebody else bound (socket
 * activation); ownership moves in. */
int rpc_server_listen_fd(struct rpc_server *server, int fd, struct err *err);

struct rpc_tls_options {
    const char *listen;                        /* "127.0.0.1:7443", "[::1]:7443"; port 0: any */
    const char *certificate, *key, *client_ca; /* PEM files, see rpc_tls.h */
    const char *const *allowed;                /* identities: "dns:NAME", "uri:URI" */
    size_t n_allowed;
    uint32_t connections_max;              /* 0: 256 */
    uint32_t connections_per_identity_max; /* 0: 64 */
    uint32_t handshake_ms;                 /* 0: 10000 */
};

/**
 * rpc_server_listen_tls() - TCP, only with mutual TLS 1.3; bind now, accept after
 * rpc_server_start()
 *
 * Once per server. Everything is copied. The peer's identity is the name of its certificate that is
 * on the list. Certificates are looked at again when somebody connects, at most once a second.
 */
int rpc_server_listen_tls(struct rpc_server *server, const struct rpc_tls_options *options,
                          struct err *err);
/** rpc_server_tls_port() - where it listens; 0: nowhere. */
uint16_t rpc_server_tls_port(const struct rpc_server *server);
/** rpc_server_tls_reload() - look at the certificates now. */
void rpc_server_tls_reload(struct rpc_server *server);
/** rpc_tls_address_check(), rpc_tls_identity_ok() - of a configuration. */
int rpc_tls_address_check(const char *listen, struct err *err);
bool rpc_tls_identity_ok(const char *identity);

int rpc_server_start(struct rpc_server *server, struct err *err);

/** rpc_server_health() - what grpc.health.v1 says of @service ("" for the whole). Starts as
 * NOT_SERVING. */
void rpc_server_health(struct rpc_server *server, const char *service, bool serving);

/**
 * rpc_server_drain() - take no new calls, tell clients so, let running calls end
 * @on_drained: called once, when no call is left.
 */
void rpc_server_drain(struct rpc_server *server, void (*on_drained)(void *arg), void *arg);
/** rpc_server_cancel_all() - every running call sees on_close(cancelled); its client UNAVAILABLE.
 */
void rpc_server_cancel_all(struct rpc_server *server);

struct rpc_door_counts {
    uint32_t connections; /* open now, with a known identity */
    uint64_t accepted, admitted;
    uint64_t handshakes_failed, identities_refused, limits_refused;
    uint64_t reloads, reloads_failed;
};

struct rpc_server_stats {
    uint32_t connections; /* accepted by us and not known to be closed */
    uint32_t calls;       /* live */
    uint64_t calls_total;
    uint64_t connections_total;
    uint64_t connections_refused;
    uint64_t abuses;             /* connections that were ended by the guard (h2_guard.h) */
    struct rpc_door_counts door; /* all 0 without rpc_server_listen_tls() */
};
void rpc_server_stats(const struct rpc_server *server, struct rpc_server_stats *ret);

/* ---- a call ------------------------------------------------------------------------------- */

const struct rpc_peer *rpc_call_peer(const struct rpc_call *call);
/** rpc_call_metadata() - value of a request header (lower case @key), not NUL-terminated; NULL when
 * absent. First one wins. */
const char *rpc_call_metadata(const struct rpc_call *call, const char *key, size_t *ret_len);
/** rpc_call_deadline_us() - CLOCK_MONOTONIC; UINT64_MAX: none. */
uint64_t rpc_call_deadline_us(const struct rpc_call *call);

void rpc_call_set_user(struct rpc_call *call, void *user);
void *rpc_call_user(const struct rpc_call *call);

/** rpc_call_read() - ask for the next message: one on_message or on_half_close follows. Ignored
 * while one is outstanding, after half-close and after the end. */
void rpc_call_read(struct rpc_call *call);

/** rpc_call_open() - send the headers now, not with the first message. A client that has them while
 * it waits anyway has less to do when it counts. */
void rpc_call_open(struct rpc_call *call);
/** rpc_call_writable() - a message may be sent now. */
bool rpc_call_writable(const struct rpc_call *call);
/**
 * rpc_call_send() - pack and send; @message stays the caller's
 * Return: 0; -EAGAIN while one is outstanding (on_writable will come); -EPIPE when the call is over
 * (on_close will come); -EMSGSIZE above RPC_MESSAGE_BYTES_MAX.
 */
int rpc_call_send(struct rpc_call *call, const ProtobufCMessage *message);
/** rpc_call_send_more() - the same, when another message follows as soon as this one is taken: both
 * leave in one write, if the headers are out. */
int rpc_call_send_more(struct rpc_call *call, const ProtobufCMessage *message);
/** rpc_call_send_bytes() - the same for a message that is packed already. */
int rpc_call_send_bytes(struct rpc_call *call, const void *bytes, size_t len);

/**
 * rpc_call_send_last() - the last message and the status in one: the client hears the end without
 * another turn of gRPC. Return: as rpc_call_send(); 0 is an end like that of rpc_call_finish().
 */
int rpc_call_send_last(struct rpc_call *call, const ProtobufCMessage *message,
                       const struct rpc_status *status);

/** rpc_call_finish() - end it, after the outstanding write. The first call wins; later ones and
 * those after the end are ignored. */
void rpc_call_finish(struct rpc_call *call, const struct rpc_status *status);
/** rpc_call_finish_ok() / rpc_call_finish_code() - without details. */
void rpc_call_finish_ok(struct rpc_call *call);
void rpc_call_finish_code(struct rpc_call *call, enum rpc_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
