#include "cli/sandbox_session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/result_json.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "cli/commands.h"

struct session {
    struct sandbox_options *options;
    struct sandbox_outcome *outcome;
    const struct sandbox_engine *by;
    void *engine;
    int streams[2]; /* read ends */
    int files;
    int signals;
    int interrupts;
    bool done, ended;
    struct err *err;
    int code;
};

static void on_result(void *arg, const struct run_result *result)
{
    struct session *s = arg;
    s->outcome->result = *result;
    s->done = true;
}

static void on_refused(void *arg, const struct err *err)
{
    struct session *s = arg;
    s->code = err->code < 0 ? err->code : -EIO;
    if (s->err)
        *s->err = *err;
    s->done = true;
}

static int keep(struct sandbox_kept *kept, const void *bytes, size_t len)
{
    if (len == 0)
        return 0;
    uint8_t *grown = realloc(kept->bytes, kept->used + len);
    if (!grown)
        return -ENOMEM;
    memcpy(grown + kept->used, bytes, len);
    kept->bytes = grown;
    kept->used += len;
    return 0;
}

static int forward(struct session *s, int i, const void *bytes, size_t len)
{
    if (s->options->json)
        return keep(&s->outcome->kept[i], bytes, len);
    return fd_write_all(i == 0 ? STDOUT_FILENO : STDERR_FILENO, bytes, len);
}

/* Our own fault, and the end. */
static void give_up(struct session *s, int code, const char *what)
{
    s->code = err_set(s->err, code, "%s: %s", what, strerror(-code));
}

/* A reader that is gone wants no more; anything else would be output lost in silence. */
static void forward_or_end(struct session *s, int i, const void *bytes, size_t len)
{
    int r = forward(s, i, bytes, len);
    if (r < 0 && r != -EPIPE)
        give_up(s, r, "pass on the program's output");
    if (r != -EPIPE || s->ended)
        return;
    s->ended = true;
    s->by->end(s->engine, SPAWN_END_CANCELLED);
}

static void finish_stream(struct session *s, int i)
{
    struct output_piece tail[2] = {{NULL, 0}, {NULL, 0}};
    output_tail(&s->outcome->counters[i], tail);
    for (int k = 0; k < 2; k++)
        forward_or_end(s, i, tail[k].bytes, tail[k].len);
    s->streams[i] = fd_close(s->streams[i]);
}

static void pump_stream(struct session *s, int i)
{
    char buf[65536];
    struct output *out = &s->outcome->counters[i];
    ssize_t n = read(s->streams[i], buf, sizeof(buf));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    size_t len = 0;
    uint64_t offset;
    if (n == 0) {
        finish_stream(s, i);
        return;
    }
    int r = n < 0 ? -errno : output_feed(out, buf, (size_t)n, &len, &offset);
    if (r < 0) {
        give_up(s, r, "read the program's output");
        return;
    }
    forward_or_end(s, i, buf, len);
    if (output_must_end(out) && !s->ended) {
        s->ended = true;
        s->by->end(s->engine, SPAWN_END_OUTPUT);
    }
}

