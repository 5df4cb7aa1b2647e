#pragma once
/*
 * What is to run: a spec. It says nothing of how; plan.h turns it into ordered operations.
 * All memory is the caller's and borrowed for the time of a call.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/limits.h"
#include "base/result.h"

#define SBX_ARGS_MAX       1024         /* argv plus envp entries */
#define SBX_ARGS_BYTES_MAX (128 * 1024) /* all their bytes, NULs included */
#define SBX_BINDS_MAX      16
#define SBX_TREE_MAX       64
#define SBX_INPUTS_NAME    64           /* hexadecimal digits of the name of an input set */
#define SBX_WORKSPACE      "/workspace" /* HOME and the default cwd inside */

enum sbx_policy {
    SBX_POLICY_NO_SUBPROCESS = 1 << 0, /* no process beyond the main one; threads stay allowed */
};

enum sbx_launcher { SBX_LAUNCHER_NATIVE, SBX_LAUNCHER_BWRAP };

static inline const char *sbx_launcher_name(enum sbx_launcher launcher)
{
    return launcher == SBX_LAUNCHER_BWRAP ? "bwrap" : "native";
}

/*
 * A host path shown inside. Never part of a request: binds come from the operator's configuration
 * or the command line of `cloister sandbox run`, and are part of every slot's mount tree (node.h).
 */
struct sbx_bind {
    const char *source; /* absolute host path */
    const char *target; /* absolute path inside */
    bool writable;
};

struct sbx_spec {
    const char *const *argv; /* argv[0] is looked up in PATH of @envp when it has no slash */
    const char *const *envp; /* complete: nothing is added */
    const char *cwd;         /* NULL: SBX_WORKSPACE */
    struct limits limits;    /* resolved: every entry set */
    uint32_t policy;         /* enum sbx_policy */
    uint32_t layers;         /* LAYER_BITs wanted; LAYERS_ALL unless a test takes one away */
    bool terminal;           /* stdio is a PTY made inside; its master is handed back */
    uint16_t rows, cols;
    bool collect;     /* send new and changed files back when it is over */
    const char *tree; /* the runtime whose own mount tree it sees (node.h); NULL, "": the default */
    const char *inputs; /* input set that lies below the workspace (inputs.h); NULL, "": none */
    const char *tenant; /* whose it is: a change of tenant gets a fresh network namespace */
};
