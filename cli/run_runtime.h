#pragma once
/* What runs a file: its extension says so, to us or to the node. */

#include <stddef.h>

struct client;
struct err;
struct rpc_status;

/** run_runtime_of() - the runtime that a file name's extension stands for wherever Cloister runs,
 * or NULL. */
const char *run_runtime_of(const char *file);

/**
 * run_runtime_ask() - the same of a node, which may have runtimes of its operator's
 * Return: 0 with its name; -EINVAL: no runtime has this extension, with the words; or another
 * negative errno, and @status says why there is no answer.
 */
int run_runtime_ask(struct client *client, const char *file, char *name, size_t size,
                    struct rpc_status *status, struct err *err);
