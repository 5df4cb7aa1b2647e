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

static _Alignas(16) uint8_t config_bytes[INIT_CONFIG_MAX];
static struct init_state state;

static int receive_config(struct init_state *s)
{
    struct iovec part = {.iov_base = config_bytes, .iov_len = sizeof(config_bytes)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    long n = raw_recvmsg(INIT_FD_CONTROL, &message, 0);
    if (n < 0)
        return (int)n;
    const struct init_config *config = (const void *)config_bytes;
    if ((size_t)n < sizeof(*config) || config->magic != INIT_MAGIC || config->size != (size_t)n)
        return -EBADMSG;
    s->config = config;
    return init_config_strings(s, config_bytes + n);
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
    return init_finish(s) < 0 ? 1 : 0;
}
