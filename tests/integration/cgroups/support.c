#include "tests/integration/cgroups/support.h"

#include <dirent.h>
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct err err;

void must(int r, const struct err *fault, const char *what)
{
    if (r < 0)
        fail_msg("%s: %s (%s)", what, fault->text, strerror(-r));
}

struct cg_tree *tree_made(struct fixture *fixture, const char *suffix,
                          const struct cg_node_caps *caps)
{
    struct cg_tree *tree = NULL;
    char name[sizeof(fixture->name) + 32];
    snprintf(name, sizeof(name), "%s%s", fixture->name, suffix);
    MUST(cg_tree_create(fixture->host, name, caps, getuid(), getgid(), &tree, &err));
    pid_t pid = fork(); /* as the inner spawner would: on v2 that hands the controllers down */
    if (pid == 0)
        _exit(cg_tree_enter(tree, NULL) < 0);
    assert_true(pid > 0);
    assert_int_equal(wait_for(pid), 0);
    return tree;
}

/* Test programs that were killed before they could clean up. */
static bool maker_is_gone(const char *name, void *arg)
{
    (void)arg;
    long pid = strtol(name + strlen("cgtest-"), NULL, 10);
    return pid > 0 && kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

int fixture_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    snprintf(fixture->name, sizeof(fixture->name), "cgtest-%d", getpid());
    MUST(cg_host_new(&fixture->host, &err));
    MUST(cg_leftovers_remove(fixture->host, "cgtest-", maker_is_gone, NULL, &err));
    fixture->tree = tree_made(fixture, "", NULL);
    *state = fixture;
    return 0;
}

int fixture_down(void **state)
{
    struct fixture *fixture = *state;
    MUST(cg_tree_remove(fixture->tree, &err));
    cg_host_free(fixture->host);
    free(fixture);
    return 0;
}

void group_prepared(struct cg_group *group, uint64_t memory_bytes, uint64_t pids)
{
    struct cg_limits limits = {.memory_bytes = memory_bytes, .pids = pids};
    MUST(cg_group_prepare(group, &limits, &err));
}

struct cg_group *group_made(struct cg_tree *tree, const char *name, uint64_t memory_bytes,
                            uint64_t pids)
{
    struct cg_group *group = NULL;
    MUST(cg_group_new(tree, name, &group, &err));
    group_prepared(group, memory_bytes, pids);
    return group;
}

struct cg_stats group_stats(struct cg_group *group)
{
    struct cg_stats stats;
    MUST(cg_group_stats(group, &stats, &err));
    return stats;
}

/* The child's half: only calls that are safe in a forked child, never an assertion. */
static _Noreturn void child(struct cg_group *group, int (*run)(void *arg), void *arg)
{
    const int *fds;
    size_t n = cg_group_join_fds(group, &fds);
    for (size_t i = 0; i < n; i++)
        if (write(fds[i], "0", 1) != 1)
            _exit(99);
    _exit(run(arg));
}

pid_t clone_in(struct cg_group *group, int (*run)(void *arg), void *arg)
{
    struct clone_args args = {.exit_signal = SIGCHLD};
    if (cg_group_clone_fd(group) >= 0) {
        args.flags = CLONE_INTO_CGROUP;
        args.cgroup = (__u64)cg_group_clone_fd(group);
    }
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
    if (pid == 0)
        child(group, run, arg);
    return pid;
}

pid_t start_in(struct cg_group *group, int (*run)(void *arg), void *arg)
{
    pid_t pid = clone_in(group, run, arg);
    if (pid < 0)
        fail_msg("clone3 into the group: %s", strerror(errno));
    return pid;
}

int wait_for(pid_t pid)
{
    int status = -1;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            fail_msg("waitpid %d: %s", pid, strerror(errno));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 99)
        fail_msg("the child could not join its group");
    return status;
}

int run_in(struct cg_group *group, int (*run)(void *arg), void *arg)
{
    return wait_for(start_in(group, run, arg));
}

void kill_until_empty(struct cg_group *group)
{
    for (int i = 0; i < 5000; i++) {
        MUST(cg_group_kill(group, &err));
        int populated = cg_group_populated(group);
        assert_true(populated >= 0);
        if (!populated)
            return;
        sleep_ms(1);
    }
    fail_msg("the group is still not empty after 5 s of killing");
}

int touch_memory(void *bytes)
{
    size_t size = *(uint64_t *)bytes;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return 98;
    for (size_t at = 0; at < size; at += 4096)
        ((volatile char *)memory)[at] = 1;
    return 0;
}

static uint64_t own_cpu_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* From now on: on v1 a child is not yet in its group when it is born. */
int burn_cpu(void *ms)
{
    uint64_t until = own_cpu_us() + *(unsigned *)ms * UINT64_C(1000);
    while (own_cpu_us() < until)
        ;
    return 0;
}

int sleep_long(void *unused)
{
    (void)unused;
    sleep(60);
    return 97;
}

int open_descriptors(void)
{
    int n = 0;
    DIR *list = opendir("/proc/self/fd");
    assert_non_null(list);
    while (readdir(list))
        n++;
    closedir(list);
    return n;
}

bool path_exists(const char *format, ...)
{
    char path[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(path, sizeof(path), format, args);
    va_end(args);
    return access(path, F_OK) == 0;
}

const char *tree_path(struct cg_tree *tree, const char *controller)
{
    static char found[4096];
    char text[16384];
    assert_int_equal(cg_tree_describe(tree, text, sizeof(text)), 0);
    for (char *save, *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        char *path = strchr(word, '=');
        char *name = strstr(word, controller);
        if (!path || !name || name > path)
            continue;
        snprintf(found, sizeof(found), "%s", path + 1);
        return found;
    }
    fail_msg("no %s in the tree", controller);
    return NULL;
}
