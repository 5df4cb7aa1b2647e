#include "frontgw/ops/rules.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define GB (1024.0 * 1024.0 * 1024.0)

/* Of the gateway, per person with an open page: connections with TLS, a session, their windows. */
#define BYTES_PER_PERSON (256.0 * 1024.0)

const char *severity_name(enum severity severity)
{
    static const char *const names[] = {"ok", "warning", "critical"};

    return names[severity];
}

/* Each row reads one figure (negative: not known here) and says in words how things stand. */
struct rule {
    const char *name;
    double (*value)(const struct figures *f);
    double warning, critical; /* at or beyond; critical > warning: more is worse, else less is */
    void (*state)(const struct figures *f, double value, char *buf, size_t size);
    const char *warning_action, *critical_action;
};

static double part_of(double part, double whole)
{
    return whole > 0 ? 100 * part / whole : -1;
}

static double memory_free(const struct figures *f)
{
    return part_of((double)f->sys.memory_available, (double)f->sys.memory_total);
}

static void say_memory(const struct figures *f, double value, char *buf, size_t size)
{
    snprintf(buf, size, "%.1f GB of memory are free (%.0f %%): enough for about %.0f more people",
             (double)f->sys.memory_available / GB, value,
             (double)f->sys.memory_available / 2 / BYTES_PER_PERSON);
}

static double memory_pressure(const struct figures *f)
{
    return f->sys.memory_pressure;
}

static void say_memory_pressure(const struct figures *f, double value, char *buf, size_t size)
{
    (void)f;
    snprintf(buf, size, "in the last minute something waited for memory %.0f %% of the time",
             value);
}

static double cpu_pressure(const struct figures *f)
{
    return f->sys.cpu_pressure;
}

static void say_cpu(const struct figures *f, double value, char *buf, size_t size)
{
    snprintf(buf, size, "load %.1f on %u cores; something waited for a core %.0f %% of the time",
             f->sys.load1, f->sys.cores, value);
}

static double io_pressure(const struct figures *f)
{
    return f->sys.io_pressure;
}

static void say_io(const struct figures *f, double value, char *buf, size_t size)
{
    (void)f;
    snprintf(buf, size, "something waited for the disk %.0f %% of the time", value);
}

static double disk_used(const struct figures *f)
{
    return f->sys.disk_total ? 100 - part_of((double)f->sys.disk_free, (double)f->sys.disk_total)
                             : -1;
}

static void say_disk(const struct figures *f, double value, char *buf, size_t size)
{
    /* The quota of a workspace is 150 MB. */
    snprintf(buf, size, "the disk is %.0f %% full: %.1f GB are left, room for %.0f full workspaces",
             value, (double)f->sys.disk_free / GB,
             (double)f->sys.disk_free / (150.0 * 1024 * 1024));
}

static double connections(const struct figures *f)
{
    return part_of((double)f->connections, (double)f->connections_max);
}

static void say_connections(const struct figures *f, double value, char *buf, size_t size)
{
    /* A browser keeps up to six. */
    snprintf(buf, size, "%llu of %llu connections are open (%.0f %%): room for %llu more browsers",
             (unsigned long long)f->connections, (unsigned long long)f->connections_max, value,
             (unsigned long long)(f->connections_max - f->connections) / 6);
}

static double fds(const struct figures *f)
{
    return part_of((double)f->sys.process.fds_open, (double)f->sys.process.fds_max);
}

static void say_fds(const struct figures *f, double value, char *buf, size_t size)
{
    snprintf(buf, size, "%llu of %llu file descriptors are in use (%.0f %%)",
             (unsigned long long)f->sys.process.fds_open,
             (unsigned long long)f->sys.process.fds_max, value);
}

static double login_wait(const struct figures *f)
{
    return (double)f->login_wait_ms;
}

static void say_logins(const struct figures *f, double value, char *buf, size_t size)
{
    (void)f;
    snprintf(buf, size, "a login waited up to %.1f s for its turn", value / 1000);
}

static double worker_wait(const struct figures *f)
{
    return (double)f->worker_wait_ms;
}

static void say_workers(const struct figures *f, double value, char *buf, size_t size)
{
    snprintf(buf, size, "a request waited up to %.1f s for a worker; %llu were refused a minute",
             value / 1000, (unsigned long long)f->workers_refused_per_min);
}

static double address_refused(const struct figures *f)
{
    return (double)f->address_refused_per_min;
}

