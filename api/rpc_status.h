#pragma once
/*
 * The one table at the border to gRPC: faults and verdicts to canonical status codes, and codes to
 * exit statuses. No other code knows the mapping. Codes are numbered as gRPC numbers them; no gRPC
 * header is needed to use them.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/result.h"

enum rpc_code {
    RPC_OK = 0,
    RPC_CANCELLED = 1,
    RPC_UNKNOWN = 2,
    RPC_INVALID_ARGUMENT = 3,
    RPC_DEADLINE_EXCEEDED = 4,
    RPC_NOT_FOUND = 5,
    RPC_ALREADY_EXISTS = 6,
    RPC_PERMISSION_DENIED = 7,
    RPC_RESOURCE_EXHAUSTED = 8,
    RPC_FAILED_PRECONDITION = 9,
    RPC_ABORTED = 10,
    RPC_OUT_OF_RANGE = 11,
    RPC_UNIMPLEMENTED = 12,
    RPC_INTERNAL = 13,
    RPC_UNAVAILABLE = 14,
    RPC_DATA_LOSS = 15,
    RPC_UNAUTHENTICATED = 16,
};

#define RPC_MESSAGE_MAX 512
#define RPC_FIELD_MAX   128
#define RPC_REASON_MAX  48
#define RPC_META_MAX    6

struct rpc_meta {
    char key[32];
    char value[128];
};

/* A status with its details; plain data. Unused parts are empty. Below 4 KiB on the wire. */
struct rpc_status {
    enum rpc_code code;
    char message[RPC_MESSAGE_MAX]; /* for people: what is wrong, and what to do */
    char field[RPC_FIELD_MAX];     /* BadRequest: "files[3].path" */
    char reason[RPC_REASON_MAX];   /* ErrorInfo: constant, UPPER_CASE: "QUEUE_FULL" */
    uint32_t retry_ms;             /* RetryInfo; 0: not given */
    size_t n_meta;                 /* ErrorInfo.metadata: "queue_position" = "2001" */
    struct rpc_meta meta[RPC_META_MAX];
};

/** rpc_status_set() - overwrite @status; @reason may be NULL. Return: @status. */
struct rpc_status *rpc_status_set(struct rpc_status *status, enum rpc_code code, const char *reason,
                                  const char *format, ...) __attribute__((format(printf, 4, 5)));
/** rpc_status_field() - name the field that is wrong. */
void rpc_status_field(struct rpc_status *status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/** rpc_status_meta() - one more entry of ErrorInfo; entries beyond RPC_META_MAX are dropped. */
void rpc_status_meta(struct rpc_status *status, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** rpc_status_of_fault() - by the table, with the fault's words; a message without words gets the
 * code's. */
void rpc_status_of_fault(const struct err *err, struct rpc_status *ret);
/** rpc_code_of_verdict() - what the call ends with after the Result was sent: OK, but INTERNAL for
 * ours. */
enum rpc_code rpc_code_of_verdict(enum verdict verdict);

/** rpc_code_name() - "INVALID_ARGUMENT"; "UNKNOWN" beyond the table. */
const char *rpc_code_name(int code);
/** rpc_code_exit_status() - the CLI's exit status when a call ends with @code and no Result came:
 * 126 refused, 125 ours. */
int rpc_code_exit_status(int code);

/** rpc_status_encode() - google.rpc.Status bytes for grpc-status-details-bin. Return: length, 0
 * when it does not fit @size. */
size_t rpc_status_encode(const struct rpc_status *status, uint8_t *buf, size_t size);
/** rpc_status_decode() - details from outside into @status (code and message stay as they are).
 * Unknown or broken details are ignored. */
void rpc_status_decode(const void *bytes, size_t len, struct rpc_status *status);
