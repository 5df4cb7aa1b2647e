#pragma once
/*
 * One program in one sandbox: the pipes to it, what the spawner tells of it, and its end. A run is
 * one or two steps (compile, then run); a runtime's version probe is one as well.
 *
 * Order of callbacks: on_started (unless it never did), on_output and on_files in any mixture, then
 * exactly once on_ended, when the spawner has told the result and everything that the program left
 * in its pipes has been taken. A step may be freed in on_ended or after it, never earlier: what
 * lives in the spawner needs somebody to take its end. step_abandon() makes that quick.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "execsvc/collect.h"
#include "execsvc/files_in.h"
#include "execsvc/pump.h"
#include "execsvc/tap.h"
#include "sandbox/spawn_client.h"

struct err;
struct spawner;
struct step;

enum { STEP_STDOUT, STEP_STDERR, STEP_STREAMS };

struct step_ops {
    void (*on_started)(struct step *step);
    void (*on_output)(struct step *step, int stream, const uint8_t *bytes, size_t len);
    /* Files can be pulled with step_next_chunk(). */
    void (*on_files)(struct step *step);
    void (*on_usage)(struct step *step, const struct run_usage *usage, bool waits_for_input);
    void (*on_input_drained)(struct step *step);
    /* The sandbox is gone; what it left in the pipes is still to be taken. */
    void (*on_gone)(struct step *step);
    void (*on_ended)(struct step *step);
};

/* Borrowed until on_ended: files and rules; for the call only: the spec. */
struct step_order {
    const struct sbx_spec *spec;
    const struct files_in_file *files;
    size_t n_files;
    const struct collect_rules *collect; /* NULL: nothing comes back */
};

struct step {
    struct spawner *spawner;
    struct loop *loop;
    const struct step_ops *ops;
    void *owner;
    uint64_t number; /* the spawner's; 0: none yet */
    struct step *next_hash;

    struct files_in files_in;
    struct pump files_pump, input;
    struct tap output[STEP_STREAMS], files_tap;
    struct collect *collect;
    const uint8_t *files_at; /* bytes read and not yet used */
    size_t files_left;
    bool files_taken; /* a buffer that the collector has not used up */
    uint8_t *files_buffer;
    struct err files_fault;
    int input_fd;  /* until it has started; -EBADF */
    int window_fd; /* terminal: for its size; -EBADF */

    bool paused; /* by its owner */
    bool terminal, started, have_result, refused, ended, abandoned;
    struct run_result result; /* from on_ended on; refused: verdict INTERNAL and err set */
};

struct step *step_new(struct spawner *spawner, struct loop *loop, bool terminal,
                      const struct step_ops *ops, void *owner);
/** step_free() - when it was never started, could not be, or has ended. */
struct step *step_free(struct step *step);

/**
 * step_start() - order it. May be called again when it was refused for lack of a slot.
 * Return: 0; -EAGAIN: the spawner's socket is full, order again soon; or a fault.
 */
int step_start(struct step *step, const struct step_order *order, struct err *err);

/** step_input() - for the program's stdin; before it has started too. Return: 0 or -ENOMEM. */
int step_input(struct step *step, const void *bytes, size_t len);
/** step_input_close() - end of input; a terminal gets its end-of-file character. */
void step_input_close(struct step *step);
size_t step_input_queued(const struct step *step);
void step_signal(struct step *step, int signo);
int step_resize(struct step *step, uint16_t rows, uint16_t cols);
void step_query(struct step *step);

/** step_pause() - do not take output for now: the program waits. */
void step_pause(struct step *step, bool paused);
/** step_next_chunk() - as collect_next(), @err not NULL; COLLECT_MORE: on_files or on_ended will
 * tell. */
int step_next_chunk(struct step *step, struct collect_chunk *ret, struct err *err);

/** step_files_failed() - they can't be taken: our fault, which becomes the step's. */
void step_files_failed(struct step *step, const struct err *err);
/** step_forget_files() - it has ended, and what was collected is known elsewhere. */
void step_forget_files(struct step *step);

/** step_end() - kill it; on_ended follows when all is taken. */
void step_end(struct step *step, enum spawn_end why);
/** step_abandon() - kill it and close everything: nobody wants to know more; on_ended follows. */
void step_abandon(struct step *step);

/* From spawner.c. @pty_master is owned by the callee. */
void step_on_started(struct step *step, int pty_master);
void step_on_result(struct step *step, const struct run_result *result);
void step_on_refused(struct step *step, const struct err *err);
void step_on_usage(struct step *step, const struct run_usage *usage, bool waits_for_input);
