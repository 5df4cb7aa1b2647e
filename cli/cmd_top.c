/*
 * `cloister top`: what runs and what waits, again and again.
 *
 * Everything is one Node.Watch call; each of its messages is a page, or a line of JSON. Rates need
 * two messages, so --once waits for the second.
 */

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/client_node.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/loop.h"
#include "cli/commands.h"
#include "cli/service.h"
#include "cli/top_figures.h"
#include "cli/top_screen.h"
#include "cli/top_view.h"

#define TIMEOUT_MS      5000
#define REPLY_CAP       ((size_t)4 << 20)
#define INTERVAL_MIN_MS 200
#define INTERVAL_MAX_MS 60000
#define ONCE_MS         500
#define NOT_YET         (-1)

static const char help[] =
    "cloister top [options]\n"
    "\n"
    "Shows what the service runs and who waits, live: q or Ctrl-C ends it. Your own runs are\n"
    "listed; the operator (root, and the service's own user) sees everybody's.\n"
    "\n"
    "  --once              print it once and end; also what happens without a terminal\n"
    "  --json              a JSON object a line, for each update; with --once just one\n"
    "  --interval TIME     between two updates, 200ms to 60s; default 1s\n" SERVICE_HELP "\n"
    "Exit status: 0; 125: the service failed or is not there; 126: refused.\n";

struct top {
    struct service_place place;
    uint32_t interval_ms;
    bool once, json;

    struct loop *loop;
    struct loop_io rpc_io, keys_io;
    struct client *client;
    struct client_watch *watch;
    struct arena arena; /* holds info */
    const Cloister__Exec__V1__NodeInfo *info;
    struct top_figures figures;
    struct top_screen screen;
    unsigned updates;
    int exit_status;
};

static void finish(struct top *top, int exit_status)
{
    top->exit_status = exit_status;
    loop_stop(top->loop);
}

static void finish_failed(struct top *top, const char *words, int exit_status)
{
    top_screen_close(&top->screen);
    fprintf(stderr, "cloister: %s\n", words);
    finish(top, exit_status);
}

/* Says why there is no answer. Return: the exit status. */
static int no_answer(struct top *top, const struct rpc_status *status)
{
    char words[1024];
    int exit_status = rpc_code_exit_status((int)status->code);
    service_explain(&top->place, status, words, sizeof(words));
    finish_failed(top, words, exit_status);
    return exit_status;
}

/* ---- what is shown ------------------------------------------------------------------------ */

/* Whoever read our output may have gone, as in `cloister top --json | head -1`. */
static void written(struct top *top, int rc)
{
    if (rc < 0)
        finish(top, 128 + SIGPIPE);
}

static void draw(struct top *top)
{
    AUTO_FREE char *text = NULL;
    size_t len = 0;
    struct top_page page = {.out = open_memstream(&text, &len), .screen = top->screen.open};
    if (!page.out) {
        finish_failed(top, strerror(errno), CLI_EXIT_OURS);
        return;
    }
    top_screen_size(&page.rows, &page.cols);
    top_view_print(&page, top->info, &top->figures);
    fclose(page.out);
    written(top, page.screen ? top_screen_draw(text, len) : fd_write_all(STDOUT_FILENO, text, len));
}

static void on_stats(void *arg, const top_stats *stats)
{
    struct top *top = arg;
    if (top->exit_status != NOT_YET)
        return;
    if (top_figures_take(&top->figures, stats) < 0) {
        finish_failed(top, strerror(ENOMEM), CLI_EXIT_OURS);
        return;
    }
    top->updates++;
    if (top->once && top->updates < 2)
        return;
    if (top->json)
        written(top, top_json_print(stdout, top->info, &top->figures, NULL));
    else
        draw(top);
    if (top->once && top->exit_status == NOT_YET)
        finish(top, 0);
}

static void on_end(void *arg, const struct rpc_status *status)
{
    struct top *top = arg;
    if (top->exit_status == NOT_YET)
        (void)no_answer(top, status);
}

static const struct client_watch_events events = {.on_stats = on_stats, .on_end = on_end};

/* ---- what is typed ------------------------------------------------------------------------ */

static void on_keys(struct loop_io *io, uint32_t ready)
{
    (void)ready;
    struct top *top = container_of(io, struct top, keys_io);
    char typed[64];
    ssize_t n = read(STDIN_FILENO, typed, sizeof(typed));
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0 || memchr(typed, 'q', (size_t)n) || memchr(typed, 'Q', (size_t)n))
        finish(top, 0);
}

static void on_signal(struct loop *loop, int signo, void *arg)
{
    (void)loop;
    struct top *top = arg;
    if (signo == SIGWINCH) {
        if (top->screen.open && top_newest(&top->figures))
            draw(top);
        return;
    }
    finish(top, signo == SIGINT ? 0 : 128 + signo);
}

