#include "execsvc/step.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "execsvc/spawner.h"

#define TERMINAL_EOF "\x04"

static void on_output(struct tap *tap, const uint8_t *bytes, size_t len);
static void on_files_bytes(struct tap *tap, const uint8_t *bytes, size_t len);
static void on_end(struct tap *tap);
static void on_input_drained(struct pump *pump);

struct step *step_new(struct spawner *spawner, struct loop *loop, bool terminal,
                      const struct step_ops *ops, void *owner)
{
    struct step *step = calloc(1, sizeof(*step));
    if (!step)
        return NULL;
    step->spawner = spawner;
    step->loop = loop;
    step->ops = ops;
    step->owner = owner;
    step->terminal = terminal;
    step->input_fd = step->window_fd = -EBADF;
    pump_init(&step->files_pump, loop);
    pump_init(&step->input, loop);
    step->input.on_drained = on_input_drained;
    for (int i = 0; i < STEP_STREAMS; i++)
        step->output[i] =
            (struct tap){.fd = -EBADF, .owner = step, .on_bytes = on_output, .on_end = on_end};
    step->files_tap =
        (struct tap){.fd = -EBADF, .owner = step, .on_bytes = on_files_bytes, .on_end = on_end};
    return step;
}

/* All but the input that waits for the program. */
static void close_pipes(struct step *step)
{
    pump_done(&step->files_pump);
    for (int i = 0; i < STEP_STREAMS; i++)
        tap_close(&step->output[i]);
    tap_close(&step->files_tap);
    step->input_fd = fd_close(step->input_fd);
    step->window_fd = fd_close(step->window_fd);
    step->files_taken = false;
}

static void close_all(struct step *step)
{
    close_pipes(step);
    pump_done(&step->input);
}

struct step *step_free(struct step *step)
{
    if (!step)
        return NULL;
    close_all(step);
    collect_free(step->collect);
    free(step->files_buffer);
    free(step);
    return NULL;
}

/*
 * What the program says is not taken before the spawner has said that it was started: the program
 * may be quicker than that message, and the two come on different descriptors.
 */
static void let_flow(struct step *step)
{
    bool held = !step->started && !step->have_result;
    for (int i = 0; i < STEP_STREAMS; i++)
        tap_pause(&step->output[i], held || step->paused);
    tap_pause(&step->files_tap, held || step->files_taken);
}

/* ---- the end ---- */

/* Told when the result is there, nothing is left in the pipes and every collected file was pulled.
 */
static void maybe_ended(struct step *step)
{
    if (step->ended || !step->have_result || tap_is_open(&step->output[STEP_STDOUT]) ||
        tap_is_open(&step->output[STEP_STDERR]) || tap_is_open(&step->files_tap) ||
        step->files_taken)
        return;
    if (step->files_fault.code < 0) {
        step->result.verdict = VERDICT_INTERNAL;
        step->result.err = step->files_fault;
    } else if (step->collect && !step->refused) {
        collect_stop(step->collect);
    }
    step->ended = true;
    close_pipes(step);
    if (step->started)
        pump_done(&step->input);
    step->ops->on_ended(step);
}

void step_on_result(struct step *step, const struct run_result *result)
{
    step->result = *result;
    step->have_result = true;
    let_flow(step);
    for (int i = 0; i < STEP_STREAMS; i++)
        if (tap_is_open(&step->output[i]))
            tap_last_words(&step->output[i]);
    if (tap_is_open(&step->files_tap))
        tap_last_words(&step->files_tap);
    if (step->ops->on_gone && !step->refused)
        step->ops->on_gone(step);
    maybe_ended(step);
}

void step_on_refused(struct step *step, const struct err *err)
{
    step->refused = true;
    struct run_result result = {.verdict = VERDICT_INTERNAL, .exit_code = -1, .err = *err};
    result.explanation.limit = -1;
    for (int i = 0; i < STEP_STREAMS; i++)
        tap_close(&step->output[i]);
    tap_close(&step->files_tap);
    step_on_result(step, &result);
}

void step_end(struct step *step, enum spawn_end why)
{
    if (step->number && !step->have_result)
        spawner_end(step->spawner, step->number, why);
}

