#pragma once
/*
 * What a run has more than others when it was asked for with detach_grace_ms.
 *
 * It goes on when its caller's call ends, whatever ended it: its output goes into the replay ring,
 * which then forgets the oldest, and its files into a spool, so that neither the program nor the
 * sandbox waits for anybody. Its caller comes back with run_attach(). When nobody did for the
 * grace, the run is cancelled and forgotten. When it is over, what is needed to tell it again
 * (ring, files, the packed Result) is charged and kept for another grace; the rest is freed. keep.h
 * says who makes room when there is too much of that.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "execsvc/identity.h"
#include "execsvc/keep.h"
#include "execsvc/spool.h"

struct exs;
struct rpc_status;
struct run;
struct run_listener;

struct run_keep {
    struct keep_entry entry; /* not in the table: the run is like any other from then on */
    struct run *run;
    struct loop_timer timer; /* while nobody listens */
    struct spool spool;
    size_t file; /* of the spool: what the listener gets next */
    uint64_t file_offset;
    uint8_t *result; /* the last event, packed; NULL until the run is over, and if there was none */
    size_t result_len;
    char tenant[TENANT_SIZE];
};

struct run_attach {
    const char *run_id;
    uint64_t offset[2]; /* bytes of each stream that the caller has */
    uint32_t files_done;
};

/** run_keep_table() - with the limits of the configuration. */
int run_keep_table(struct exs *exs, struct err *err);

/** run_keep_add() - a run that asked for it, when it is taken in. Return: 0; or a negative errno
 * with @status, and the caller frees the run. */
int run_keep_add(struct run *run, struct rpc_status *status);
void run_keep_free(struct run *run);

/** run_is_kept() - it goes on, and stays, without a listener. */
bool run_is_kept(const struct run *run);
/** run_is_wanted() - by a listener, or by one who may come. */
bool run_is_wanted(const struct run *run);

/** run_keep_files() - take all that the sandbox has to give for now into the spool. */
void run_keep_files(struct run *run);
/** run_keep_over() - the run has ended: keep what can be fetched, free the rest. It may be no
 * longer kept afterwards. */
void run_keep_over(struct run *run);
/** run_keep_stalled() - it is over, and its listener has not taken anything for long: it is sent
 * away, so that what is kept can make room for others. */
void run_keep_stalled(struct run *run);
/** run_keep_let_go() - from now on it is a run like any other. */
void run_keep_let_go(struct run *run);
/** run_keep_leave() - its listener has gone; @taken: with everything. Return: false: the run is not
 * (or no longer) kept. */
bool run_keep_leave(struct run *run, bool taken);

/**
 * run_attach() - @listener takes the place of the one before, which is told
 * Return: 0; or a negative errno with @status.
 */
int run_attach(struct exs *exs, const char *tenant, const struct run_attach *attach,
               struct run_listener *listener, struct run **ret, struct rpc_status *status);
