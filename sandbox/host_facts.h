#pragma once
/* What a sandbox has to know of the host, and what its init is made of. */

#include <linux/capability.h>
#include <stdint.h>

struct err;

#define CAP(name) (UINT64_C(1) << CAP_##name)

/* What init is executed with: to become the slot's uid, to kill, to look at a terminal's readers
 * (/proc/PID/syscall is readable for its owner only). */
#define INIT_CAPS (CAP(SETUID) | CAP(SETGID) | CAP(KILL) | CAP(SYS_PTRACE) | CAP(DAC_READ_SEARCH))

/** init_image_open() - init in a sealed memory file; -errno. Owned by the caller. */
int init_image_open(void);

/** host_proc_masks() - sensitive files of /proc, in so far as their own permissions do not guard
 * them already; NULL-terminated, directories end in '/'. @ret is static. */
int host_proc_masks(const char *const **ret, struct err *err);
/** host_cpus() - that we may run on */
unsigned host_cpus(void);
