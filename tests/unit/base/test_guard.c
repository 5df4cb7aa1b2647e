/* The filter of the process, tried in children: what is forbidden ends them, what a service needs
 * goes on. */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/guard.h"

/* Children only _exit(): 0 is the expected outcome. */
typedef int child_fn(void);

static int run_confined(child_fn *fn)
{
    pid_t pid = fork();
    int status = 0;

    assert_true(pid >= 0);
    if (pid == 0) {
        struct err err;
        if (guard_filter(false, &err) < 0)
            _exit(99);
        _exit(fn());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static int do_execve(void)
{
    char *argv[] = {(char[]){"true"}, NULL};
    execve("/bin/true", argv, NULL);
    return 1;
}

static int do_execveat(void)
{
    syscall(SYS_execveat, -1, "/bin/true", NULL, NULL, 0);
    return 1;
}

static int do_fork(void)
{
    return (int)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) == 0 ? 0 : 1;
}

static int do_ptrace(void)
{
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    return 1;
}

static int do_mount(void)
{
    mount("none", "/tmp", "tmpfs", 0, NULL);
    return 1;
}

static int do_unshare(void)
{
    unshare(CLONE_NEWUSER);
    return 1;
}

static int do_bpf(void)
{
    syscall(SYS_bpf, 0, 0, 0);
    return 1;
}

static int do_setuid(void)
{
    return setuid(getuid()) == 0 ? 1 : 2;
}

static void what_a_service_never_does_ends_it(void **state)
{
    (void)state;
    static child_fn *const deeds[] = {do_execve, do_execveat, do_fork, do_ptrace,
                                      do_mount,  do_unshare,  do_bpf,  do_setuid};
    for (size_t i = 0; i < sizeof(deeds) / sizeof(deeds[0]); i++) {
        int status = run_confined(deeds[i]);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
            fail_msg("deed %zu: status %x", i, (unsigned)status);
    }
}

static int odd_sockets(void)
{
    static const int refused[] = {AF_PACKET, AF_VSOCK, AF_ALG, AF_BLUETOOTH, AF_AX25};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (socket(refused[i], SOCK_DGRAM, 0) != -1 || errno != EAFNOSUPPORT)
            return 1;
    }
    return 0;
}

static void sockets_of_other_kinds_are_refused(void **state)
{
    (void)state;
    assert_int_equal(run_confined(odd_sockets), 0);
}

static void *answer(void *arg)
{
    *(int *)arg = 42;
    return NULL;
}

static int ordinary_work(void)
{
    pthread_t thread;
    int value = 0;

    if (socket(AF_INET, SOCK_STREAM, 0) < 0 || socket(AF_UNIX, SOCK_STREAM, 0) < 0)
        return 1;
    if (pthread_create(&thread, NULL, answer, &value) != 0 || pthread_join(thread, NULL) != 0)
        return 2;
    return value == 42 && access("/proc/self/status", R_OK) == 0 ? 0 : 3;
}

static void threads_sockets_and_files_go_on(void **state)
{
    (void)state;
    assert_int_equal(run_confined(ordinary_work), 0);
}

static void *exec_in_thread(void *arg)
{
    do_execve();
    return arg;
}

static int in_another_thread(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, exec_in_thread, NULL);
    pthread_join(thread, NULL);
    return 1;
}

static void every_thread_is_confined(void **state)
{
    (void)state;
    int status = run_confined(in_another_thread);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_service_never_does_ends_it),
        cmocka_unit_test(sockets_of_other_kinds_are_refused),
        cmocka_unit_test(threads_sockets_and_files_go_on),
        cmocka_unit_test(every_thread_is_confined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
