/* Trees of service instances that are no more. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "cgroups/host.h"
#include "cgroups/tree.h"

struct names {
    char (*at)[CG_NAME_MAX + 1];
    size_t n;
};

static void names_done(struct names *names)
{
    free(names->at);
}

/* A tree of v1 has a directory in every hierarchy, or in some: each name counts once. */
static int names_add(struct names *names, const char *name)
{
    for (size_t i = 0; i < names->n; i++)
        if (strcmp(names->at[i], name) == 0)
            return 0;
    void *grown = realloc(names->at, (names->n + 1) * sizeof(names->at[0]));
    if (!grown)
        return -ENOMEM;
    names->at = grown;
    memcpy(names->at[names->n++], name, strlen(name) + 1);
    return 0;
}

static int collect(const char *base, const char *prefix, struct names *names, struct err *err)
{
    AUTO_DIR DIR *list = opendir(base);
    if (!list)
        return err_set(err, -errno, "list cgroups in %s: %m", base);
    for (struct dirent *entry; (entry = readdir(list));) {
        if (entry->d_type != DT_DIR || strncmp(entry->d_name, prefix, strlen(prefix)) != 0 ||
            !cg_name_ok(entry->d_name))
            continue;
        int r = names_add(names, entry->d_name);
        if (r < 0)
            return err_set(err, r, "list cgroups in %s: %m", base);
    }
    return 0;
}

static int remove_everywhere(const struct cg_host *host, const char *name, struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < host->n; i++) {
        AUTO_CLOSE int base = open(host->hier[i].base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int one = base < 0 ? err_set(err, -errno, "open cgroup %s: %m", host->hier[i].base)
                           : cg_sweep(base, name, err);
        r = r < 0 ? r : one;
    }
    return r;
}

int cg_leftovers_remove(struct cg_host *host, const char *prefix,
                        bool (*is_dead)(const char *name, void *arg), void *arg, struct err *err)
{
    CLEANUP(names_done) struct names names = {0};
    int removed = 0, failed = 0;
    if (!prefix[0])
        return err_set(err, -EINVAL, "leftover cgroups: a prefix is needed");
    for (size_t i = 0; i < host->n; i++) {
        int r = collect(host->hier[i].base, prefix, &names, err);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < names.n; i++) {
        if (!is_dead(names.at[i], arg))
            continue;
        int r = remove_everywhere(host, names.at[i], err);
        failed = r < 0 ? r : failed;
        removed += r == 0;
    }
    return failed < 0 ? failed : removed;
}
