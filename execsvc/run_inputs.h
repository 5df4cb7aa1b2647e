#pragma once
/* Files of a request that are blobs. */

#include <stdbool.h>

struct rpc_status;
struct run;

/**
 * run_inputs_take() - pin the input set of the request's files that are blobs, if there are any
 * Return: 0, or a negative errno with @status: BLOB_MISSING names the first that is not there.
 */
int run_inputs_take(struct run *run, struct rpc_status *status);

/** run_inputs_ready() - the set can be shown, or there is none. Else run_start_step() will be
 * called when it can, or the run has failed. */
bool run_inputs_ready(struct run *run);
