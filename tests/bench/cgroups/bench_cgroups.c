/*
 * What a run costs in cgroups: prepare (twice: after a run, and when nothing ran), the child's own
 * placement, the statistics of the end, a kill of an empty and of a busy group, and a group made
 * anew each time for comparison. Median and 90th percentile in microseconds, one line each.
 *
 * usage: bench_cgroups [ROUNDS]   as root
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "cgroups/cgroup.h"

#define ROUNDS_MAX 100000

enum step { PREPARE, PREPARE_AGAIN, JOIN, STATS, CPU, KILL_EMPTY, KILL_BUSY, NEW, FREE, STEPS };

static const char *const names[STEPS] = {
    [PREPARE] = "prepare, after a run",
    [PREPARE_AGAIN] = "prepare, nothing ran since",
    [JOIN] = "start and join, minus start alone",
    [STATS] = "stats",
    [CPU] = "cpu time alone",
    [KILL_EMPTY] = "kill, nothing left",
    [KILL_BUSY] = "kill of two sleeping processes, until empty",
    [NEW] = "new group and its first prepare",
    [FREE] = "free of a group",
};

static double *samples[STEPS];
static size_t n_samples;

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void need(int r, const struct err *err, const char *what)
{
    if (r >= 0)
        return;
    fprintf(stderr, "bench_cgroups: %s: %s\n", what, err->text);
    exit(1);
}

/* A child in @group (NULL: in none) that ends at once, or sleeps. */
static pid_t start(struct cg_group *group, bool sleeps)
{
    struct clone_args args = {.exit_signal = SIGCHLD};
    const int *fds = NULL;
    size_t n = group ? cg_group_join_fds(group, &fds) : 0;
    if (group && cg_group_clone_fd(group) >= 0) {
        args.flags = CLONE_INTO_CGROUP;
        args.cgroup = (__u64)cg_group_clone_fd(group);
    }
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
    if (pid != 0)
        return pid;
    for (size_t i = 0; i < n; i++)
        if (write(fds[i], "0", 1) != 1)
            _exit(1);
    if (sleeps)
        pause();
    _exit(0);
}

static double run_once(struct cg_group *group)
{
    double before = now_us();
    int status = -1;
    pid_t pid = start(group, false);
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        fprintf(stderr, "bench_cgroups: a child failed: %s\n", strerror(errno));
        exit(1);
    }
    return now_us() - before;
}

static double kill_busy(struct cg_group *group)
{
    struct err err = {0};
    struct cg_stats stats = {0};
    pid_t one = start(group, true), two = start(group, true);
    while (stats.pids_now < 2)
        need(cg_group_stats(group, &stats, &err), &err, "stats");
    double before = now_us();
    need(cg_group_kill(group, &err), &err, "kill");
    while (cg_group_populated(group) > 0)
        ;
    double took = now_us() - before;
    waitpid(one, NULL, 0);
    waitpid(two, NULL, 0);
    return took;
}

#define TIMED(step, call)                                                                          \
    do {                                                                                           \
        struct err err = {0};                                                                      \
        double before = now_us();                                                                  \
        need(call, &err, names[step]);                                                             \
        samples[step][n_samples] = now_us() - before;                                              \
    } while (0)

static int new_and_prepare(struct cg_tree *tree, const struct cg_limits *limits,
                           struct cg_group **ret, struct err *err)
{
    int r = cg_group_new(tree, "new", ret, err);
    return r < 0 ? r : cg_group_prepare(*ret, limits, err);
}

static void round_once(struct cg_tree *tree, struct cg_group *group)
{
    struct cg_limits limits = {.memory_bytes = 128 << 20, .pids = 50, .cpu_weight = 100};
    struct cg_stats stats;
    struct cg_group *other = NULL;
    uint64_t us;
    TIMED(PREPARE, cg_group_prepare(group, &limits, &err));
    TIMED(PREPARE_AGAIN, cg_group_prepare(group, &limits, &err));
    double alone = run_once(NULL);
    samples[JOIN][n_samples] = run_once(group) - alone;
    TIMED(CPU, cg_group_cpu_us(group, &us, &err));
    TIMED(STATS, cg_group_stats(group, &stats, &err));
    TIMED(KILL_EMPTY, cg_group_kill(group, &err));
    samples[KILL_BUSY][n_samples] = kill_busy(group);
    TIMED(NEW, new_and_prepare(tree, &limits, &other, &err));
    double before = now_us();
    cg_group_free(other);
    samples[FREE][n_samples] = now_us() - before;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

int main(int argc, char **argv)
{
    char name[64];
    struct err err = {0};
    struct cg_host *host = NULL;
    struct cg_tree *tree = NULL;
    struct cg_group *group = NULL;
    unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 500;
    if (rounds == 0 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: bench_cgroups [ROUNDS]\n");
        return 2;
    }
    for (int i = 0; i < STEPS; i++)
        if (!(samples[i] = calloc(rounds, sizeof(double))))
            return 1;
    snprintf(name, sizeof(name), "cgbench-%d", getpid());
    need(cg_host_new(&host, &err), &err, "discover");
    need(cg_tree_create(host, name, NULL, getuid(), getgid(), &tree, &err), &err, "tree");
    pid_t pid = fork(); /* v2: hands the controllers down */
    if (pid == 0)
        _exit(cg_tree_enter(tree, NULL) < 0);
    waitpid(pid, NULL, 0);
    need(cg_group_new(tree, "slot", &group, &err), &err, "group");
    for (; n_samples < rounds; n_samples++)
        round_once(tree, group);
    printf("cgroups %s, %lu rounds, us: median, 90th percentile\n",
           cg_version_name(cg_tree_version(tree)), rounds);
    for (int i = 0; i < STEPS; i++) {
        qsort(samples[i], rounds, sizeof(double), compare);
        printf("%-46s %8.1f %8.1f\n", names[i], samples[i][rounds / 2],
               samples[i][rounds - 1 - rounds / 10]);
        free(samples[i]);
    }
    cg_group_free(group);
    need(cg_tree_remove(tree, &err), &err, "remove");
    cg_host_free(host);
    return 0;
}
