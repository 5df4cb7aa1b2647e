/* The programs in the real kernel: children put a filter on and make the calls. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "sandbox/seccomp.h"

/* A call and the errno that is expected of it; 0: it must succeed. */
struct probe {
    const char *name;
    long nr;
    long args[5];
    int error;
};

static int install(const struct sbx_filter *filter, unsigned flags)
{
    struct sock_fprog program = {.len = filter->n_insns,
                                 .filter = (struct sock_filter *)filter->insns};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    return r < 0 ? -errno : (int)r;
}

static bool probe_holds(const struct probe *p)
{
    errno = 0;
    long r = syscall(p->nr, p->args[0], p->args[1], p->args[2], p->args[3], p->args[4]);
    bool good = p->error ? r == -1 && errno == p->error : r >= 0;
    if (!good)
        dprintf(2, "%s: returned %ld, errno %d (expected %d)\n", p->name, r, errno, p->error);
    return good;
}

static int wait_for(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            fail_msg("waitpid: %s", strerror(errno));
    return status;
}

/* Return: the child's wait status. */
static int in_child(int (*body)(void *), void *arg)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(body(arg));
    return wait_for(pid);
}

static const long stream = SOCK_STREAM | SOCK_CLOEXEC;

static const struct probe refused[] = {
    {"ptrace", SYS_ptrace, {0}, EPERM},
    {"process_vm_readv", SYS_process_vm_readv, {1}, EPERM},
    {"kcmp", SYS_kcmp, {1, 1}, EPERM},
    {"mount", SYS_mount, {0}, EPERM},
    {"umount2", SYS_umount2, {(long)"/proc"}, EPERM},
    {"chroot", SYS_chroot, {(long)"/"}, EPERM},
    {"open_tree", SYS_open_tree, {-1, (long)"/", 1}, EPERM},
    {"fsopen", SYS_fsopen, {(long)"tmpfs", 0}, EPERM},
    {"unshare", SYS_unshare, {CLONE_NEWUSER}, EPERM},
    {"setns", SYS_setns, {-1, 0}, EPERM},
    {"clone user ns", SYS_clone, {CLONE_NEWUSER | SIGCHLD}, EPERM},
    {"keyctl", SYS_keyctl, {0, -3, 1}, EPERM},
    {"add_key", SYS_add_key, {0}, EPERM},
    {"bpf", SYS_bpf, {0}, EPERM},
    {"io_uring_setup", SYS_io_uring_setup, {1}, EPERM},
    {"userfaultfd", SYS_userfaultfd, {1}, EPERM},
    {"perf_event_open", SYS_perf_event_open, {0}, EPERM},
    {"syslog", SYS_syslog, {10}, EPERM},
    {"fanotify_init", SYS_fanotify_init, {0}, EPERM},
    {"clock_settime", SYS_clock_settime, {0}, EPERM},
    {"TIOCSTI", SYS_ioctl, {0, TIOCSTI, (long)"x"}, EPERM},
    {"TIOCSTI, high bits", SYS_ioctl, {0, TIOCSTI | (1L << 40), (long)"x"}, EPERM},
    {"packet socket", SYS_socket, {AF_PACKET, SOCK_RAW}, EAFNOSUPPORT},
    {"vsock", SYS_socket, {AF_VSOCK, SOCK_STREAM}, EAFNOSUPPORT},
    {"alg socket", SYS_socket, {AF_ALG, SOCK_SEQPACKET}, EAFNOSUPPORT},
    {"raw socket", SYS_socket, {AF_INET, SOCK_RAW, 1}, EAFNOSUPPORT},
    {"nfnetlink", SYS_socket, {AF_NETLINK, SOCK_RAW, 12}, EAFNOSUPPORT},
    {"mknod device", SYS_mknodat, {AT_FDCWD, (long)"/tmp/never", S_IFCHR | 0600, 0x103}, EPERM},
    {"personality", SYS_personality, {MMAP_PAGE_ZERO}, EPERM},
    {"second listener", SYS_seccomp, {1, SECCOMP_FILTER_FLAG_NEW_LISTENER}, EPERM},
};

