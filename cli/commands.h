#pragma once
/*
 * The commands of the two programs: `cloister`, small and quick to start, and `cloister-remote`,
 * which talks gRPC and is executed by the former. Each gets argv with its own name first and
 * returns the exit status.
 */

int cmd_sandbox(int argc, char **argv);
int cmd_doctor(int argc, char **argv);

int cmd_run(int argc, char **argv);
int cmd_node(int argc, char **argv);
int cmd_top(int argc, char **argv);

/* Exit statuses of ours (contract.md); everything below is the program's own. */
#define CLI_EXIT_LIMIT   124
#define CLI_EXIT_OURS    125
#define CLI_EXIT_REFUSED 126
