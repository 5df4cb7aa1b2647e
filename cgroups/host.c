/*
 * Discovery. libcgroup (host_libcgroup.c), or mountinfo alone, says which controller is mounted
 * where. /proc/self/cgroup and mountinfo say where we stand ourselves.
 *
 * Trees are made in the top directory of a mount, unless our own group was given to us:
 *   - systemd marks a unit with Delegate=yes by the xattr user.delegate or trusted.delegate; on v1
 *     only in its own hierarchy (name=systemd), whose paths the controllers' follow;
 *   - the top may not be written, and our own group may (an ordinary user's subtree).
 * On v2 whoever has made a tree stands in the leaf CG_SUPERVISOR of that group afterwards
 * (tree_create.c), and makes the next one in the same place.
 */
#include "cgroups/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "cgroups/files.h"

#define PROC_MAX (1u << 20)

static void self_done(struct cg_self *self)
{
    free(self->cgroup);
    free(self->mounts);
}

static int self_read(struct cg_self *self, struct err *err)
{
    ssize_t n = file_read_text("/proc/self/cgroup", PROC_MAX, &self->cgroup, err);
    if (n < 0)
        return (int)n;
    self->cgroup_len = (size_t)n;
    n = file_read_text("/proc/self/mountinfo", PROC_MAX, &self->mounts, err);
    if (n < 0)
        return (int)n;
    self->mounts_len = (size_t)n;
    return 0;
}

/* Fails only when there is no room left, which would need more hierarchies than controllers. */
void cg_host_add(struct cg_host *host, uint32_t controllers, const char *mount, bool v2)
{
    struct cg_hierarchy *hier = NULL;
    for (size_t i = 0; i < host->n && !hier; i++)
        if (strcmp(host->hier[i].mount, mount) == 0)
            hier = &host->hier[i];
    if (!hier) {
        if (host->n == CG_HIER_MAX || strlen(mount) >= CG_PATH_MAX || strchr(mount, ' '))
            return;
        hier = &host->hier[host->n++];
        *hier = (struct cg_hierarchy){.v2 = v2};
        memcpy(hier->mount, mount, strlen(mount) + 1);
    }
    hier->controllers |= controllers;
}

