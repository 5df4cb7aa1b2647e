/* Root directories of sandboxes before anything is mounted in them: places to mount on, links,
 * /etc.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "sandbox/mounts.h"
#include "sandbox/node.h"

/* mkdir -p below dir_fd; @path is relative. */
int make_dirs(int dir_fd, const char *path, struct err *err)
{
    char part[512];
    size_t len = strlen(path);
    if (len >= sizeof(part))
        return err_set(err, -ENAMETOOLONG, "path is too long: %s", path);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != 0)
            continue;
        memcpy(part, path, i);
        part[i] = 0;
        if (mkdirat(dir_fd, part, 0755) < 0 && errno != EEXIST)
            return err_set(err, -errno, "mkdir %s: %m", part);
    }
    return 0;
}

int make_mount_point(int root, const char *target, bool is_dir, struct err *err)
{
    const char *relative = target + 1;
    if (is_dir)
        return make_dirs(root, relative, err);
    char parent[512];
    snprintf(parent, sizeof(parent), "%s", relative);
    char *slash = strrchr(parent, '/');
    if (slash) {
        *slash = 0;
        int r = make_dirs(root, parent, err);
        if (r < 0)
            return r;
    }
    AUTO_CLOSE int fd = openat(root, relative, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    return fd < 0 ? err_set(err, -errno, "create %s: %m", target) : 0;
}

/* Where /bin and its kin are links into /usr, they are links here too. */
static int make_links(int root, struct err *err)
{
    static const char *const links[] = {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"};
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
        char to[128];
        ssize_t n = readlink(links[i], to, sizeof(to) - 1);
        if (n < 0 && errno != ENOENT && errno != EINVAL) /* it is not there, or no link */
            return err_set(err, -errno, "look at %s: %m", links[i]);
        if (n <= 0)
            continue;
        to[n] = 0;
        if (symlinkat(to, root, links[i] + 1) < 0)
            return err_set(err, -errno, "link %s: %m", links[i]);
    }
    return 0;
}

int skeleton_make(int root, const struct node_config *config, struct err *err)
{
    static const char *const dirs[] = {"proc", "dev", "tmp", "workspace", "run", "etc"};
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof(dirs) / sizeof(dirs[0]); i++)
        r = make_dirs(root, dirs[i], err);
    if (r == 0)
        r = make_links(root, err);
    for (uint32_t i = 0; r == 0 && i < config->n_root_paths; i++)
        r = make_dirs(root, config->root_paths[i] + 1, err);
    return r;
}
