#pragma once
/*
 * The C client of Cloister: run a program and be told what becomes of it, without seeing gRPC.
 *
 *   struct client *client;
 *   client_new(&(struct client_options){.socket = "/run/cloister/execsvc.sock"}, &client, &err);
 *   struct run_request request = {.runtime = "python3", .entry = "", .files = &file, .n_files = 1};
 *   client_execute(client, &request, &events, me, &run, &fault);
 *   while (!done)
 *       client_wait(client, -1);      // or poll client_fd() and call client_dispatch()
 *
 * One thread: every function is called, and every callback runs, on the thread that dispatches.
 * gRPC has threads of its own underneath, so a process that has made a client must not fork without
 * an immediate exec.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/arena.h"
#include "api/model.h"
#include "api/rpc_status.h"

struct client;
struct client_run;
struct err;

#define CLIENT_SOCKET_DEFAULT "/run/cloister/execsvc.sock"

struct client_options {
    const char *socket; /* path of a unix socket; or */
    const char *target; /* a gRPC target ("node1.example:7443"), when @socket is NULL */
    const char *ca; /* PEM files, for TCP with mutual TLS (all three or none): who vouches for */
    const char *certificate, *key; /* the service; and who we are */
    const char *subject;           /* sent as cloister-subject; NULL: none */
    const char *traceparent;       /* W3C Trace Context, sent along; NULL: none */
};

/** client_new() - no connection is made before the first call. */
int client_new(const struct client_options *options, struct client **ret, struct err *err);
/** client_free() - cancels the runs that are left (they get their on_end). Not from a callback. */
struct client *client_free(struct client *client);

/**
 * client_fd() - readable when client_dispatch() has something to do; the first call makes a thread.
 * Whoever only ever waits (client_wait()) does without, and is told sooner. Return: or -errno.
 */
int client_fd(struct client *client);
void client_dispatch(struct client *client);
/** client_wait() - block for something to do, at most @timeout_ms (-1: for ever), and do it. */
void client_wait(struct client *client, int timeout_ms);

/* ---- runs --------------------------------------------------------------------------------- */

struct client_started {
    const char *run_id, *node, *runtime_name, *runtime_version;
    enum run_start start;
};

struct client_file_chunk {
    const char *path; /* checked: a path of the workspace (model_path_fault) */
    uint64_t offset, size;
    const uint8_t *data;
    size_t len;
    bool last;
    const uint8_t *sha256; /* with @last; else NULL */
};

/* As Notice.Kind of the .proto. */
enum client_notice_kind {
    CLIENT_NOTICE_IDLE = 1,
    CLIENT_NOTICE_DRAIN,
    CLIENT_NOTICE_OUTPUT_DROPPED,
    CLIENT_NOTICE_COMPILING,
    CLIENT_NOTICE_COMPILER_WARNING,
};

struct client_notice {
    int kind; /* perhaps one of a later version */
    const char *message;
    uint64_t remaining_ms;
};

/*
 * What becomes of a run. Callbacks may be NULL, but for on_end. Pointers are valid during the
 * callback. After on_end the run is gone.
 */
struct client_events {
    void (*on_queued)(void *arg, const char *run_id, uint32_t position, uint64_t wait_ms);
    void (*on_started)(void *arg, const struct client_started *started);
    /* @stream: 1 or 2. @offset may jump: bytes between were dropped. */
    void (*on_output)(void *arg, int stream, uint64_t offset, const uint8_t *data, size_t len);
    void (*on_file)(void *arg, const struct client_file_chunk *chunk);
    void (*on_notice)(void *arg, const struct client_notice *notice);
    void (*on_result)(void *arg, const struct run_report *report);
    /* More input may be given (after client_run_input() said -EAGAIN). */
    void (*on_writable)(void *arg);
    /* Status OK and no on_result before: impossible. Otherwise why there is none. */
    void (*on_end)(void *arg, const struct rpc_status *status);
};

/** client_execute() - checked here first, as the service will. -EINVAL with @fault naming the
 * field. */
int client_execute(struct client *client, const struct run_request *request,
                   const struct client_events *events, void *arg, struct client_run **ret,
                   struct model_fault *fault);
/** client_interact() - the same with a say: input, signals, window size. stdin stays open until
 * client_run_close_input(). */
int client_interact(struct client *client, const struct run_request *request,
                    const struct client_events *events, void *arg, struct client_run **ret,
                    struct model_fault *fault);

struct client_attach {
    const char *run_id;
    uint64_t stdout_offset, stderr_offset;
    uint32_t files_done;
    bool interactive; /* input and signals, not only output */
};
/** client_attach() - back to a run that was begun with detach_grace_ms. */
int client_attach(struct client *client, const struct client_attach *attach,
                  const struct client_events *events, void *arg, struct client_run **ret,
                  struct model_fault *fault);
/**
 * client_run_place() - where this run's events have come to: what client_attach() needs to go on
 * from here, with this client or another one
 * @ret: borrowed from @run, which lives until its on_end has returned. A file counts when its last
 * chunk has come.
 * Return: false while its id is not known.
 */
bool client_run_place(const struct client_run *run, struct client_attach *ret);

/** client_run_input() - at most 64 KiB. Return: 0; -EAGAIN: on_writable will come; -EPIPE: not
 * interactive, closed or over. */
int client_run_input(struct client_run *run, const void *bytes, size_t len);
/* These are remembered while a message is on its way, and are never refused. */
void client_run_close_input(struct client_run *run);
void client_run_signal(struct client_run *run, int signo);
void client_run_resize(struct client_run *run, uint32_t rows, uint32_t cols);
/** client_run_cancel() - end it: politely (the Result comes) when interactive, else by ending the
 * call. */
void client_run_cancel(struct client_run *run);
/** client_run_drop() - end the call at once; on_end follows. */
void client_run_drop(struct client_run *run);
/** client_run_hold() / client_run_resume() - stop and go on reading events, so that a slow consumer
 * slows the program. */
void client_run_hold(struct client_run *run);
void client_run_resume(struct client_run *run);

/* ---- single calls ------------------------------------------------------------------------- */

/**
 * client_call() - a unary call, waited for (events of runs are dispatched meanwhile)
 * @request: packed with protobuf-c; @arena: holds the reply's bytes
 *
 * Return: 0 with the reply, or a negative errno; then @status has the code and the words.
 */
int client_call(struct client *client, const char *path, const ProtobufCMessage *request,
                uint32_t timeout_ms, struct arena *arena, ProtobufCBinaryData *ret,
                struct rpc_status *status);

/** client_health() - is @service ("" for the whole) serving? Return: 1 yes, 0 no, or a negative
 * errno with @status. */
int client_health(struct client *client, const char *service, uint32_t timeout_ms,
                  struct rpc_status *status);
