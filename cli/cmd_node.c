/* `cloister node`: what the service is, can run and is doing. */

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "api/client_node.h"
#include "base/err.h"
#include "base/limits.h"
#include "cli/commands.h"
#include "cli/service.h"

#define TIMEOUT_MS 5000
#define REPLY_CAP  ((size_t)4 << 20)

static const char help[] =
    "cloister node [OPTION]...\n"
    "\n"
    "Says what the service is, what it can run, which limits it enforces and "
    "what it is doing.\n"
    "\n" SERVICE_HELP "\n"
    "Exit status: 0: it serves; 1: it is there and not ready; 125: no service.\n";

struct node {
    struct client *client;
    struct service_place place;
    struct arena arena;
};

/* Says why there is no answer. Return: the exit status. */
static int no_answer(const struct node *node, const struct rpc_status *status)
{
    char words[1024];
    service_explain(&node->place, status, words, sizeof(words));
    fprintf(stderr, "cloister: %s\n", words);
    return rpc_code_exit_status((int)status->code);
}

static void print_limit(const Cloister__Exec__V1__LimitInfo *limit)
{
    int id = limit_by_name(limit->name);
    if (id < 0)
        return;
    char fallback[32], ceiling[32];
    limit_format((enum limit_id)id, limit->default_value, fallback, sizeof(fallback));
    limit_format((enum limit_id)id, limit->ceiling, ceiling, sizeof(ceiling));
    printf("  %-12s %8s   at most %s\n", limit->name, fallback, ceiling);
}

static int print_info(struct node *node)
{
    const Cloister__Exec__V1__NodeInfo *info;
    struct rpc_status status;
    if (client_node_info(node->client, TIMEOUT_MS, &node->arena, &info, &status) < 0)
        return no_answer(node, &status);
    printf("node %s, cloister %s, launcher %s, cgroups %s; you are %s\n", info->node, info->version,
           info->launcher, info->cgroup_version, info->tenant);
    printf("runs at once %u, sandboxes %u, queue %u\n", info->running_max, info->slots_max,
           info->queue_max);
    for (size_t i = 0; i < info->n_layers; i++) {
        if (!info->layers[i]->active)
            printf("layer %s is not active: %s\n", info->layers[i]->name, info->layers[i]->detail);
    }
    printf("limits:\n");
    for (size_t i = 0; i < info->n_limits; i++)
        print_limit(info->limits[i]);
    return 0;
}

static int print_runtimes(struct node *node)
{
    const Cloister__Exec__V1__RuntimesResponse *response;
    struct rpc_status status;
    if (client_node_runtimes(node->client, TIMEOUT_MS, &node->arena, &response, &status) < 0)
        return no_answer(node, &status);
    printf("runtimes:\n");
    for (size_t i = 0; i < response->n_runtimes; i++) {
        const Cloister__Exec__V1__RuntimeInfo *runtime = response->runtimes[i];
        printf("  %-12s %s\n", runtime->name,
               runtime->available ? runtime->version : runtime->detail);
    }
    return 0;
}

static int print_stats(struct node *node)
{
    const Cloister__Exec__V1__NodeStats *stats;
    struct rpc_status status;
    if (client_node_stats(node->client, false, TIMEOUT_MS, &node->arena, &stats, &status) < 0)
        return no_answer(node, &status);
    printf("now: %s, %u running, %u queued, %u of %u sandboxes busy, %llu MiB of %llu MiB, "
           "%llu runs so far\n",
           stats->draining ? "draining" : (stats->ready ? "ready" : "not ready"), stats->running,
           stats->queued, stats->slots_busy, stats->slots_made,
           (unsigned long long)stats->memory_bytes >> 20,
           (unsigned long long)stats->memory_limit_bytes >> 20,
           (unsigned long long)stats->runs_total);
    return 0;
}

static int node_report(struct node *node)
{
    struct rpc_status status;
    int serving = client_health(node->client, "", TIMEOUT_MS, &status);
    if (serving < 0)
        return no_answer(node, &status);
    if (!serving)
        printf("the service is there and not ready\n");
    int rc = print_info(node);
    if (rc == 0)
        rc = print_runtimes(node);
    if (rc == 0)
        rc = print_stats(node);
    return rc != 0 ? rc : !serving;
}

int cmd_node(int argc, char **argv)
{
    static const struct option options[] = {SERVICE_OPTIONS, {"help", no_argument, NULL, 'h'}, {0}};
    struct node node = {.client = NULL};
    struct err err = {0};
    int option;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return 0;
        }
        if (!service_option(&node.place, option, optarg))
            return CLI_EXIT_REFUSED; /* getopt has said why */
    }
    if (service_find(&node.place, &err) < 0) {
        fprintf(stderr, "cloister: %s\n", err.text);
        return CLI_EXIT_REFUSED;
    }
    const struct client_options where = service_client(&node.place, NULL);
    if (client_new(&where, &node.client, &err) < 0) {
        fprintf(stderr, "cloister: %s\n", err.text);
        return CLI_EXIT_OURS;
    }
    arena_init(&node.arena, REPLY_CAP);
    int rc = node_report(&node);
    arena_done(&node.arena);
    client_free(node.client);
    return rc;
}
