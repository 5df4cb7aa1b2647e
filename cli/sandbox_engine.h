#pragma once
/*
 * What makes the sandbox of `cloister sandbox run`: a node of its own with an inner spawner
 * (sandbox_node.c), which every host and every user can have, or this process itself
 * (sandbox_direct.c), which is quicker.
 */

#include "cli/sandbox_options.h"
#include "sandbox/spawn_client.h"

#define ENGINE_E_UNFIT 1 /* begin: this engine can't do it on this host; nothing was made */

struct engine_events {
    void (*result)(void *arg, const struct run_result *result);
    void (*refused)(void *arg, const struct err *err);
    void *arg;
};

struct sandbox_engine {
    /* Before anything that is the run's own is made. @options are borrowed until free. */
    int (*begin)(struct sandbox_options *options, const struct engine_events *events, void **ret,
                 struct err *err);
    int (*run)(void *engine, const struct sbx_spec *spec, const struct spawn_fds *fds,
               struct err *err);
    int (*fd)(const void *engine); /* readable: dispatch */
    int (*dispatch)(void *engine, struct err *err);
    void (*end)(void *engine, enum spawn_end why);
    void (*signal)(void *engine, int signo);
    void (*free)(void *engine); /* NULL is fine */
};

extern const struct sandbox_engine sandbox_node_engine, sandbox_direct_engine;
