#include "cli/sandbox_options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

enum { OPT_DRY_RUN = 256, OPT_JSON, OPT_ALLOW_MISSING, OPT_DISABLE, OPT_OUTPUT, OPT_CWD };

static const struct option options[] = {
    {"limit", required_argument, NULL, 'l'},
    {"policy", required_argument, NULL, 'p'},
    {"bind", required_argument, NULL, 'b'},
    {"env", required_argument, NULL, 'e'},
    {"launcher", required_argument, NULL, 'L'},
    {"disable-layer", required_argument, NULL, OPT_DISABLE},
    {"allow-missing", required_argument, NULL, OPT_ALLOW_MISSING},
    {"output", required_argument, NULL, OPT_OUTPUT},
    {"cwd", required_argument, NULL, OPT_CWD},
    {"dry-run", no_argument, NULL, OPT_DRY_RUN},
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

void sandbox_usage(FILE *out)
{
    fputs("usage: cloister sandbox run [options] -- COMMAND [ARGUMENT...]\n\n"
          "Runs COMMAND in a sandbox right here, without the service.\n\n"
          "  -l, --limit NAME=VALUE    memory=64M cpu=5s wall=10s processes=20 file-size=1M ...\n"
          "  -p, --policy POLICY       no-subprocess: threads yes, other processes no\n"
          "  -b, --bind SRC:DST[:ro]   show the host's SRC as DST inside (writable unless :ro)\n"
          "  -e, --env NAME=VALUE      a variable of the program's environment\n"
          "      --cwd DIR             where it starts; default " SBX_WORKSPACE "\n"
          "      --output DIR          write the files that it made or changed to DIR\n"
          "      --launcher NAME       native (default) or bwrap\n"
          "      --disable-layer NAME  leave a layer out, to see what it is good for\n"
          "      --allow-missing NAME  go on where this layer can't be had\n"
          "      --dry-run             print the plan; nothing is run, no rights are needed\n"
          "      --json                print one JSON object instead of the program's output\n\n"
          "Exit status: the program's own; 128+n for signal n; 124 a limit; 125 our fault;\n"
          "126 refused, or policy.\n\n"
          "Layers:",
          out);
    for (int i = 0; i < LAYER_COUNT; i++)
        fprintf(out, "%s%s", i % 5 == 0 ? "\n  " : " ", layer_name((enum layer)i));
    fputc('\n', out);
}

static int parse_layer(const char *option, const char *name, uint32_t *ret, struct err *err)
{
    int layer = layer_by_name(name);
    if (layer >= 0) {
        *ret |= LAYER_BIT(layer);
        return 0;
    }
    return err_set(err, -EINVAL,
                   "%s %.40s: no such layer; `cloister sandbox run --help` lists them", option,
                   name);
}

static int parse_bind(struct node_config *node, const char *text, struct err *err)
{
    if (node->n_binds == SBX_BINDS_MAX)
        return err_set(err, -EINVAL, "--bind: at most %d", SBX_BINDS_MAX);
    struct node_bind *bind = &node->binds[node->n_binds];
    const char *colon = strchr(text, ':');
    const char *end = colon ? strchr(colon + 1, ':') : NULL;
    bool read_only = end && strcmp(end, ":ro") == 0;
    if (!colon || (end && !read_only))
        return err_set(err, -EINVAL, "--bind %s: must be SRC:DST or SRC:DST:ro", text);
    char source[PATH_MAX], resolved[PATH_MAX];
    size_t source_len = (size_t)(colon - text);
    size_t target_len = end ? (size_t)(end - colon - 1) : strlen(colon + 1);
    if (source_len >= sizeof(source) || target_len >= sizeof(bind->target))
        return err_set(err, -EINVAL, "--bind %.80s: too long", text);
    memcpy(source, text, source_len);
    source[source_len] = 0;
    memcpy(bind->target, colon + 1, target_len);
    bind->target[target_len] = 0;
    if (!realpath(source, resolved))
        return err_set(err, -EINVAL, "--bind %s: %s", source, strerror(errno));
    if (strlen(resolved) >= sizeof(bind->source))
        return err_set(err, -EINVAL, "--bind %.80s: too long", resolved);
    snprintf(bind->source, sizeof(bind->source), "%.255s", resolved);
    if (node_bind_target(bind->target, err) < 0)
        return err_prefix(err, "--bind %s", text);
    bind->writable = !read_only;
    node->n_binds++;
    return 0;
}

/* @ret: where the host has what the sandbox will have at @target: below what is shown of it, or
 * below another bind. Return: false when the sandbox's own tree has that place, and room for
 * anything. */
static bool host_side(const struct node_config *node, const char *target, char *ret, size_t size)
{
    static const char *const shown[] = {
        "/usr/", "/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/", "/etc/alternatives/"};
    for (uint32_t i = 0; i < node->n_binds; i++) {
        size_t len = strlen(node->binds[i].target);
        if (strncmp(target, node->binds[i].target, len) != 0 || target[len] != '/')
            continue;
        snprintf(ret, size, "%s%s", node->binds[i].source, target + len);
        return true;
    }
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
        if (strncmp(target, shown[i], strlen(shown[i])) != 0)
            continue;
        snprintf(ret, size, "%s", target);
        return true;
    }
    return false;
}

