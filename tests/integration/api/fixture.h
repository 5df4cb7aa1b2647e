#pragma once
/*
 * A server and a client of ours in one process, over a real unix socket, on one loop. Methods of
 * "/test.Test/": Echo (messages come back), Sink (takes them), Fire (data until the client goes),
 * Deaf (reads nothing), Refuse (a status with all details), Last (a message and the status at
 * once), Park (waits).
 */

#include "tests/support/unit.h"

#include <stdbool.h>

#include "api/client.h"
#include "api/rpc_client.h"
#include "api/rpc_cq.h"
#include "api/rpc_server.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/loop.h"

#define FIRE_BYTES (60u << 10)

struct fixture {
    char *dir;
    char socket[100];
    struct loop *loop;
    struct rpc_server *server;
    struct rpc_cq *cq;
    struct loop_io cq_io;
    struct rpc_channel *channel;
    /* what the server saw */
    struct rpc_peer peer;
    char subject[64];
    uint64_t deadline_us;
    unsigned started, messages, half_closes, closes, cancels;
    size_t fired, sunk;
    unsigned sunk_sum; /* of the first content byte of each message */
    struct rpc_call *parked;
    bool drained;
    struct outcome *outcomes;
};

/* What a call of the test has come to. */
struct outcome {
    struct outcome *next;
    struct fixture *fixture;
    struct rpc_client_call *call; /* NULL after the end */
    bool hold;                    /* do not read the next message by itself */
    unsigned messages;
    size_t bytes;
    uint8_t first[16384];
    size_t first_len;
    unsigned writables;
    bool ended;
    struct rpc_status status;
};

/* Owned by the fixture: a failed assert jumps out of the test and leaves its calls open. */
struct outcome *outcome_new(struct fixture *f);

struct fixture *fixture_new(const struct rpc_server_options *options);
/* The same over TCP with TLS; the server's port is filled in. */
struct fixture *fixture_new_tls(const struct rpc_tls_options *server,
                                const struct rpc_channel_tls *client);
void fixture_free(struct fixture *f);
/* Starts the server's end alone; for tests that look at listening itself. */
int fixture_listen(struct fixture *f, const struct rpc_server_options *options, struct err *err);

/* Steps the loop until *@flag is at least @at_least, or fails the test after 10 s. */
void await(struct fixture *f, const unsigned *flag, unsigned at_least);
void await_true(struct fixture *f, const bool *flag);
/* Steps it for @ms whatever happens. */
void linger(struct fixture *f, unsigned ms);

void call_open(struct fixture *f, struct outcome *o, const char *method,
               const struct rpc_client_options *more);
int call_say(struct outcome *o, const void *bytes, size_t len);
