#pragma once
/*
 * One run: from the request to the result. Belongs to the loop's thread.
 *
 *   QUEUED --permit--> STARTING --[compile]--> RUNNING --> COLLECTING --> ENDED
 *
 * A run belongs to its listener, the call that asked for it. It works ahead of the listener by a
 * bounded amount (the replay ring) and then waits: the program's pipe fills up and the program
 * waits too. The listener is woken when there may be something new, and pulls one event at a time
 * when its client can take one (run_events.h). When the listener leaves, the sandbox is ended and
 * the run goes away by itself as soon as the spawner has told its end; unless it was asked for with
 * a grace (run_keep.h).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/arena.h"
#include "api/model.h"
#include "api/rpc_status.h"
#include "base/loop.h"
#include "base/output.h"
#include "base/trace.h"
#include "execsvc/admission.h"
#include "execsvc/blob_store.h"
#include "execsvc/compile_cache.h"
#include "execsvc/replay.h"
#include "execsvc/run_build.h"
#include "execsvc/step.h"

struct exs;
struct run_keep;
struct runtime;

#define RUN_ID_SIZE     33 /* 128 random bits in hexadecimal */
#define RUN_NOTICES_MAX 8

enum run_state { RUN_QUEUED, RUN_STARTING, RUN_RUNNING, RUN_COLLECTING, RUN_ENDED };

/* What every line of the log about a run has. */
#define LOG_RUN(run) LOG_STR("run_id", (run)->id), LOG_STR("trace_id", (run)->trace_id)

struct run_listener {
    void (*wake)(struct run_listener *listener);
    /* The run is not its any more (another one has taken its place); @status says so. */
    void (*taken_away)(struct run_listener *listener, const struct rpc_status *status);
};

enum run_notice_kind {
    RUN_NOTICE_IDLE = 1, /* as Notice.Kind in the .proto */
    RUN_NOTICE_DRAIN,
    RUN_NOTICE_OUTPUT_DROPPED,
    RUN_NOTICE_COMPILING,
    RUN_NOTICE_COMPILER_WARNING,
};

struct run_notice {
    enum run_notice_kind kind;
    uint64_t remaining_ms;
    char message[256];
};

/* The compile step's findings. */
struct run_compile {
    struct compiled *made; /* both streams of the compiler, up to a cap; what it made */
    uint64_t text_dropped;
    uint64_t begun_us, us; /* when the step began, how long it took */
    struct compile_key key;
    const char *output; /* what it makes, in the workspace */
    struct collect_bytes pattern;
    struct collect_rules rules;
    bool complete; /* the artifact has come whole */
    bool cached;   /* ... from an earlier run */
};

struct run {
    struct exs *exs;
    struct run *prev, *next;
    char id[RUN_ID_SIZE];
    char trace_id[TRACE_ID_SIZE]; /* of its caller */
    enum run_state state;
    bool interactive; /* input may come later */

    struct arena arena, scratch; /* the request; what is made of it */
    struct run_request request;
    const char *tenant;
    const struct runtime *runtime; /* NULL: a bare command */
    struct limits limits;
    struct collect_rules rules;
    struct adm_ticket ticket;
    uint64_t submitted_us, begun_us;
    uint64_t taken_us; /* when the listener last took something */

    struct step *step;         /* the program's own; input may be put in from the beginning */
    struct step *compile_step; /* NULL when it is over */
    struct run_compile compile;
    struct blob_pin inputs;  /* files that are blobs */
    bool awaits_inputs;      /* run_start_step() goes on when they can be shown */
    struct run_plan plan;    /* of the step that is next or going on */
    struct loop_timer again; /* the spawner had no room */
    unsigned tries;

    struct output output[STEP_STREAMS];
    struct replay replay;
    bool paused, output_told[STEP_STREAMS];

    /* terminal */
    struct loop_timer tick;
    uint64_t active_us;
    uint64_t cpu_us, memory_bytes; /* as last asked for: at a terminal, or while somebody watches */
    bool idle_told;
    uint16_t rows, cols; /* as last asked for */

