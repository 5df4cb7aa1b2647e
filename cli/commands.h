#pragma once
/*
 * The commands of the three programs: `cloister`, small and quick to start, executes
 * `cloister-remote`, which talks gRPC, or `cloister-sandbox`, which has all that can be done right
 * here. Each gets argv with its own name first and returns the exit status.
 */

/** cmd_sandbox_quick() - CLI_NOT_HERE: nothing was done, it is a case for cloister-sandbox */
int cmd_sandbox_quick(int argc, char **argv);
#define CLI_NOT_HERE (-1)

int cmd_sandbox(int argc, char **argv);
int cmd_doctor(int argc, char **argv);

int cmd_run(int argc, char **argv);
int cmd_node(int argc, char **argv);
int cmd_top(int argc, char **argv);

/* Exit statuses of ours (contract.md); everything below is the program's own. */
#define CLI_EXIT_LIMIT   124
#define CLI_EXIT_OURS    125
#define CLI_EXIT_REFUSED 126
