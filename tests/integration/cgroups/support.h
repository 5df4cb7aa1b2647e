#pragma once
/* What the tests of cgroups share: a tree of their own, and processes inside its groups. */

#include "tests/support/unit.h"

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "cgroups/cgroup.h"

#define MIB (UINT64_C(1) << 20)

struct fixture {
    struct cg_host *host;
    struct cg_tree *tree;
    char name[64];
};

/* A tree without caps. */
int fixture_up(void **state);
int fixture_down(void **state);

/* Fails the test with the words of the fault: MUST(cg_group_kill(group, &err)) */
void must(int r, const struct err *fault, const char *what);
#define MUST(call)                                                                                 \
    do {                                                                                           \
        err_clear(&err);                                                                           \
        must(call, &err, #call);                                                                   \
    } while (0)
extern struct err err; /* the words of the last fault; tests are one thread */

struct cg_tree *tree_made(struct fixture *fixture, const char *suffix,
                          const struct cg_node_caps *caps);
struct cg_group *group_made(struct cg_tree *tree, const char *name, uint64_t memory_bytes,
                            uint64_t pids);
void group_prepared(struct cg_group *group, uint64_t memory_bytes, uint64_t pids);
struct cg_stats group_stats(struct cg_group *group);

/* A process that is in @group before @run starts; its exit status is what @run returns. */
pid_t start_in(struct cg_group *group, int (*run)(void *arg), void *arg);
/* The same without assertions, for use in a child: -1 and errno. */
pid_t clone_in(struct cg_group *group, int (*run)(void *arg), void *arg);
/* The same, and waits for it. Return: the wait status. */
int run_in(struct cg_group *group, int (*run)(void *arg), void *arg);
int wait_for(pid_t pid);
/* Kill and wait until nothing is left in @group; fails the test after 5 s. */
void kill_until_empty(struct cg_group *group);

/* Bodies for start_in(). */
int touch_memory(void *bytes); /* uint64_t *: anonymous memory, touched; exit status 0 */
int burn_cpu(void *ms);        /* unsigned *: CPU time of this process */
int sleep_long(void *unused);

int open_descriptors(void);
bool path_exists(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Directory of @tree in the hierarchy of @controller ("memory"). */
const char *tree_path(struct cg_tree *tree, const char *controller);

extern const struct CMUnitTest limits_tests[], life_tests[], tree_tests[], delegated_tests[];
extern const struct CMUnitTest delegated_v1_tests[];
extern const size_t n_limits_tests, n_life_tests, n_tree_tests, n_delegated_tests;
extern const size_t n_delegated_v1_tests;
