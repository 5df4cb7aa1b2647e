#include "cli/run_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/err.h"

static const char help[] =
    "cloister run [options] FILE [arguments of the program]\n"
    "cloister run [options] --command -- COMMAND [arguments]\n"
    "cloister run [options] --attach RUN_ID\n"
    "\n"
    "Runs FILE in a sandbox of the service and prints what it prints, as it prints it.\n"
    "\n"
    "  --runtime NAME      python3, bash, c, node ...; default: by the extension of FILE\n"
    "  --command           no file: the arguments are a command inside the sandbox\n"
    "  --file PATH[=NAME]  also put this file or directory into the workspace (repeatable)\n"
    "  --env NAME=VALUE    an environment variable (repeatable)\n"
    "  --limit NAME=VALUE  memory cpu wall idle file-size processes output workspace inodes\n"
    "                      open-files; 64M, 500ms, 30s, 20 (repeatable)\n"
    "  --policy no-subprocess   the program may not start others\n"
    "  --output DIR        write the files that the program made or changed to DIR\n"
    "  --json              print one JSON object instead of the output\n"
    "  -t, --terminal      give the program a terminal (Enter ~ . ends it, or leaves it with\n"
    "                      --grace or --attach)\n"
    "  -i, --stdin         pass on what is typed; default: when stdin is no terminal\n"
    "      --no-stdin      the program's input is empty\n"
    "  --class interactive|batch   which queue; default interactive\n"
    "  --detach            begin it, print its id and leave it to itself; grace 10m\n"
    "  --grace TIME        how long it goes on, and its result is kept, without anybody (10m at\n"
    "                      most); a lost connection is made again, SIGTERM and SIGHUP leave it\n"
    "  --attach RUN_ID     come back to a run that was begun with --detach or --grace\n"
    "  --from OUT[,ERR[,FILES]]   with --attach: so many bytes of output and so many files\n"
    "                      are here already\n"
    "  --label KEY=VALUE   for logs and `cloister top` (repeatable)\n"
    "  --subject NAME      on whose behalf (the service must allow it)\n" SERVICE_HELP
    "  -q, --quiet         say nothing of our own on stderr\n"
    "\n"
    "Ctrl-C is passed on to the program; the second one ends it.\n"
    "Exit status: the program's own; 128+n: ended by signal n; 124: a limit ended it;\n"
    "125: the service failed or is not there; 126: refused.\n";

enum {
    OPT_RUNTIME = 256,
    OPT_COMMAND,
    OPT_FILE,
    OPT_ENV,
    OPT_LIMIT,
    OPT_POLICY,
    OPT_OUTPUT,
    OPT_JSON,
    OPT_NO_STDIN,
    OPT_CLASS,
    OPT_DETACH,
    OPT_GRACE,
    OPT_ATTACH,
    OPT_FROM,
    OPT_LABEL,
    OPT_SUBJECT,
};