static void say_addresses(const struct figures *f, double value, char *buf, size_t size)
{
    (void)f;
    snprintf(buf, size, "%.0f requests a minute without a session were refused for their address",
             value);
}

static double database(const struct figures *f)
{
    return f->database_used >= 0 ? 100 * f->database_used : -1;
}

static void say_database(const struct figures *f, double value, char *buf, size_t size)
{
    (void)f;
    snprintf(buf, size, "%.0f %% of the connections to the database are in use", value);
}

static double redis(const struct figures *f)
{
    return f->redis < 0 ? -1 : f->redis ? 0 : 1;
}

static void say_redis(const struct figures *f, double value, char *buf, size_t size)
{
    (void)f;
    snprintf(buf, size, "%s",
             value > 0 ? "Redis does not answer: every gateway limits alone, with its share"
                       : "Redis answers: the limits are shared");
}

static const struct rule rules[] = {
    {"memory", memory_free, 20, 8, say_memory,
     "plan for more memory, or spread the people over a second gateway",
     "add memory now, or start another gateway: new people will be turned away soon"},
    {"memory-pressure", memory_pressure, 10, 40, say_memory_pressure,
     "look which process grows (process_resident_memory_bytes) and add memory",
     "the machine is thrashing: end what is not needed, add memory"},
    {"cpu", cpu_pressure, 40, 80, say_cpu, "a further core, or executing on another machine, helps",
     "add cores or a second gateway; let heavy work wait (class-wide actions, archives)"},
    {"disk-wait", io_pressure, 30, 60, say_io, "put the data directory on a faster disk",
     "the disk cannot keep up: look for a backup or an import that runs now, use a faster disk"},
    {"disk", disk_used, 85, 95, say_disk,
     "thin old versions, remove finished courses, or enlarge the disk",
     "saving will fail soon: enlarge the disk now, or thin old versions"},
    {"connections", connections, 75, 95, say_connections,
     "raise listen.connections, or start a second gateway",
     "new browsers are being turned away: raise listen.connections (and LimitNOFILE)"},
    {"descriptors", fds, 75, 95, say_fds, "raise LimitNOFILE of the service",
     "raise LimitNOFILE of the service now: connections will fail"},
    {"logins", login_wait, 2000, 10000, say_logins,
     "raise workers.password if there are cores for it",
     "a class is logging in: it will pass; for the future more cores and workers.password"},
    {"workers", worker_wait, 500, 3000, say_workers,
     "raise workers.main, or look for a slow database (frontgw_http_request_duration_seconds)",
     "requests pile up: the database is slow or workers.main is too small"},
    {"addresses", address_refused, 10, 200, say_addresses,
     "if it is a school's address: pages should log in before they ask; raise rates.address",
     "somebody is trying passwords or a class is locked out: see the log (http.request, 429)"},
    {"database", database, 75, 95, say_database, "raise the pool, or look for slow statements",
     "requests wait for the database: raise the pool, look for slow statements"},
    {"redis", redis, 1, 2, say_redis,
     "see why Redis does not answer; nothing is let through "
     "meanwhile, but the shares are smaller",
     ""},
};

#define N_RULES (sizeof(rules) / sizeof(rules[0]))

size_t rules_count(void)
{
    return N_RULES;
}

static enum severity judge(const struct rule *rule, double value)
{
    bool more_is_worse = rule->critical > rule->warning;

    if (more_is_worse ? value >= rule->critical : value <= rule->critical)
        return SEVERITY_CRITICAL;
    if (more_is_worse ? value >= rule->warning : value <= rule->warning)
        return SEVERITY_WARNING;
    return SEVERITY_OK;
}

size_t rules_apply(const struct figures *figures, struct advice *ret, size_t max)
{
    static const char *const nothing = "";
    size_t n = 0;

    for (size_t i = 0; i < N_RULES && n < max; i++) {
        const struct rule *rule = &rules[i];
        double value = rule->value(figures);
        if (value < 0)
            continue;
        struct advice *a = &ret[n++];
        *a = (struct advice){.rule = rule->name,
                             .severity = judge(rule, value),
                             .value = value,
                             .warning = rule->warning,
                             .critical = rule->critical};
        rule->state(figures, value, a->state, sizeof(a->state));
        const char *action = a->severity == SEVERITY_CRITICAL  ? rule->critical_action
                             : a->severity == SEVERITY_WARNING ? rule->warning_action
                                                               : nothing;
        snprintf(a->action, sizeof(a->action), "%s", action);
    }
    return n;
}
