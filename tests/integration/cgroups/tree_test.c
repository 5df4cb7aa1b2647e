/* Trees: made, described, opened, found again after a crash, removed. */
#include "tests/integration/cgroups/support.h"
#include "tests/support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "cgroups/parse.h"

static void the_host_has_memory_and_pids(void **state)
{
    struct fixture *fixture = *state;
    uint32_t wanted = CG_MEMORY | CG_PIDS | CG_CPU | CG_CPUACCT | CG_FREEZER;
    assert_int_equal(cg_host_controllers(fixture->host) & wanted, wanted);
    assert_int_equal(cg_tree_controllers(fixture->tree) & wanted, wanted);
    assert_int_equal(cg_tree_version(fixture->tree), cg_host_version(fixture->host));
    assert_non_null(cg_version_name(cg_host_version(fixture->host)));
}

static void mountinfo_alone_says_what_libcgroup_says(void **state)
{
    struct fixture *fixture = *state;
    struct cg_host *read = NULL;
    struct cg_tree *tree = NULL;
    struct cg_node_caps caps = {0};
    char name[80], by_library[CG_PATH_MAX], by_hand[CG_PATH_MAX];
    MUST(cg_host_read(UINT32_MAX, &read, &err));
    assert_int_equal(cg_host_version(read), cg_host_version(fixture->host));
    assert_int_equal(cg_host_controllers(read), cg_host_controllers(fixture->host));
    snprintf(name, sizeof(name), "%.60s-read", fixture->name);
    MUST(cg_tree_create(read, name, &caps, getuid(), getgid(), &tree, &err));
    MUST(cg_tree_describe(tree, by_hand, sizeof(by_hand)));
    MUST(cg_tree_remove(tree, &err));
    MUST(cg_tree_create(fixture->host, name, &caps, getuid(), getgid(), &tree, &err));
    MUST(cg_tree_describe(tree, by_library, sizeof(by_library)));
    MUST(cg_tree_remove(tree, &err));
    assert_string_equal(by_hand, by_library);
    cg_host_free(read);
}

static void a_group_without_a_tree_limits_and_is_removed(void **state)
{
    struct fixture *fixture = *state;
    struct cg_tree *tree = NULL;
    struct cg_group *group = NULL;
    char name[64];
    const char *told;
    int places[CG_PLACES_MAX];
    snprintf(name, sizeof(name), "%.50s-alone", fixture->name);
    if (cg_host_version(fixture->host) == CG_V2) {
        assert_int_equal(cg_group_alone(fixture->host, name, &tree, &group, &err), -EOPNOTSUPP);
        return;
    }
    MUST(cg_group_alone(fixture->host, name, &tree, &group, &err));
    struct cg_limits limits = {.memory_bytes = 32 * MIB, .pids = 20, .cpu_weight = 100};
    MUST(cg_group_prepare(group, &limits, &err));
    uint64_t bytes = 64 * MIB;
    assert_int_not_equal(run_in(group, touch_memory, &bytes), 0);
    struct cg_stats stats;
    MUST(cg_group_stats(group, &stats, &err));
    assert_true(stats.oom_kills > 0 && stats.oom_own);
    assert_true(cg_group_places(group, places, &told) > 0);
    assert_string_equal(told, name);
    assert_int_equal(faccessat(places[0], name, F_OK, 0), 0);
    int kept = fcntl(places[0], F_DUPFD_CLOEXEC, 3);
    cg_group_free(group);
    assert_int_equal(faccessat(kept, name, F_OK, 0), -1);
    close(kept);
    cg_tree_free(tree);
}

static void a_described_tree_can_be_opened_elsewhere(void **state)
{
    struct fixture *fixture = *state;
    char text[16384], again[16384];
    assert_int_equal(cg_tree_describe(fixture->tree, text, sizeof(text)), 0);
    assert_int_equal(cg_tree_describe(fixture->tree, again, 10), -ENOSPC);
    struct cg_tree *tree = NULL;
    MUST(cg_tree_open(text, &tree, &err));
    assert_int_equal(cg_tree_describe(tree, again, sizeof(again)), 0);
    assert_string_equal(text, again);
    assert_int_equal(cg_tree_controllers(tree), cg_tree_controllers(fixture->tree));
    struct cg_group *group = group_made(tree, "slot", 32 * MIB, 20);
    uint64_t bytes = MIB;
    assert_int_equal(run_in(group, touch_memory, &bytes), 0);
    cg_group_free(group);
    cg_tree_free(tree);
}

