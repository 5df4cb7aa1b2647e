#pragma once
/* One run of `cloister sandbox run`: the node, the spawner's client, the pipes, until the verdict.
 */

#include "base/output.h"
#include "cli/sandbox_options.h"
#include "cli/sandbox_outputs.h"

struct sandbox_kept {
    uint8_t *bytes; /* head, then tail */
    size_t used;
};

struct sandbox_outcome {
    struct run_result result;
    struct output counters[2]; /* stdout, stderr */
    struct sandbox_kept kept[2];
    struct sandbox_outputs outputs;
    char cgroup_version[16];
};

/** sandbox_session() - Return: 0 with a result of any verdict, or a negative errno: no run took
 * place. */
int sandbox_session(struct sandbox_options *options, struct sandbox_outcome *ret, struct err *err);
void sandbox_outcome_done(struct sandbox_outcome *outcome);
