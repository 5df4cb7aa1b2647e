/*
 * The gRPC service. Started by the outer spawner with its own uid and the socket to the inner one.
 * Order: configuration, the spawner's hello, what it takes away from itself, then the network; the
 * runtimes answer in sandboxes before health says SERVING. SIGTERM drains. When the spawner is
 * gone, so is this process: their supervisor starts both again.
 */

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api/rpc_server.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/err.h"
#include "base/guard.h"
#include "base/log.h"
#include "execsvc/blob_store.h"
#include "execsvc/compile_cache.h"
#include "execsvc/exs.h"
#include "execsvc/heartbeat.h"
#include "execsvc/keep.h"
#include "execsvc/metrics_http.h"
#include "execsvc/options.h"
#include "execsvc/probe.h"
#include "execsvc/services.h"
#include "execsvc/spawner.h"
#include "execsvc/tls.h"

#define SPAWN_FD_VARIABLE "CLOISTER_SPAWN_FD"
#define NODE_EVERY_US     UINT64_C(2000000)
#define DRAIN_EVERY_US    UINT64_C(50000)
#define LAST_WORDS_STEPS  20 /* of 10 ms, for statuses to leave */

enum { EXIT_DRAINED = 0, EXIT_LOST = 1, EXIT_CONFIG = 2, EXIT_START = 3 };

static struct exs_config config;
static struct exs exs = {.config = &config};
static struct heartbeat *heartbeat;
static struct loop_timer drain_timer;
static uint64_t drain_until_us;

static void set_health(bool serving)
{
    static const char *const services[] = {"", "cloister.exec.v1.Execution",
                                           "cloister.exec.v1.Blobs", "cloister.exec.v1.Node"};
    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
        rpc_server_health(exs.rpc, services[i], serving);
}

static void on_drained(void *arg)
{
    (void)arg;
    loop_stop(exs.loop);
}

/* ---- the spawner ---- */

static void on_lost(void *arg, const struct err *err)
{
    (void)arg;
    log_error("spawner.lost", err->text);
    exs.lost = true;
    exs.ready = false;
    set_health(false);
    rpc_server_drain(exs.rpc, on_drained, NULL);
    rpc_server_cancel_all(exs.rpc);
    loop_stop(exs.loop);
}

static void on_node_stats(void *arg, const struct spawn_node_stats *stats)
{
    (void)arg;
    exs.node = *stats;
}

static void on_node_timer(struct loop_timer *timer)
{
    spawner_query_node(exs.spawner, NULL);
    exs_check_stalls(&exs);
    loop_timer_set(exs.loop, timer, clock_us() + NODE_EVERY_US, on_node_timer);
}

static int connect_spawner(struct err *err)
{
    static const struct spawner_events events = {.on_lost = on_lost,
                                                 .on_node_stats = on_node_stats};
    const char *text = getenv(SPAWN_FD_VARIABLE);
    unsigned long fd = 0;
    if (!text || config_u64(text, 3, 1024, &fd, NULL) < 0)
        return err_set(err, -EINVAL,
                       SPAWN_FD_VARIABLE " does not name a descriptor: cloister-spawner starts me");
    int r = spawner_new(exs.loop, (int)fd, &events, NULL, &exs.spawner, err);
    if (r < 0)
        return r;
    exs.ceilings = spawner_node(exs.spawner)->ceilings;
    exs.defaults = spawner_node(exs.spawner)->defaults;
    for (int id = 0; id < LIMIT_COUNT; id++)
        if (config.limits.v[id])
            exs.defaults.v[id] = config.limits.v[id];
    return exs_admission(&exs, err);
}

/* ---- signals ---- */

/*
 * While runs end, calls are still answered: new runs are refused with UNAVAILABLE, which says more
 * than a connection that goes away. Then gRPC is shut down. That would end when the last connection
 * closes, and an idle client may never close its own: they are closed here.
 */
static void on_drain_tick(struct loop_timer *timer)
{
    uint64_t now = clock_us();
    if (exs_has_work(&exs) && now < drain_until_us) {
        loop_timer_set(exs.loop, timer, now + DRAIN_EVERY_US, on_drain_tick);
        return;
    }
    exs_close(&exs);
    rpc_server_drain(exs.rpc, on_drained, NULL);
    rpc_server_cancel_all(exs.rpc);
}

