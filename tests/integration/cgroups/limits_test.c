/* Limits that are tripped, and what the counters say then. */
#include "tests/integration/cgroups/support.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void a_memory_limit_kills_and_is_counted_as_the_groups_own(void **state)
{
    struct fixture *fixture = *state;
    struct cg_group *group = group_made(fixture->tree, "slot", 32 * MIB, 20);
    uint64_t bytes = 64 * MIB;
    int status = run_in(group, touch_memory, &bytes);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    struct cg_stats stats = group_stats(group);
    assert_int_equal(stats.oom_kills, 1);
    assert_true(stats.oom_own);
    assert_in_range(stats.memory_peak_bytes, 30 * MIB, 32 * MIB);
    cg_group_free(group);
}

static void memory_below_the_limit_is_not_killed_and_its_peak_is_seen(void **state)
{
    struct fixture *fixture = *state;
    struct cg_group *group = group_made(fixture->tree, "slot", 64 * MIB, 20);
    uint64_t bytes = 24 * MIB;
    assert_int_equal(run_in(group, touch_memory, &bytes), 0);
    struct cg_stats stats = group_stats(group);
    assert_int_equal(stats.oom_kills, 0);
    assert_false(stats.oom_own);
    assert_in_range(stats.memory_peak_bytes, 24 * MIB, 32 * MIB);
    cg_group_free(group);
}

static void an_oom_of_the_parent_is_not_the_groups_own(void **state)
{
    struct fixture *fixture = *state;
    struct cg_node_caps caps = {.memory_bytes = 48 * MIB};
    struct cg_tree *tree = tree_made(fixture, "-capped", &caps);
    struct cg_group *group = group_made(tree, "slot", 256 * MIB, 20);
    uint64_t bytes = 96 * MIB;
    int status = run_in(group, touch_memory, &bytes);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    struct cg_stats stats = group_stats(group);
    assert_int_equal(stats.oom_kills, 1);
    assert_false(stats.oom_own);
    struct cg_tree_stats node;
    MUST(cg_tree_stats(tree, &node, &err));
    assert_int_equal(node.memory_limit_bytes, 48 * MIB);
    assert_int_equal(node.oom_kills, 1);
    assert_true(node.oom_own >= 1);
    /* The next run's own OOM is told apart again, and the parent's old one is not held against it.
     */
    group_prepared(group, 16 * MIB, 20);
    status = run_in(group, touch_memory, &bytes);
    assert_true(WIFSIGNALED(status));
    stats = group_stats(group);
    assert_int_equal(stats.oom_kills, 1);
    assert_true(stats.oom_own);
    cg_group_free(group);
    MUST(cg_tree_stats(tree, &node, &err));
    assert_int_equal(node.oom_kills, 2); /* also those of groups that are gone */
    MUST(cg_tree_remove(tree, &err));
}

/* Exit status: how many children could be made before EAGAIN. */
static int fork_until_refused(void *tries)
{
    for (int made = 0; made < *(int *)tries; made++) {
        pid_t pid = fork();
        if (pid == 0) {
            pause();
            _exit(0);
        }
        if (pid < 0)
            return errno == EAGAIN ? made : 96;
    }
    return *(int *)tries;
}

static void a_process_limit_refuses_and_is_counted(void **state)
{
    struct fixture *fixture = *state;
    struct cg_group *group = group_made(fixture->tree, "slot", 64 * MIB, 8);
    int tries = 20;
    int status = run_in(group, fork_until_refused, &tries);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
    struct cg_stats stats = group_stats(group);
    assert_int_equal(stats.pids_now, 7);
    assert_true(stats.pids_refused >= 1);
    assert_true(stats.pids_peak == 8 || stats.pids_peak == 0);
    kill_until_empty(group);
    cg_group_free(group);
}

static int burn_in_a_child_too(void *ms)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(burn_cpu(ms));
    burn_cpu(ms);
    int status;
    return waitpid(pid, &status, 0) == pid ? status : 95;
}

