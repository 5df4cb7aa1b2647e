#include "sandbox/caps.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/prctl.h>

#include "sandbox/raw.h"

static int set_caps(uint64_t permitted, uint64_t inheritable)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    for (int i = 0; i < 2; i++)
        data[i] = (struct __user_cap_data_struct){.permitted = (uint32_t)(permitted >> 32 * i),
                                                  .effective = (uint32_t)(permitted >> 32 * i),
                                                  .inheritable = (uint32_t)(inheritable >> 32 * i)};
    return raw_capset(&header, data);
}

/* The inheritable set first: it can't grow any more when the bounding set is empty. */
int caps_keep(uint64_t own, uint64_t inheritable)
{
    int r = set_caps(own | UINT64_C(1) << CAP_SETPCAP, inheritable);
    for (unsigned long cap = 0; r == 0 && cap < 64; cap++)
        r = raw_prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    return r == 0 || r == -EINVAL ? set_caps(own, inheritable) : r; /* EINVAL: past the last */
}
