#pragma once
/* What a request means on this node: limits, command, environment, files of a run's two steps. Pure
 * but for memory. */

#include "sandbox/spec.h"

struct files_in_file;
struct rpc_status;
struct run;
struct step_order;

/** run_resolve() - runtime, limits and rules of run->request. Return: 0, or a negative errno with
 * @status. */
int run_resolve(struct run *run, struct rpc_status *status);

/* What step_start() takes; all memory is the run's scratch arena. */
struct run_plan {
    struct sbx_spec spec;
    struct files_in_file *files;
    size_t n_files;
};

/** run_plan_compile() - the compile step; also names run->compile.output. Return: 0 or -ENOMEM,
 * -E2BIG. */
int run_plan_compile(struct run *run, struct run_plan *ret, struct err *err);
/** run_plan_main() - the program itself, with what the compile step made. */
int run_plan_main(struct run *run, struct run_plan *ret, struct err *err);
