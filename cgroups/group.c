/* The one interface; v1 and hybrid are group_v1.c, v2 is group_v2.c. */
#include "cgroups/group.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/err.h"
#include "cgroups/files.h"
#include "cgroups/tree.h"

#define RMDIR_TRIES    10
#define RMDIR_PAUSE_US 1000

int cg_rmdir_soon(int parent, const char *name)
{
    for (int tries = 0;; tries++) {
        if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
            return 0;
        if (errno != EBUSY || tries == RMDIR_TRIES)
            return -errno;
        cg_sleep_us(RMDIR_PAUSE_US);
    }
}

int cg_group_new(struct cg_tree *tree, const char *name, struct cg_group **ret, struct err *err)
{
    if (!cg_name_ok(name))
        return err_set(err, -EINVAL, "'%.40s' is not a name for a cgroup", name);
    return tree->version == CG_V2 ? cg_group_new_v2(tree, name, ret, err)
                                  : cg_group_new_v1(tree, name, ret, err);
}

static int check_limits(const struct cg_group *group, const struct cg_limits *limits,
                        struct err *err)
{
    if (limits->memory_bytes == 0 || limits->pids == 0)
        return err_set(err, -EINVAL, "group %s: a limit of 0", group->name);
    return 0;
}

int cg_group_prepare(struct cg_group *group, const struct cg_limits *limits, struct err *err)
{
    int r = check_limits(group, limits, err);
    return r < 0 ? r : group->ops->prepare(group, limits, err);
}

int cg_group_limit(struct cg_group *group, const struct cg_limits *limits, struct err *err)
{
    int r = check_limits(group, limits, err);
    return r < 0 ? r : group->ops->limit(group, limits, err);
}

int cg_group_raise_memory(struct cg_group *group, uint64_t memory_bytes, struct err *err)
{
    return group->ops->raise_memory(group, memory_bytes, err);
}

size_t cg_group_join_fds(const struct cg_group *group, const int **ret)
{
    return group->ops->join_fds(group, ret);
}

int cg_group_clone_fd(const struct cg_group *group)
{
    return group->ops->clone_fd(group);
}

int cg_group_stats(struct cg_group *group, struct cg_stats *ret, struct err *err)
{
    return group->ops->stats(group, ret, err);
}

int cg_group_cpu_us(struct cg_group *group, uint64_t *ret_us, struct err *err)
{
    return group->ops->cpu_us(group, ret_us, err);
}

int cg_group_kill(struct cg_group *group, struct err *err)
{
    return group->ops->kill(group, err);
}

int cg_group_populated(struct cg_group *group)
{
    return group->ops->populated(group);
}

_Static_assert(CG_PLACES_MAX >= CG_HIER_MAX, "a place in each hierarchy");

size_t cg_group_places(const struct cg_group *group, int ret[CG_PLACES_MAX], const char **ret_name)
{
    for (size_t i = 0; i < group->tree->n; i++)
        ret[i] = group->tree->hier[i].dir;
    *ret_name = group->name;
    return group->tree->n;
}

struct cg_group *cg_group_free(struct cg_group *group)
{
    if (group)
        group->ops->free(group);
    return NULL;
}