static void begin_drain(void)
{
    log_info("service.draining", "no new runs; running ones may end",
             LOG_U64("drain_ms", config.drain_ms));
    set_health(false);
    exs_drain(&exs);
    drain_until_us = clock_us() + config.drain_ms * 1000;
    loop_timer_set(exs.loop, &drain_timer, clock_us() + DRAIN_EVERY_US, on_drain_tick);
}

static void on_signal(struct loop *loop, int signo, void *arg)
{
    (void)loop;
    (void)arg;
    if (signo == SIGHUP) {
        rpc_server_tls_reload(exs.rpc);
        return;
    }
    if (exs.draining)
        drain_until_us = 0; /* asked twice: now */
    else
        begin_drain();
}

static void on_too_much_memory(enum memory_verdict verdict, uint64_t bytes)
{
    if (exs.draining && verdict == MEMORY_DRAIN)
        return;
    log_error("memory.too_much",
              verdict == MEMORY_END ? "ending at once" : "ending when the runs have ended",
              LOG_U64("bytes", bytes), LOG_U64("memory_max", config.memory_max));
    if (verdict == MEMORY_END)
        _exit(EXIT_LOST);
    begin_drain();
}

static int catch_signals(struct err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    return loop_signals(exs.loop, &set, on_signal, NULL, err);
}

/* ---- start ---- */

static void raise_open_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* Without a name: the one group that the spawner has left us besides our own. */
static int find_group(gid_t *ret, struct err *err)
{
    gid_t given[2];
    *ret = (gid_t)-1;
    if (!*config.group) {
        if (getgroups(2, given) == 1)
            *ret = given[0];
        return 0;
    }
    const struct group *group = getgrnam(config.group);
    if (!group)
        return err_set(err, -ENOENT, "there is no group '%.64s'", config.group);
    *ret = group->gr_gid;
    return 0;
}

static void on_answered(void *arg, const char *path, enum rpc_code code, const char *reason)
{
    (void)arg;
    stats_answered(&exs.stats, path, code, reason);
}

/* People's runs matter more than figures about them: without its port the service still serves. */
static void open_metrics(void)
{
    struct err err = {0};
    if (strcmp(config.metrics, "off") == 0)
        return;
    if (metrics_http_new(&exs, config.metrics, &exs.metrics, &err) < 0)
        log_error("metrics.failed", err.text, LOG_I64("code", err.code));
    else
        log_info("metrics.listening", "GET /metrics",
                 LOG_U64("metrics_port", metrics_http_port(exs.metrics)));
}

/* Without blobs everything else works: no fault of the start. */
static void open_blobs(void)
{
    const struct spawn_node *node = spawner_node(exs.spawner);
    const struct blob_store_options options = {
        .root = node->cache_dir,
        .bytes_max = config.blob_cache,
        .tenant_bytes_max = config.blob_cache_per_tenant,
        .blob_bytes_max = config.blob_size,
        .puts_per_tenant = (uint32_t)config.blob_puts_per_tenant,
    };
    int r = node->inputs_fault[0] ? err_set(&exs.blobs_fault, -EOPNOTSUPP, "%s", node->inputs_fault)
                                  : blob_store_new(&options, exs.loop, &exs.stats.blobs, &exs.blobs,
                                                   &exs.blobs_fault);
    if (r < 0)
        log_warn("blobs.off", exs.blobs_fault.text, LOG_STR("cache_dir", node->cache_dir));
    else
        log_info("blobs.on", "files of more than 1 MiB travel as blobs",
                 LOG_STR("cache_dir", node->cache_dir), LOG_U64("blobs", exs.stats.blobs.blobs),
                 LOG_U64("bytes", exs.stats.blobs.bytes));
}

static int open_server(gid_t group, struct err *err)
{
    const struct rpc_server_options options = {.streams_per_connection_max =
                                                   (uint32_t)config.streams_max,
                                               .connections_max = (uint32_t)config.connections_max,
                                               .connections_per_uid_max =
                                                   (uint32_t)config.connections_per_uid_max,
                                               .reflection = config.reflection,
                                               .on_answered = on_answered,
                                               .admit_self = true,
                                               .on_peer_event = tls_log_event};
    const struct rpc_unix_options listen = {.path = config.socket, .gid = group};
    int r = rpc_server_new(exs.loop, &options, &exs.rpc, err);
    if (r == 0)
        r = service_execution_add(&exs, err);
    if (r == 0)
        r = service_blobs_add(&exs, err);
    if (r == 0)
        r = service_node_add(&exs, err);
    if (r == 0)
        r = rpc_server_listen_unix(exs.rpc, &listen, err);
    if (r == 0)
        r = tls_open(&exs, err);
    return r < 0 ? r : rpc_server_start(exs.rpc, err);
}

