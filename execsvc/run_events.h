#pragma once
/* What a run has to tell, one message at a time, in the order of the contract. */

#include <stddef.h>
#include <stdint.h>

struct rpc_call;
struct rpc_status;
struct run;

enum { RUN_EVENTS_NONE, RUN_EVENTS_SENT, RUN_EVENTS_OVER };

/**
 * run_events_send() - send the next event of @run to @call, which is writable
 * Return: RUN_EVENTS_SENT; RUN_EVENTS_NONE: nothing to tell now; RUN_EVENTS_OVER: the last event is
 * out (or there was no run), and @status is what the call ends with; or a negative errno.
 */
int run_events_send(struct run *run, struct rpc_call *call, struct rpc_status *status);

/** run_events_pack_result() - the last event of a run that has ended, as bytes (free() them).
 * Return: 0 or -ENOMEM. */
int run_events_pack_result(const struct run *run, uint8_t **ret, size_t *ret_len);
