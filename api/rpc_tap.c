#include "api/rpc_tap.h"

#include <assert.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "api/rpc_cq.h"
#include "base/clock.h"

static _Atomic(struct rpc_tap *) taps[RPC_TAP_FDS];

void rpc_tap_set(int fd, struct rpc_tap *tap)
{
    assert(fd >= 0 && fd < RPC_TAP_FDS);
    if (tap) {
        h2_guard_init(&tap->guard, clock_us());
        atomic_store(&tap->why, NULL);
    }
    atomic_store(&taps[fd], tap);
}

/* Return: how many of the @n bytes the reader may see. */
static ssize_t show(struct rpc_tap *tap, const struct msghdr *message, ssize_t n)
{
    const uint64_t now = clock_us();
    size_t left = (size_t)n;
    const char *why = NULL;
    for (size_t i = 0; i < message->msg_iovlen && left > 0 && !why; i++) {
        const struct iovec *part = &message->msg_iov[i];
        size_t len = part->iov_len < left ? part->iov_len : left;
        why = h2_guard_feed(&tap->guard, part->iov_base, len, now);
        left -= len;
    }
    if (!why)
        return n;
    if (!atomic_exchange(&tap->why, why)) {
        const uint64_t one = 1;
        (void)!write(tap->poke_fd, &one, sizeof(one));
    }
    return 0;
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    ssize_t n = syscall(SYS_recvmsg, fd, message, flags);
    if (n <= 0 || fd < 0 || fd >= RPC_TAP_FDS || flags & (MSG_PEEK | MSG_ERRQUEUE))
        return n;
    struct rpc_tap *tap = atomic_load_explicit(&taps[fd], memory_order_acquire);
    if (!tap)
        return n;
    RPC_TAG_TAKE(tap); /* gRPC reads a connection from one thread at a time, not always the same */
    n = show(tap, message, n);
    RPC_TAG_GIVE(tap);
    return n;
}
