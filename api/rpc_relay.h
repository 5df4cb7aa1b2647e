#pragma once
/* One connection of the door (rpc_door.h): TLS on one side, gRPC's socket on the other. Everything
 * here belongs to the door's thread. */

#include "api/rpc_tls.h"
#include "base/loop.h"

#define RELAY_NOBODY SIZE_MAX

struct relay;

/* What its owner is told; every function but on_peer may free the relay. */
struct relay_events {
    /* The handshake is done and the certificate good. Return: gRPC's end of the line, which becomes
     * the relay's, or -EACCES: closed by its owner's will. */
    int (*on_peer)(struct relay *relay);
    /* It is over and must be freed. @why: NULL for an ordinary end, else in a few words. */
    void (*on_end)(struct relay *relay, const char *why);
};

struct relay_buffer {
    uint8_t *bytes;
    size_t at, len; /* [at, len) is still to be passed on */
};

struct relay {
    struct relay *prev, *next; /* its owner's */
    void *owner;
    size_t identity; /* its owner's; RELAY_NOBODY until on_peer */
    char address[64];

    const struct relay_events *events;
    struct loop *loop;
    SSL *ssl;
    int tcp, pair;
    struct loop_io tcp_io, pair_io;
    struct loop_timer deadline, again;
    struct relay_buffer in, out; /* from the peer, to the peer */
    size_t n_read;               /* from the peer, at least: enough to know that it speaks */
    bool shaken, peer_eof, pair_eof, tls_wants_write;
};

/**
 * relay_new() - shake hands with whoever is at @tcp, which moves in on success
 * @handshake_us: until when the peer must have said who it is and begun to speak (CLOCK_MONOTONIC)
 */
struct relay *relay_new(struct loop *loop, SSL_CTX *ctx, int tcp, uint64_t handshake_us,
                        const struct relay_events *events, void *owner);
/** relay_free() - closes both sides at once. */
void relay_free(struct relay *relay);
