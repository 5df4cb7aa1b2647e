/*
 * The plan for `--launcher bwrap`: bubblewrap makes the namespaces and mounts, everything else is
 * ours.
 *
 * The child joins the cgroup, enters the slot's tree, becomes the slot's uid without capabilities,
 * and only then executes bubblewrap, which makes a user namespace of its own inside U and at last
 * executes our init as pid 1 (--as-pid-1) from the descriptor that it inherits. What it can't do is
 * listed in docs/SECURITY.md: limit inodes, give init another uid than the program.
 */

#include <errno.h>
#include <linux/sched.h>
#include <string.h>

#include "base/err.h"
#include "sandbox/init_proto.h"
#include "sandbox/plan_parts.h"

static int arg(struct plan *plan, const char *text)
{
    if (!text || plan->n_argv + 1 >= PLAN_ARGS_MAX)
        return -E2BIG;
    plan->argv[plan->n_argv++] = text;
    plan->argv[plan->n_argv] = NULL;
    return 0;
}

static int args(struct plan *plan, const char *const *texts)
{
    int r = 0;
    for (; r == 0 && *texts; texts++)
        r = arg(plan, *texts);
    return r;
}

static int tmpfs_args(const struct sbx_spec *spec, struct plan *plan)
{
    static const char *const dirs[][2] = {{"0755", SBX_WORKSPACE},
                                          {"1777", "/tmp"},
                                          {"1777", "/dev/shm"}};
    const char *size = plan_text(plan, "%llu", (unsigned long long)spec->limits.v[LIMIT_WORKSPACE]);
    int r = size ? 0 : -E2BIG;
    for (size_t i = 0; r == 0 && i < sizeof(dirs) / sizeof(dirs[0]); i++) {
        const char *const one[] = {"--perms", dirs[i][0], "--size", size,
                                   "--tmpfs", dirs[i][1], NULL};
        r = args(plan, one);
    }
    return r;
}

static int mask_args(const struct plan_facts *facts, struct plan *plan)
{
    int r = 0;
    for (size_t i = 0; r == 0 && facts->masks && facts->masks[i]; i++) {
        const char *mask = facts->masks[i];
        bool is_dir = mask[strlen(mask) - 1] == '/';
        const char *const one[] = {"--ro-bind", is_dir ? "/run" : "/dev/null", mask, NULL};
        r = args(plan, one);
    }
    return r;
}

static int namespace_args(struct plan *plan)
{
    static const struct {
        enum layer layer;
        const char *option;
    } options[] = {{LAYER_PID_NS, "--unshare-pid"},
                   {LAYER_NET_NS, "--unshare-net"},
                   {LAYER_IPC_NS, "--unshare-ipc"},
                   {LAYER_UTS_NS, "--unshare-uts"},
                   {LAYER_CGROUP_NS, "--unshare-cgroup"}};
    int r = arg(plan, "--unshare-user");
    for (size_t i = 0; r == 0 && i < sizeof(options) / sizeof(options[0]); i++)
        if (plan->layers & LAYER_BIT(options[i].layer))
            r = arg(plan, options[i].option);
    return r;
}

static int bwrap_args(const struct sbx_spec *spec, const struct plan_facts *facts,
                      struct plan *plan)
{
    /* Not --ro-bind, which would reach the operator's writable binds: what is read-only in the
     * slot's tree stays so, and can't be changed from bubblewrap's user namespace. */
    static const char *const tree[] = {"--bind", "/",      "/",     "--dev",
                                       "/dev",   "--proc", "/proc", NULL};
    static const char *const init[] = {
        "--remount-ro", "/proc", "--remount-ro",    "/dev", "--chdir", "/", "--die-with-parent",
        "--as-pid-1",   "--",    "/proc/self/fd/6", NULL};
    int r = arg(plan, "bwrap");
    if (r == 0)
        r = namespace_args(plan);
    if (r == 0)
        r = args(plan, tree);
    if (r == 0 && (plan->layers & LAYER_BIT(LAYER_PROC_MASK)))
        r = mask_args(facts, plan);
    if (r == 0)
        r = tmpfs_args(spec, plan);
    return r < 0 ? r : args(plan, init);
}

int plan_build_bwrap(const struct sbx_spec *spec, const struct plan_facts *facts, struct plan *ret,
                     struct err *err)
{
    struct plan_op *op;
    int r = plan_join(facts, ret);
    if (r == 0 && !plan_add(ret, PLAN_ENTER, facts->mount_fd, CLONE_NEWNS))
        r = -E2BIG;
    if (r == 0)
        r = plan_stdio(facts, ret);
    if (r == 0 && !plan_add(ret, PLAN_STDIO, facts->init_fd, PLAN_BWRAP_INIT_FD))
        r = -E2BIG;
    if (r == 0 && !plan_add(ret, PLAN_BECOME, -EBADF, facts->uid))
        r = -E2BIG;
    if (r == 0)
        r = bwrap_args(spec, facts, ret);
    op = r == 0 ? plan_add(ret, PLAN_EXEC, -EBADF, 0) : NULL;
    if (!op)
        return err_set(err, -E2BIG, "the plan of this run does not fit");
    op->target = PLAN_BWRAP;
    return 0;
}