static void on_probed(struct exs *service)
{
    service->ready = true;
    if (!service->draining)
        set_health(true);
    log_info("service.ready", "serving", LOG_STR("socket", config.socket),
             LOG_STR("node", config.node), LOG_U64("running_max", config.running_max));
    struct err err = {0};
    if (heartbeat_start(config.socket, &heartbeat, &err) < 0) {
        log_error("service.failed", err.text, LOG_I64("code", err.code));
        service->lost = true;
        loop_stop(service->loop);
    }
}

static int start(struct err *err)
{
    gid_t group;
    raise_open_files();
    exs.stats.started_us = clock_us();
    int r = find_group(&group, err);
    if (r == 0)
        r = loop_new(&exs.loop, err);
    if (r == 0)
        r = catch_signals(err);
    if (r == 0)
        r = connect_spawner(err);
    if (r == 0)
        r = guard_install(err);
    if (r == 0)
        open_blobs();
    if (r == 0)
        r = open_server(group, err);
    if (r == 0)
        r = probe_start(&exs, on_probed, err);
    if (r < 0)
        return r;
    open_metrics();
    on_node_timer(&exs.node_timer);
    memory_watch_start(&exs, on_too_much_memory);
    return 0;
}

/* Not needed for the end of a process: it is what shows a leak to the sanitizers. */
static void tear_down(void)
{
    heartbeat = heartbeat_free(heartbeat);
    exs.metrics = metrics_http_free(exs.metrics);
    exs.rpc = rpc_server_free(exs.rpc); /* every call's end lets go of its run */
    exs.spawner = spawner_free(exs.spawner);
    probe_stop(&exs);
    exs_forget_runs(&exs);
    exs.keeps = keep_free(exs.keeps);
    exs.adm = adm_free(exs.adm);
    exs.blobs = blob_store_free(exs.blobs);
    exs.compiled = compile_cache_free(exs.compiled);
    exs.loop = loop_free(exs.loop);
    exs_config_done(&config);
}

static int serve(void)
{
    struct err err = {0};
    if (geteuid() == 0) {
        log_error("service.root", "execsvc does not run as root: cloister-spawner gives it a uid");
        return EXIT_START;
    }
    if (start(&err) < 0) {
        log_error("service.failed", err.text, LOG_I64("code", err.code));
        return EXIT_START;
    }
    if (loop_run(exs.loop, &err) < 0) {
        log_error("loop.failed", err.text, LOG_I64("code", err.code));
        return EXIT_LOST;
    }
    if (exs.lost) {
        for (int i = 0; i < LAST_WORDS_STEPS; i++)
            loop_step(exs.loop, 10, NULL);
        return EXIT_LOST;
    }
    tear_down();
    log_info("service.drained", "all runs have ended");
    return EXIT_DRAINED;
}

int main(int argc, char **argv)
{
    struct exs_options options;
    struct err err = {0};
    memory_set_up();
    exs_config_init(&config);
    log_init("execsvc", LOG_INFO);
    if (exs_options_read(argc, argv, &options, &config, &err) < 0) {
        fprintf(stderr, "execsvc: %s\n", err.text);
        return EXIT_CONFIG;
    }
    if (options.help) {
        fputs(exs_options_usage(), stdout);
    } else if (options.version) {
        puts("execsvc " CLOISTER_VERSION);
    } else if (options.print) {
        return exs_config_print(&config, stdout) < 0 ? EXIT_CONFIG : 0;
    } else if (options.check) {
        puts("the configuration is good");
    } else {
        log_init("execsvc", (enum log_level)log_level_by_name(config.log_level));
        int status = serve();
        if (status != EXIT_DRAINED)
            _exit(status); /* gRPC's threads still run: no destructors under their feet */
        return status;
    }
    return 0;
}
