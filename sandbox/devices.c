#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/err.h"
#include "sandbox/stage.h"

static const struct {
    const char *name;
    unsigned major, minor;
} devices[] = {{"null", 1, 3},   {"zero", 1, 5},    {"full", 1, 7},
               {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};

int make_device_links(int dir_fd, struct err *err)
{
    static const char *const links[][2] = {{"/proc/self/fd", "fd"},
                                           {"/proc/self/fd/0", "stdin"},
                                           {"/proc/self/fd/1", "stdout"},
                                           {"/proc/self/fd/2", "stderr"},
                                           {"pts/ptmx", "ptmx"}};
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
        if (symlinkat(links[i][0], dir_fd, links[i][1]) < 0)
            return err_set(err, -errno, "link dev/%s: %m", links[i][1]);
    return 0;
}

int make_device_nodes(int dir, struct err *err)
{
    if (mkdirat(dir, "pts", 0755) < 0 || mkdirat(dir, "shm", 0755) < 0)
        return err_set(err, -errno, "make a directory in dev: %m");
    for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
        if (mknodat(dir, devices[i].name, S_IFCHR | 0666,
                    makedev(devices[i].major, devices[i].minor)) < 0)
            return err_set(err, -errno, "mknod %s: %m", devices[i].name);
    return make_device_links(dir, err);
}
