/*
 * The plan's part for a run without a slot: the child makes the tree that it will live in.
 *
 * What the host has stays visible until the pivot: the lower directories of the overlays, and the
 * /proc without which the kernel refuses another one. Everything is attached below one directory,
 * which then becomes the root.
 */

#include <errno.h>
#include <linux/sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/mount.h>

#include "base/err.h"
#include "sandbox/plan_parts.h"

#define OVERLAY_FLAGS (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOATIME)

static int attach(struct plan *plan, int fd, const char *place, const char *target)
{
    struct plan_op *op = plan_add(plan, PLAN_ATTACH, fd, 0);
    const char *path = plan_text(plan, "%s%s", place, target);
    if (!op || !path)
        return -E2BIG;
    op->target = path;
    return 0;
}

/* An overlay of its own: locks on the host's inodes carry nothing (see slot.h). */
static int show(struct plan *plan, const char *place, const char *path)
{
    const char *target = plan_text(plan, "%s%s", place, path);
    const char *lower = plan_text(plan, "lowerdir=%s:%s/run", path, place);
    return target ? plan_mount(plan, "overlay", target, OVERLAY_FLAGS, lower) : -E2BIG;
}

static int mount_at(struct plan *plan, const char *type, const char *place, const char *path,
                    unsigned long flags, const char *data)
{
    const char *target = plan_text(plan, "%s%s", place, path);
    return target ? plan_mount(plan, type, target, flags, data) : -E2BIG;
}

static int tree_mounts(const struct plan_tree *tree, struct plan *plan)
{
    const char *place = tree->place;
    int r = plan_add(plan, PLAN_ROOT, -EBADF, 0) ? 0 : -E2BIG;
    if (r == 0)
        r = attach(plan, tree->root_fd, place, "");
    for (size_t i = 0; r == 0 && tree->root_paths[i]; i++)
        r = show(plan, place, tree->root_paths[i]);
    if (r == 0)
        r = attach(plan, tree->dev_fd, place, "/dev");
    if (r == 0)
        r = mount_at(plan, "devpts", place, "/dev/pts", MS_NOSUID | MS_NOEXEC,
                     "newinstance,ptmxmode=0666,mode=0600");
    if (r == 0)
        r = mount_at(plan, "proc", place, "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY,
                     "");
    for (size_t i = 0; r == 0 && i < tree->n_binds; i++)
        r = attach(plan, tree->binds[i].fd, place, tree->binds[i].target);
    struct plan_op *op = r == 0 ? plan_add(plan, PLAN_PIVOT, -EBADF, 0) : NULL;
    if (!op)
        return -E2BIG;
    op->target = place;
    r = plan_masks(tree->masks, plan);
    return r == 0 && !plan_add(plan, PLAN_CONTINUE, -EBADF, 0) ? -E2BIG : r;
}

int plan_build_tree(const struct plan_tree *tree, struct plan *ret, struct err *err)
{
    memset(ret, 0, offsetof(struct plan, ops));
    ret->text_used = ret->n_argv = 0;
    ret->clone_cgroup_fd = -EBADF;
    ret->clone_flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;
    int r = tree_mounts(tree, ret);
    return r < 0 ? err_set(err, r, "the plan of this tree does not fit") : 0;
}

int plan_tree_rights(const struct plan_facts *facts, struct plan *plan)
{
    struct plan_op *op = plan_add(plan, PLAN_HOSTNAME, -EBADF, 0);
    if (!op)
        return -E2BIG;
    op->target = facts->tree->hostname;
    return plan_add(plan, PLAN_RIGHTS, -EBADF, facts->tree->init_caps) ? 0 : -E2BIG;
}