/* The first one is the program's, the second is for us. */
static void on_signal(struct session *s)
{
    struct signalfd_siginfo info;
    if (read(s->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    if (s->interrupts++ == 0 && info.ssi_signo == SIGINT)
        s->by->signal(s->engine, SIGINT);
    else
        s->by->end(s->engine, SPAWN_END_CANCELLED);
}

static bool over(const struct session *s)
{
    return s->done && s->streams[0] < 0 && s->streams[1] < 0 && s->files < 0;
}

static int pump(struct session *s, struct err *err)
{
    while (!over(s) && s->code == 0) {
        struct pollfd p[] = {{.fd = s->done ? -1 : s->by->fd(s->engine), .events = POLLIN},
                             {.fd = s->streams[0], .events = POLLIN},
                             {.fd = s->streams[1], .events = POLLIN},
                             {.fd = s->files, .events = POLLIN},
                             {.fd = s->signals, .events = POLLIN}};
        if (poll(p, 5, -1) < 0 && errno != EINTR)
            return err_set(err, -errno, "poll: %m");
        for (int i = 0; i < 2; i++)
            if (p[1 + i].revents)
                pump_stream(s, i);
        if (p[3].revents && sandbox_outputs_feed(&s->outcome->outputs, s->files, err) <= 0)
            s->files = fd_close(s->files);
        if (p[4].revents)
            on_signal(s);
        if (p[0].revents) {
            int r = s->by->dispatch(s->engine, err);
            if (r < 0)
                return r;
        }
    }
    return s->code;
}

/* With a directory of the host in hand a program could open what lies around it. */
static int check_stdin(struct err *err)
{
    struct stat st;
    if (fstat(STDIN_FILENO, &st) == 0 && S_ISDIR(st.st_mode))
        return err_set(err, -EINVAL, "stdin is a directory");
    return 0;
}

/* A terminal is open for writing, too: past every count of what the program prints. */
static int input_only(void)
{
    int fd = isatty(STDIN_FILENO) ? open("/proc/self/fd/0", O_RDONLY | O_NOCTTY | O_CLOEXEC) : -1;
    return fd >= 0 ? fd : STDIN_FILENO;
}

static int open_streams(struct session *s, struct spawn_fds *fds, struct err *err)
{
    int pair[3][2];
    for (int i = 0; i < 3; i++)
        if (pipe2(pair[i], O_CLOEXEC) < 0)
            return err_set(err, -errno, "pipe: %m");
    for (int i = 0; i < 2; i++)
        fd_let_reopen(pair[i][1], true);
    fd_let_reopen(STDIN_FILENO, false);
    s->streams[0] = pair[0][0];
    s->streams[1] = pair[1][0];
    *fds = (struct spawn_fds){.stdin_fd = input_only(),
                              .stdout_fd = pair[0][1],
                              .stderr_fd = pair[1][1],
                              .files_in_fd = -EBADF,
                              .files_out_fd = pair[2][1]};
    bool collect = s->options->json || s->options->output_dir;
    if (collect) {
        s->files = pair[2][0];
    } else {
        fd_close(pair[2][0]);
        fds->files_out_fd = fd_close(pair[2][1]);
    }
    return 0;
}

static int start(struct session *s, struct err *err)
{
    struct sandbox_options *o = s->options;
    struct limits limits;
    int r = limits_resolve(&o->limits, NULL, NULL, &limits, err);
    for (int i = 0; r == 0 && i < 2; i++)
        output_init(&s->outcome->counters[i], limits.v[LIMIT_OUTPUT], false);
    struct spawn_fds fds;
    if (r == 0)
        r = check_stdin(err);
    if (r == 0)
        r = open_streams(s, &fds, err);
    if (r < 0)
        return r;
    struct sbx_spec spec = {.argv = o->argv,
                            .envp = o->env,
                            .cwd = o->cwd,
                            .limits = o->limits,
                            .policy = o->policy,
                            .layers = o->layers,
                            .collect = s->files >= 0,
                            .tenant = "cli"};
    r = s->by->run(s->engine, &spec, &fds, err);
    if (fds.stdin_fd != STDIN_FILENO)
        fd_close(fds.stdin_fd);
    fd_close(fds.stdout_fd);
    fd_close(fds.stderr_fd);
    fd_close(fds.files_out_fd);
    return r;
}

void sandbox_block_signals(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGINT);
    sigaddset(ret, SIGTERM);
    sigaddset(ret, SIGHUP);
    sigprocmask(SIG_BLOCK, ret, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int watch_signals(struct session *s, const sigset_t *set, struct err *err)
{
    s->signals = signalfd(-1, set, SFD_CLOEXEC);
    return s->signals < 0 ? err_set(err, -errno, "signalfd: %m") : 0;
}

int sandbox_session(const struct sandbox_engine *by, struct sandbox_options *options,
                    struct sandbox_outcome *ret, struct err *err)
{
    struct session s = {.options = options,
                        .outcome = ret,
                        .by = by,
                        .streams = {-EBADF, -EBADF},
                        .files = -EBADF,
                        .signals = -EBADF,
                        .err = err};
    const struct engine_events events = {on_result, on_refused, &s};
    sigset_t signals;
    sandbox_block_signals(&signals);
    /* First the engine, which may have its own use for the first descriptors. */
    int r = by->begin(options, &events, &s.engine, err);
    if (r == 0)
        r = watch_signals(&s, &signals, err);
    if (r == 0)
        r = start(&s, err);
    if (r == 0)
        r = pump(&s, err);
    if (r == 0 && (output_limit_hit(&ret->counters[0]) || output_limit_hit(&ret->counters[1]))) {
        ret->result.limits_hit |= 1u << LIMIT_OUTPUT;
        result_explain(&ret->result); /* its words name the limits */
    }
    for (int i = 0; i < 2; i++)
        fd_close(s.streams[i]);
    fd_close(s.files);
    fd_close(s.signals);
    by->free(s.engine);
    return r;
}

int sandbox_complain(const struct err *err)
{
    bool asked_wrongly = err->code == -EINVAL || err->code == -ERANGE || err->code == -E2BIG;
    fprintf(stderr, "cloister: %s\n", err->text);
    return asked_wrongly ? CLI_EXIT_REFUSED : CLI_EXIT_OURS;
}

int sandbox_say(const struct sandbox_outcome *outcome)
{
    const struct run_result *result = &outcome->result;
    if (result->verdict != VERDICT_EXITED)
        fprintf(stderr, "cloister: %s: %s\n", verdict_name(result->verdict), run_message(result));
    else if (*result->explanation.message && result->exit_code >= 126)
        fprintf(stderr, "cloister: %s\n", result->explanation.message);
    return result_exit_status(result);
}

void sandbox_outcome_done(struct sandbox_outcome *outcome)
{
    for (int i = 0; i < 2; i++) {
        output_done(&outcome->counters[i]);
        free(outcome->kept[i].bytes);
    }
    sandbox_outputs_done(&outcome->outputs);
}