static int watch_signals(struct top *top, struct err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGWINCH);
    signal(SIGPIPE, SIG_IGN);
    return loop_signals(top->loop, &set, on_signal, top, err);
}

/* ---- beginning and end -------------------------------------------------------------------- */

static void on_rpc(struct loop_io *io, uint32_t ready)
{
    (void)ready;
    client_dispatch(container_of(io, struct top, rpc_io)->client);
}

static int open_screen(struct top *top, struct err *err)
{
    if (top->once || top->json)
        return 0;
    int rc = top_screen_open(&top->screen, err);
    if (rc == 0 && top->screen.keys)
        rc = loop_io_add(top->loop, &top->keys_io, STDIN_FILENO, EPOLLIN, on_keys, err);
    return rc;
}

static int begin(struct top *top, struct err *err)
{
    struct client_watch_options options = {.interval_ms = top->once ? ONCE_MS : top->interval_ms,
                                           .runs = true};
    int rc = loop_io_add(top->loop, &top->rpc_io, client_fd(top->client), EPOLLIN, on_rpc, err);
    if (rc == 0)
        rc = open_screen(top, err);
    if (rc == 0)
        rc = client_node_watch(top->client, &options, &events, top, &top->watch, err);
    return rc == 0 ? loop_run(top->loop, err) : rc;
}

/* Return: the exit status. */
static int show(struct top *top)
{
    struct err err = {0};
    struct rpc_status status;
    const struct client_options options = service_client(&top->place, NULL);
    /* Signals first: gRPC's threads are to have them blocked too. */
    int rc = loop_new(&top->loop, &err);
    if (rc == 0)
        rc = watch_signals(top, &err);
    if (rc == 0)
        rc = client_new(&options, &top->client, &err);
    if (rc < 0) {
        fprintf(stderr, "cloister: %s\n", err.text);
        return CLI_EXIT_OURS;
    }
    if (client_node_info(top->client, TIMEOUT_MS, &top->arena, &top->info, &status) < 0)
        return no_answer(top, &status);
    if (begin(top, &err) < 0)
        finish_failed(top, err.text, CLI_EXIT_OURS);
    return top->exit_status;
}

static int parse_interval(struct top *top, const char *text, struct err *err)
{
    uint64_t ms;
    int rc = time_parse(text, &ms, err);
    if (rc < 0)
        return err_prefix(err, "--interval");
    if (ms < INTERVAL_MIN_MS || ms > INTERVAL_MAX_MS)
        return err_set(err, -ERANGE, "--interval: %s is not between 200ms and 60s", text);
    top->interval_ms = (uint32_t)ms;
    return 0;
}

/* Return: 0, 1 after --help, or a negative errno. */
static int parse(int argc, char **argv, struct top *top, struct err *err)
{
    static const struct option options[] = {{"once", no_argument, NULL, 'o'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"interval", required_argument, NULL, 'i'},
                                            SERVICE_OPTIONS,
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    int option, rc = 0;
    opterr = 0;
    while (rc == 0 && (option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return 1;
        }
        if (option == 'o')
            top->once = true;
        else if (option == 'j')
            top->json = true;
        else if (option == 'i')
            rc = parse_interval(top, optarg, err);
        else if (!service_option(&top->place, option, optarg))
            rc = err_set(err, -EINVAL,
                         "%s: unknown option, or its value is missing; `cloister top --help` lists "
                         "them",
                         argv[optind - 1]);
    }
    if (rc == 0 && optind < argc)
        rc = err_set(err, -EINVAL, "%s: `cloister top` takes options only", argv[optind]);
    return rc == 0 ? service_find(&top->place, err) : rc;
}

int cmd_top(int argc, char **argv)
{
    struct top top = {.exit_status = NOT_YET};
    struct err err = {0};
    int rc = parse(argc, argv, &top, &err);
    if (rc < 0)
        fprintf(stderr, "cloister: %s\n", err.text);
    if (rc != 0)
        return rc < 0 ? CLI_EXIT_REFUSED : 0;
    if (!top.json && !isatty(STDOUT_FILENO))
        top.once = true;
    arena_init(&top.arena, REPLY_CAP);
    top_figures_init(&top.figures);
    int exit_status = show(&top);
    top_screen_close(&top.screen);
    loop_io_remove(&top.keys_io);
    loop_io_remove(&top.rpc_io);
    client_watch_free(top.watch);
    client_free(top.client);
    loop_free(top.loop);
    top_figures_done(&top.figures);
    arena_done(&top.arena);
    return exit_status;
}
