/*
 * Outer: what has to be done with the caller's own rights before U exists. As real root: the cgroup
 * tree, device nodes, the whole map. As an ordinary user: what newuidmap and a delegated subtree
 * give.
 *
 * Staging happens in a private mount namespace that outer visits and leaves again, so that nothing
 * of it is seen on the host and nothing is left when outer is killed.
 */

#include "sandbox/node.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "sandbox/inner.h"
#include "sandbox/plan_parts.h"
#include "sandbox/stage.h"
#include "sandbox/userns.h"

struct node {
    struct node_config *config;
    struct cg_host *host;
    struct cg_tree *tree;
    int staged_ns; /* the private mount namespace */
    int home_ns;   /* the host's */
    int exe_fd;
    int pidfd;
    pid_t pid;
};

static int make_tree(struct node *node, struct err *err)
{
    struct node_config *c = node->config;
    const uint32_t layers =
        LAYER_BIT(LAYER_CG_MEMORY) | LAYER_BIT(LAYER_CG_PIDS) | LAYER_BIT(LAYER_CG_CPU);
    char name[80];
    node_tree_name(c, name, sizeof(name));
    uid_t owner = geteuid() == 0 ? c->uid_base : geteuid();
    if (geteuid() == 0 && !c->user_ns)
        owner = 0;
    struct err why = {0};
    int r = cg_host_new(&node->host, &why);
    if (r == 0)
        node_leftovers_remove(node->host);
    if (r == 0)
        r = cg_tree_create(node->host, name, &c->caps, owner, owner, &node->tree, &why);
    if (r == 0)
        return cg_tree_describe(node->tree, c->cgroups, sizeof(c->cgroups)) < 0
                   ? err_set(err, -E2BIG, "the description of the cgroup tree is too long")
                   : 0;
    c->cgroups[0] = 0;
    if (!(c->layers & layers & ~c->allow_missing))
        return 0;
    return err_set(err, r,
                   "layers cgroup-memory, cgroup-pids and cgroup-cpu can't be had: %s "
                   "(--allow-missing LAYER goes on without one; `cloister doctor` says more)",
                   why.text);
}

/* Everything below runs in the private mount namespace until come_home(). */
static int go_staging(struct node *node, struct err *err)
{
    node->home_ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (node->home_ns < 0 || unshare(CLONE_NEWNS) < 0)
        return err_set(err, -errno, "private mount namespace: %m");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return err_set(err, -errno, "make the mount namespace private: %m");
    int r = stage_build(node->config, err);
    if (r < 0)
        return r;
    node->staged_ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    return node->staged_ns < 0 ? err_set(err, -errno, "open the staging namespace: %m") : 0;
}

static int come_home(struct node *node, struct err *err)
{
    char cwd[PATH_MAX];
    const char *back = getcwd(cwd, sizeof(cwd)) ? cwd : "/";
    if (node->home_ns >= 0 && setns(node->home_ns, CLONE_NEWNS) < 0)
        return err_set(err, -errno, "return to the host's mount namespace: %m");
    if (chdir(back) < 0 && chdir("/") < 0)
        return err_set(err, -errno, "chdir: %m");
    return 0;
}

static int start_inner(struct node *node, int client_fd, struct err *err)
{
    AUTO_CLOSE int config_fd = fd_memfd("cloister-config", node->config, sizeof(*node->config));
    if (config_fd < 0)
        return err_set(err, config_fd, "pass the configuration on: %m");
    struct userns_start start = {
        .config = node->config,
        .exe_fd = node->exe_fd,
        .config_fd = config_fd,
        .client_fd = client_fd,
        .staged_ns = node->staged_ns,
    };
    int r = userns_start(&start, node->tree, &node->pid, &node->pidfd, err);
    return r;
}

/* What bubblewrap itself is made of. */
static int bwrap_needs(uint32_t layers, struct err *err)
{
    static const enum layer needed[] = {LAYER_USER_NS, LAYER_PID_NS, LAYER_MOUNT_NS};
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
        if (!(layers & LAYER_BIT(needed[i])))
            return err_set(err, -EINVAL, "layer %s: bubblewrap can't do without it",
                           layer_name(needed[i]));
    return 0;
}

int node_start(struct node_config *config, int client_fd, struct node **ret, struct err *err)
{
    struct node *node = calloc(1, sizeof(*node));
    if (!node)
        return err_set(err, -ENOMEM, "no memory for the node");
    *node = (struct node){.config = config,
                          .staged_ns = -EBADF,
                          .home_ns = -EBADF,
                          .pidfd = -EBADF,
                          .exe_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC)};
    config->user_ns = config->layers & LAYER_BIT(LAYER_USER_NS);
    config->own_dev = geteuid() == 0;
    config->many_uids = userns_can_map(config);
    int r = node->exe_fd < 0 ? err_set(err, -errno, "open our own program: %m") : 0;
    if (r == 0 && geteuid() != 0 && !config->user_ns)
        r = err_set(err, -EINVAL, "layer user-namespace: an ordinary user can't do without it");
    if (r == 0 && config->launcher == SBX_LAUNCHER_BWRAP)
        r = bwrap_needs(config->layers, err);
    if (r == 0 && config->launcher == SBX_LAUNCHER_BWRAP && access(PLAN_BWRAP, X_OK) < 0)
        r = err_set(err, -errno, PLAN_BWRAP ": %m (Debian's package is called bubblewrap)");
    if (r == 0)
        r = make_tree(node, err);
    if (r == 0 && geteuid() == 0) {
        r = go_staging(node, err);
        struct err home = {0};
        if (come_home(node, &home) < 0 && r == 0) {
            *err = home;
            r = home.code;
        }
    }
    if (r == 0)
        r = start_inner(node, client_fd, err);
    if (r < 0) {
        node_stop(node);
        return r;
    }
    *ret = node;
    return 0;
}

int node_inner_pidfd(const struct node *node)
{
    return node->pidfd;
}

pid_t node_inner_pid(const struct node *node)
{
    return node->pid;
}

int node_place(struct node *node, const char *leaf, pid_t pid, struct err *err)
{
    return node->tree ? cg_tree_place(node->tree, leaf, pid, err) : 0;
}

static void reap_inner(struct node *node)
{
    if (node->pidfd < 0)
        return;
    syscall(SYS_pidfd_send_signal, node->pidfd, SIGKILL, NULL, 0);
    int status;
    while (waitpid(node->pid, &status, 0) < 0 && errno == EINTR)
        ;
    node->pidfd = fd_close(node->pidfd);
}

int node_restart_inner(struct node *node, int client_fd, struct err *err)
{
    reap_inner(node);
    if (node->tree) {
        int r = cg_tree_remove(node->tree, err);
        node->tree = NULL;
        node->host = cg_host_free(node->host);
        if (r < 0)
            return r;
        r = make_tree(node, err);
        if (r < 0)
            return r;
    }
    return start_inner(node, client_fd, err);
}

struct node *node_stop(struct node *node)
{
    if (!node)
        return NULL;
    reap_inner(node);
    if (node->tree)
        cg_tree_remove(node->tree, NULL);
    cg_host_free(node->host);
    fd_close(node->staged_ns);
    fd_close(node->home_ns);
    fd_close(node->exe_fd);
    free(node);
    return NULL;
}

bool node_is_inner(int argc, char *const *argv)
{
    return argc == 1 && strcmp(argv[0], INNER_ARG0) == 0;
}
