/*
 * cgroups against the real kernel, as root: v1, hybrid or v2, whatever this host has.
 * Takes no arguments, so that tests/vm can run it as it is.
 */
#include "tests/integration/cgroups/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TESTS_MAX 64

/* One list, so that there is one plan in the output. */
static size_t add(struct CMUnitTest *all, size_t n, const struct CMUnitTest *more, size_t n_more)
{
    assert_true(n + n_more <= TESTS_MAX);
    memcpy(all + n, more, n_more * sizeof(more[0]));
    return n + n_more;
}

int main(void)
{
    if (geteuid() != 0) {
        fprintf(stderr, "skipped: needs root\n");
        return getenv("TESTS_MUST_RUN") ? 1 : 77;
    }
    struct cg_host *host = NULL;
    if (cg_host_new(&host, &err) < 0) {
        fprintf(stderr, "cgroups: %s\n", err.text);
        return 1;
    }
    printf("# cgroups: %s\n", cg_version_name(cg_host_version(host)));
    fflush(stdout);
    bool v2 = cg_host_version(host) == CG_V2;
    cg_host_free(host);
    static struct CMUnitTest tests[TESTS_MAX];
    size_t n = add(tests, 0, limits_tests, n_limits_tests);
    n = add(tests, n, life_tests, n_life_tests);
    n = add(tests, n, tree_tests, n_tree_tests);
    n = add(tests, n, delegated_tests, n_delegated_tests);
    n = add(tests, n, delegated_v1_tests, v2 ? 0 : n_delegated_v1_tests);
    return _cmocka_run_group_tests("cgroups", tests, n, fixture_up, fixture_down) ? 1 : 0;
}