static const struct option long_options[] = {
    {"runtime", required_argument, NULL, OPT_RUNTIME},
    {"command", no_argument, NULL, OPT_COMMAND},
    {"file", required_argument, NULL, OPT_FILE},
    {"env", required_argument, NULL, OPT_ENV},
    {"limit", required_argument, NULL, OPT_LIMIT},
    {"policy", required_argument, NULL, OPT_POLICY},
    {"output", required_argument, NULL, OPT_OUTPUT},
    {"json", no_argument, NULL, OPT_JSON},
    {"terminal", no_argument, NULL, 't'},
    {"stdin", no_argument, NULL, 'i'},
    {"no-stdin", no_argument, NULL, OPT_NO_STDIN},
    {"class", required_argument, NULL, OPT_CLASS},
    {"detach", no_argument, NULL, OPT_DETACH},
    {"grace", required_argument, NULL, OPT_GRACE},
    {"attach", required_argument, NULL, OPT_ATTACH},
    {"from", required_argument, NULL, OPT_FROM},
    {"label", required_argument, NULL, OPT_LABEL},
    {"subject", required_argument, NULL, OPT_SUBJECT},
    SERVICE_OPTIONS,
    {"quiet", no_argument, NULL, 'q'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

/* "KEY=VALUE"; the key is copied, the value is argv's. */
static int add_pair(struct model_pair *list, size_t *n, size_t max, const char *what,
                    const char *text, struct err *err)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return err_set(err, -EINVAL, "%s: '%s' is not NAME=VALUE", what, text);
    if (*n == max)
        return err_set(err, -EINVAL, "%s: more than %zu", what, max);
    char *key = strndup(text, (size_t)(equals - text));
    if (!key)
        return err_set(err, -ENOMEM, "%s: %m", what);
    list[(*n)++] = (struct model_pair){key, equals + 1};
    return 0;
}

static int set_policy(struct run_options *o, const char *text, struct err *err)
{
    if (strcmp(text, "no-subprocess") == 0)
        o->subprocess = MODEL_SUBPROCESS_DENY;
    else if (strcmp(text, "subprocess") == 0)
        o->subprocess = MODEL_SUBPROCESS_ALLOW;
    else
        return err_set(err, -EINVAL, "--policy: '%s' is neither no-subprocess nor subprocess",
                       text);
    return 0;
}

static int set_class(struct run_options *o, const char *text, struct err *err)
{
    if (strcmp(text, "batch") == 0)
        o->class = MODEL_CLASS_BATCH;
    else if (strcmp(text, "interactive") != 0)
        return err_set(err, -EINVAL, "--class: '%s' is neither interactive nor batch", text);
    return 0;
}

static int set_grace(struct run_options *o, const char *text, struct err *err)
{
    uint64_t ms;
    int rc = time_parse(text, &ms, err);
    if (rc < 0)
        return err_prefix(err, "--grace");
    if (ms == 0 || ms > MODEL_DETACH_MS_MAX)
        return err_set(err, -EINVAL, "--grace: more than 0 and at most %us",
                       MODEL_DETACH_MS_MAX / 1000);
    o->grace_ms = (uint32_t)ms;
    return 0;
}

static int set_from(struct run_options *o, const char *text, struct err *err)
{
    static const unsigned long max[] = {INT64_MAX, INT64_MAX, UINT32_MAX};
    char number[24];
    for (size_t i = 0; i < sizeof(max) / sizeof(max[0]); i++) {
        size_t len = strcspn(text, ",");
        unsigned long value;
        snprintf(number, sizeof(number), "%.*s", (int)(len < 24 ? len : 23), text);
        if (config_u64(number, 0, max[i], &value, NULL) < 0)
            break;
        o->from[i] = value;
        if (!text[len])
            return 0;
        text += len + 1;
    }
    return err_set(err, -EINVAL, "--from: OUT[,ERR[,FILES]] are numbers");
}

static int set_flag(struct run_options *o, int option)
{
    switch (option) {
    case OPT_COMMAND:
        o->command = true;
        return 0;
    case OPT_JSON:
        o->json = true;
        return 0;
    case OPT_NO_STDIN:
        o->input = 0;
        return 0;
    case OPT_DETACH:
        o->detach = true;
        return 0;
    case 'i':
        o->input = 1;
        return 0;
    case 't':
        o->terminal = true;
        return 0;
    case 'q':
        o->quiet = true;
        return 0;
    default:
        return -ENOENT;
    }
}

static int set_value(struct run_options *o, int option, const char *text, struct err *err)
{
    switch (option) {
    case OPT_RUNTIME:
        o->runtime = text;
        return 0;
    case OPT_FILE:
        if (o->n_inputs == RUN_LIST_MAX)
            return err_set(err, -EINVAL, "--file: more than %d", RUN_LIST_MAX);
        o->inputs[o->n_inputs++] = text;
        return 0;
    case OPT_ENV:
        return add_pair(o->env, &o->n_env, RUN_LIST_MAX, "--env", text, err);
    case OPT_LABEL:
        return add_pair(o->labels, &o->n_labels, MODEL_LABELS_MAX, "--label", text, err);
    case OPT_LIMIT:
        return limit_parse_pair(text, &o->limits, err);
    case OPT_POLICY:
        return set_policy(o, text, err);
    case OPT_OUTPUT:
        o->output = text;
        return 0;
    case OPT_CLASS:
        return set_class(o, text, err);
    case OPT_GRACE:
        return set_grace(o, text, err);
    case OPT_ATTACH:
        o->attach = text;
        return 0;
    case OPT_FROM:
        return set_from(o, text, err);
    case OPT_SUBJECT:
        o->subject = text;
        return 0;
    default:
        if (service_option(&o->place, option, text))
            return 0;
        return err_set(err, -EINVAL, "unknown option; `cloister run --help` lists them");
    }
}

static int check_attach(const struct run_options *o, struct err *err)
{
    bool request = o->runtime || o->command || o->n_inputs || o->n_env || o->n_labels ||
                   o->subprocess != MODEL_SUBPROCESS_DEFAULT || o->class != MODEL_CLASS_INTERACTIVE;
    for (int id = 0; id < LIMIT_COUNT; id++)
        request = request || o->limits.v[id];
    if (o->n_rest > 0 || request)
        return err_set(
            err, -EINVAL,
            "--attach comes back to a run that is there: what is to run was said when it "
            "was begun");
    if (o->detach || o->grace_ms)
        return err_set(err, -EINVAL, "--attach excludes --detach and --grace");
    return 0;
}

static int check_rest(const struct run_options *o, struct err *err)
{
    int rc = o->attach ? check_attach(o, err) : 0;
    if (rc < 0)
        return rc;
    if (!o->attach && (o->from[0] || o->from[1] || o->from[2]))
        return err_set(err, -EINVAL, "--from goes with --attach");
    if (o->detach && o->output)
        return err_set(err, -EINVAL, "--detach excludes --output: give it with --attach");
    if (o->n_rest == 0 && o->command)
        return err_set(err, -EINVAL, "which command? cloister run --command -- ls -l");
    if (o->n_rest == 0 && !o->attach)
        return err_set(err, -EINVAL, "which file? cloister run hello.py");
    if (o->command && o->runtime)
        return err_set(err, -EINVAL, "--runtime and --command exclude each other");
    if (o->terminal && o->json)
        return err_set(err, -EINVAL, "--terminal and --json exclude each other");
    if (o->terminal && o->input == 0)
        return err_set(err, -EINVAL, "--terminal and --no-stdin exclude each other");
    return 0;
}

/* A command line that is refused still answers in JSON if that was asked for, wherever it stands.
 */
static bool asks_for_json(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--json") == 0)
            return true;
    }
    return false;
}

