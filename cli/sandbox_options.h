#pragma once
/* The command line of `cloister sandbox run`. */

#include <stdbool.h>
#include <stdio.h>

#include "sandbox/node.h"

#define SANDBOX_ENV_MAX 256

struct sandbox_options {
    struct node_config node;
    struct limits limits; /* 0: default */
    uint32_t policy;
    uint32_t layers;
    bool dry_run, json;
    const char *output_dir; /* write new and changed files there; NULL: don't */
    const char *cwd;
    const char *env[SANDBOX_ENV_MAX + 8];
    const char *const *argv;
};

void sandbox_usage(FILE *out);
/** sandbox_options_parse() - @ret comes zeroed. Return: 0, 1 when --help was asked for, or -EINVAL
 * with words. */
int sandbox_options_parse(int argc, char **argv, struct sandbox_options *ret, struct err *err);
/** sandbox_options_settle() - what this host has to say to them. Return: 0, or -EINVAL with words
 */
int sandbox_options_settle(struct sandbox_options *options, struct err *err);