static void a_description_of_nothing_is_refused(void **state)
{
    (void)state;
    struct cg_tree *tree = NULL;
    assert_int_equal(cg_tree_open("v9 memory=/x", &tree, &err), -EINVAL);
    assert_int_equal(cg_tree_open("v1 memory=/nowhere/at/all", &tree, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/nowhere/at/all"));
    assert_null(tree);
}

static void the_stats_of_a_tree_show_its_caps_and_pressure(void **state)
{
    struct fixture *fixture = *state;
    struct cg_node_caps caps = {.memory_bytes = 200 * MIB, .pids = 100, .cpu_percent = 150};
    struct cg_tree *tree = tree_made(fixture, "-caps", &caps);
    struct cg_tree_stats stats;
    MUST(cg_tree_stats(tree, &stats, &err));
    assert_int_equal(stats.memory_limit_bytes, 200 * MIB);
    assert_int_equal(stats.oom_kills, 0);
    assert_int_equal(stats.oom_own, 0);
    if (path_exists("/proc/pressure/memory")) {
        assert_true(stats.psi_memory_some_avg10_centi <= 10000);
        assert_true(stats.psi_cpu_some_avg10_centi <= 10000);
    } else {
        assert_int_equal(stats.psi_memory_some_avg10_centi, UINT32_MAX);
    }
    MUST(cg_tree_stats(fixture->tree, &stats, &err));
    assert_int_equal(stats.memory_limit_bytes, 0);
    /* A group may ask for more CPU than the tree's cap: the cap is what it gets. */
    struct cg_group *group = NULL;
    MUST(cg_group_new(tree, "slot", &group, &err));
    struct cg_limits limits = {.memory_bytes = 64 * MIB, .pids = 20, .cpu_percent = 400};
    MUST(cg_group_prepare(group, &limits, &err));
    cg_group_free(group);
    MUST(cg_tree_remove(tree, &err));
}

static int fork_many(void *n)
{
    for (int i = 0; i < *(int *)n; i++)
        if (fork() == 0)
            return sleep_long(NULL);
    return sleep_long(NULL);
}

/* Until @n processes are in @one and @two together, or for as long as a busy machine may take. */
static uint64_t wait_for_processes(struct cg_group *one, struct cg_group *two, uint64_t n)
{
    uint64_t now = 0;
    for (int i = 0; i < 5000 && now < n; i++) {
        sleep_ms(1);
        now = group_stats(one).pids_now + (two ? group_stats(two).pids_now : 0);
    }
    return now;
}

static void the_cap_on_processes_holds_for_all_groups_together(void **state)
{
    struct fixture *fixture = *state;
    struct cg_node_caps caps = {.pids = 12};
    struct cg_tree *tree = tree_made(fixture, "-pids", &caps);
    struct cg_group *one = group_made(tree, "one", 64 * MIB, 100);
    struct cg_group *two = group_made(tree, "two", 64 * MIB, 100);
    int n = 9;
    pid_t first = start_in(one, fork_many, &n);
    assert_int_equal(wait_for_processes(one, NULL, 10), 10);
    pid_t second = start_in(two, fork_many, &n);
    assert_int_equal(wait_for_processes(one, two, 12), 12);
    sleep_ms(50); /* for the forks that must fail */
    assert_int_equal(group_stats(one).pids_now + group_stats(two).pids_now, 12);
    kill_until_empty(one);
    kill_until_empty(two);
    wait_for(first);
    wait_for(second);
    cg_group_free(one);
    cg_group_free(two);
    MUST(cg_tree_remove(tree, &err));
}

/* A tree as a crash leaves it: the maker is gone, groups and processes are not. */
static pid_t abandoned_tree(struct fixture *fixture, const char *suffix)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t maker = fork();
    if (maker == 0) {
        struct cg_tree *tree = tree_made(fixture, suffix, NULL);
        struct cg_group *group = group_made(tree, "slot", 64 * MIB, 20);
        int n = 3;
        pid_t pid = start_in(group, fork_many, &n);
        ssize_t sent = write(ends[1], &pid, sizeof(pid));
        _exit(sent != sizeof(pid));
    }
    assert_int_equal(wait_for(maker), 0);
    pid_t left = 0;
    assert_int_equal(read(ends[0], &left, sizeof(left)), sizeof(left));
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(kill(left, 0), 0);
    return left;
}

static bool is_alive(pid_t pid)
{
    char path[64], line[256] = "";
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    bool read = fgets(line, sizeof(line), file) != NULL;
    fclose(file);
    const char *state = read ? strrchr(line, ')') : NULL;
    return state && state[2] != 'Z'; /* pid 1 may be slow to reap what it inherits */
}

/* A process leaves its cgroup a little before it is a zombie. */
static bool ends_soon(pid_t pid)
{
    for (int i = 0; i < 2000 && is_alive(pid); i++)
        sleep_ms(1);
    return !is_alive(pid);
}

static bool ends_in_dead(const char *name, void *arg)
{
    int *asked = arg;
    (*asked)++;
    size_t len = strlen(name);
    return len > 5 && strcmp(name + len - 5, "-dead") == 0;
}

static void leftovers_of_dead_instances_are_killed_and_removed(void **state)
{
    struct fixture *fixture = *state;
    pid_t dead = abandoned_tree(fixture, "-dead");
    pid_t alive = abandoned_tree(fixture, "-alive");
    char prefix[80], parent[4096];
    snprintf(prefix, sizeof(prefix), "%s-", fixture->name);
    snprintf(parent, sizeof(parent), "%s", tree_path(fixture->tree, "memory"));
    int asked = 0;
    int removed = cg_leftovers_remove(fixture->host, prefix, ends_in_dead, &asked, &err);
    must(removed, &err, "cg_leftovers_remove");
    assert_int_equal(removed, 1);
    assert_int_equal(asked,
                     2); /* once a tree, not once a hierarchy; the fixture's own has no "-" */
    assert_true(ends_soon(dead));
    assert_true(is_alive(alive));
    assert_false(path_exists("%s-dead", parent));
    assert_true(path_exists("%s-alive", parent));
    assert_true(path_exists("%s", parent));
    /* The instance's next start empties it too. */
    struct cg_tree *tree = tree_made(fixture, "-alive", NULL);
    assert_true(ends_soon(alive));
    assert_false(path_exists("%s-alive/slot", parent));
    MUST(cg_tree_remove(tree, &err));
    assert_false(path_exists("%s-alive", parent));
}

static void a_leftover_that_was_frozen_is_thawed_and_removed(void **state)
{
    struct fixture *fixture = *state;
    pid_t left = abandoned_tree(fixture, "-frozen-dead");
    bool v2 = cg_tree_version(fixture->tree) == CG_V2;
    char file[4200], prefix[80];
    snprintf(file, sizeof(file), "%s-frozen-dead/slot%s", tree_path(fixture->tree, "freezer"),
             v2 ? ".1/cgroup.freeze" : "/freezer.state");
    MUST(file_write_text(file, v2 ? "1" : "FROZEN", &err));
    snprintf(prefix, sizeof(prefix), "%s-frozen", fixture->name);
    int asked = 0;
    int removed = cg_leftovers_remove(fixture->host, prefix, ends_in_dead, &asked, &err);
    must(removed, &err, "cg_leftovers_remove");
    assert_int_equal(removed, 1);
    assert_true(ends_soon(left));
}

static void the_caller_is_not_killed_with_what_it_removes(void **state)
{
    struct fixture *fixture = *state;
    struct cg_tree *tree = tree_made(fixture, "-with-me", NULL);
    char description[16384];
    assert_int_equal(cg_tree_describe(tree, description, sizeof(description)), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct cg_tree *mine = NULL;
        bool refused = cg_tree_enter(tree, &err) == 0 &&
                       cg_tree_open(description, &mine, &err) == 0 &&
                       cg_tree_remove(mine, &err) == -EBUSY;
        _exit(refused ? 0 : 1);
    }
    assert_int_equal(wait_for(pid), 0);
    MUST(cg_tree_remove(tree, &err));
}

static void leftovers_need_a_prefix(void **state)
{
    struct fixture *fixture = *state;
    int asked = 0;
    assert_int_equal(cg_leftovers_remove(fixture->host, "", ends_in_dead, &asked, NULL), -EINVAL);
    assert_int_equal(asked, 0);
}

static void removing_a_tree_kills_what_runs_in_it(void **state)
{
    struct fixture *fixture = *state;
    struct cg_tree *tree = tree_made(fixture, "-busy", NULL);
    struct cg_group *group = group_made(tree, "slot", 64 * MIB, 50);
    int n = 5;
    pid_t pid = start_in(group, fork_many, &n);
    assert_int_equal(wait_for_processes(group, NULL, 6), 6);
    pid_t placed = fork();
    if (placed == 0)
        _exit(sleep_long(NULL));
    MUST(cg_tree_place(tree, "execsvc", placed, &err));
    assert_true(path_exists("%s/execsvc", tree_path(tree, "memory")));
    cg_group_free(group); /* before its tree; what runs in it keeps its directory */
    MUST(cg_tree_remove(tree, &err));
    assert_true(WIFSIGNALED(wait_for(pid)));
    assert_true(WIFSIGNALED(wait_for(placed)));
    assert_false(path_exists("%s-busy", tree_path(fixture->tree, "memory")));
}

const struct CMUnitTest tree_tests[] = {
    cmocka_unit_test(the_host_has_memory_and_pids),
    cmocka_unit_test(mountinfo_alone_says_what_libcgroup_says),
    cmocka_unit_test(a_group_without_a_tree_limits_and_is_removed),
    cmocka_unit_test(a_described_tree_can_be_opened_elsewhere),
    cmocka_unit_test(a_description_of_nothing_is_refused),
    cmocka_unit_test(the_stats_of_a_tree_show_its_caps_and_pressure),
    cmocka_unit_test(the_cap_on_processes_holds_for_all_groups_together),
    cmocka_unit_test(leftovers_of_dead_instances_are_killed_and_removed),
    cmocka_unit_test(a_leftover_that_was_frozen_is_thawed_and_removed),
    cmocka_unit_test(the_caller_is_not_killed_with_what_it_removes),
    cmocka_unit_test(leftovers_need_a_prefix),
    cmocka_unit_test(removing_a_tree_kills_what_runs_in_it),
};
const size_t n_tree_tests = sizeof(tree_tests) / sizeof(tree_tests[0]);