void step_abandon(struct step *step)
{
    step->abandoned = true;
    step_end(step, SPAWN_END_CANCELLED);
    close_all(step);
    maybe_ended(step);
}

/* ---- the beginning ---- */

enum { PIPE_STDIN, PIPE_STDOUT, PIPE_STDERR, PIPE_IN, PIPE_OUT, PIPES };

/* near: ours; far: the sandbox's, closed by us once they are sent. */
struct pipes {
    int near[PIPES], far[PIPES];
};

static void pipes_close(struct pipes *pipes)
{
    for (size_t i = 0; i < PIPES; i++) {
        pipes->near[i] = fd_close(pipes->near[i]);
        pipes->far[i] = fd_close(pipes->far[i]);
    }
}

/* Files come with a helper process on the other side: no files, no pipe for them. */
static int pipes_open(struct pipes *pipes, const struct step_order *order, bool terminal,
                      struct err *err)
{
    for (size_t i = 0; i < PIPES; i++)
        pipes->near[i] = pipes->far[i] = -EBADF;
    for (size_t i = 0; i < PIPES; i++) {
        int fds[2];
        bool wanted = i == PIPE_IN    ? order->n_files > 0
                      : i == PIPE_OUT ? order->collect != NULL
                                      : !terminal;
        if (!wanted)
            continue;
        bool we_write = i == PIPE_STDIN || i == PIPE_IN;
        int r = i <= PIPE_STDERR            ? fd_pipe_for_others(fds, we_write)
                : pipe2(fds, O_CLOEXEC) < 0 ? -errno
                                            : 0;
        if (r < 0)
            return err_set(err, r, "pipe to a sandbox: %m");
        pipes->near[i] = fds[we_write];
        pipes->far[i] = fds[!we_write];
    }
    return 0;
}

static int reset(struct step *step, const struct step_order *order, struct err *err)
{
    step->number = 0;
    step->started = step->have_result = step->refused = step->ended = false;
    step->collect = collect_free(step->collect);
    pump_init(&step->files_pump, step->loop);
    files_in_init(&step->files_in, order->files, order->n_files);
    if (!order->collect)
        return 0;
    if (!step->files_buffer && !(step->files_buffer = malloc(TAP_READ_MAX)))
        return err_set(err, -ENOMEM, "collecting files: %m");
    return collect_new(order->collect, &step->collect, err);
}

/* The sandbox has the far ends: from here on its end will be told, whatever happens. */
static int attach(struct step *step, struct pipes *pipes)
{
    int r = 0;
    let_flow(step);
    if (pipes->near[PIPE_IN] >= 0)
        r = pump_files(&step->files_pump, take_fd(&pipes->near[PIPE_IN]), &step->files_in);
    if (r == 0 && pipes->near[PIPE_OUT] >= 0)
        r = tap_open(&step->files_tap, step->loop, take_fd(&pipes->near[PIPE_OUT]), false);
    step->input_fd = take_fd(&pipes->near[PIPE_STDIN]);
    for (int i = 0; r == 0 && !step->terminal && i < STEP_STREAMS; i++)
        r = tap_open(&step->output[i], step->loop, take_fd(&pipes->near[PIPE_STDOUT + i]), false);
    return r;
}

static int far_or_none(const struct pipes *pipes, int which)
{
    return pipes->far[which] < 0 ? -1 : pipes->far[which];
}

int step_start(struct step *step, const struct step_order *order, struct err *err)
{
    CLEANUP(pipes_close) struct pipes pipes;
    int r = pipes_open(&pipes, order, step->terminal, err);
    if (r == 0)
        r = reset(step, order, err);
    if (r < 0)
        return r;
    const struct spawn_fds fds = {.stdin_fd = far_or_none(&pipes, PIPE_STDIN),
                                  .stdout_fd = far_or_none(&pipes, PIPE_STDOUT),
                                  .stderr_fd = far_or_none(&pipes, PIPE_STDERR),
                                  .files_in_fd = far_or_none(&pipes, PIPE_IN),
                                  .files_out_fd = far_or_none(&pipes, PIPE_OUT)};
    r = spawner_run(step->spawner, step, order->spec, &fds, err);
    if (r < 0)
        return r;
    if (attach(step, &pipes) < 0)
        step_abandon(step);
    return 0;
}

