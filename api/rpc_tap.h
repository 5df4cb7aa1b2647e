#pragma once
/*
 * The guard (h2_guard.h) on every connection that gRPC reads.
 *
 * gRPC core offers no place between its socket and its parser, and carrying the bytes of the unix
 * socket through a thread of ours would cost each run two more wake-ups. So this program has a
 * recvmsg() of its own, which gRPC's library finds before libc's: it asks the kernel, shows what
 * came to the guard of that descriptor, and says "end of file" when the guard says no
 * (docs/adr/0016). Descriptors without a guard are as ever.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/h2_guard.h"

#define RPC_TAP_FDS 32768 /* descriptors above are not guarded: rpc_conns.c uses none */

struct rpc_tap {
    struct h2_guard guard; /* whoever reads the descriptor; gRPC does so one at a time */
    _Atomic(const char *) why;
    int poke_fd; /* eventfd, written when @why is set; borrowed */
};

/** rpc_tap_set() - from now on @tap (borrowed) sees what is read from @fd; NULL: nobody does.
 * Before gRPC has the descriptor, or after it has closed it. */
void rpc_tap_set(int fd, struct rpc_tap *tap);
