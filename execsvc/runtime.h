#pragma once
/*
 * Runtimes are configuration: `[runtime "NAME"]` sections. What ships is such a text too
 * (runtime_builtin()), read before the operator's file, whose sections change or add to it.
 *
 *   command       template (command.h); required
 *   compile-cache yes | no: may a run take what an earlier run of the same tenant compiled
 *   rootfs        directory of the host that is the sandbox's root
 *   mount.NAME    SOURCE[:TARGET], a directory of the host shown read-only. Both are the spawner's
 *                 to read and to check; here they only say that the runtime has its own tree
 *   compile       template of the step before, making {output}; then `command` usually starts
 * {output} version       command whose first line of output names the version; run in a sandbox at
 * start-up extensions    words: ".py" subprocess    allow | deny: the policy of requests that say
 * nothing enabled       no: as if it were not there env.NAME      environment limit.NAME    default
 * of a limit for this runtime compile-limit.NAME    limit of the compile step
 */

#include <stdbool.h>
#include <stddef.h>

#include "api/arena.h"
#include "base/limits.h"
#include "execsvc/command.h"

#define RUNTIMES_MAX       64
#define RUNTIME_ENV_MAX    64
#define RUNTIME_NAME_MAX   64
#define RUNTIME_MOUNTS_MAX 16

struct runtime {
    const char *name;
    struct words command, compile, version_command, extensions;
    const char *env[RUNTIME_ENV_MAX]; /* "NAME=VALUE" */
    size_t n_env;
    const char *rootfs;                     /* NULL: the default root */
    const char *mounts[RUNTIME_MOUNTS_MAX]; /* "NAME=SOURCE[:TARGET]" */
    size_t n_mounts;
    bool subprocess_deny, disabled, no_compile_cache;
    struct limits limits, compile_limits; /* 0: not said */

    /* Found out at start-up. */
    bool available;
    char version[80];
    char detail[160]; /* why it is not available */
};

struct runtimes {
    struct runtime *v[RUNTIMES_MAX];
    size_t n;
};

/** runtime_tree() - the name under which the spawner knows its mount tree; "": the default one. */
static inline const char *runtime_tree(const struct runtime *runtime)
{
    return runtime && (runtime->rootfs || runtime->n_mounts) ? runtime->name : "";
}

/** runtime_builtin() - what ships, as the text of a configuration file. */
const char *runtime_builtin(void);

/** runtime_setting() - one `key = value` of `[runtime "name"]`; made when it is new. */
int runtime_setting(struct runtimes *runtimes, struct arena *arena, const char *name,
                    const char *key, const char *value, struct err *err);

/** runtimes_check() - after all files: what is missing or does not fit together. */
int runtimes_check(const struct runtimes *runtimes, struct err *err);

/** runtimes_find() - NULL when there is none of this name, or it is disabled. */
struct runtime *runtimes_find(const struct runtimes *runtimes, const char *name);

/** runtimes_index() - of @runtime in the table; RUNTIMES_MAX when it is not one of them, or NULL.
 */
size_t runtimes_index(const struct runtimes *runtimes, const struct runtime *runtime);

/** env_set() - "NAME=VALUE" into @env (of @cap entries), replacing an earlier one. -EINVAL: no such
 * name; -E2BIG: full. */
int env_set(const char **env, size_t *n, size_t cap, const char *name, const char *value,
            struct arena *arena, struct err *err);
