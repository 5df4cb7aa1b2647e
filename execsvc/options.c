#include "execsvc/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "execsvc/config.h"

#define SETTINGS_MAX 64

static const char usage[] =
    "usage: execsvc [--config FILE] [--set KEY=VALUE]... [--check-config | --print-config]\n"
    "\n"
    "The gRPC service of Cloister. It is started by cloister-spawner, which hands it the socket "
    "to\n"
    "the sandboxes (environment variable CLOISTER_SPAWN_FD).\n"
    "\n"
    "  --config FILE    INI file; see cloister.conf(5)\n"
    "  --set KEY=VALUE  a key of [execsvc]; wins over file and environment\n"
    "  --check-config   say whether the configuration is good, and end\n"
    "  --print-config   print the whole configuration as a file, and end\n";

const char *exs_options_usage(void)
{
    return usage;
}

static int parse(int argc, char **argv, struct exs_options *ret, const char **settings,
                 size_t *n_settings, struct err *err)
{
    static const struct option known[] = {
        {"config", required_argument, NULL, 'c'},
        {"set", required_argument, NULL, 's'},
        {"check-config", no_argument, NULL, 'k'},
        {"print-config", no_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {0},
    };
    int c;
    opterr = 0;
    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (c == 's' && *n_settings == SETTINGS_MAX)
            return err_set(err, -E2BIG, "more than %d times --set", SETTINGS_MAX);
        if (c == '?')
            return err_set(err, -EINVAL, "unknown option, or one without its value: see --help");
        if (c == 'c')
            ret->config_file = optarg;
        else if (c == 's')
            settings[(*n_settings)++] = optarg;
        ret->check |= c == 'k';
        ret->print |= c == 'p';
        ret->help |= c == 'h';
        ret->version |= c == 'V';
    }
    return optind < argc ? err_set(err, -EINVAL, "'%.64s' is too much", argv[optind]) : 0;
}

int exs_options_read(int argc, char **argv, struct exs_options *ret, struct exs_config *config,
                     struct err *err)
{
    const char *settings[SETTINGS_MAX];
    size_t n = 0;
    *ret = (struct exs_options){0};
    int r = parse(argc, argv, ret, settings, &n, err);
    if (r == 0 && ret->config_file)
        r = exs_config_file(config, ret->config_file, err);
    if (r == 0)
        r = exs_config_environment(config, (const char *const *)environ, err);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = exs_config_set(config, settings[i], err);
    return r < 0 ? r : exs_config_finish(config, err);
}