static int parse(int argc, char **argv, struct run_options *ret, struct err *err)
{
    opterr = 0;
    optind = 1;
    int option;
    /* '+': what follows FILE is the program's. */
    while ((option = getopt_long(argc, argv, "+tiqh", long_options, NULL)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return 1;
        }
        if (option == '?')
            return err_set(err, -EINVAL,
                           "%s: unknown option, or its value is missing; `cloister "
                           "run --help` lists them",
                           argv[optind - 1]);
        int rc = set_flag(ret, option);
        if (rc == -ENOENT)
            rc = set_value(ret, option, optarg, err);
        if (rc < 0)
            return rc;
    }
    ret->rest = argv + optind;
    ret->n_rest = (size_t)(argc - optind);
    if (ret->detach && ret->grace_ms == 0)
        ret->grace_ms = MODEL_DETACH_MS_MAX;
    int rc = check_rest(ret, err);
    return rc < 0 ? rc : service_find(&ret->place, err);
}

int run_options_parse(int argc, char **argv, struct run_options *ret, struct err *err)
{
    *ret = (struct run_options){.input = -1};
    int rc = parse(argc, argv, ret, err);
    if (rc < 0)
        ret->json = asks_for_json(argc, argv);
    return rc;
}

void run_options_done(struct run_options *options)
{
    for (size_t i = 0; i < options->n_env; i++)
        free((char *)(uintptr_t)options->env[i].key);
    for (size_t i = 0; i < options->n_labels; i++)
        free((char *)(uintptr_t)options->labels[i].key);
    options->n_env = options->n_labels = 0;
}
