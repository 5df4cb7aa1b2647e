/*
 * Subtrees that were given to somebody: the root of a user namespace, an ordinary user, a service
 * that systemd started with Delegate=yes. The work is done by children, which never assert: CHECK
 * says on stderr what was wrong and ends the child with 1.
 */
#include "tests/integration/cgroups/support.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            dprintf(2, "in the child, line %d: %s (%s)\n", __LINE__, #condition, err.text);        \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

/* Host uids that nobody else here uses: the root of U, and an ordinary user. */
static const uid_t u_base = 730000, ordinary = 729999;

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        fail_msg("write '%s' to %s: %s", text, path, strerror(errno));
    close(fd);
}

static bool may_write(const char *dir, const char *file)
{
    char path[8192];
    snprintf(path, sizeof(path), "%s/%s", dir, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* A whole life of a group, from inside a child. */
static void use_a_group(struct cg_tree *tree)
{
    struct cg_group *group = NULL;
    struct cg_limits limits = {.memory_bytes = 32 * MIB, .pids = 10};
    struct cg_stats stats = {0};
    uint64_t much = 64 * MIB, little = MIB;
    int status = 0;
    CHECK(cg_group_new(tree, "slot", &group, &err) == 0);
    for (int round = 0; round < 2; round++) {
        CHECK(cg_group_prepare(group, &limits, &err) == 0);
        pid_t pid = clone_in(group, touch_memory, &much);
        CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        CHECK(cg_group_stats(group, &stats, &err) == 0);
        CHECK(stats.oom_kills == 1 && stats.oom_own);
        limits.memory_bytes += 8 * MIB;
    }
    CHECK(cg_group_prepare(group, &limits, &err) == 0);
    pid_t pid = clone_in(group, touch_memory, &little);
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(cg_group_stats(group, &stats, &err) == 0);
    CHECK(stats.oom_kills == 0 && stats.cpu_user_us + stats.cpu_system_us > 0);
    CHECK(cg_group_raise_memory(group, 128 * MIB, &err) == 0);
    CHECK(cg_group_kill(group, &err) == 0);
    pid = clone_in(group, sleep_long, NULL);
    CHECK(pid > 0);
    while (waitpid(pid, &status, WNOHANG) == 0)
        CHECK(cg_group_kill(group, &err) == 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK(cg_group_populated(group) == 0);
    cg_group_free(group);
}

/* More memory than all groups together may have, within the group's own limit. */
static void exceed_the_tree(struct cg_tree *tree)
{
    struct cg_group *group = NULL;
    struct cg_limits limits = {.memory_bytes = 256 * MIB, .pids = 10};
    struct cg_stats stats = {0};
    uint64_t bytes = 128 * MIB;
    int status = 0;
    CHECK(cg_group_new(tree, "large", &group, &err) == 0);
    CHECK(cg_group_prepare(group, &limits, &err) == 0);
    pid_t pid = clone_in(group, touch_memory, &bytes);
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK(cg_group_stats(group, &stats, &err) == 0);
    CHECK(stats.oom_kills == 1 && !stats.oom_own);
    cg_group_free(group);
}

struct inside {
    int go;    /* read end: one byte when the map is written and the process is placed */
    bool told; /* of the tree's own OOMs */
    char description[16384];
    char tree_dir[4096]; /* of the memory controller */
};

/* The inner spawner: uid 0 of U, pid 1 of its own pid namespace. */
static int inside_u(const struct inside *inside)
{
    char go;
    struct cg_tree *tree = NULL;
    CHECK(read(inside->go, &go, 1) == 1);
    CHECK(setgroups(0, NULL) == 0 && setresgid(0, 0, 0) == 0 && setresuid(0, 0, 0) == 0);
    CHECK(cg_tree_open(inside->description, &tree, &err) == 0);
    CHECK(cg_tree_enter(tree, &err) == 0);
    CHECK(cg_tree_controllers(tree) & CG_MEMORY);
    CHECK(cg_tree_controllers(tree) & CG_PIDS);
    struct cg_tree_stats before, stats;
    CHECK(cg_tree_stats(tree, &before, &err) == 0);
    use_a_group(tree);
    CHECK(cg_tree_stats(tree, &stats, &err) == 0);
    CHECK(stats.oom_kills == before.oom_kills + 2 && stats.oom_own == before.oom_own);
    CHECK(stats.memory_limit_bytes == 96 * MIB);
    exceed_the_tree(tree);
    CHECK(cg_tree_stats(tree, &stats, &err) == 0);
    CHECK(stats.oom_kills == before.oom_kills + 3);
    CHECK(stats.oom_own > before.oom_own || !inside->told);
    bool v2 = cg_tree_version(tree) == CG_V2;
    CHECK(!may_write(inside->tree_dir, v2 ? "memory.max" : "memory.limit_in_bytes"));
    CHECK(!may_write(inside->tree_dir, v2 ? "cgroup.kill" : "memory.memsw.limit_in_bytes"));
    CHECK(!may_write(inside->tree_dir, "../cgroup.procs"));
    cg_tree_free(tree);
    return 0;
}

static pid_t start_inside_u(const struct inside *inside)
{
    struct clone_args args = {.flags = CLONE_NEWUSER | CLONE_NEWPID, .exit_signal = SIGCHLD};
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
    if (pid == 0)
        _exit(inside_u(inside));
    if (pid < 0)
        fail_msg("clone3(NEWUSER | NEWPID): %s", strerror(errno));
    char path[64], map[64];
    snprintf(map, sizeof(map), "0 %u 65536", u_base);
    snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
    write_file(path, map);
    snprintf(path, sizeof(path), "/proc/%d/gid_map", pid);
    write_file(path, map);
    return pid;
}

static void everything_works_inside_a_user_namespace_except_raising_the_trees_limits(void **state)
{
    struct fixture *fixture = *state;
    struct inside inside = {0};
    struct cg_node_caps caps = {.memory_bytes = 96 * MIB, .pids = 60};
    char name[96];
    int ends[2];
    struct cg_tree *tree = NULL;
    snprintf(name, sizeof(name), "%s-u", fixture->name);
    MUST(cg_tree_create(fixture->host, name, &caps, u_base, u_base, &tree, &err));
    assert_int_equal(cg_tree_describe(tree, inside.description, sizeof(inside.description)), 0);
    snprintf(inside.tree_dir, sizeof(inside.tree_dir), "%s", tree_path(tree, "memory"));
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    inside.go = ends[0];
    inside.told = true;
    for (int start = 0; start < 2; start++) { /* again: as after a crash of the inner one */
        pid_t pid = start_inside_u(&inside);
        MUST(cg_tree_place(tree, "spawner", pid, &err));
        assert_int_equal(write(ends[1], "x", 1), 1);
        assert_int_equal(wait_for(pid), 0);
        /* The second one, on v1, has to do without notice of OOMs of the tree. */
        char path[8192];
        snprintf(path, sizeof(path), "%s/cgroup.event_control", inside.tree_dir);
        inside.told = chown(path, 0, 0) < 0;
    }
    close(ends[0]);
    close(ends[1]);
    MUST(cg_tree_remove(tree, &err));
}

/* ---- given groups: one directory in every hierarchy, that a child is put into ---- */

struct given {
    char dir[8][4096];
    size_t n;
    bool v2;
};

static void give(const char *dir, const char *file, uid_t uid)
{
    char path[8192];
    snprintf(path, sizeof(path), "%s/%s", dir, file);
    if (chown(path, uid, uid) < 0 && errno != ENOENT)
        fail_msg("chown %s: %s", path, strerror(errno));
}

static void given_made(struct fixture *fixture, struct given *given, uid_t uid)
{
    char text[16384];
    given->n = 0;
    given->v2 = cg_tree_version(fixture->tree) == CG_V2;
    assert_int_equal(cg_tree_describe(fixture->tree, text, sizeof(text)), 0);
    for (char *save, *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        char *path = strchr(word, '=');
        if (!path)
            continue;
        char *dir = given->dir[given->n++];
        snprintf(dir, sizeof(given->dir[0]), "%s-given", path + 1);
        assert_int_equal(mkdir(dir, 0755), 0);
        give(dir, ".", uid);
        give(dir, "tasks", uid);
        give(dir, "cgroup.procs", uid);
        give(dir, "cgroup.threads", uid);
        give(dir, "cgroup.subtree_control", uid);
    }
}

static bool always(const char *name, void *arg)
{
    (void)name;
    (void)arg;
    return true;
}

static void given_removed(struct fixture *fixture)
{
    char prefix[96];
    snprintf(prefix, sizeof(prefix), "%s-given", fixture->name);
    int removed = cg_leftovers_remove(fixture->host, prefix, always, NULL, &err);
    must(removed, &err, "cg_leftovers_remove");
    assert_int_equal(removed, 1);
}

static void join(const struct given *given)
{
    for (size_t i = 0; i < given->n; i++) {
        char path[8192];
        snprintf(path, sizeof(path), "%s/cgroup.procs", given->dir[i]);
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        CHECK(fd >= 0 && write(fd, "0", 1) == 1);
        close(fd);
    }
}

/* In the child: a tree of its own must come to stand in the given group, and work. */
static int make_a_tree_in(const struct given *given)
{
    struct cg_host *host = NULL;
    struct cg_tree *tree = NULL;
    char text[16384], expected[4200];
    CHECK(cg_host_new(&host, &err) == 0);
    CHECK(cg_tree_create(host, "mine", NULL, geteuid(), getegid(), &tree, &err) == 0);
    CHECK(cg_tree_describe(tree, text, sizeof(text)) == 0);
    for (size_t i = 0; i < given->n; i++) {
        snprintf(expected, sizeof(expected), "=%s/mine", given->dir[i]);
        CHECK(strstr(text, expected) != NULL);
    }
    if (given->v2) /* no process may be where controllers are handed down */
        CHECK(path_exists("%s/supervisor", given->dir[0]));
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(cg_tree_enter(tree, &err) == 0);
        use_a_group(tree);
        _exit(0);
    }
    int status = -1;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(cg_tree_remove(tree, &err) == 0);
    for (size_t i = 0; i < given->n; i++)
        CHECK(!path_exists("%s/mine", given->dir[i]));
    cg_host_free(host);
    return 0;
}

/* A supervisor makes its tree anew when what lived in it is gone. */
static int use_the_given_group(const struct given *given)
{
    int r = make_a_tree_in(given);
    return r ? r : make_a_tree_in(given);
}

static void an_ordinary_user_works_in_the_subtree_that_is_his(void **state)
{
    struct fixture *fixture = *state;
    struct given given;
    given_made(fixture, &given, ordinary);
    pid_t pid = fork();
    if (pid == 0) {
        join(&given);
        CHECK(setgroups(0, NULL) == 0);
        CHECK(setresgid(ordinary, ordinary, ordinary) == 0);
        CHECK(setresuid(ordinary, ordinary, ordinary) == 0);
        _exit(use_the_given_group(&given));
    }
    assert_int_equal(wait_for(pid), 0);
    given_removed(fixture);
}

static void an_ordinary_user_without_a_subtree_is_told_so(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        struct cg_host *host = NULL;
        struct cg_tree *tree = NULL;
        CHECK(setgroups(0, NULL) == 0);
        CHECK(setresgid(ordinary, ordinary, ordinary) == 0);
        CHECK(setresuid(ordinary, ordinary, ordinary) == 0);
        CHECK(cg_host_new(&host, &err) == 0);
        CHECK(cg_host_controllers(host) == 0);
        CHECK(cg_tree_create(host, "mine", NULL, ordinary, ordinary, &tree, &err) == -EACCES);
        CHECK(err.text[0] && !tree);
        cg_host_free(host);
        _exit(0);
    }
    assert_int_equal(wait_for(pid), 0);
}

static void a_group_that_systemd_marked_as_delegated_is_where_trees_are_made(void **state)
{
    struct fixture *fixture = *state;
    struct given given;
    given_made(fixture, &given, 0);
    for (size_t i = 0; i < given.n; i++)
        assert_int_equal(setxattr(given.dir[i], "trusted.delegate", "1", 1, 0), 0);
    pid_t pid = fork();
    if (pid == 0) {
        join(&given);
        _exit(use_the_given_group(&given));
    }
    assert_int_equal(wait_for(pid), 0);
    given_removed(fixture);
}

/* On v1 systemd marks its own hierarchy only. */
static void the_mark_in_systemds_own_hierarchy_counts_for_the_controllers(void **state)
{
    struct fixture *fixture = *state;
    const char *top = "/sys/fs/cgroup/systemd";
    char named[4096];
    skip_unless(path_exists("%s/tasks", top), "no hierarchy of systemd's here");
    struct given given;
    given_made(fixture, &given, 0);
    snprintf(named, sizeof(named), "%s/%s-given", top, fixture->name);
    assert_int_equal(mkdir(named, 0755), 0);
    assert_int_equal(setxattr(named, "trusted.delegate", "1", 1, 0), 0);
    pid_t pid = fork();
    if (pid == 0) {
        join(&given);
        char procs[4200];
        snprintf(procs, sizeof(procs), "%s/cgroup.procs", named);
        int fd = open(procs, O_WRONLY | O_CLOEXEC);
        CHECK(fd >= 0 && write(fd, "0", 1) == 1);
        _exit(use_the_given_group(&given));
    }
    assert_int_equal(wait_for(pid), 0);
    assert_int_equal(rmdir(named), 0);
    given_removed(fixture);
}

static void a_group_without_the_mark_is_not_ours_as_root(void **state)
{
    struct fixture *fixture = *state;
    struct given given;
    given_made(fixture, &given, 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct cg_host *host = NULL;
        struct cg_tree *tree = NULL;
        char name[96];
        join(&given);
        snprintf(name, sizeof(name), "%s-top", fixture->name);
        CHECK(cg_host_new(&host, &err) == 0);
        CHECK(cg_tree_create(host, name, NULL, 0, 0, &tree, &err) == 0);
        CHECK(!path_exists("%s/%s", given.dir[0], name));
        CHECK(cg_tree_remove(tree, &err) == 0);
        cg_host_free(host);
        _exit(0);
    }
    assert_int_equal(wait_for(pid), 0);
    given_removed(fixture);
}

const struct CMUnitTest delegated_tests[] = {
    cmocka_unit_test(everything_works_inside_a_user_namespace_except_raising_the_trees_limits),
    cmocka_unit_test(an_ordinary_user_works_in_the_subtree_that_is_his),
    cmocka_unit_test(an_ordinary_user_without_a_subtree_is_told_so),
    cmocka_unit_test(a_group_that_systemd_marked_as_delegated_is_where_trees_are_made),
    cmocka_unit_test(a_group_without_the_mark_is_not_ours_as_root),
};
const size_t n_delegated_tests = sizeof(delegated_tests) / sizeof(delegated_tests[0]);

const struct CMUnitTest delegated_v1_tests[] = {
    cmocka_unit_test(the_mark_in_systemds_own_hierarchy_counts_for_the_controllers),
};
const size_t n_delegated_v1_tests = sizeof(delegated_v1_tests) / sizeof(delegated_v1_tests[0]);
