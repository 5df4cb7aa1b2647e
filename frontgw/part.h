#pragma once
/*
 * frontgw is put together from parts (system, people, files ...). Each brings its routes, opens
 * what it needs before the first request and closes it after the last. parts.c lists them in the
 * order of opening; they close in reverse.
 */

#include <jansson.h>
#include <stddef.h>

struct err;
struct gw_context;
struct gw_route;
struct gw_settings;

struct gw_part {
    const char *name;
    const struct gw_route *const *tables; /* NULL-terminated list of tables ... */
    const size_t *table_sizes;            /* ... and how many rows each has */

    /** open() - before any thread runs; the context holds what earlier parts put there. May be
     * NULL, as all below. */
    int (*open)(struct gw_context *context, struct err *err);
    /** start() - workers run, requests do not come yet: register ticks (gw_pool_every) and metrics.
     */
    int (*start)(struct gw_context *context, struct err *err);
    /** close() - after the last request; also when open() of a later part failed. */
    void (*close)(struct gw_context *context);
    /** ready() - can requests be served now? A negative errno with words, if not. Worker thread. */
    int (*ready)(struct gw_context *context, struct err *err);
    /** figures() - add members to /health and /system-stats ("users", "sessions" ...). Worker
     * thread. */
    int (*figures)(struct gw_context *context, json_t *into, struct err *err);
};

extern const struct gw_part *const gw_parts[]; /* NULL-terminated */

/* Sub-commands: `frontgw [--config FILE] [--set ...] NAME arguments`. */
struct gw_command {
    const char *name, *arguments, *help;
    /** run() - return: the exit status. Logs nothing; speaks to stdout and stderr. */
    int (*run)(const struct gw_settings *settings, int argc, char **argv);
};

extern const struct gw_command gw_commands[]; /* ends with a NULL name */
