/*
 * frontgw: the gateway for people. Order of things: settings, then parts (store, people, files
 * ...), then listeners, then threads, then the seccomp filter, and only then requests. Down again
 * in reverse: no new connections, answer what is being answered, workers, loops, parts.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/guard.h"
#include "base/log.h"
#include "base/notify.h"
#include "frontgw/context.h"
#include "frontgw/http/assets.h"
#include "frontgw/http/http.h"
#include "frontgw/http/job.h"
#include "frontgw/http/route.h"
#include "frontgw/limits/limiter.h"
#include "frontgw/ops/metrics.h"
#include "frontgw/ops/routes.h"
#include "frontgw/ops/scrape.h"
#include "frontgw/ops/settings.h"
#include "frontgw/part.h"

enum { EXIT_USAGE = 2 };

struct gateway {
    struct gw_settings settings;
    struct gw_context context;
    struct gw_router *router;
    struct gw_assets *assets;
    struct scrape *scrape;
    char *redis_password;
    size_t parts_open;
};

static void usage(FILE *out)
{
    fputs("usage: frontgw [--config FILE] [--set SECTION.KEY=VALUE]... [COMMAND]\n"
          "\n"
          "Without a command: serve.\n"
          "  --check-config   say whether the settings are good, and end\n"
          "  --print-config   print the settings as they are in force, and end\n"
          "  --print-routes   print the route table as JSON, and end\n"
          "  --version, --help\n"
          "\ncommands:\n",
          out);
    for (const struct gw_command *c = gw_commands; c->name; c++)
        fprintf(out, "  %s %s\n      %s\n", c->name, c->arguments, c->help);
}

/* ---- up ---- */

static int add_routes(struct gateway *gw, struct err *err)
{
    int r = gw_router_new(&gw->router, err);

    for (size_t i = 0; r == 0 && gw_parts[i]; i++) {
        const struct gw_part *part = gw_parts[i];
        for (size_t t = 0; r == 0 && part->tables && part->tables[t]; t++)
            r = gw_router_add(gw->router, part->tables[t], part->table_sizes[t], err);
    }
    gw->context.router = gw->router;
    return r;
}

static int make_limiter(struct gateway *gw, struct err *err)
{
    const struct gw_settings *s = &gw->settings;
    struct gw_limiter_config config = {
        .per_minute = {[GW_LIMIT_USER] = (unsigned)s->rate_user,
                       [GW_LIMIT_ADDRESS] = (unsigned)s->rate_address,
                       [GW_LIMIT_FILES] = (unsigned)s->rate_files,
                       [GW_LIMIT_CLASS] = (unsigned)s->rate_class},
        .redis = s->redis,
        .redis_deadline_ms = (unsigned)s->redis_deadline_ms,
        .gateways = (unsigned)s->gateways,
        .metrics = gw->context.metrics,
    };

    if (*s->redis_password_file) {
        ssize_t n = file_read_text(s->redis_password_file, 4096, &gw->redis_password, err);
        if (n < 0)
            return (int)n;
        gw->redis_password[strcspn(gw->redis_password, "\r\n")] = '\0';
        config.redis_password = gw->redis_password;
    }
    return gw_limiter_new(&config, &gw->context.limiter, err);
}

static int make_pool(struct gateway *gw, struct err *err)
{
    const struct gw_settings *s = &gw->settings;
    const struct gw_lane_config lanes[GW_LANE_COUNT] = {
        [GW_LANE_MAIN] = {(unsigned)s->workers_main, s->queue_main, 0},
        /* Hashing takes whole cores: everybody else goes first. */
        [GW_LANE_PASSWORD] = {(unsigned)s->workers_password, s->queue_password, 10},
        [GW_LANE_BULK] = {(unsigned)s->workers_bulk, s->queue_bulk, 5},
    };

    return gw_pool_new(lanes, &gw->context.pool, err);
}

static int open_parts(struct gateway *gw, struct err *err)
{
    for (size_t i = 0; gw_parts[i]; i++) {
        int r = gw_parts[i]->open ? gw_parts[i]->open(&gw->context, err) : 0;
        if (r < 0)
            return err_prefix(err, "%s", gw_parts[i]->name);
        gw->parts_open = i + 1;
    }
    return 0;
}

