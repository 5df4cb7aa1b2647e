/* Defaults, and the names of cgroup trees. */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "sandbox/node.h"

#define TREE_PREFIX "cloister-"

void node_config_default(struct node_config *ret)
{
    memset(ret, 0, sizeof(*ret));
    node_config_fill(ret);
}

void node_config_fill(struct node_config *ret)
{
    snprintf(ret->instance, sizeof(ret->instance), "default");
    ret->slots_max = 64;
    ret->ready_max = 2;
    ret->layers = LAYERS_ALL;
    ret->uid_base = NODE_UID_BASE;
    ret->uid_count = NODE_UID_COUNT;
    ret->n_trees = 1;
    ret->n_root_paths = 1;
    snprintf(ret->root_paths[0], sizeof(ret->root_paths[0]), "/usr");
    limits_default(&ret->defaults);
    limits_ceiling(&ret->ceilings);
    /* Debian's alternatives are links that libraries (BLAS) and commands (awk, cc) go through.
     * Where /bin and its kin are directories of their own they are views of their own. */
    static const char *const others[] = {
        "/etc/alternatives", "/bin", "/sbin", "/lib", "/lib32", "/lib64"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct stat st;
        bool there = lstat(others[i], &st) == 0 ? S_ISDIR(st.st_mode) : errno != ENOENT;
        if (there) /* what can't be looked at will be a fault when it is mounted */
            snprintf(ret->root_paths[ret->n_root_paths++], sizeof(ret->root_paths[0]), "%s",
                     others[i]);
    }
}

int node_bind_target(const char *target, struct err *err)
{
    static const char *const ours[] = {SBX_WORKSPACE, "/tmp", "/dev", "/proc"};
    if (target[0] != '/' || strstr(target, "..") || !target[1])
        return err_set(err, -EINVAL, "'%.80s' must be an absolute path without ..", target);
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        size_t len = strlen(ours[i]);
        if (strncmp(target, ours[i], len) == 0 && (target[len] == 0 || target[len] == '/'))
            return err_set(err, -EINVAL, "%s is the sandbox's own: choose another target", ours[i]);
    }
    return 0;
}

int node_tree_find(const struct node_config *config, const char *name, struct err *err)
{
    if (!*name)
        return 0;
    uint32_t i = 1;
    while (i < config->n_trees && strcmp(config->trees[i].name, name) != 0)
        i++;
    if (i == config->n_trees || config->trees[i].disabled)
        return err_set(err, -ENOENT, "runtime '%.64s': the spawner knows no tree of this name",
                       name);
    if (config->trees[i].fault[0])
        return err_set(err, -ENOENT, "runtime '%.64s': %s", name, config->trees[i].fault);
    return (int)i;
}

/* The name of a single run says whose it is; a number of another pid namespace tells us nothing. */
#define ONE_SHOT_NAME "run-%d-%lu"

static unsigned long pid_namespace(void)
{
    struct stat st;
    return stat("/proc/self/ns/pid", &st) == 0 ? st.st_ino : 0;
}

void node_one_shot_name(char *buf, size_t size)
{
    snprintf(buf, size, ONE_SHOT_NAME, getpid(), pid_namespace());
}

static bool is_dead(const char *name, void *arg)
{
    int pid = 0;
    unsigned long ns = 0;
    (void)arg;
    if (sscanf(name, TREE_PREFIX ONE_SHOT_NAME, &pid, &ns) != 2 || pid <= 0 ||
        ns != pid_namespace())
        return false;
    return kill(pid, 0) < 0 && errno == ESRCH;
}

void node_tree_name(const struct node_config *config, char *buf, size_t size)
{
    snprintf(buf, size, TREE_PREFIX "%s", config->instance);
}

void node_leftovers_remove(struct cg_host *host)
{
    cg_leftovers_remove(host, TREE_PREFIX "run-", is_dead, NULL, NULL);
}