static const struct probe silent[] = {
    {"clone3", SYS_clone3, {0}, ENOSYS},
    {"newer than the table", 470, {0}, ENOSYS},
    {"far beyond the table", 100000, {0}, ENOSYS},
    {"io_setup", SYS_io_setup, {1}, ENOSYS},
    {"unknown prctl", SYS_prctl, {0x12345}, EINVAL},
    {"mptcp", SYS_socket, {AF_INET, SOCK_STREAM, 262}, EPROTONOSUPPORT},
    {"sync", SYS_sync, {0}, 0},
    {"unix socket", SYS_socket, {AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC}, 0},
    {"tcp socket", SYS_socket, {AF_INET, stream}, 0},
    {"route socket", SYS_socket, {AF_NETLINK, SOCK_RAW, 0}, 0},
    {"memfd", SYS_memfd_create, {(long)"m", 1}, 0},
    {"query personality", SYS_personality, {0xffffffff}, 0},
    {"thread name", SYS_prctl, {PR_SET_NAME, (long)"x"}, 0},
    {"pidfd", SYS_pidfd_open, {0, 0}, EINVAL},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int all_hold(const struct probe *probes, size_t n)
{
    int bad = 0;
    for (size_t i = 0; i < n; i++)
        bad += !probe_holds(&probes[i]);
    return bad;
}

static int quiet_body(void *arg)
{
    if (install(arg, 0) < 0)
        return 100;
    return all_hold(refused, COUNT(refused)) + all_hold(silent, COUNT(silent));
}

static void quiet_filter_answers_by_itself(void **state)
{
    (void)state;
    struct sbx_filter filter;
    assert_int_equal(sbx_filter_build_quiet(0, &filter, NULL), 0);
    assert_int_equal(in_child(quiet_body, &filter), 0);
}

/* --- with a listener --- */

struct talk {
    struct sbx_filter filter;
    int sock[2];
    bool under_spawner;
};

static int notify_body(void *arg)
{
    struct talk *talk = arg;
    if (talk->under_spawner && sbx_filter_spawner_install(NULL) < 0)
        return 100;
    int listener = install(&talk->filter, SECCOMP_FILTER_FLAG_NEW_LISTENER);
    if (listener < 0 || fd_send(talk->sock[1], "L", 1, &listener, 1) < 0)
        return 101;
    close(listener);
    close(talk->sock[0]);
    close(talk->sock[1]);
    return all_hold(refused, COUNT(refused)) + all_hold(silent, COUNT(silent));
}

/* What the sandbox's init does: count, and answer with the errno of the kind. */
static void serve(int listener, const struct sbx_filter *filter, uint32_t counts[REFUSAL_COUNT])
{
    for (;;) {
        struct pollfd p = {.fd = listener, .events = POLLIN};
        assert_int_equal(poll(&p, 1, 10000), 1);
        if (!(p.revents & POLLIN))
            return; /* POLLHUP: nobody is under this filter any more */
        struct seccomp_notif call = {0};
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0) {
            assert_int_equal(errno, ENOENT);
            continue;
        }
        uint8_t op = sbx_filter_op(filter, &call.data);
        assert_int_not_equal(op, SBX_OP_NONE);
        counts[op]++;
        struct seccomp_notif_resp answer = {.id = call.id, .error = -filter->errno_of[op]};
        assert_int_equal(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer), 0);
    }
}

static int run_notified(struct talk *talk, int (*body)(void *), uint32_t counts[REFUSAL_COUNT])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, talk->sock), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(body(talk));
    close(talk->sock[1]);
    char byte;
    int fds[FD_PASS_MAX];
    size_t n_fds = 0;
    ssize_t n = fd_recv(talk->sock[0], &byte, 1, fds, &n_fds);
    if (n == 1 && n_fds == 1) {
        serve(fds[0], &talk->filter, counts);
        close(fds[0]);
    }
    close(talk->sock[0]);
    return wait_for(pid);
}

static void check_notified(bool under_spawner)
{
    static struct talk talk;
    uint32_t counts[REFUSAL_COUNT] = {0};
    talk.under_spawner = under_spawner;
    assert_int_equal(sbx_filter_build(0, &talk.filter, NULL), 0);
    assert_int_equal(run_notified(&talk, notify_body, counts), 0);
    assert_int_equal(counts[REFUSAL_PTRACE], 3);
    assert_int_equal(counts[REFUSAL_MOUNT], 5);
    assert_int_equal(counts[REFUSAL_NAMESPACE], 3);
    assert_int_equal(counts[REFUSAL_KEYRING], 2);
    assert_int_equal(counts[REFUSAL_KERNEL], 6);
    assert_int_equal(counts[REFUSAL_TIME], 1);
    assert_int_equal(counts[REFUSAL_TERMINAL], 2);
    assert_int_equal(counts[REFUSAL_SOCKET], 5);
    assert_int_equal(counts[REFUSAL_DEVICE], 1);
    assert_int_equal(counts[REFUSAL_OTHER], 2);
    assert_int_equal(counts[REFUSAL_SUBPROCESS], 0);
}