static int start_parts(struct gateway *gw, struct err *err)
{
    for (size_t i = 0; gw_parts[i]; i++) {
        int r = gw_parts[i]->start ? gw_parts[i]->start(&gw->context, err) : 0;
        if (r < 0)
            return err_prefix(err, "%s", gw_parts[i]->name);
    }
    return 0;
}

static int make_scrape(struct gateway *gw, struct err *err)
{
    const struct gw_settings *s = &gw->settings;

    if (!s->metrics_enabled)
        return 0;
    return scrape_new(s->metrics_address, (uint16_t)s->metrics_port, s->metrics_token_file,
                      gw->context.metrics, &gw->scrape, err);
}

static int build(struct gateway *gw, struct err *err)
{
    const struct gw_settings *s = &gw->settings;

    if (mkdir(s->data_directory, 0700) < 0 && errno != EEXIST)
        return err_set(err, -errno, "make data directory %s: %m", s->data_directory);
    int r = add_routes(gw, err);
    if (r == 0)
        r = gw_metrics_new(gw->router, &gw->context.metrics, err);
    if (r == 0)
        r = make_limiter(gw, err);
    if (r == 0)
        r = gw_assets_load(s->web_root, &gw->assets, err);
    if (r == 0)
        r = open_parts(gw, err);
    if (r == 0)
        r = make_pool(gw, err);
    if (r == 0)
        r = make_scrape(gw, err);
    struct gw_http_parts parts = {&gw->context, gw->router, gw->assets, gw->context.metrics};
    if (r == 0)
        r = gw_http_new(&parts, &gw->context.http, err);
    return r;
}

static int start(struct gateway *gw, struct err *err)
{
    int r = start_parts(gw, err);

    if (r == 0 && gw->scrape)
        r = scrape_start(gw->scrape, err);
    if (r == 0 && gw->settings.seccomp)
        r = guard_filter(false, err);
    if (r == 0)
        r = gw_http_start(gw->context.http, err);
    return r;
}

/* ---- down ---- */

static void tear_down(struct gateway *gw)
{
    if (gw->context.pool)
        gw_pool_stop(gw->context.pool);
    if (gw->context.http)
        gw_http_stop(gw->context.http);
    scrape_free(gw->scrape);
    gw->context.pool = gw_pool_free(gw->context.pool);
    gw->context.http = gw_http_free(gw->context.http);
    while (gw->parts_open > 0) {
        const struct gw_part *part = gw_parts[--gw->parts_open];
        if (part->close)
            part->close(&gw->context);
    }
    gw_limiter_free(gw->context.limiter);
    gw_assets_free(gw->assets);
    gw_metrics_free(gw->context.metrics);
    gw_router_free(gw->router);
    free(gw->redis_password);
}

/* ---- serving ---- */

static void reload(struct gateway *gw)
{
    struct err err = {0};

    if (gw_http_reload_tls(gw->context.http, &err) < 0)
        log_error("tls.reload_failed", err.text, LOG_I64("code", err.code));
    else
        log_info("tls.reloaded", "certificate and key were read again");
}

static void wait_for_end(struct gateway *gw, const sigset_t *signals)
{
    for (;;) {
        int signo = 0;
        if (sigwait(signals, &signo) != 0)
            continue;
        if (signo == SIGHUP) {
            reload(gw);
            continue;
        }
        notify_send("STOPPING=1");
        log_info("frontgw.draining", "no new connections; open requests are answered",
                 LOG_I64("signal", signo));
        bool whole = gw_http_drain(gw->context.http, gw->settings.drain_ms);
        log_info("frontgw.drained",
                 whole ? "everything was answered" : "the time was over before everything was");
        return;
    }
}

static int serve(struct gateway *gw)
{
    struct err err = {0};
    sigset_t signals;
    int level = log_level_by_name(gw->settings.log_level);

    notify_take();
    log_init("frontgw", level < 0 ? LOG_INFO : (enum log_level)level);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL);

    gw->context.settings = &gw->settings;
    int r = build(gw, &err);
    if (r == 0)
        r = start(gw, &err);
    if (r < 0) {
        log_error("frontgw.start_failed", err.text, LOG_I64("code", err.code));
    } else {
        log_info("frontgw.serving", "ready for requests",
                 LOG_STR("address", gw->settings.listen_address),
                 LOG_U64("port", gw_http_port(gw->context.http)),
                 LOG_STR("tls", *gw->settings.certificate ? "yes" : "no, loopback only"),
                 LOG_U64("metrics_port", gw->scrape ? scrape_port(gw->scrape) : 0),
                 LOG_U64("assets", gw_assets_count(gw->assets)),
                 LOG_STR("seccomp", gw->settings.seccomp ? "on" : "off"));
        notify_send("READY=1");
        wait_for_end(gw, &signals);
    }
    tear_down(gw);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- command line ---- */