/* Of all children that were waited for, and theirs. */
static uint64_t children_cpu_us(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_CHILDREN, &usage), 0);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void the_cpu_time_of_all_processes_is_counted(void **state)
{
    struct fixture *fixture = *state;
    struct cg_group *group = group_made(fixture->tree, "slot", 64 * MIB, 20);
    unsigned ms = 100;
    uint64_t before = children_cpu_us();
    assert_int_equal(run_in(group, burn_in_a_child_too, &ms), 0);
    /* Twice what each burned, by its own clock, up to all that the kernel says they used: a machine
     * that stalls, or a virtual one, adds to that. A millisecond for what is rounded. */
    uint64_t most = children_cpu_us() - before + 1000, us = 0;
    MUST(cg_group_cpu_us(group, &us, &err));
    assert_in_range(us, 199000, most);
    struct cg_stats stats = group_stats(group);
    assert_in_range(stats.cpu_user_us + stats.cpu_system_us, 199000, most);
    cg_group_free(group);
}

static int raise_then_touch(void *pipe_end)
{
    char go;
    uint64_t bytes = 48 * MIB;
    return read(*(int *)pipe_end, &go, 1) == 1 ? touch_memory(&bytes) : 94;
}

static void the_memory_limit_can_be_raised_while_something_runs(void **state)
{
    struct fixture *fixture = *state;
    struct cg_group *group = group_made(fixture->tree, "slot", 16 * MIB, 20);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = start_in(group, raise_then_touch, &ends[0]);
    MUST(cg_group_raise_memory(group, 80 * MIB, &err));
    assert_int_equal(cg_group_raise_memory(group, 8 * MIB, NULL), -EINVAL);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(wait_for(pid), 0);
    assert_int_equal(group_stats(group).oom_kills, 0);
    close(ends[0]);
    close(ends[1]);
    cg_group_free(group);
}

static void a_group_used_again_takes_higher_and_lower_limits(void **state)
{
    static const uint64_t mib[] = {32, 128, 16, 16, 256, 24};
    struct fixture *fixture = *state;
    struct cg_group *group = group_made(fixture->tree, "slot", 64 * MIB, 20);
    for (size_t i = 0; i < sizeof(mib) / sizeof(mib[0]); i++) {
        uint64_t below = (mib[i] - 8) * MIB, above = (mib[i] + 16) * MIB;
        group_prepared(group, mib[i] * MIB, 10 + i);
        assert_int_equal(run_in(group, touch_memory, &below), 0);
        assert_int_equal(group_stats(group).oom_kills, 0);
        group_prepared(group, mib[i] * MIB, 10 + i);
        assert_true(WIFSIGNALED(run_in(group, touch_memory, &above)));
        assert_int_equal(group_stats(group).oom_kills, 1);
        assert_true(group_stats(group).oom_own);
    }
    cg_group_free(group);
}

static void a_cpu_quota_slows_down(void **state)
{
    struct fixture *fixture = *state;
    struct cg_group *group = NULL;
    MUST(cg_group_new(fixture->tree, "slot", &group, &err));
    struct cg_limits limits = {.memory_bytes = 64 * MIB,
                               .pids = 20,
                               .cpu_weight = 50,
                               .cpu_percent = 20};
    MUST(cg_group_prepare(group, &limits, &err));
    unsigned ms = 100;
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    assert_int_equal(run_in(group, burn_cpu, &ms), 0);
    clock_gettime(CLOCK_MONOTONIC, &after);
    long wall_ms =
        (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
    assert_true(wall_ms > 250); /* 100 ms of CPU at a fifth of one is half a second */
    cg_group_free(group);
}

static void a_limit_of_zero_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct cg_group *group = NULL;
    MUST(cg_group_new(fixture->tree, "slot", &group, &err));
    struct cg_limits limits = {.memory_bytes = 0, .pids = 20};
    assert_int_equal(cg_group_prepare(group, &limits, &err), -EINVAL);
    assert_non_null(strstr(err.text, "slot"));
    cg_group_free(group);
}

const struct CMUnitTest limits_tests[] = {
    cmocka_unit_test(a_memory_limit_kills_and_is_counted_as_the_groups_own),
    cmocka_unit_test(memory_below_the_limit_is_not_killed_and_its_peak_is_seen),
    cmocka_unit_test(an_oom_of_the_parent_is_not_the_groups_own),
    cmocka_unit_test(a_process_limit_refuses_and_is_counted),
    cmocka_unit_test(the_cpu_time_of_all_processes_is_counted),
    cmocka_unit_test(the_memory_limit_can_be_raised_while_something_runs),
    cmocka_unit_test(a_group_used_again_takes_higher_and_lower_limits),
    cmocka_unit_test(a_cpu_quota_slows_down),
    cmocka_unit_test(a_limit_of_zero_is_refused),
};
const size_t n_limits_tests = sizeof(limits_tests) / sizeof(limits_tests[0]);
