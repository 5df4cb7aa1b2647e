/* `cloister node`: what the service is, can run and is doing. */

#include <errno.h>
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
    "cloister node [OPTION]... [info | runtimes | stats]\n"
    "\n"
    "Says what the service is and which limits it enforces (info), what it can run (runtimes) and\n"
    "what it is doing (stats); without a word all three.\n"
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

static const struct part {
    const char *name;
    int (*print)(struct node *node);
} parts[] = {{"info", print_info}, {"runtimes", print_runtimes}, {"stats", print_stats}};
#define PART_COUNT (sizeof(parts) / sizeof(parts[0]))

/* Of @part, or of all when it is NULL. */
static int node_report(struct node *node, const struct part *part)
{
    struct rpc_status status;
    int serving = client_health(node->client, "", TIMEOUT_MS, &status);
    if (serving < 0)
        return no_answer(node, &status);
    if (!serving)
        printf("the service is there and not ready\n");
    int rc = 0;
    for (size_t i = 0; i < PART_COUNT && rc == 0; i++) {
        if (!part || part == &parts[i])
            rc = parts[i].print(node);
    }
    return rc != 0 ? rc : !serving;
}

/* Return: 0, or -EINVAL. */
static int find_part(char *const *words, int n, const struct part **ret, struct err *err)
{
    *ret = NULL;
    for (size_t i = 0; n == 1 && i < PART_COUNT; i++) {
        if (strcmp(words[0], parts[i].name) == 0)
            *ret = &parts[i];
    }
    if (n == 0 || *ret)
        return 0;
    return err_set(err, -EINVAL, "%s: `cloister node` takes one of info, runtimes and stats",
                   words[n - 1]);
}

/* Return: 0, 1 after --help, or a negative errno. */
static int parse(int argc, char **argv, struct node *node, const struct part **ret, struct err *err)
{
    static const struct option options[] = {SERVICE_OPTIONS, {"help", no_argument, NULL, 'h'}, {0}};
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return 1;
        }
        if (!service_option(&node->place, option, optarg))
            return err_set(err, -EINVAL,
                           "%s: unknown option, or its value is missing; `cloister node --help` "
                           "lists them",
                           argv[optind - 1]);
    }
    int rc = find_part(argv + optind, argc - optind, ret, err);
    return rc == 0 ? service_find(&node->place, err) : rc;
}

int cmd_node(int argc, char **argv)
{
    struct node node = {.client = NULL};
    const struct part *part;
    struct err err = {0};
    int rc = parse(argc, argv, &node, &part, &err);
    if (rc < 0)
        fprintf(stderr, "cloister: %s\n", err.text);
    if (rc != 0)
        return rc < 0 ? CLI_EXIT_REFUSED : 0;
    const struct client_options where = service_client(&node.place, NULL);
    if (client_new(&where, &node.client, &err) < 0) {
        fprintf(stderr, "cloister: %s\n", err.text);
        return CLI_EXIT_OURS;
    }
    arena_init(&node.arena, REPLY_CAP);
    rc = node_report(&node, part);
    arena_done(&node.arena);
    client_free(node.client);
    return rc;
}