static int print_routes(struct gateway *gw)
{
    struct err err = {0};
    int r = add_routes(gw, &err);

    if (r == 0)
        r = gw_routes_print(gw->router, stdout);
    if (r < 0)
        fprintf(stderr, "frontgw: %s\n", err.text);
    gw_router_free(gw->router);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_command(struct gateway *gw, int argc, char **argv)
{
    for (const struct gw_command *c = gw_commands; c->name; c++) {
        if (strcmp(c->name, argv[0]) == 0)
            return c->run(&gw->settings, argc, argv);
    }
    fprintf(stderr, "frontgw: there is no command %s\n", argv[0]);
    usage(stderr);
    return EXIT_USAGE;
}

struct line {
    const char *action; /* --check-config ... or NULL */
    const char *config;
    int rest; /* index of the command */
};

/* Flags before the command. Return: 0 or -EINVAL, said on stderr. */
static int parse_line(int argc, char **argv, struct line *ret)
{
    *ret = (struct line){.config = getenv("FRONTGW_CONFIG"), .rest = 1};
    for (; ret->rest < argc && argv[ret->rest][0] == '-'; ret->rest++) {
        const char *flag = argv[ret->rest];
        bool takes = strcmp(flag, "--config") == 0 || strcmp(flag, "--set") == 0;
        if (takes && ++ret->rest == argc) {
            fprintf(stderr, "frontgw: %s needs a value\n", flag);
            return -EINVAL;
        }
        if (strcmp(flag, "--config") == 0)
            ret->config = argv[ret->rest];
        else if (!takes)
            ret->action = flag;
    }
    return 0;
}

static int load_settings(struct gateway *gw, const struct line *line, char **argv, struct err *err)
{
    int r = gw_settings_init(&gw->settings, err);

    if (r == 0 && line->config)
        r = gw_settings_file(&gw->settings, line->config, err);
    if (r == 0)
        r = gw_settings_environment(&gw->settings, err);
    for (int i = 1; r == 0 && i < line->rest; i++) {
        if (strcmp(argv[i], "--set") == 0)
            r = gw_settings_set(&gw->settings, argv[++i], err);
    }
    return r == 0 ? gw_settings_check(&gw->settings, err) : r;
}

static int act(struct gateway *gw, const struct line *line, int argc, char **argv)
{
    if (!line->action)
        return line->rest < argc ? run_command(gw, argc - line->rest, argv + line->rest)
                                 : serve(gw);
    if (strcmp(line->action, "--check-config") == 0) {
        puts("the settings are good");
        return EXIT_SUCCESS;
    }
    if (strcmp(line->action, "--print-config") == 0) {
        gw_settings_print(&gw->settings, stdout);
        return EXIT_SUCCESS;
    }
    if (strcmp(line->action, "--print-routes") == 0)
        return print_routes(gw);
    /* "--migrate-only" is the command "migrate-only" in the dress that operators expect. */
    char *words[] = {(char *)(uintptr_t)line->action + 2, NULL};
    return strncmp(line->action, "--", 2) == 0 ? run_command(gw, 1, words) : EXIT_USAGE;
}

int main(int argc, char **argv)
{
    struct gateway gw = {0};
    struct err err = {0};
    struct line line;

    if (parse_line(argc, argv, &line) < 0)
        return EXIT_USAGE;
    if (line.action && strcmp(line.action, "--help") == 0) {
        usage(stdout);
        return EXIT_SUCCESS;
    }
    if (line.action && strcmp(line.action, "--version") == 0) {
        puts("frontgw " CLOISTER_VERSION);
        return EXIT_SUCCESS;
    }
    if (load_settings(&gw, &line, argv, &err) < 0) {
        fprintf(stderr, "frontgw: %s\n", err.text);
        gw_settings_done(&gw.settings);
        return EXIT_USAGE;
    }
    int status = act(&gw, &line, argc, argv);
    gw_settings_done(&gw.settings);
    return status;
}
