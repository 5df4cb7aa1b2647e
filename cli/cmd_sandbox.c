/* `cloister sandbox run`: a sandbox right here, with the same library as the service. */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/result_json.h"
#include "base/err.h"
#include "cli/commands.h"
#include "cli/run_outputs.h"
#include "cli/sandbox_dry.h"
#include "cli/sandbox_session.h"

static void write_outputs(const struct sandbox_outcome *outcome, struct run_outputs *out)
{
    for (size_t i = 0; i < outcome->outputs.n_files; i++) {
        struct run_output *file = &outcome->outputs.files[i];
        run_outputs_take(out, &(struct client_file_chunk){.path = file->path,
                                                          .size = file->size,
                                                          .data = file->content,
                                                          .len = file->size,
                                                          .last = true,
                                                          .sha256 = file->sha256});
        file->content = NULL; /* it is in the directory now: not in the JSON too */
    }
    if (out->err.code)
        fprintf(stderr, "cloister: %s\n", out->err.text);
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
        result_json_failure(status == CLI_EXIT_REFUSED ? VERDICT_COUNT : VERDICT_INTERNAL,
                            err->text, &report);
        print_json(&report, &none);
    }
    return status;
}

/* A directory that can't be had is known before anything is run; it is opened for good afterwards,
 * because the first descriptors are the engine's. */
static int try_output_dir(const char *dir, struct err *err)
{
    struct run_outputs out;
    if (run_outputs_init(&out, dir, err) < 0)
        err->code = -EINVAL; /* the caller's */
    run_outputs_done(&out);
    return err->code;
}

static int session(struct sandbox_options *o, struct sandbox_outcome *ret, struct err *err)
{
    int r = sandbox_session(&sandbox_direct_engine, o, ret, err);
    if (r == ENGINE_E_UNFIT)
        r = sandbox_session(&sandbox_node_engine, o, ret, err);
    return r == 0 && ret->outputs.used ? sandbox_outputs_parse(&ret->outputs, err) : r;
}

static int report(const struct sandbox_options *o, const struct sandbox_outcome *outcome)
{
    char node[HOST_NAME_MAX + 1] = "";
    (void)gethostname(node, sizeof(node) - 1);
    const struct run_report report = {.run_id = o->node.instance,
                                      .result = outcome->result,
                                      .runtime_name = "",
                                      .runtime_version = "",
                                      .node = node,
                                      .dropped_stdout = output_dropped(&outcome->counters[0]),
                                      .dropped_stderr = output_dropped(&outcome->counters[1]),
                                      .outputs = outcome->outputs.files,
                                      .n_outputs = outcome->outputs.n_files};
    if (o->json && print_json(&report, outcome) < 0)
        return CLI_EXIT_OURS;
    return o->json ? result_exit_status(&outcome->result) : sandbox_say(outcome);
}

static int run(struct sandbox_options *o)
{
    static struct sandbox_outcome outcome;
    static struct run_outputs out = {.dir_fd = -EBADF, .file_fd = -EBADF};
    struct err err = {0};
    int r = try_output_dir(o->output_dir, &err);
    if (r == 0)
        r = session(o, &outcome, &err);
    if (r == 0)
        r = run_outputs_init(&out, o->output_dir, &err);
    int status = CLI_EXIT_OURS;
    if (r < 0) {
        status = report_failure(o, &err);
    } else {
        if (o->output_dir)
            write_outputs(&outcome, &out);
        status = report(o, &outcome);
        run_outputs_tell_skipped(outcome.outputs.skipped, outcome.outputs.n_skipped);
        if (status == 0 && out.err.code)
            status = CLI_EXIT_OURS;
    }
    run_outputs_done(&out);
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
    if (r == 0)
        r = sandbox_options_settle(&options, &err);
    if (r < 0) {
        bool json = false;
        for (int i = 2; i < argc && strcmp(argv[i], "--") != 0; i++)
            json |= strcmp(argv[i], "--json") == 0;
        options.json = json;
        return report_failure(&options, &err);
    }
    if (!options.dry_run)
        return run(&options);
    return sandbox_dry_run(&options, &err) < 0 ? report_failure(&options, &err) : 0;
}
