#include "execsvc/runtime.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/config.h"
#include "base/err.h"
#include "base/hint.h"

/* The same text stands in deploy/cloister.conf; a test compares them. */
static const char builtin[] =
    "[environment]\n"
    "PATH = /usr/local/bin:/usr/bin:/bin\n"
    "HOME = /workspace\n"
    "TMPDIR = /tmp\n"
    "LANG = C.UTF-8\n"
    "\n"
    "[runtime \"python3\"]\n"
    "command = /usr/bin/python3 {entry} {args}\n"
    "version = /usr/bin/python3 --version\n"
    "extensions = .py\n"
    "env.PYTHONUNBUFFERED = 1\n"
    "env.PYTHONDONTWRITEBYTECODE = 1\n"
    "env.PYTHONIOENCODING = utf-8\n"
    "env.MPLBACKEND = Agg\n"
    "env.MPLCONFIGDIR = /tmp/matplotlib\n"
    "env.XDG_CACHE_HOME = /tmp/cache\n"
    "env.OPENBLAS_NUM_THREADS = 1\n"
    "env.OMP_NUM_THREADS = 1\n"
    "env.MKL_NUM_THREADS = 1\n"
    "env.BLIS_NUM_THREADS = 1\n"
    "env.NUMEXPR_NUM_THREADS = 1\n"
    "env.NUMEXPR_MAX_THREADS = 1\n"
    "\n"
    "[runtime \"bash\"]\n"
    "command = /bin/bash {entry} {args}\n"
    "version = /bin/bash --version\n"
    "extensions = .sh .bash\n"
    "\n"
    "[runtime \"c\"]\n"
    "compile = /usr/bin/cc -std=gnu17 -O1 -g -Wall -Wextra -o {output} {sources} -lm\n"
    "command = /workspace/{output} {args}\n"
    "version = /usr/bin/cc --version\n"
    "extensions = .c\n"
    "compile-limit.memory = 512M\n"
    "compile-limit.cpu = 30s\n"
    "compile-limit.wall = 60s\n"
    "compile-limit.file-size = 64M\n"
    "\n"
    "[runtime \"node\"]\n"
    "command = /usr/bin/node {entry} {args}\n"
    "version = /usr/bin/node --version\n"
    "extensions = .js .mjs .cjs\n"
    "limit.memory = 256M\n";

const char *runtime_builtin(void)
{
    return builtin;
}

static struct runtime *find(const struct runtimes *runtimes, const char *name)
{
    for (size_t i = 0; i < runtimes->n; i++)
        if (strcmp(runtimes->v[i]->name, name) == 0)
            return runtimes->v[i];
    return NULL;
}

struct runtime *runtimes_find(const struct runtimes *runtimes, const char *name)
{
    struct runtime *runtime = find(runtimes, name);
    return runtime && !runtime->disabled ? runtime : NULL;
}

size_t runtimes_index(const struct runtimes *runtimes, const struct runtime *runtime)
{
    for (size_t i = 0; runtime && i < runtimes->n; i++)
        if (runtimes->v[i] == runtime)
            return i;
    return RUNTIMES_MAX;
}

static int runtime_get(struct runtimes *runtimes, struct arena *arena, const char *name,
                       struct runtime **ret, struct err *err)
{
    *ret = find(runtimes, name);
    if (*ret)
        return 0;
    size_t len = strlen(name);
    if (len == 0 || len > RUNTIME_NAME_MAX ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._+-") != len)
        return err_set(err, -EINVAL, "a runtime's name is 1 to %d characters of [a-z0-9._+-]",
                       RUNTIME_NAME_MAX);
    if (runtimes->n == RUNTIMES_MAX)
        return err_set(err, -EINVAL, "more than %d runtimes", RUNTIMES_MAX);
    struct runtime *runtime = arena_zalloc(arena, 1, sizeof(*runtime));
    if (!runtime || !(runtime->name = arena_string(arena, name, len)))
        return err_set(err, -ENOMEM, "out of memory");
    runtimes->v[runtimes->n++] = *ret = runtime;
    return 0;
}

int env_set(const char **env, size_t *n, size_t cap, const char *name, const char *value,
            struct arena *arena, struct err *err)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++)
        if (!isalpha((unsigned char)name[i]) && name[i] != '_' &&
            (i == 0 || !isdigit((unsigned char)name[i])))
            return err_set(err, -EINVAL, "'%.64s' is no name of an environment variable", name);
    if (len == 0)
        return err_set(err, -EINVAL, "an environment variable has a name");
    size_t at = 0;
    while (at < *n && (strncmp(env[at], name, len) != 0 || env[at][len] != '='))
        at++;
    if (at == cap)
        return err_set(err, -E2BIG, "more than %zu environment variables", cap);
    char *entry = arena_alloc(arena, len + strlen(value) + 2);
    if (!entry)
        return err_set(err, -ENOMEM, "out of memory");
    memcpy(entry, name, len);
    entry[len] = '=';
    stpcpy(entry + len + 1, value);
    env[at] = entry;
    *n += at == *n;
    return 0;
}

static int set_command(const char *value, struct arena *arena, struct words *ret, struct err *err)
{
    int r = words_split(value, arena, ret, err);
    return r < 0 || ret->n == 0 ? r : command_check(ret, err);
}

