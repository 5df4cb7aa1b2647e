#include "frontgw/ops/sysstat.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

static int read_small(const char *path, char *buf, size_t size)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);

    return fd >= 0 && fd_pread_text(fd, buf, size) >= 0 ? 0 : -1;
}

/* "Name:   123 kB" -> bytes */
static uint64_t kilobytes_of(const char *text, const char *name)
{
    const char *at = strstr(text, name);

    return at ? strtoull(at + strlen(name), NULL, 10) * 1024 : 0;
}

static double pressure(const char *path)
{
    char text[512];
    const char *at = read_small(path, text, sizeof(text)) == 0 ? strstr(text, "avg60=") : NULL;

    return at ? strtod(at + 6, NULL) : -1;
}

static void read_memory(struct sysstat *ret)
{
    char text[4096], limit[64], used[64];

    if (read_small("/proc/meminfo", text, sizeof(text)) == 0) {
        ret->memory_total = kilobytes_of(text, "MemTotal:");
        ret->memory_available = kilobytes_of(text, "MemAvailable:");
    }
    /* In a container the group's limit is what there is. */
    if (read_small("/sys/fs/cgroup/memory.max", limit, sizeof(limit)) == 0 &&
        read_small("/sys/fs/cgroup/memory.current", used, sizeof(used)) == 0 && limit[0] != 'm') {
        uint64_t max = strtoull(limit, NULL, 10), now = strtoull(used, NULL, 10);
        if (max && max < ret->memory_total) {
            ret->memory_total = max;
            uint64_t left = max > now ? max - now : 0;
            if (left < ret->memory_available)
                ret->memory_available = left;
        }
    }
}

void sysstat_read(const char *data_directory, struct sysstat *ret)
{
    struct statvfs disk;
    char text[128];
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    *ret = (struct sysstat){.cores = cores > 0 ? (unsigned)cores : 1};
    if (read_small("/proc/loadavg", text, sizeof(text)) == 0)
        ret->load1 = strtod(text, NULL);
    ret->cpu_pressure = pressure("/proc/pressure/cpu");
    ret->memory_pressure = pressure("/proc/pressure/memory");
    ret->io_pressure = pressure("/proc/pressure/io");
    read_memory(ret);
    process_usage(&ret->process);
    if (statvfs(data_directory, &disk) == 0) {
        ret->disk_total = (uint64_t)disk.f_blocks * disk.f_frsize;
        ret->disk_free = (uint64_t)disk.f_bavail * disk.f_frsize;
    }
}