static void add_mounted(struct cg_host *host, const struct cg_mounted *found)
{
    uint32_t controllers = found->controllers;
    if (found->v2) {
        AUTO_CLOSE int dir = open(found->point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        char text[CG_FILE_MAX];
        ssize_t len = dir < 0 ? -ENOENT : cg_read_at(dir, "cgroup.controllers", text);
        controllers = len < 0 ? 0 : cg_parse_controllers(text, (size_t)len, ' ');
    }
    for (size_t i = 0; i < host->n; i++) /* the first mount of a controller counts */
        controllers &= ~host->hier[i].controllers;
    if (controllers)
        cg_host_add(host, controllers, found->point, found->v2);
}

/* Where v1 has these, nothing of v2 is used (choose_version()). */
static bool v1_suffices(const struct cg_host *host)
{
    uint32_t v1 = 0;
    for (size_t i = 0; i < host->n; i++)
        v1 |= host->hier[i].controllers;
    return (v1 & CG_MEMORY) || (v1 & CG_PIDS);
}

/* Every controller of ours that is mounted: on v1 the mount's options name them, on v2 a file. No
 * controller is in both. */
static int discover(struct cg_host *host, const struct cg_self *self, struct err *err)
{
    const char *end = self->mounts + self->mounts_len;
    struct cg_mounted found;
    bool any = false;
    for (int v2 = 0; v2 < 2 && !v1_suffices(host); v2++)
        for (const char *at = self->mounts; cg_parse_mounted(&at, end, &found);) {
            any = true;
            if (found.v2 == (v2 == 1))
                add_mounted(host, &found);
        }
    return any ? 0 : err_set(err, -ENOENT, "no cgroups are mounted here");
}

/* One interface at a time: v1 when memory or pids are there, else v2. What is left over is not
 * used. */
static void choose_version(struct cg_host *host, const struct cg_self *self)
{
    uint32_t v1 = 0;
    for (size_t i = 0; i < host->n; i++)
        v1 |= host->hier[i].v2 ? 0 : host->hier[i].controllers;
    struct cg_mount mount;
    bool has_v2 = cg_parse_mount(self->mounts, self->mounts_len, "cgroup2", NULL, NULL, &mount);
    bool use_v1 = (v1 & (CG_MEMORY | CG_PIDS)) || (v1 && !has_v2);
    host->version = !use_v1 ? CG_V2 : has_v2 ? CG_HYBRID : CG_V1;
    size_t kept = 0;
    for (size_t i = 0; i < host->n; i++)
        if (host->hier[i].v2 != use_v1)
            host->hier[kept++] = host->hier[i];
    host->n = kept;
    if (!use_v1 && has_v2 && kept == 0) {
        cg_host_add(host, CG_CPUACCT, mount.point, true);
        kept = host->n;
    }
    if (!use_v1 && kept == 1)
        host->hier[0].controllers |= CG_CPUACCT | CG_FREEZER; /* parts of the core */
}

static bool may_write(const char *dir, const char *file)
{
    char path[CG_PATH_MAX + 32];
    snprintf(path, sizeof(path), "%s/%s", dir, file);
    return faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0;
}

static bool may_make_trees(const struct cg_hierarchy *hier, const char *dir)
{
    if (!may_write(dir, "."))
        return false;
    return hier->v2 ? may_write(dir, "cgroup.procs") && may_write(dir, "cgroup.subtree_control")
                    : may_write(dir, "tasks");
}

static bool marked_delegated(const char *dir)
{
    char value[2] = "";
    if (getxattr(dir, "trusted.delegate", value, sizeof(value)) == 1 && value[0] == '1')
        return true;
    return getxattr(dir, "user.delegate", value, sizeof(value)) == 1 && value[0] == '1';
}

/* Where our own group of @controller can be seen under @mount; false: at its top, or nowhere. */
static bool own_directory(const struct cg_self *self, const char *controller,
                          const struct cg_mount *mount, char ret[CG_PATH_MAX])
{
    char own[CG_PATH_MAX];
    if (!cg_parse_own_path(self->cgroup, self->cgroup_len, controller, own, sizeof(own)))
        return false;
    const char *below = own;
    size_t root = strlen(mount->root);
    if (strcmp(mount->root, "/") != 0) {
        if (strncmp(own, mount->root, root) != 0 || (own[root] != '/' && own[root] != 0))
            return false;
        below = own + root;
    }
    if (below[0] == 0 || strcmp(below, "/") == 0 || strstr(below, "/.."))
        return false;
    int n = snprintf(ret, CG_PATH_MAX, "%s%s", mount->point, below);
    return n > 0 && n < CG_PATH_MAX && !strchr(ret, ' ') && access(ret, F_OK) == 0;
}

/* v1: systemd's mark on the group of the same path in its own hierarchy. */
static bool systemd_delegated(const struct cg_self *self, const char *own, const char *mount_point)
{
    struct cg_mount mount;
    char named[CG_PATH_MAX];
    if (!cg_parse_mount(self->mounts, self->mounts_len, "cgroup", NULL, "name=systemd", &mount) ||
        !own_directory(self, "name=systemd", &mount, named))
        return false;
    return strcmp(named + strlen(mount.point), own + strlen(mount_point)) == 0 &&
           marked_delegated(named);
}

/* Out of the leaf of a maker of trees, up to the group that it was given. */
static void leave_supervisor(const struct cg_hierarchy *hier, char own[CG_PATH_MAX])
{
    char *slash = strrchr(own, '/');
    if (!slash || strcmp(slash + 1, CG_SUPERVISOR) != 0 || marked_delegated(own))
        return;
    *slash = '\0';
    if (!may_make_trees(hier, own))
        *slash = '/';
}

/* Return: whether trees can be made in this hierarchy at all. */
static bool choose_base(struct cg_hierarchy *hier, const struct cg_self *self)
{
    struct cg_mount mount;
    char own[CG_PATH_MAX], name[64];
    cg_format_controllers(hier->controllers & -hier->controllers, ',', name, sizeof(name));
    bool has_own = cg_parse_mount(self->mounts, self->mounts_len, hier->v2 ? "cgroup2" : "cgroup",
                                  hier->mount, NULL, &mount) &&
                   own_directory(self, hier->v2 ? NULL : name, &mount, own);
    if (has_own && hier->v2)
        leave_supervisor(hier, own);
    bool own_usable = has_own && may_make_trees(hier, own);
    bool given = own_usable && (marked_delegated(own) ||
                                (!hier->v2 && systemd_delegated(self, own, hier->mount)));
    if (!given && may_make_trees(hier, hier->mount)) {
        memcpy(hier->base, hier->mount, sizeof(hier->base));
        return true;
    }
    if (!own_usable)
        return false;
    hier->delegated = true;
    memcpy(hier->base, own, sizeof(hier->base));
    return true;
}

static void drop_unusable(struct cg_host *host, uint32_t wanted, const struct cg_self *self)
{
    size_t kept = 0;
    host->controllers = 0;
    for (size_t i = 0; i < host->n; i++) {
        if (!(host->hier[i].controllers & wanted) || !choose_base(&host->hier[i], self))
            continue;
        host->controllers |= host->hier[i].controllers;
        if (kept != i)
            host->hier[kept] = host->hier[i];
        kept++;
    }
    host->n = kept;
}

/* Whoever kills tree by tree starts where processes can be frozen. */
static void freezer_first(struct cg_host *host)
{
    for (size_t i = 1; i < host->n; i++) {
        if (!(host->hier[i].controllers & CG_FREEZER))
            continue;
        struct cg_hierarchy freezer = host->hier[i];
        host->hier[i] = host->hier[0];
        host->hier[0] = freezer;
        return;
    }
}

int cg_host_build(cg_discover_fn *how, uint32_t wanted, struct cg_host **ret, struct err *err)
{
    CLEANUP(self_done) struct cg_self self = {0};
    int r = self_read(&self, err);
    if (r < 0)
        return r;
    AUTO_FREE struct cg_host *host = calloc(1, sizeof(*host));
    if (!host)
        return err_set(err, -ENOMEM, "cgroups: %m");
    r = how(host, &self, err);
    if (r < 0)
        return r;
    choose_version(host, &self);
    drop_unusable(host, wanted, &self);
    freezer_first(host);
    *ret = take_ptr(host);
    return 0;
}

int cg_host_read(uint32_t wanted, struct cg_host **ret, struct err *err)
{
    return cg_host_build(discover, wanted, ret, err);
}

struct cg_host *cg_host_free(struct cg_host *host)
{
    free(host);
    return NULL;
}

enum cg_version cg_host_version(const struct cg_host *host)
{
    return host->version;
}

uint32_t cg_host_controllers(const struct cg_host *host)
{
    return host->controllers;
}
