#pragma once
/* One run of `cloister sandbox run`: the engine, the pipes, until the verdict. */

#include <signal.h>

#include "base/output.h"
#include "cli/sandbox_engine.h"
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
};

/** sandbox_block_signals() - those that a session reads itself */
void sandbox_block_signals(sigset_t *ret);
/**
 * sandbox_session() - Return: 0 with a result of any verdict, ENGINE_E_UNFIT, or a negative errno:
 * no run took place
 */
int sandbox_session(const struct sandbox_engine *by, struct sandbox_options *options,
                    struct sandbox_outcome *ret, struct err *err);
/** sandbox_complain() - why no run took place, on stderr. Return: the command's exit status. */
int sandbox_complain(const struct err *err);
/** sandbox_say() - the words for a person on stderr. Return: the command's exit status. */
int sandbox_say(const struct sandbox_outcome *outcome);
void sandbox_outcome_done(struct sandbox_outcome *outcome);
