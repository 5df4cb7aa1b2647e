/* `cloister sandbox run`: a sandbox right here, with the same library as the service. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/result_json.h"
#include "base/err.h"
#include "cli/commands.h"
#include "cli/run_outputs.h"
#include "cli/sandbox_session.h"
#include "sandbox/plan.h"

static int dry_run(const struct sandbox_options *o)
{
    static struct plan plan;
    static const char *const masks[] = {NULL};
    struct err err = {0};
    struct sbx_spec spec = {
        .argv = o->argv, .envp = o->env, .cwd = o->cwd, .policy = o->policy, .layers = o->layers};
    struct plan_facts facts = {.available = LAYERS_ALL,
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
    int r = limits_resolve(&o->limits, NULL, NULL, &spec.limits, &err);
    if (r == 0)
        r = plan_build(&spec, &facts, &plan, &err);
    if (r < 0) {
        fprintf(stderr, "cloister: %s\n", err.text);
        return CLI_EXIT_REFUSED;
    }
    plan_print(&plan, &spec, stdout);
    return 0;
}

static void write_outputs(const struct sandbox_outcome *outcome, const char *dir)
{
    struct run_outputs out;
    struct err err = {0};
    if (run_outputs_init(&out, dir, &err) < 0) {
        fprintf(stderr, "cloister: %s\n", err.text);
        return;
    }
    for (size_t i = 0; i < outcome->outputs.n_files; i++) {
        struct run_output *file = &outcome->outputs.files[i];
        run_outputs_take(&out, &(struct client_file_chunk){.path = file->path,
                                                           .size = file->size,
                                                           .data = file->content,
                                                           .len = file->size,
                                                           .last = true,
                                                           .sha256 = file->sha256});
        file->content = NULL; /* it is in the directory now: not in the JSON too */
    }
    if (out.err.code)
        fprintf(stderr, "cloister: %s\n", out.err.text);
    run_outputs_done(&out);
}

static int print_json(const struct run_report *report, const struct sandbox_outcome *outcome)
{
    struct run_streams streams = {outcome->kept[0].bytes, outcome->kept[0].used,
                                  outcome->kept[1].bytes, outcome->kept[1].used};
    struct err err = {0};
    if (result_json_print(stdout, report, &streams, &err) == 0)
        return 0;
    fprintf(stderr, "cloister: %s\n", err.text);
    return -EIO;
}

static int report_failure(const struct sandbox_options *o, const struct err *err)
{
    int status = sandbox_complain(err);
    if (o->json) {
        struct run_report report;
        struct sandbox_outcome none = {0};
        result_json_failure(status == CLI_EXIT_REFUSED ? VERDICT_CANCELLED : VERDICT_INTERNAL,
                            err->text, &report);
        print_json(&report, &none);
    }
    return status;
}

static int run(struct sandbox_options *o)
{
    static struct sandbox_outcome outcome;
    struct err err = {0};
    int r = sandbox_session(&sandbox_direct_engine, o, &outcome, &err);
    if (r == ENGINE_E_UNFIT)
        r = sandbox_session(&sandbox_node_engine, o, &outcome, &err);
    if (r == 0 && outcome.outputs.used)
        r = sandbox_outputs_parse(&outcome.outputs, &err);
    if (r < 0) {
        sandbox_outcome_done(&outcome);
        return report_failure(o, &err);
    }
    if (o->output_dir)
        write_outputs(&outcome, o->output_dir);
    struct run_report report = {.run_id = o->node.instance,
                                .result = outcome.result,
                                .runtime_name = "",
                                .runtime_version = "",
                                .node = "",
                                .dropped_stdout = output_dropped(&outcome.counters[0]),
                                .dropped_stderr = output_dropped(&outcome.counters[1]),
                                .outputs = outcome.outputs.files,
                                .n_outputs = outcome.outputs.n_files,
                                .skipped = outcome.outputs.skipped,
                                .n_skipped = outcome.outputs.n_skipped};
    int status;
    if (!o->json)
        status = sandbox_say(&outcome);
    else
        status =
            print_json(&report, &outcome) < 0 ? CLI_EXIT_OURS : result_exit_status(&outcome.result);
    sandbox_outcome_done(&outcome);
    return status;
}

int cmd_sandbox(int argc, char **argv)
{
    static struct sandbox_options options;
    struct err err = {0};
    if (argc < 2 || strcmp(argv[1], "run") != 0) {
        bool help = argc >= 2 && strcmp(argv[1], "--help") == 0;
        sandbox_usage(help ? stdout : stderr);
        return help ? 0 : CLI_EXIT_REFUSED;
    }
    int r = sandbox_options_parse(argc - 1, argv + 1, &options, &err);
    if (r > 0) {
        sandbox_usage(stdout);
        return 0;
    }
    if (r < 0) {
        bool json = false;
        for (int i = 2; i < argc && strcmp(argv[i], "--") != 0; i++)
            json |= strcmp(argv[i], "--json") == 0;
        options.json = json;
        return report_failure(&options, &err);
    }
    return options.dry_run ? dry_run(&options) : run(&options);
}