static void refused_calls_are_notified_once_each(void **state)
{
    (void)state;
    check_notified(false);
}

static void spawners_filter_does_not_hide_refusals(void **state)
{
    (void)state;
    check_notified(true);
}

static const struct probe spawner_denied[] = {
    {"bpf", SYS_bpf, {0}, ENOSYS},
    {"io_uring_setup", SYS_io_uring_setup, {1}, ENOSYS},
    {"keyctl", SYS_keyctl, {0, -3, 1}, ENOSYS},
    {"ptrace", SYS_ptrace, {0}, ENOSYS},
    {"nfnetlink", SYS_socket, {AF_NETLINK, SOCK_RAW, 12}, ENOSYS},
    {"packet socket", SYS_socket, {AF_PACKET, SOCK_RAW}, ENOSYS},
    {"dgram socket", SYS_socket, {AF_INET, SOCK_DGRAM}, 0},
    {"mount reaches the kernel", SYS_mount, {0, 0, 0, 0, 0}, EFAULT},
    {"setns reaches the kernel", SYS_setns, {-1, 0}, EBADF},
};

static int spawner_body(void *arg)
{
    (void)arg;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || sbx_filter_spawner_install(NULL) < 0)
        return 100;
    return all_hold(spawner_denied, COUNT(spawner_denied));
}

static void spawner_filter_alone_answers_enosys(void **state)
{
    (void)state;
    assert_int_equal(in_child(spawner_body, NULL), 0);
}

/* --- no sub-processes --- */

static void *thread_body(void *arg)
{
    *(int *)arg = 1;
    return NULL;
}

static int no_subprocess_body(void *arg)
{
    struct talk *talk = arg;
    int ran = 0;
    pthread_t thread;
    int listener = install(&talk->filter, SECCOMP_FILTER_FLAG_NEW_LISTENER);
    if (listener < 0 || fd_send(talk->sock[1], "L", 1, &listener, 1) < 0)
        return 101;
    close(listener);
    close(talk->sock[0]);
    close(talk->sock[1]);
    if (pthread_create(&thread, NULL, thread_body, &ran) != 0 || pthread_join(thread, NULL) != 0 ||
        !ran)
        return 1;
    if (fork() != -1 || errno != EPERM)
        return 2;
    if (vfork() != -1 || errno != EPERM)
        return 3;
    execl("/bin/sh", "sh", "-c", "exit 7", NULL);
    return 4;
}

static void no_subprocess_stops_fork_but_not_threads_or_exec(void **state)
{
    (void)state;
    static struct talk talk;
    uint32_t counts[REFUSAL_COUNT] = {0};
    assert_int_equal(sbx_filter_build(SBX_POLICY_NO_SUBPROCESS, &talk.filter, NULL), 0);
    int status = run_notified(&talk, no_subprocess_body, counts);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_int_equal(counts[REFUSAL_SUBPROCESS], 2);
}

/* --- other ways into the kernel --- */

#if defined(__x86_64__)
static int int80_body(void *arg)
{
    if (install(arg, 0) < 0)
        return 100;
    long ret = 20; /* getpid for i386 */
    __asm__ volatile("int $0x80" : "+a"(ret) : : "memory", "r8", "r9", "r10", "r11");
    return 1;
}

static int x32_body(void *arg)
{
    if (install(arg, 0) < 0)
        return 100;
    syscall(0x40000000 + SYS_getpid);
    return 1;
}

static void foreign_calls_are_the_end(void **state)
{
    (void)state;
    struct sbx_filter filter;
    assert_int_equal(sbx_filter_build_quiet(0, &filter, NULL), 0);
    int status = in_child(int80_body, &filter);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
    status = in_child(x32_body, &filter);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
}
#endif

/* --- real programs --- */

struct command {
    const struct sbx_filter *filter;
    const char *dir;
    const char *const *argv;
};

