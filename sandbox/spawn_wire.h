#pragma once
/*
 * The spawner's wire protocol: SOCK_SEQPACKET messages, host byte order, both ends of one build.
 *
 *   message := u32 SPAWN_MAGIC, u32 type, u64 run, payload
 *
 * The spawner distrusts what it reads: spawn_wire_request_read() tells a framing fault (-EBADMSG:
 * the peer is lost, end it) from a semantic one (-EINVAL, -ERANGE, -E2BIG: refuse that run).
 */

#include <stdint.h>

#include "base/wire.h"
#include "sandbox/spawn_client.h"

#define SPAWN_MAGIC       UINT32_C(0x434c5331) /* "CLS1": with the version */
#define SPAWN_MESSAGE_MAX (192 * 1024)
#define SPAWN_TENANT_MAX  256

enum spawn_type {
    SPAWN_HELLO = 1, /* spawner -> client: struct spawn_node */
    SPAWN_RUN,       /* client -> spawner: spec, descriptors */
    SPAWN_END,       /* u32 enum spawn_end */
    SPAWN_SIGNAL,    /* u32 */
    SPAWN_QUERY,
    SPAWN_QUERY_NODE,
    SPAWN_STARTED, /* spawner -> client; with the PTY's master for a terminal */
    SPAWN_RESULT,  /* struct run_result */
    SPAWN_REFUSED, /* struct err; run 0 instead of hello: the spawner can't start */
    SPAWN_USAGE,   /* struct run_usage, u32 waits */
    SPAWN_NODE_STATS,
};

/* Which descriptors go with a run, in this order. */
enum { SPAWN_FD_STDIN, SPAWN_FD_STDOUT, SPAWN_FD_STDERR, SPAWN_FD_IN, SPAWN_FD_OUT, SPAWN_FDS };

/* A request as read: strings and arrays point into the message and into itself. */
struct spawn_request {
    enum spawn_type type;
    uint64_t run;
    uint32_t arg;         /* END, SIGNAL */
    struct sbx_spec spec; /* RUN; limits are as asked for: 0 entries take defaults */
    int fds[SPAWN_FDS];   /* borrowed from the caller's array; -EBADF: none */
    const char *strings[SBX_ARGS_MAX + 2];
};

/** spawn_wire_run_write() - Return: bytes, or -E2BIG with words. */
int spawn_wire_run_write(void *buf, size_t cap, uint64_t run, const struct sbx_spec *spec,
                         const struct spawn_fds *fds, int *ret_fds, size_t *ret_n_fds,
                         struct err *err);
/** spawn_wire_plain_write() - END, SIGNAL, QUERY, QUERY_NODE. Return: bytes. */
int spawn_wire_plain_write(void *buf, size_t cap, enum spawn_type type, uint64_t run, uint32_t arg);
/** spawn_wire_event_write() - an event with a plain struct as payload. Return: bytes. */
int spawn_wire_event_write(void *buf, size_t cap, enum spawn_type type, uint64_t run,
                           const void *payload, size_t len);

/**
 * spawn_wire_run_number() - of a SPAWN_RUN whose descriptors have not arrived
 *
 * Return: 0, or -EBADMSG when it is no such message.
 */
int spawn_wire_run_number(const void *bytes, size_t len, uint64_t *ret);

int spawn_wire_request_read(const void *bytes, size_t len, const int *fds, size_t n_fds,
                            struct spawn_request *ret, struct err *err);
