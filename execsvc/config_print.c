#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "execsvc/config.h"
#include "execsvc/config_keys.h"

static void print_words(struct exs_config *config, FILE *file, const char *key,
                        const struct words *words)
{
    const char *text = words->n ? words_join(words, &config->arena) : NULL;
    if (text)
        fprintf(file, "%s = %s\n", key, text);
}

static void print_limits(FILE *file, const char *prefix, const struct limits *limits)
{
    for (int id = 0; id < LIMIT_COUNT; id++) {
        char value[32];
        if (!limits->v[id])
            continue;
        limit_format((enum limit_id)id, limits->v[id], value, sizeof(value));
        fprintf(file, "%s%s = %s\n", prefix, limit_info((enum limit_id)id)->name, value);
    }
}

static void print_env(FILE *file, const char *prefix, const char *const *env, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *equals = strchr(env[i], '=');
        fprintf(file, "%s%.*s = %s\n", prefix, (int)(equals - env[i]), env[i], equals + 1);
    }
}

static void print_runtime(struct exs_config *config, FILE *file, const struct runtime *runtime)
{
    fprintf(file, "\n[runtime \"%s\"]\n", runtime->name);
    if (runtime->disabled)
        fputs("enabled = no\n", file);
    print_words(config, file, "compile", &runtime->compile);
    if (runtime->compile.n)
        fprintf(file, "compile-cache = %s\n", runtime->no_compile_cache ? "no" : "yes");
    print_words(config, file, "command", &runtime->command);
    print_words(config, file, "version", &runtime->version_command);
    print_words(config, file, "extensions", &runtime->extensions);
    if (runtime->rootfs)
        fprintf(file, "rootfs = %s\n", runtime->rootfs);
    print_env(file, "mount.", runtime->mounts, runtime->n_mounts);
    fprintf(file, "subprocess = %s\n", runtime->subprocess_deny ? "deny" : "allow");
    print_env(file, "env.", runtime->env, runtime->n_env);
    print_limits(file, "limit.", &runtime->limits);
    print_limits(file, "compile-limit.", &runtime->compile_limits);
}

int exs_config_print(struct exs_config *config, FILE *file)
{
    fputs("[execsvc]\n", file);
    for (size_t i = 0; i < exs_keys_count; i++) {
        const void *at = (const char *)config + exs_keys[i].offset;
        const char *unit = exs_keys[i].kind == KEY_TIME ? "ms" : "";
        if (exs_keys[i].kind == KEY_TEXT)
            fprintf(file, "%s = %s\n", exs_keys[i].name, *(const char *const *)at);
        else if (exs_keys[i].kind == KEY_BOOL)
            fprintf(file, "%s = %s\n", exs_keys[i].name, *(const bool *)at ? "yes" : "no");
        else
            fprintf(file, "%s = %lu%s\n", exs_keys[i].name, *(const uint64_t *)at, unit);
    }
    fputs("\n[limits]\n", file);
    print_limits(file, "", &config->limits);
    fputs("\n[environment]\n", file);
    print_env(file, "", config->env, config->n_env);
    for (size_t i = 0; i < config->n_identities; i++)
        fprintf(file, "\n[identity \"%s\"]\nact_for = %s\n", config->identities[i].id,
                config->identities[i].act_for);
    for (size_t i = 0; i < config->runtimes.n; i++)
        print_runtime(config, file, config->runtimes.v[i]);
    return ferror(file) ? -EIO : 0;
}
