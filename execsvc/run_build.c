#include "execsvc/run_build.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "execsvc/exs.h"
#include "execsvc/run.h"
#include "execsvc/spawner.h"

#define OUTPUT_NAME  "a.out"
#define OUTPUT_NAMES 4100 /* more than a request can have files */

/* ---- what was asked for ---- */

static int refuse_field(struct rpc_status *status, const struct model_fault *fault)
{
    rpc_status_of_fault(&fault->err, status);
    rpc_status_field(status, "%s", fault->field);
    return fault->err.code < 0 ? fault->err.code : -EINVAL;
}

/* A limit that is out of its bounds is told as numbers too. */
static int refuse_limit(const struct run *run, struct rpc_status *status,
                        const struct model_fault *fault)
{
    int r = refuse_field(status, fault);
    for (int id = 0; id < LIMIT_COUNT; id++) {
        if (strcmp(fault->field, model_limit_field((enum limit_id)id)) != 0)
            continue;
        rpc_status_meta(status, "limit", "%s", limit_info((enum limit_id)id)->name);
        rpc_status_meta(status, "value", "%" PRIu64, run->request.limits.v[id]);
        rpc_status_meta(status, "ceiling", "%" PRIu64, run->exs->ceilings.v[id]);
    }
    return r;
}

static void no_such_runtime(const struct run *run, struct rpc_status *status)
{
    const struct runtimes *runtimes = &run->exs->config->runtimes;
    char names[256] = "";
    size_t at = 0;
    for (size_t i = 0; i < runtimes->n && at < sizeof(names); i++) {
        if (runtimes->v[i]->disabled)
            continue;
        int n = snprintf(names + at, sizeof(names) - at, "%s%s", at > 0 ? ", " : "",
                         runtimes->v[i]->name);
        at += n > 0 ? (size_t)n : 0;
    }
    rpc_status_set(status, RPC_NOT_FOUND, "NO_SUCH_RUNTIME",
                   "there is no runtime '%.64s' here; there are %s", run->request.runtime, names);
    rpc_status_field(status, "runtime");
}

static int find_runtime(struct run *run, struct rpc_status *status)
{
    const struct run_request *request = &run->request;
    if (!*request->runtime)
        return 0;
    run->runtime = runtimes_find(&run->exs->config->runtimes, request->runtime);
    if (!run->runtime) {
        no_such_runtime(run, status);
        return -ENOENT;
    }
    if (!run->runtime->available) {
        rpc_status_set(status, RPC_UNAVAILABLE, "RUNTIME_UNAVAILABLE",
                       "the runtime '%s' does not work on this node: %s", request->runtime,
                       run->runtime->detail);
        return -ENOENT;
    }
    bool needs_entry = command_has(&run->runtime->command, "{entry}") || run->runtime->compile.n;
    if (needs_entry && !*run_request_entry(request)) {
        rpc_status_set(status, RPC_INVALID_ARGUMENT, "BAD_REQUEST",
                       "a file to start is needed: give at least one");
        rpc_status_field(status, "files");
        return -EINVAL;
    }
    return 0;
}

static int set_rules(struct run *run)
{
    const struct run_request *request = &run->request;
    struct collect_bytes *patterns =
        arena_zalloc(&run->scratch, request->n_patterns + 1, sizeof(*patterns));
    if (!patterns)
        return -ENOMEM;
    for (size_t i = 0; i < request->n_patterns; i++)
        patterns[i] = (struct collect_bytes){request->patterns[i], strlen(request->patterns[i])};
    run->rules =
        (struct collect_rules){.patterns = patterns,
                               .n_patterns = request->n_patterns,
                               .max_files = request->collect_files_max ? request->collect_files_max
                                                                       : MODEL_COLLECT_FILES,
                               .max_bytes = request->collect_bytes_max ? request->collect_bytes_max
                                                                       : MODEL_COLLECT_BYTES};
    return 0;
}