static int set_extensions(struct runtime *runtime, const char *value, struct arena *arena,
                          struct err *err)
{
    int r = words_split(value, arena, &runtime->extensions, err);
    for (size_t i = 0; r == 0 && i < runtime->extensions.n; i++)
        if (runtime->extensions.v[i][0] != '.')
            r = err_set(err, -EINVAL, "an extension begins with a dot, not '%.64s'",
                        runtime->extensions.v[i]);
    return r;
}

static int set_enabled(struct runtime *runtime, const char *value, struct err *err)
{
    int enabled = 1;
    int r = config_bool(value, &enabled, err);
    runtime->disabled = !enabled;
    return r;
}

static int set_compile_cache(struct runtime *runtime, const char *value, struct err *err)
{
    int wanted = 1;
    int r = config_bool(value, &wanted, err);
    runtime->no_compile_cache = !wanted;
    return r;
}

static int set_subprocess(struct runtime *runtime, const char *value, struct err *err)
{
    runtime->subprocess_deny = strcmp(value, "deny") == 0;
    if (!runtime->subprocess_deny && strcmp(value, "allow") != 0)
        return err_set(err, -EINVAL, "subprocess is allow or deny, not '%.64s'", value);
    return 0;
}

static int set_rootfs(struct runtime *runtime, const char *value, struct arena *arena,
                      struct err *err)
{
    if (value[0] != '/')
        return err_set(err, -EINVAL, "rootfs is an absolute path, not '%.64s'", value);
    runtime->rootfs = arena_string(arena, value, strlen(value));
    return runtime->rootfs ? 0 : err_set(err, -ENOMEM, "out of memory");
}

static int set_mount(struct runtime *runtime, const char *name, const char *value,
                     struct arena *arena, struct err *err)
{
    if (value[0] != '/')
        return err_set(err, -EINVAL, "a mount is SOURCE or SOURCE:TARGET, absolute paths");
    return env_set(runtime->mounts, &runtime->n_mounts, RUNTIME_MOUNTS_MAX, name, value, arena,
                   err);
}

static const char *after(const char *key, const char *prefix)
{
    size_t len = strlen(prefix);
    return strncmp(key, prefix, len) == 0 ? key + len : NULL;
}

static int no_such_key(const char *key, struct err *err)
{
    static const char *const keys[] = {"command",       "compile",    "version", "extensions",
                                       "enabled",       "subprocess", "rootfs",  "mount.",
                                       "compile-cache", "env.",       "limit.",  "compile-limit."};
    char words[HINT_SIZE];
    struct hint hint = {.word = key};
    hint_offer_all(&hint, keys, sizeof(keys) / sizeof(keys[0]));
    return err_set(err, -EINVAL, "a runtime has no '%.64s'%s", key, hint_text(&hint, words));
}

int runtime_setting(struct runtimes *runtimes, struct arena *arena, const char *name,
                    const char *key, const char *value, struct err *err)
{
    struct runtime *runtime;
    const char *rest;
    int r = runtime_get(runtimes, arena, name, &runtime, err);
    if (r < 0)
        return r;
    if (strcmp(key, "command") == 0)
        return set_command(value, arena, &runtime->command, err);
    if (strcmp(key, "compile") == 0)
        return set_command(value, arena, &runtime->compile, err);
    if (strcmp(key, "version") == 0)
        return set_command(value, arena, &runtime->version_command, err);
    if (strcmp(key, "extensions") == 0)
        return set_extensions(runtime, value, arena, err);
    if (strcmp(key, "enabled") == 0)
        return set_enabled(runtime, value, err);
    if (strcmp(key, "compile-cache") == 0)
        return set_compile_cache(runtime, value, err);
    if (strcmp(key, "subprocess") == 0)
        return set_subprocess(runtime, value, err);
    if ((rest = after(key, "env.")))
        return env_set(runtime->env, &runtime->n_env, RUNTIME_ENV_MAX, rest, value, arena, err);
    if (strcmp(key, "rootfs") == 0)
        return set_rootfs(runtime, value, arena, err);
    if ((rest = after(key, "mount.")))
        return set_mount(runtime, rest, value, arena, err);
    if ((rest = after(key, "limit.")))
        return limit_parse_named(rest, value, &runtime->limits, err);
    if ((rest = after(key, "compile-limit.")))
        return limit_parse_named(rest, value, &runtime->compile_limits, err);
    return no_such_key(key, err);
}

static int runtime_check(const struct runtime *runtime, struct err *err)
{
    if (runtime->command.n == 0)
        return err_set(err, -EINVAL, "runtime \"%s\" has no command", runtime->name);
    if (runtime->compile.n > 0 && !command_has(&runtime->compile, "{output}"))
        return err_set(err, -EINVAL, "runtime \"%s\": compile does not name {output}",
                       runtime->name);
    if (runtime->compile.n == 0 && command_has(&runtime->command, "{output}"))
        return err_set(err, -EINVAL, "runtime \"%s\": {output} without a compile step",
                       runtime->name);
    return 0;
}

int runtimes_check(const struct runtimes *runtimes, struct err *err)
{
    for (size_t i = 0; i < runtimes->n; i++) {
        int r = runtimes->v[i]->disabled ? 0 : runtime_check(runtimes->v[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}
