#include "sandbox/host_facts.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/fd.h"

extern const char sbx_init_image[], sbx_init_image_end[];

int init_image_open(void)
{
    return fd_memfd("cloister-init", sbx_init_image, (size_t)(sbx_init_image_end - sbx_init_image));
}

int host_proc_masks(const char *const **ret, struct err *err)
{
    static const char *const candidates[] = {
        "/proc/acpi/",         "/proc/asound/",     "/proc/driver/",     "/proc/interrupts",
        "/proc/kallsyms",      "/proc/kcore",       "/proc/key-users",   "/proc/keys",
        "/proc/latency_stats", "/proc/locks",       "/proc/modules",     "/proc/sched_debug",
        "/proc/scsi/",         "/proc/timer_list",  "/proc/timer_stats", "/proc/slabinfo",
        "/proc/vmallocinfo",   "/proc/pagetypeinfo"};
    static const char *masks[sizeof(candidates) / sizeof(candidates[0]) + 1];
    size_t n = 0;
    for (size_t i = 0; i < sizeof(candidates) / sizeof(candidates[0]); i++) {
        struct stat st;
        if (stat(candidates[i], &st) == 0) {
            if (st.st_mode & S_IROTH)
                masks[n++] = candidates[i];
        } else if (errno != ENOENT && errno != EACCES) {
            return err_set(err, -errno, "look at %s: %m", candidates[i]);
        }
    }
    masks[n] = NULL;
    *ret = masks;
    return 0;
}

unsigned host_cpus(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    return n > 0 ? (unsigned)n : 1;
}
