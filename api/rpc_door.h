#pragma once
/*
 * The door to the network: TCP with mutual TLS in front of the gRPC server.
 *
 * Theory of operation: gRPC core's own TLS listener cannot be told to want TLS 1.3, dies of EMFILE,
 * knows no limit of connections, and reads a peer's HTTP/2 before anybody could ask who he is. So
 * the door has a thread of its own, with a loop of base/loop.h: it accepts, shakes hands, looks up
 * the identity on the list, and only then makes a socket pair. One end goes to gRPC on the server's
 * thread (door_next()); between the other end and TLS the door carries the bytes.
 * Strangers cost that thread's time and nothing of the service.
 *
 * All functions are called on the server's thread, before door_start() or after.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/rpc_server.h"
#include "api/rpc_tls.h"

struct door;
struct err;

enum door_kind {
    DOOR_ARRIVAL, /* @fd: yours; @identity: who it is */
    DOOR_EVENT,   /* @event: to be told, or logged */
};

struct door_news {
    enum door_kind kind;
    int fd;
    const char *identity; /* the list's; lives as long as the door */
    struct rpc_peer_event event;
};

/** door_new() - read the certificates and bind. What @options points to is copied. */
int door_new(const struct rpc_tls_options *options, struct door **ret, struct err *err);
/** door_start() - from now on it accepts. */
int door_start(struct door *door, struct err *err);
/** door_stop() - no new connections; those that are there go on. */
void door_stop(struct door *door);
/** door_free() - what gRPC has said last still goes out, for half a second at most. NULL is fine.
 */
struct door *door_free(struct door *door);

/** door_fd() - readable when door_next() has something. */
int door_fd(const struct door *door);
/** door_next() - Return: false when there is nothing (more). */
bool door_next(struct door *door, struct door_news *ret);

/** door_reload() - look at the certificates now; else it happens with the next connection. */
void door_reload(struct door *door);

uint16_t door_port(const struct door *door);
void door_counts(struct door *door, struct rpc_door_counts *ret);
