/*
 * libcgroup's part: which controller is mounted where (a mount is v2 when statfs says so, libcgroup
 * 2.0 has no call for it), and the parent group's directories.
 */
#include <errno.h>
#include <libcgroup.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "cgroups/host.h"

static void free_cgroup(struct cgroup **group)
{
    cgroup_free(group);
}

/* The path below the mount, as libcgroup wants it. */
static int make_by_libcgroup(const struct cg_hierarchy *hier, const char *path,
                             uint32_t controllers, struct err *err)
{
    CLEANUP(free_cgroup)
    struct cgroup *group = cgroup_new_cgroup(path + strlen(hier->mount) + 1);
    if (!group)
        return err_set(err, -ENOMEM, "libcgroup: new group %s", path);
    for (uint32_t bit = 1; bit <= CG_FREEZER; bit <<= 1) {
        bool core = hier->v2 && (bit & (CG_CPUACCT | CG_FREEZER));
        char name[16];
        cg_format_controllers(bit, ',', name, sizeof(name));
        if ((controllers & bit) && !core && !cgroup_add_controller(group, name))
            return err_set(err, -ENOMEM, "libcgroup: controller %s of %s", name, path);
    }
    int r = cgroup_create_cgroup(group, 1);
    if (r == 0)
        return 0;
    int code = r == ECGOTHER && cgroup_get_last_errno() > 0 ? -cgroup_get_last_errno() : -EIO;
    return err_set(err, code, "libcgroup: create %s: %s", path, cgroup_strerror(r));
}

static bool is_v2(const char *path)
{
    struct statfs fs;
    return statfs(path, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

/* Every controller of ours that is mounted, by libcgroup's table. */
static int discover(struct cg_host *host, const struct cg_self *self, struct err *err)
{
    (void)self;
    int r = cgroup_init();
    if (r == ECGROUPNOTMOUNTED)
        return err_set(err, -ENOENT, "no cgroups are mounted here");
    if (r != 0)
        return err_set(err, -EIO, "libcgroup: cgroup_init: %s", cgroup_strerror(r));
    void *walk = NULL;
    AUTO_FREE struct cgroup_mount_point *point = calloc(1, sizeof(*point));
    if (!point)
        return err_set(err, -ENOMEM, "libcgroup: %m");
    for (r = cgroup_get_controller_begin(&walk, point); r == 0;
         r = cgroup_get_controller_next(&walk, point)) {
        uint32_t bit = cg_controller_bit(point->name, strlen(point->name));
        if (bit)
            cg_host_add(host, bit, point->path, is_v2(point->path));
    }
    cgroup_get_controller_end(&walk);
    host->make = make_by_libcgroup;
    return r == ECGEOF ? 0 : err_set(err, -EIO, "libcgroup: controllers: %s", cgroup_strerror(r));
}

int cg_host_new(struct cg_host **ret, struct err *err)
{
    return cg_host_build(discover, UINT32_MAX, ret, err);
}