static int check_grace(const struct run *run, struct rpc_status *status)
{
    uint64_t max = run->exs->config->detach_grace_max_ms;
    if (run->request.detach_grace_ms <= max)
        return 0;
    rpc_status_set(status, RPC_INVALID_ARGUMENT, "ABOVE_CEILING",
                   "detach_grace_ms: %u is above this node's ceiling of %lu",
                   run->request.detach_grace_ms, (unsigned long)max);
    rpc_status_field(status, "detach_grace_ms");
    rpc_status_meta(status, "ceiling", "%lu", (unsigned long)max);
    return -EINVAL;
}

int run_resolve(struct run *run, struct rpc_status *status)
{
    struct model_fault fault = {0};
    struct limits defaults;
    int r = find_runtime(run, status);
    if (r == 0)
        r = check_grace(run, status);
    if (r < 0)
        return r;
    exs_limits(run->exs, run->runtime ? &run->runtime->limits : NULL, &defaults);
    r = run_request_limits(&run->request, &defaults, &run->exs->ceilings, &run->limits, &fault);
    if (r < 0)
        return refuse_limit(run, status, &fault);
    run->ticket.memory_bytes = run->limits.v[LIMIT_MEMORY];
    r = set_rules(run);
    if (r < 0)
        rpc_status_set(status, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for the request");
    return r;
}

/* ---- environment ---- */

static int env_text(const char **env, size_t *n, const char *entry, struct arena *arena,
                    struct err *err)
{
    char name[MODEL_ENV_NAME_MAX + 1];
    const char *equals = strchr(entry, '=');
    size_t len = (size_t)(equals - entry);
    if (len >= sizeof(name))
        return err_set(err, -EINVAL, "name of an environment variable too long");
    memcpy(name, entry, len);
    name[len] = 0;
    return env_set(env, n, SBX_ARGS_MAX, name, equals + 1, arena, err);
}

static int build_env(struct run *run, bool terminal, const char *const **ret, struct err *err)
{
    struct arena *arena = &run->scratch;
    const struct exs_config *config = run->exs->config;
    const char **env = arena_zalloc(arena, SBX_ARGS_MAX + 1, sizeof(*env));
    size_t n = 0;
    int r = env ? 0 : err_set(err, -ENOMEM, "no memory for the environment");
    if (r == 0 && terminal)
        r = env_set(env, &n, SBX_ARGS_MAX, "TERM", "xterm-256color", arena, err);
    for (size_t i = 0; r == 0 && i < config->n_env; i++)
        r = env_text(env, &n, config->env[i], arena, err);
    for (size_t i = 0; r == 0 && run->runtime && i < run->runtime->n_env; i++)
        r = env_text(env, &n, run->runtime->env[i], arena, err);
    for (size_t i = 0; r == 0 && i < run->request.n_env; i++)
        r = env_set(env, &n, SBX_ARGS_MAX, run->request.env[i].key, run->request.env[i].value,
                    arena, err);
    *ret = env;
    return r;
}

/* ---- command ---- */

static bool has_extension(const struct runtime *runtime, const char *path)
{
    size_t len = strlen(path);
    for (size_t i = 0; i < runtime->extensions.n; i++) {
        const char *extension = runtime->extensions.v[i];
        size_t n = strlen(extension);
        if (len > n && strcmp(path + len - n, extension) == 0)
            return true;
    }
    return false;
}

/* The entry first, then every other file of the runtime's kind. */
static int build_sources(struct run *run, struct words *ret)
{
    const struct run_request *request = &run->request;
    const char *entry = run_request_entry(request);
    const char **v = arena_zalloc(&run->scratch, request->n_files + 2, sizeof(*v));
    size_t n = 0;
    if (!v || !(v[n++] = command_path(entry, &run->scratch)))
        return -ENOMEM;
    for (size_t i = 0; i < request->n_files; i++) {
        const char *path = request->files[i].path;
        if (strcmp(path, entry) == 0 || !has_extension(run->runtime, path))
            continue;
        if (!(v[n++] = command_path(path, &run->scratch)))
            return -ENOMEM;
    }
    *ret = (struct words){.v = v, .n = n};
    return 0;
}

static int build_argv(struct run *run, const struct words *template, const char *const **ret,
                      struct err *err)
{
    struct words argv;
    const char *entry = run_request_entry(&run->request);
    struct command_values values = {.entry = command_path(entry, &run->scratch),
                                    .output = run->compile.output,
                                    .args = {run->request.args, run->request.n_args}};
    int r = values.entry ? build_sources(run, &values.sources) : -ENOMEM;
    if (r < 0)
        return err_set(err, r, "no memory for the command");
    r = command_fill(template, &values, &run->scratch, &argv, err);
    if (r == 0)
        *ret = argv.v;
    return r;
}

/* ---- files ---- */

static int build_files(struct run *run, struct run_plan *plan, struct err *err)
{
    const struct run_request *request = &run->request;
    plan->files = arena_zalloc(&run->scratch, request->n_files + 1, sizeof(*plan->files));
    if (!plan->files)
        return err_set(err, -ENOMEM, "no memory for the files");
    for (size_t i = 0; i < request->n_files; i++) {
        const struct model_file *file = &request->files[i];
        if (file->sha256)
            continue; /* in the input set */
        plan->files[plan->n_files++] = (struct files_in_file){.path = file->path,
                                                              .path_len = strlen(file->path),
                                                              .content = file->content,
                                                              .len = file->size,
                                                              .executable = file->executable};
    }
    return 0;
}

static bool is_taken(const struct run_request *request, const char *path)
{
    for (size_t i = 0; i < request->n_files; i++)
        if (strcmp(request->files[i].path, path) == 0)
            return true;
    return false;
}

/* What the compiler makes has a name that no file of the request has. */
static int name_output(struct run *run, struct err *err)
{
    char name[32] = OUTPUT_NAME;
    for (int i = 1; i < OUTPUT_NAMES && is_taken(&run->request, name); i++)
        snprintf(name, sizeof(name), OUTPUT_NAME ".%d", i);
    run->compile.output = arena_string(&run->scratch, name, strlen(name));
    return run->compile.output ? 0 : err_set(err, -ENOMEM, "no memory for the command");
}

/* ---- the two steps ---- */

static int build_common(struct run *run, bool terminal, struct run_plan *plan, struct err *err)
{
    *plan = (struct run_plan){.spec = {.limits = run->limits,
                                       .layers = LAYERS_ALL,
                                       .terminal = terminal,
                                       .rows = run->rows,
                                       .cols = run->cols,
                                       .collect = run->request.collect,
                                       .tree = runtime_tree(run->runtime),
                                       .inputs = blob_pin_name(&run->inputs),
                                       .tenant = run->tenant}};
    int r = build_env(run, terminal, &plan->spec.envp, err);
    return r < 0 ? r : build_files(run, plan, err);
}

int run_plan_main(struct run *run, struct run_plan *plan, struct err *err)
{
    int r = build_common(run, run->request.terminal, plan, err);
    if (r < 0)
        return r;
    enum model_subprocess asked = run->request.subprocess;
    bool deny = asked == MODEL_SUBPROCESS_DENY || (asked == MODEL_SUBPROCESS_DEFAULT &&
                                                   run->runtime && run->runtime->subprocess_deny);
    plan->spec.policy = deny ? SBX_POLICY_NO_SUBPROCESS : 0;
    if (run->compile.complete)
        plan->files[plan->n_files++] =
            (struct files_in_file){.path = run->compile.output,
                                   .path_len = strlen(run->compile.output),
                                   .content = run->compile.made->artifact,
                                   .len = run->compile.made->artifact_len,
                                   .executable = true};
    if (run->runtime)
        return build_argv(run, &run->runtime->command, &plan->spec.argv, err);
    plan->spec.argv = run->request.argv;
    return 0;
}

int run_plan_compile(struct run *run, struct run_plan *plan, struct err *err)
{
    int r = name_output(run, err);
    if (r == 0)
        r = build_common(run, false, plan, err);
    if (r < 0)
        return r;
    exs_limits(run->exs, &run->runtime->compile_limits, &plan->spec.limits);
    for (int id = 0; id < LIMIT_COUNT; id++)
        if (plan->spec.limits.v[id] > run->exs->ceilings.v[id])
            plan->spec.limits.v[id] = run->exs->ceilings.v[id];
    plan->spec.collect = true;
    return build_argv(run, &run->runtime->compile, &plan->spec.argv, err);
}
