#pragma once
/* `cloister sandbox run --dry-run`: the plan, and nothing is run. */

struct err;
struct sandbox_options;

/** sandbox_dry_run() - prints it, with --json as {"plan": [a line each]}. Return: 0 or negative
 * errno with words. */
int sandbox_dry_run(const struct sandbox_options *options, struct err *err);