    struct run_listener *listener;
    uint64_t position;           /* of the listener in the ring */
    uint64_t have[STEP_STREAMS]; /* bytes of each stream that it had before it came */
    struct run_keep *keep;       /* NULL: the run ends with its listener */
    bool tell_queued, tell_started, tell_result;
    bool has_started;
    struct loop_timer hold; /* while it is armed, `started` waits for company */
    struct loop_task over;  /* it has ended: the log says so when its listener has been told */
    bool listed;            /* the place was told before */
    struct adm_place place;
    struct run_notice notices[RUN_NOTICES_MAX];
    size_t n_notices;

    bool failed; /* there was no run: `status` instead of a result */
    struct rpc_status status;
    struct run_result result;
    uint64_t dropped[STEP_STREAMS];
};

/**
 * run_new() - from the bytes of an ExecuteRequest, or with @interactive an InteractRequest with
 * `start`; every mistake in it is found here
 * @tenant is copied; @bytes are not needed afterwards.
 * Return: 0; or a negative errno with @status filled in for the caller.
 */
int run_new(struct exs *exs, const char *tenant, const uint8_t *bytes, size_t len, bool interactive,
            struct run **ret, struct rpc_status *status);

/** run_submit() - into the queue, with its listener. Return: 0; or like run_new(), and the run is
 * gone. */
int run_submit(struct run *run, struct run_listener *listener, struct rpc_status *status);

/** run_leave() - the listener goes (@well: what it was sent has arrived): the run ends and frees
 * itself, unless it is kept. */
void run_leave(struct run *run, bool well);
/** run_cancel() - the listener asks for the end; the result still comes. */
void run_cancel(struct run *run);

/* What the listener's client sends. Return of run_input(): 0 or -ENOMEM. */
int run_input(struct run *run, const void *bytes, size_t len);
void run_input_close(struct run *run);
/** run_input_full() - take no more for now; wake() comes when there is room. */
bool run_input_full(const struct run *run);
void run_signal(struct run *run, int signo);
void run_resize(struct run *run, uint16_t rows, uint16_t cols);

/* From exs.c. */
void run_begin(struct run *run);
void run_on_place(struct run *run, const struct adm_place *place);
void run_on_drain(struct run *run, uint64_t remaining_ms);
/** run_check_stall() - every now and then: a client that takes no files may not keep a sandbox. */
void run_check_stall(struct run *run, uint64_t now_us);

/* ---- between run.c and its neighbours run_*.c ---- */

extern const struct step_ops run_main_ops; /* of the program's own step */
/** run_free() - nobody listens, and nothing of it is in the spawner's hands (or the spawner is
 * gone). */
void run_free(struct run *run);
/** run_abandon() - nobody wants it any more: end it, and free it as soon as that can be. */
void run_abandon(struct run *run);
void run_wake(struct run *run);
/** run_flow() - let the program go on or wait, as the ring has room; after the listener has taken
 * something too. */
void run_flow(struct run *run);
void run_notice(struct run *run, enum run_notice_kind kind, uint64_t remaining_ms,
                const char *format, ...) __attribute__((format(printf, 4, 5)));
/** run_put() - bytes of a stream, through its cap into the ring. */
void run_put(struct run *run, int stream, const uint8_t *bytes, size_t len);
/** run_start_step() - order run->plan for @step now, or in a moment if the spawner has no room. */
void run_start_step(struct run *run);
/** run_try_again() - call run_start_step() again in a moment. Return: false: it has been too often.
 */
bool run_try_again(struct run *run);
/** run_start_main() - the program itself. */
void run_start_main(struct run *run);
/** run_fail() - nothing ran: the listener gets @status instead of a result. */
void run_fail(struct run *run, const struct rpc_status *status);
/** run_finish() - @result is what became of it. */
void run_finish(struct run *run, const struct run_result *result);

/** run_log_end() - one line about what became of it. */
void run_log_end(const struct run *run);

/* run_compile.c */
void run_compile_start(struct run *run);
void run_compile_done(struct run *run);

/* run_terminal.c: idle limit, and permits for those who wait for a person. */
void run_terminal_started(struct run *run);
void run_terminal_active(struct run *run);
void run_terminal_usage(struct run *run, const struct run_usage *usage, bool waits_for_input);
