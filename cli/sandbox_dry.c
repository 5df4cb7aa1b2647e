#include "cli/sandbox_dry.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/utf8.h"
#include "cli/sandbox_options.h"
#include "sandbox/plan.h"

static int make_plan(const struct sandbox_options *o, struct sbx_spec *spec, struct plan *ret,
                     struct err *err)
{
    static const char *const masks[] = {NULL};
    const struct plan_facts facts = {.launcher = o->node.launcher,
                                     .available = LAYERS_ALL,
                                     .cgroup_clone_fd = -EBADF,
                                     .stdio = {0, 1, 2},
                                     .control_fd = 3,
                                     .files_in_fd = -EBADF,
                                     .files_out_fd = -EBADF,
                                     .uid = NODE_SLOT_UID,
                                     .gid = NODE_SLOT_UID,
                                     .masks = masks,
                                     .tmpfs_owner = true,
                                     .proc = true};
    *spec = (struct sbx_spec){
        .argv = o->argv, .envp = o->env, .cwd = o->cwd, .policy = o->policy, .layers = o->layers};
    int r = limits_resolve(&o->limits, NULL, NULL, &spec->limits, err);
    return r < 0 ? r : plan_build(spec, &facts, ret, err);
}

/* Binds belong to the tree, which is there before there is a plan. */
static void print_binds(const struct node_config *config, FILE *out)
{
    for (uint32_t i = 0; i < config->n_binds; i++)
        fprintf(out, "tree: bind %s on %s%s\n", config->binds[i].source, config->binds[i].target,
                config->binds[i].writable ? "" : " read-only");
}

/* The text's bytes are the caller's own words: not always UTF-8. */
static json_t *line_value(const char *line, size_t len)
{
    for (size_t at = 0, n; at < len; at += n) {
        n = utf8_sequence((const uint8_t *)line + at, len - at);
        if (n == 0)
            return json_sprintf("(%zu bytes that are not UTF-8)", len);
    }
    return json_stringn(line, len);
}

static int print_json(const char *text)
{
    json_t *lines = json_array();
    for (const char *end; lines && (end = strchr(text, '\n')); text = end + 1)
        if (json_array_append_new(lines, line_value(text, (size_t)(end - text))) < 0)
            lines = NULL;
    json_t *object = json_pack("{s:o}", "plan", lines);
    int r = object ? json_dumpf(object, stdout, JSON_COMPACT) : -1;
    json_decref(object);
    return r < 0 || putchar('\n') == EOF ? -1 : 0;
}

int sandbox_dry_run(const struct sandbox_options *options, struct err *err)
{
    static struct plan plan;
    struct sbx_spec spec;
    int r = make_plan(options, &spec, &plan, err);
    if (r < 0)
        return r;
    AUTO_FREE char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return err_set(err, -ENOMEM, "no memory for the plan");
    print_binds(&options->node, out);
    plan_print(&plan, &spec, out);
    if (fclose(out) != 0)
        return err_set(err, -ENOMEM, "no memory for the plan");
    r = options->json ? print_json(text) : fputs(text, stdout) < 0 ? -1 : 0;
    return r < 0 || fflush(stdout) != 0 ? err_set(err, -EIO, "write the plan: %m") : 0;
}
