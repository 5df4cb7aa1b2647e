#include "sandbox/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "sandbox/inputs.h"
#include "sandbox/mounts.h"
#include "sandbox/node.h"

static int make_slot_devices(int dev, unsigned slot, struct err *err)
{
    char name[32];
    snprintf(name, sizeof(name), "slot-%u", slot);
    if (mkdirat(dev, name, 0755) < 0)
        return err_set(err, -errno, "mkdir dev/%s: %m", name);
    AUTO_CLOSE int dir = openat(dev, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return dir < 0 ? err_set(err, -errno, "open dev/%s: %m", name) : make_device_nodes(dir, err);
}

static int make_devices(int staging, const struct node_config *config, struct err *err)
{
    AUTO_CLOSE int dev = openat(staging, "dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dev < 0)
        return err_set(err, -errno, "open dev: %m");
    mode_t old = umask(0);
    int r = 0;
    for (unsigned slot = 0; r == 0 && slot < config->slots_max; slot++)
        r = make_slot_devices(dev, slot, err);
    umask(old);
    return r;
}

static int make_bind(int staging, uint32_t index, const struct node_bind *bind, struct err *err)
{
    struct stat st;
    if (stat(bind->source, &st) < 0)
        return err_set(err, -errno, "bind: %s: %m", bind->source);
    char at[32];
    snprintf(at, sizeof(at), "binds/%u", index);
    if (S_ISDIR(st.st_mode)) {
        int r = make_dirs(staging, at, err);
        if (r < 0)
            return r;
    } else if (bind->tree) { /* no overlay can be laid over a file, and locks on it would be shared
                              */
        return err_set(err, -ENOTDIR, "bind: %s: a runtime shows directories only", bind->source);
    } else {
        AUTO_CLOSE int fd = openat(staging, at, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0)
            return err_set(err, -errno, "bind: %m");
    }
    return mount_view(bind->source, staging, at, bind->writable ? VIEW_WRITABLE : VIEW_READ_ONLY,
                      err);
}

/* What one runtime lacks is not the end of all others: its tree is marked. */
static int make_binds(int staging, struct node_config *config, struct err *err)
{
    for (uint32_t i = 0; i < config->n_binds; i++) {
        const struct node_bind *bind = &config->binds[i];
        struct node_tree *tree = &config->trees[bind->tree];
        struct err own = {0};
        if (!node_tree_usable(tree))
            continue;
        int r = make_bind(staging, i, bind, &own);
        if (r < 0 && bind->tree == 0) {
            *err = own;
            return r;
        }
        if (r < 0)
            snprintf(tree->fault, sizeof(tree->fault), "%.*s", (int)sizeof(tree->fault) - 1,
                     own.text);
    }
    return 0;
}

/* A directory of the host to mount on, in this namespace only; never one that a bind comes from. */
static const char *choose_place(const struct node_config *config)
{
    static const char *const places[] = {"/mnt", "/media", "/srv", "/opt", "/tmp"};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        size_t len = strlen(places[i]);
        bool used = access(places[i], X_OK) < 0;
        for (uint32_t b = 0; b < config->n_binds; b++)
            used |= strncmp(config->binds[b].source, places[i], len) == 0;
        used |= strncmp(config->cache_dir, places[i], len) == 0;
        if (!used)
            return places[i];
    }
    return NULL;
}

/* A link could lead to where the staging tmpfs will lie. */
static void resolve_sources(struct node_config *config)
{
    char cache[PATH_MAX];
    if (config->cache_dir[0] && realpath(config->cache_dir, cache) &&
        strlen(cache) < sizeof(config->cache_dir))
        memcpy(config->cache_dir, cache, strlen(cache) + 1);
    for (uint32_t i = 0; i < config->n_binds; i++) {
        struct node_bind *bind = &config->binds[i];
        struct node_tree *tree = &config->trees[bind->tree];
        if (bind->tree == 0 || !node_tree_usable(tree))
            continue;
        char real[PATH_MAX];
        if (!realpath(bind->source, real) || strlen(real) >= sizeof(bind->source))
            snprintf(tree->fault, sizeof(tree->fault), "%.120s: %m", bind->source);
        else
            memcpy(bind->source, real, strlen(real) + 1);
    }
}

int stage_build(struct node_config *config, struct err *err)
{
    resolve_sources(config);
    const char *place = choose_place(config);
    if (!place)
        return err_set(err, -ENOENT, "no directory to stage the sandbox's tree on");
    snprintf(config->staging, sizeof(config->staging), "%s", place);
    char options[64];
    snprintf(options, sizeof(options), "mode=0755,size=16m,nr_inodes=%u",
             config->slots_max * 17 + 64 + 2 * NODE_BINDS_MAX);
    if (mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NOEXEC | MS_NOATIME, options) < 0)
        return err_set(err, -errno, "mount a tmpfs on %s: %m", place);
    AUTO_CLOSE int staging = open(place, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (staging < 0)
        return err_set(err, -errno, "open %s: %m", place);
    int r = make_dirs(staging, "dev", err);
    if (r == 0)
        r = make_dirs(staging, "base", err);
    if (r == 0)
        r = make_dirs(staging, "binds", err);
    if (r == 0 && config->own_dev)
        r = make_devices(staging, config, err);
    if (r == 0)
        r = make_binds(staging, config, err);
    if (r == 0)
        inputs_stage(staging, config);
    if (r == 0 &&
        mount(NULL, place, NULL,
              MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC | MS_NOATIME, NULL) < 0)
        r = err_set(err, -errno, "make %s read-only: %m", place);
    return r;
}
