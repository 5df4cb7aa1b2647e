#pragma once
/* The command line of `cloister run`. Strings are argv's. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/model.h"
#include "cli/service.h"

#define RUN_LIST_MAX 1024

struct run_options {
    struct service_place place; /* complete: service_find() has been asked */
    const char *runtime;        /* NULL: by the file's extension */
    const char *output;         /* directory, or NULL */
    const char *subject;
    bool json, terminal, quiet, command;
    int input; /* 1: stream stdin, 0: do not, -1: if it is no terminal */
    struct limits limits;
    enum model_subprocess subprocess;
    enum model_class class;
    uint32_t grace_ms;  /* how long the run goes on without us */
    bool detach;        /* leave it at once */
    const char *attach; /* a run's id, instead of a new run */
    uint64_t
        from[3]; /* with attach: bytes of stdout and stderr, and files, that are not told again */
    const char *inputs[RUN_LIST_MAX]; /* PATH or PATH=NAME */
    size_t n_inputs;
    struct model_pair env[RUN_LIST_MAX]; /* keys are copies */
    size_t n_env;
    struct model_pair labels[MODEL_LABELS_MAX];
    size_t n_labels;
    char *const *rest; /* FILE and its arguments, or a command and its */
    size_t n_rest;
};

/**
 * run_options_parse() - Return: 0; 1: help was printed; -EINVAL with the words
 */
int run_options_parse(int argc, char **argv, struct run_options *ret, struct err *err);
void run_options_done(struct run_options *options);
