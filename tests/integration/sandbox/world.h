#pragma once
/* A spawner of the test's own, spoken to over its wire protocol, without a service in front. */

#include "tests/support/unit.h"

#include "base/err.h"
#include "sandbox/node.h"
#include "sandbox/spawn_client.h"

#define OUT_MAX 65536

struct world {
    char dir[64]; /* the test's */
    struct node_config config;
    struct node *node;
    struct spawn_client *client;
    bool done, have_stats;
    struct run_result result;
    struct spawn_node_stats stats;
    struct err refused;
    char out[OUT_MAX]; /* stdout and stderr of the last run */
    size_t out_len;
    char files[OUT_MAX]; /* what it sent back, as a stream */
    size_t files_len;
    uint64_t runs;
};

/* world_main() - the beginning of main(). Return: its exit status, or -1: go on */
int world_main(int argc, char **argv);
void world_config(struct world *w, const char *name);
void world_start(struct world *w);
void world_stop(struct world *w);
/* world_run() - /bin/sh with @script; what @spec does not say is usual, the tenant "test". Return:
 * whether there was a program. */
bool world_run(struct world *w, const struct sbx_spec *spec, const char *script);
/* world_attend() - until all pipes are at their end and the result is there. */
void world_attend(struct world *w, int *out, int *files);
const struct spawn_node_stats *world_stats(struct world *w);