static void open_terminal(struct step *step, int master)
{
    step->input_fd = fcntl(master, F_DUPFD_CLOEXEC, 3);
    step->window_fd = fcntl(master, F_DUPFD_CLOEXEC, 3);
    tap_open(&step->output[STEP_STDOUT], step->loop, master, true);
}

void step_on_started(struct step *step, int pty_master)
{
    AUTO_CLOSE int master = pty_master;
    step->started = true;
    if (step->abandoned)
        return;
    if (step->terminal && master >= 0)
        open_terminal(step, take_fd(&master));
    if (step->input_fd >= 0)
        pump_open(&step->input, take_fd(&step->input_fd));
    if (step->ops->on_started)
        step->ops->on_started(step);
    let_flow(step);
}

void step_on_usage(struct step *step, const struct run_usage *usage, bool waits_for_input)
{
    if (step->ops->on_usage && !step->abandoned)
        step->ops->on_usage(step, usage, waits_for_input);
}

/* ---- input ---- */

static void on_input_drained(struct pump *pump)
{
    struct step *step = container_of(pump, struct step, input);
    if (step->ops->on_input_drained && !step->abandoned)
        step->ops->on_input_drained(step);
}

int step_input(struct step *step, const void *bytes, size_t len)
{
    return step->abandoned || step->ended ? 0 : pump_put(&step->input, bytes, len);
}

void step_input_close(struct step *step)
{
    if (step->terminal)
        step_input(step, TERMINAL_EOF, 1);
    else
        pump_finish(&step->input);
}

size_t step_input_queued(const struct step *step)
{
    return pump_queued(&step->input);
}

void step_signal(struct step *step, int signo)
{
    if (step->number && !step->have_result)
        spawner_signal(step->spawner, step->number, signo);
}

int step_resize(struct step *step, uint16_t rows, uint16_t cols)
{
    const struct winsize size = {.ws_row = rows, .ws_col = cols};
    if (step->window_fd < 0)
        return 0;
    return ioctl(step->window_fd, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}

void step_query(struct step *step)
{
    if (step->number && !step->have_result)
        spawner_query(step->spawner, step->number);
}

/* ---- output ---- */

static void on_output(struct tap *tap, const uint8_t *bytes, size_t len)
{
    struct step *step = tap->owner;
    int stream = tap == &step->output[STEP_STDERR] ? STEP_STDERR : STEP_STDOUT;
    step->ops->on_output(step, stream, bytes, len);
}

static void on_end(struct tap *tap)
{
    maybe_ended(tap->owner);
}

void step_pause(struct step *step, bool paused)
{
    step->paused = paused;
    let_flow(step);
}

/* ---- files ---- */

static void on_files_bytes(struct tap *tap, const uint8_t *bytes, size_t len)
{
    struct step *step = tap->owner;
    if (step->files_fault.code < 0)
        return;
    memcpy(step->files_buffer, bytes, len);
    step->files_at = step->files_buffer;
    step->files_left = len;
    step->files_taken = true;
    tap_pause(tap, true);
    step->ops->on_files(step);
}

/*
 * With the buffer used up the tap goes on: its end is seen from the loop, never from here. The
 * collector may hold on to a part of the buffer that was counted as used, so it is asked until it
 * says that it needs more.
 */
int step_next_chunk(struct step *step, struct collect_chunk *ret, struct err *err)
{
    if (!step->files_taken || step->ended)
        return COLLECT_MORE;
    int r = collect_next(step->collect, &step->files_at, &step->files_left, ret, err);
    if (r == COLLECT_CHUNK)
        return r;
    if (r == COLLECT_END && step->files_left > 0)
        r = err_set(err, -EPROTO, "files out: bytes after the end");
    if (r < 0) {
        step_files_failed(step, err);
        return r;
    }
    step->files_taken = false;
    tap_pause(&step->files_tap, false);
    return r;
}

void step_files_failed(struct step *step, const struct err *err)
{
    step->files_fault = *err;
    step_end(step, SPAWN_END_CANCELLED);
    step->files_taken = false;
    tap_pause(&step->files_tap, false);
}

void step_forget_files(struct step *step)
{
    step->collect = collect_free(step->collect);
    free(take_ptr(step->files_buffer));
}