static int command_body(void *arg)
{
    const struct command *command = arg;
    struct rlimit no_core = {0, 0};
    if (chdir(command->dir) < 0 || setrlimit(RLIMIT_CORE, &no_core) < 0 ||
        install(command->filter, 0) < 0)
        return 100;
    execvp(command->argv[0], (char *const *)command->argv);
    return 101;
}

static const char python_code[] =
    "import asyncio, ctypes, mmap, multiprocessing, os, pty, select, signal, socket, sqlite3\n"
    "import subprocess, tempfile, threading, time\n"
    "assert subprocess.run(['sh', '-c', 'echo hi | cat'], capture_output=True).stdout == b'hi\\n'\n"
    "t = threading.Thread(target=time.sleep, args=(0.01,)); t.start(); t.join()\n"
    "async def main():\n"
    "    server = await asyncio.start_server(lambda r, w: w.close(), '127.0.0.1', 0)\n"
    "    r, w = await asyncio.open_connection(*server.sockets[0].getsockname())\n"
    "    assert await r.read() == b''\n"
    "    p = await asyncio.create_subprocess_exec('true'); assert await p.wait() == 0\n"
    "asyncio.run(main())\n"
    "q = multiprocessing.get_context('fork').Queue(); q.put(1); assert q.get() == 1\n"
    "sem = multiprocessing.get_context('spawn').Semaphore()\n"
    "db = sqlite3.connect('t.db'); db.execute('pragma journal_mode=wal')\n"
    "db.execute('create table t(a)'); db.commit()\n"
    "m, s = pty.openpty(); os.write(m, b'x\\n'); assert os.read(s, 2) == b'x\\n'\n"
    "os.mkfifo('fifo'); os.sync(); os.sched_setaffinity(0, os.sched_getaffinity(0))\n"
    "assert tempfile.TemporaryFile().writable()\n"
    "mm = mmap.mmap(-1, 8192); mm.madvise(mmap.MADV_DONTNEED)\n"
    "signal.setitimer(signal.ITIMER_REAL, 0.01)\n"
    "signal.signal(signal.SIGALRM, lambda *a: None); signal.pause()\n";

static const char c_code[] = "printf '#include <stdio.h>\\nint main(void){puts(\"c\");}' > p.c && "
                             "gcc -O2 -o p p.c && ./p | grep -q c";

static const char node_code[] =
    "const {execSync} = require('child_process'); const {Worker} = require('worker_threads');"
    "if (execSync('echo hi').toString() !== 'hi\\n') process.exit(3);"
    "new Worker('process.exit(0)', {eval: true}).on('exit', () => "
    "require('net').createServer().listen(0, '127.0.0.1', function () { this.close(); }));"
    "require('fs').promises.readFile('/etc/passwd').then(() => 0);";

static void real_programs_run_under_the_filter(void **state)
{
    (void)state;
    const char *const python[] = {"/usr/bin/python3", "-c", python_code, NULL};
    const char *const shell[] = {
        "bash", "-c", "diff <(seq 9 | sort -r | tac) <(seq 9) && (ulimit -n; ls -lR /etc/apt) >o",
        NULL};
    const char *const compiler[] = {"sh", "-c", c_code, NULL};
    const char *const node[] = {"node", "-e", node_code, NULL};
    const char *const *const commands[] = {python, shell, compiler, node};
    char dir[] = "/tmp/cloister-seccomp-XXXXXX";
    struct sbx_filter filter;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(sbx_filter_build_quiet(0, &filter, NULL), 0);
    for (size_t i = 0; i < COUNT(commands); i++) {
        struct command command = {&filter, dir, commands[i]};
        int status = in_child(command_body, &command);
        if (status != 0)
            fail_msg("%s: wait status 0x%x (its files are in %s)", commands[i][0], status, dir);
    }
    const char *const clean[] = {"rm", "-rf", dir, NULL};
    struct command command = {&filter, "/", clean};
    assert_int_equal(in_child(command_body, &command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quiet_filter_answers_by_itself),
        cmocka_unit_test(refused_calls_are_notified_once_each),
        cmocka_unit_test(spawners_filter_does_not_hide_refusals),
        cmocka_unit_test(spawner_filter_alone_answers_enosys),
        cmocka_unit_test(no_subprocess_stops_fork_but_not_threads_or_exec),
#if defined(__x86_64__)
        cmocka_unit_test(foreign_calls_are_the_end),
#endif
        cmocka_unit_test(real_programs_run_under_the_filter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
