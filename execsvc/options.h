#pragma once
/* The command line of execsvc. */

#include <stdbool.h>

struct err;
struct exs_config;

struct exs_options {
    const char *config_file; /* NULL: none */
    bool check, print, help, version;
};

/** exs_options_read() - flags, file, environment and --set, in the order of their weight, into
 * @config. */
int exs_options_read(int argc, char **argv, struct exs_options *ret, struct exs_config *config,
                     struct err *err);
const char *exs_options_usage(void);
