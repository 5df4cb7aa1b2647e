/* Killing, using again, removing. */
#include "tests/integration/cgroups/support.h"
#include "tests/support/unit.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int fork_tree(void *unused)
{
    (void)unused;
    for (int i = 0; i < 4; i++)
        if (fork() == 0)
            i = 2; /* children fork once more */
    return sleep_long(NULL);
}

/* Forks for ever, each generation leaving at once: a list of pids is stale when it is read. */
static int fork_storm(void *unused)
{
    (void)unused;
    setsid();
    for (;;) {
        pid_t pid = fork();
        if (pid > 0)
            _exit(0);
        if (pid < 0)
            sched_yield();
    }
}

static int four_storms(void *unused)
{
    signal(SIGCHLD, SIG_IGN);
    for (int i = 0; i < 3; i++)
        if (fork() == 0)
            fork_storm(unused);
    return fork_storm(unused);
}

static void kill_reaches_every_process(void **state)
{
    struct fixture *fixture = *state;
    struct cg_group *group = group_made(fixture->tree, "slot", 64 * MIB, 50);
    pid_t pid = start_in(group, fork_tree, NULL);
    while (group_stats(group).pids_now < 9)
        sched_yield();
    assert_int_equal(cg_group_populated(group), 1);
    kill_until_empty(group);
    int status = wait_for(pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(cg_group_populated(group), 0);
    cg_group_free(group);
}

static void kill_ends_a_fork_storm(void **state)
{
    struct fixture *fixture = *state;
    struct cg_group *group = group_made(fixture->tree, "slot", 64 * MIB, 20);
    pid_t pid = start_in(group, four_storms, NULL);
    wait_for(pid);
    sleep_ms(50);
    assert_int_equal(cg_group_populated(group), 1);
    kill_until_empty(group);
    sleep_ms(20);
    assert_int_equal(cg_group_populated(group), 0);
    cg_group_free(group);
}

static void a_group_with_processes_is_not_prepared_for_another_run(void **state)
{
    struct fixture *fixture = *state;
    struct cg_limits limits = {.memory_bytes = 64 * MIB, .pids = 20};
    struct cg_group *group = group_made(fixture->tree, "slot", 64 * MIB, 20);
    pid_t pid = start_in(group, sleep_long, NULL);
    uint64_t us = 0;
    while (group_stats(group).pids_now == 0 || us == 0) {
        MUST(cg_group_cpu_us(group, &us, &err));
        sched_yield();
    }
    assert_int_equal(cg_group_prepare(group, &limits, NULL), -EBUSY);
    kill_until_empty(group);
    wait_for(pid);
    MUST(cg_group_prepare(group, &limits, &err));
    cg_group_free(group);
}

static int fork_some(void *n)
{
    for (int i = 0; i < *(int *)n; i++)
        if (fork() == 0)
            return sleep_long(NULL);
    return 0;
}

static void a_group_used_again_starts_with_counters_at_zero(void **state)
{
    struct fixture *fixture = *state;
    struct cg_group *group = group_made(fixture->tree, "slot", 32 * MIB, 6);
    uint64_t much = 64 * MIB, little = 4 * MIB;
    int many = 9, few = 2;
    run_in(group, touch_memory, &much);
    run_in(group, fork_some, &many);
    kill_until_empty(group);
    struct cg_stats stats = group_stats(group);
    assert_true(stats.oom_kills == 1 && stats.pids_refused >= 1);
    assert_true(stats.pids_peak == 6 || stats.pids_peak == 0);

    group_prepared(group, 32 * MIB, 6);
    stats = group_stats(group);
    assert_int_equal(stats.cpu_user_us + stats.cpu_system_us, 0);
    assert_int_equal(stats.oom_kills, 0);
    assert_int_equal(stats.pids_refused, 0);
    assert_false(stats.oom_own);
    assert_true(stats.memory_peak_bytes < 8 * MIB);
    assert_int_equal(run_in(group, touch_memory, &little), 0);
    assert_int_equal(run_in(group, fork_some, &few), 0);
    kill_until_empty(group);
    stats = group_stats(group);
    assert_in_range(stats.memory_peak_bytes, 4 * MIB, 16 * MIB);
    assert_true(stats.pids_peak == 3 || stats.pids_peak == 0);
    assert_int_equal(stats.oom_kills, 0);
    assert_int_equal(stats.pids_refused, 0);
    cg_group_free(group);
}

static void pids_peak_is_known_where_the_kernel_has_it(void **state)
{
    struct fixture *fixture = *state;
    struct cg_group *group = group_made(fixture->tree, "slot", 32 * MIB, 20);
    int n = 3;
    assert_int_equal(run_in(group, fork_some, &n), 0);
    kill_until_empty(group);
    bool known = path_exists("%s/slot/pids.peak", tree_path(fixture->tree, "pids")) ||
                 path_exists("%s/slot.1/pids.peak", tree_path(fixture->tree, "pids"));
    assert_int_equal(group_stats(group).pids_peak, known ? 4 : 0);
    cg_group_free(group);
}

static void prepare_without_a_run_between_keeps_the_descriptors(void **state)
{
    struct fixture *fixture = *state;
    struct cg_group *group = group_made(fixture->tree, "slot", 32 * MIB, 20);
    const int *fds;
    size_t n = cg_group_join_fds(group, &fds);
    int first = n ? fds[0] : -1, dir = cg_group_clone_fd(group);
    group_prepared(group, 48 * MIB, 10);
    group_prepared(group, 16 * MIB, 30);
    assert_int_equal(cg_group_join_fds(group, &fds), n);
    assert_int_equal(n ? fds[0] : -1, first);
    assert_int_equal(cg_group_clone_fd(group), dir);
    assert_true((n > 0) != (dir >= 0));
    cg_group_free(group);
}

static void a_freed_group_leaves_no_directory(void **state)
{
    struct fixture *fixture = *state;
    struct cg_group *group = group_made(fixture->tree, "slot", 32 * MIB, 20);
    uint64_t bytes = MIB;
    for (int i = 0; i < 3; i++) {
        group_prepared(group, 32 * MIB, 20);
        assert_int_equal(run_in(group, touch_memory, &bytes), 0);
    }
    cg_group_free(group);
    const char *path = tree_path(fixture->tree, "pids");
    assert_false(path_exists("%s/slot", path));
    for (int i = 0; i < 5; i++)
        assert_false(path_exists("%s/slot.%d", path, i));
}

static void descriptors_do_not_leak(void **state)
{
    struct fixture *fixture = *state;
    uint64_t bytes = MIB;
    int before = open_descriptors(), during = 0;
    for (int round = 0; round < 3; round++) {
        struct cg_group *group = group_made(fixture->tree, "slot", 32 * MIB, 20);
        for (int i = 0; i < 5; i++) {
            group_prepared(group, (32 + (uint64_t)i) * MIB, 20);
            assert_int_equal(run_in(group, touch_memory, &bytes), 0);
            group_stats(group);
            if (during == 0)
                during = open_descriptors();
            assert_int_equal(open_descriptors(), during);
        }
        kill_until_empty(group);
        cg_group_free(group);
    }
    assert_int_equal(open_descriptors(), before);
    struct cg_tree *tree = tree_made(fixture, "-two", NULL);
    struct cg_tree_stats stats;
    MUST(cg_tree_stats(tree, &stats, &err));
    MUST(cg_tree_remove(tree, &err));
    assert_int_equal(open_descriptors(), before);
}

static void names_that_are_no_single_path_component_are_refused(void **state)
{
    static const char *const names[] = {"", ".", "..", "a/b", "../x", ".hidden", "a b", "a\n"};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct cg_group *group = NULL;
        assert_int_equal(cg_group_new(fixture->tree, names[i], &group, NULL), -EINVAL);
        assert_null(group);
    }
}

const struct CMUnitTest life_tests[] = {
    cmocka_unit_test(kill_reaches_every_process),
    cmocka_unit_test(kill_ends_a_fork_storm),
    cmocka_unit_test(a_group_with_processes_is_not_prepared_for_another_run),
    cmocka_unit_test(a_group_used_again_starts_with_counters_at_zero),
    cmocka_unit_test(pids_peak_is_known_where_the_kernel_has_it),
    cmocka_unit_test(prepare_without_a_run_between_keeps_the_descriptors),
    cmocka_unit_test(a_freed_group_leaves_no_directory),
    cmocka_unit_test(descriptors_do_not_leak),
    cmocka_unit_test(names_that_are_no_single_path_component_are_refused),
};
const size_t n_life_tests = sizeof(life_tests) / sizeof(life_tests[0]);
