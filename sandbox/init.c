/*
 * pid 1 of every sandbox.
 *
 * Theory of operation
 *
 * The spawner's child has made the namespaces and mounts and executes this program in them: static,
 * without libc, a few pages, because it is started once per run. It is uid 0 of the user namespace
 * U (nobody outside) with just the capabilities that it needs to become another uid and to kill,
 * and not dumpable; the program is another uid without any. It
 *
 *   1. reads its orders (init_config) from the control socket,
 *   2. forks the file helper, which unpacks the inputs as the program's uid, filtered,
 *   3. starts the program by vfork: the child shares memory and descriptor table, so the listener
 * of its seccomp filter is born in init's own table, and the cause of a failure in init's memory,
 *   4. waits: reaps orphans, answers refused system calls, obeys the spawner,
 *   5. when the main process has ended, kills and reaps everything else, and only then reports,
 *   6. forks the file helper again to send the results, if told to, and leaves.
 *
 * The control socket is its lifeline: end of file means that the spawner is gone, and init leaves,
 * which takes the whole pid namespace along.
 */

#include "sandbox/init_proto.h"
#include "sandbox/init_run.h"

#define LEAVE_AFTER_NS 150000

static _Alignas(16) uint8_t config_bytes[INIT_CONFIG_MAX];
static struct init_state state;

/* What SCM_RIGHTS brings (cmsg(3)); more than init has numbers for does not fit. */
struct passed {
    size_t len;
    int level, type;
    int fds[INIT_FDS_PASSED_MAX];
};

/*
 * Under the numbers that they have in a sandbox that was started with them. They arrive above all
 * of init's own and leave in ascending order, so none is in another's way.
 */
static int take_passed(const struct passed *passed, size_t control_len, uint32_t descriptors)
{
    const size_t head = offsetof(struct passed, fds);
    if (control_len < head)
        return 0;
    size_t n = (passed->len - head) / sizeof(int), used = 0;
    for (int number = 0; number < 32; number++) {
        if (!(descriptors & UINT32_C(1) << number))
            continue;
        if (used == n)
            return -EBADMSG;
        int fd = passed->fds[used++];
        int r = fd == number ? 0 : raw_dup3(fd, number, 0);
        if (r < 0)
            return r;
        if (fd != number)
            raw_close(fd);
    }
    return used == n ? 0 : -EBADMSG;
}

static int receive_config(struct init_state *s)
{
    struct passed passed;
    struct iovec part = {.iov_base = config_bytes, .iov_len = sizeof(config_bytes)};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &passed,
                             .msg_controllen = sizeof(passed)};
    long n = raw_recvmsg(INIT_FD_CONTROL, &message, 0);
    if (n < 0)
        return (int)n;
    if (message.msg_flags & MSG_CTRUNC)
        return -EMFILE;
    const struct init_config *config = (const void *)config_bytes;
    if ((size_t)n < sizeof(*config) || config->magic != INIT_MAGIC || config->size != (size_t)n)
        return -EBADMSG;
    s->config = config;
    int r = take_passed(&passed, message.msg_controllen, config->descriptors);
    return r < 0 ? r : init_config_strings(s, config_bytes + n);
}

int raw_main(int argc, char **argv, char **envp)
{
    (void)argc, (void)argv, (void)envp;
    struct init_state *s = &state;
    s->listener = -EBADF;
    s->signals = -EBADF;

    int r = receive_config(s);
    if (r < 0) {
        init_report_failure(s, INIT_STAGE_SETUP, r, "init can't read its orders");
        return 1;
    }
    r = init_prepare(s);
    if (r == 0)
        r = init_files_in(s);
    if (r == 0) {
        init_note_room(s);
        r = init_start_program(s);
    }
    if (r < 0)
        return 1;
    r = init_watch(s);
    if (r < 0)
        return 1;
    r = init_finish(s);
    /* Whoever has been woken by the report may be queued here, behind the end of a pid namespace,
     * with another processor idle; and that end interrupts every processor that works (expedited
     * grace periods of RCU), which now are those that pass the result on. */
    struct timespec pause = {.tv_nsec = LEAVE_AFTER_NS};
    if (s->config->flags & INIT_ALONE)
        raw_syscall2(__NR_nanosleep, (long)&pause, 0);
    else
        raw_syscall1(__NR_sched_yield, 0);
    return r < 0 ? 1 : 0;
}
