#pragma once
/*
 * The only door from execsvc to the sandbox: the client of the spawner's wire protocol.
 *
 * One SOCK_SEQPACKET socket, inherited by execsvc as a descriptor (number in the environment
 * variable CLOISTER_SPAWN_FD). Not thread-safe: the client belongs to the thread that runs the loop
 * and calls spawn_client_dispatch() when the socket is readable. Nothing here blocks; nothing here
 * forks. A dead socket (-EPIPE, -ECONNRESET, end of file) means that the spawner is gone: the
 * process should end, its supervisor starts both again.
 */

#include <stdint.h>
#include <sys/types.h>

#include "base/result.h"
#include "sandbox/spec.h"

struct spawn_client;

/* Why execsvc ends a run; decides the verdict when it is not overruled by an earlier one. */
enum spawn_end { SPAWN_END_CANCELLED, SPAWN_END_OUTPUT, SPAWN_END_IDLE, SPAWN_END_MAX_AGE };

/*
 * Descriptors that go with a run, borrowed for the call. -1: none. With spec->terminal the stdio
 * entries are -1 and the master arrives by on_started. files_in: read end of a pipe carrying a
 * base/filestream.h stream (required unless nothing goes in). files_out: write end of a pipe
 * (required iff spec->collect).
 */
struct spawn_fds {
    int stdin_fd, stdout_fd, stderr_fd;
    int files_in_fd, files_out_fd;
};

/* Facts of the node, from the spawner at start-up. */
struct spawn_node {
    uint32_t slots_max;
    uint32_t layers; /* active by default on this host */
    uint32_t layers_missing;
    struct limits defaults, ceilings;
    char cgroup_version[16]; /* "v1", "hybrid", "v2" */
    char launcher[16];
    char cache_dir[256];    /* where the input sets are made; "": nowhere */
    char inputs_fault[200]; /* why no run can have an input set; "": it can */
};

struct spawn_node_stats {
    uint64_t memory_bytes, memory_limit_bytes; /* of the parent group */
    uint64_t oom_kills;
    uint32_t slots_made, slots_busy, slots_ready; /* ready: with a sandbox that waits for a run */
    uint64_t ready_used;                          /* runs that found one */
    uint32_t psi_memory_some_avg10_centi,
        psi_cpu_some_avg10_centi; /* hundredths of a percent; UINT32_MAX: no PSI */
};

struct spawn_events {
    /* The program is running (inputs unpacked). @pty_master is owned by the callee, -1 without
     * terminal. */
    void (*on_started)(void *arg, uint64_t run, int pty_master);
    /* The last event of a run. result->verdict is INTERNAL if the spawner could not run it. */
    void (*on_result)(void *arg, uint64_t run, const struct run_result *result);
    /* Refused before anything was made: a bad spec (-EINVAL, -ERANGE) or no slot (-EAGAIN). Last
     * event of the run. */
    void (*on_refused)(void *arg, uint64_t run, const struct err *err);
    /* Answer to spawn_client_query(): CPU time so far, and whether it waits for terminal input. */
    void (*on_usage)(void *arg, uint64_t run, const struct run_usage *usage, bool waits_for_input);
    void (*on_node_stats)(void *arg, const struct spawn_node_stats *stats);
};

/**
 * spawn_client_new() - on the socket @fd (ownership moves in), after the spawner's hello
 * Waits at most 5 s for the hello and checks the protocol version.
 */
int spawn_client_new(int fd, const struct spawn_events *events, void *arg,
                     struct spawn_client **ret, struct err *err);
struct spawn_client *spawn_client_free(struct spawn_client *client);

int spawn_client_fd(const struct spawn_client *client);
const struct spawn_node *spawn_client_node(const struct spawn_client *client);

/** spawn_client_dispatch() - read and deliver all that is there. Return: 0, or -EPIPE when the
 * spawner is gone. */
int spawn_client_dispatch(struct spawn_client *client, struct err *err);

/** spawn_client_run() - @run is the caller's number, unique among live runs. -EAGAIN: the socket is
 * full, try when writable. */
int spawn_client_run(struct spawn_client *client, uint64_t run, const struct sbx_spec *spec,
                     const struct spawn_fds *fds, struct err *err);
/** spawn_client_end() - end it now; on_result follows. An unknown run is no error (it just ended).
 */
int spawn_client_end(struct spawn_client *client, uint64_t run, enum spawn_end why,
                     struct err *err);
/** spawn_client_signal() - to the main process. With a terminal, keys (Ctrl-C) go in through the
 * PTY instead. */
int spawn_client_signal(struct spawn_client *client, uint64_t run, int signo, struct err *err);
int spawn_client_query(struct spawn_client *client, uint64_t run, struct err *err);
int spawn_client_query_node(struct spawn_client *client, struct err *err);
