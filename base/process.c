#include "base/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "base/fd.h"

/* "Name:   123 kB" -> 123 */
static uint64_t number_after(const char *text, const char *name)
{
    const char *at = strstr(text, name);

    return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

static void read_status(struct process_usage *ret)
{
    char text[4096];
    AUTO_CLOSE int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fd_pread_text(fd, text, sizeof(text)) < 0)
        return;
    ret->rss_bytes = number_after(text, "VmRSS:") * 1024;
    ret->threads = number_after(text, "Threads:");
}

static uint64_t micros(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * 1000000 + (uint64_t)time->tv_usec;
}

void process_usage(struct process_usage *ret)
{
    struct rlimit limit;
    struct rusage used;
    AUTO_DIR DIR *dir = opendir("/proc/self/fd");

    *ret = (struct process_usage){0};
    read_status(ret);
    if (getrusage(RUSAGE_SELF, &used) == 0)
        ret->cpu_us = micros(&used.ru_utime) + micros(&used.ru_stime);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        ret->fds_max = limit.rlim_cur;
    while (dir && readdir(dir))
        ret->fds_open++;
    ret->fds_open -= ret->fds_open > 3 ? 3 : ret->fds_open; /* ".", "..", and dir's own */
}
