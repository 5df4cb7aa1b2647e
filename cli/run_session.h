#pragma once
/* One `cloister run` from its options to its exit status: what cmd_run.c, run_words.c, run_input.c
 * and run_leave.c share. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/client.h"
#include "base/loop.h"
#include "cli/run_files.h"
#include "cli/run_options.h"
#include "cli/run_outputs.h"
#include "cli/run_terminal.h"

#define RUN_INPUT_CHUNK (16u << 10)
#define RUN_NO_VERDICT  VERDICT_COUNT /* a run that never was has none: null in the JSON */

struct run_buffer {
    uint8_t *bytes;
    size_t len, size;
};

struct run_session {
    struct run_options options;
    struct run_files files;
    struct run_outputs outputs;
    struct run_terminal terminal;
    char runtime[MODEL_RUNTIME_MAX + 1]; /* as the node calls it */
    struct loop *loop;
    struct loop_io rpc_io, stdin_io;
    struct client *client;
    struct client_run *run; /* NULL before and after, and while the connection is lost */
    bool started, stdin_begun, stdin_polled, stdin_open;
    unsigned interrupts;
    char input[RUN_INPUT_CHUNK + 1]; /* read, and not sent yet */
    size_t input_len;
    struct run_buffer streams[2]; /* --json */
    struct run_buffer all_input;  /* --detach --stdin */
    bool stdout_gone;
    int output_fault; /* of our stdout, other than a reader that has gone */
    int exit_status;  /* -1: not known yet */

    /* A run that goes on without us. */
    bool left;                 /* on purpose */
    struct client_attach come; /* where to go on after a lost connection */
    char run_id[MODEL_RUN_ID_MAX + 1];
    struct loop_timer again;
    uint64_t give_up_us;    /* 0: the connection is not lost */
    struct rpc_status lost; /* why it was */
};

/* ---- run_words.c: what is said, and the result ---- */

void run_say(const struct run_session *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/** run_fail() - there is no Result: refused, or no service. Return: @exit_status. */
int run_fail(struct run_session *s, enum verdict verdict, int exit_status, const char *message);
/** run_fail_status() - the same for a call that ended with @status. */
void run_fail_status(struct run_session *s, const struct rpc_status *status);
void run_tell_result(struct run_session *s, const struct run_report *report);

/* ---- run_input.c ---- */

void run_stdin_begin(struct run_session *s);
void run_stdin_stop(struct run_session *s);
/** run_stdin_go_on() - the message before is on its way, or a lost connection is there again. */
void run_stdin_go_on(struct run_session *s);
/** run_stdin_all() - everything that there is on stdin, for a request. Return: 0, -E2BIG ... */
int run_stdin_all(struct run_buffer *ret, struct err *err);
/** run_buffer_add() - Return: 0 or -ENOMEM. */
int run_buffer_add(struct run_buffer *buffer, const void *data, size_t len);

/* ---- run_leave.c: --detach, --grace, --attach ---- */

/** run_may_leave() - the run goes on without us. */
bool run_may_leave(const struct run_session *s);
/** run_leave() - go, with @exit_status, and let it go on. */
void run_leave(struct run_session *s, int exit_status);
/** run_detached() - with --detach: its id is known, so that is all. */
void run_detached(struct run_session *s, const char *run_id);
/**
 * run_come_back() - the call has ended with @status without a Result; try to go on where it was
 * Return: false when there is nothing to come back to.
 */
bool run_come_back(struct run_session *s, const struct rpc_status *status);

/* ---- cmd_run.c ---- */

extern const struct client_events run_session_events;