/* Nothing can be made in what is shown of the host: a bind can only cover what is there. */
static int check_binds(const struct node_config *node, struct err *err)
{
    char place[2 * PATH_MAX];
    for (uint32_t i = 0; i < node->n_binds; i++) {
        const struct node_bind *bind = &node->binds[i];
        struct stat source, target;
        if (!host_side(node, bind->target, place, sizeof(place)))
            continue;
        if (stat(place, &target) < 0)
            return err_set(err, -EINVAL, "--bind: %.160s is not there, and can't be made",
                           bind->target);
        if (stat(bind->source, &source) == 0 && S_ISDIR(source.st_mode) != S_ISDIR(target.st_mode))
            return err_set(err, -EINVAL, "--bind: %.160s: a directory and a file", bind->target);
    }
    return 0;
}

static int add_env(struct sandbox_options *o, const char *text, struct err *err)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return err_set(err, -EINVAL, "--env %.80s: must be NAME=VALUE", text);
    size_t n = 0, name_len = (size_t)(equals - text) + 1;
    for (; o->env[n]; n++) {
        if (strncmp(o->env[n], text, name_len) == 0) {
            o->env[n] = text;
            return 0;
        }
    }
    if (n >= SANDBOX_ENV_MAX)
        return err_set(err, -EINVAL, "--env: at most %d", SANDBOX_ENV_MAX);
    o->env[n] = text;
    return 0;
}

static int parse_launcher(struct node_config *node, const char *name, struct err *err)
{
    if (strcmp(name, "native") == 0)
        node->launcher = SBX_LAUNCHER_NATIVE;
    else if (strcmp(name, "bwrap") == 0)
        node->launcher = SBX_LAUNCHER_BWRAP;
    else
        return err_set(err, -EINVAL, "--launcher %.40s: must be native or bwrap", name);
    return 0;
}

static int parse_one(struct sandbox_options *o, int option, struct err *err)
{
    switch (option) {
    case 'l':
        return limit_parse_pair(optarg, &o->limits, err);
    case 'p':
        if (strcmp(optarg, "no-subprocess") != 0)
            return err_set(err, -EINVAL, "--policy %.40s: must be no-subprocess", optarg);
        o->policy |= SBX_POLICY_NO_SUBPROCESS;
        return 0;
    case 'b':
        return parse_bind(&o->node, optarg, err);
    case 'e':
        return add_env(o, optarg, err);
    case 'L':
        return parse_launcher(&o->node, optarg, err);
    case OPT_DISABLE: {
        uint32_t without = 0;
        int r = parse_layer("--disable-layer", optarg, &without, err);
        o->layers &= ~without;
        return r;
    }
    case OPT_ALLOW_MISSING:
        return parse_layer("--allow-missing", optarg, &o->node.allow_missing, err);
    case OPT_OUTPUT:
        o->output_dir = optarg;
        return 0;
    case OPT_CWD:
        o->cwd = optarg;
        return *optarg == '/' ? 0 : err_set(err, -EINVAL, "--cwd %s: must be absolute", optarg);
    case OPT_DRY_RUN:
        o->dry_run = true;
        return 0;
    case OPT_JSON:
        o->json = true;
        return 0;
    default:
        return err_set(err, -EINVAL, "try `cloister sandbox run --help`");
    }
}

int sandbox_options_parse(int argc, char **argv, struct sandbox_options *ret, struct err *err)
{
    ret->layers = LAYERS_ALL;
    static const char *const env[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" SBX_WORKSPACE,
                                      "LANG=C.UTF-8", "USER=sandbox"};
    memcpy(ret->env, env, sizeof(env));
    int r = limits_from_env(&ret->limits, err);
    if (r < 0)
        return r;
    optind = 1;
    int option;
    while ((option = getopt_long(argc, argv, "+hl:p:b:e:", options, NULL)) != -1) {
        if (option == 'h')
            return 1;
        r = parse_one(ret, option, err);
        if (r < 0)
            return r;
    }
    if (optind == argc)
        return err_set(err, -EINVAL, "no command to run; try `cloister sandbox run --help`");
    ret->argv = (const char *const *)(argv + optind);
    ret->node.layers = ret->layers;
    return 0;
}

int sandbox_options_settle(struct sandbox_options *o, struct err *err)
{
    node_config_fill(&o->node);
    o->node.layers = o->layers;
    o->node.one_shot = true;
    o->node.slots_max = 1;
    node_one_shot_name(o->node.instance, sizeof(o->node.instance));
    return check_binds(&o->node, err);
}
