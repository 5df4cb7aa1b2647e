#pragma once
/*
 * For unit tests: cmocka and what it wants included before it, a skip that CI does not forgive, and
 * a directory to work in. A failed cmocka assert jumps past cleanup attributes: read the first
 * failure, not the leak it causes. A forked child may only _exit().
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/** skip_unless() - leave the test with a reason; a failure when TESTS_MUST_RUN=1 is set, as in CI.
 */
#define skip_unless(condition, reason)                                                             \
    do {                                                                                           \
        const char *must_run_ = getenv("TESTS_MUST_RUN");                                          \
        if (condition)                                                                             \
            break;                                                                                 \
        if (must_run_ && strcmp(must_run_, "1") == 0)                                              \
            fail_msg("may not be skipped here: %s", (reason));                                     \
        print_message("skipped: %s\n", (reason));                                                  \
        skip();                                                                                    \
    } while (0)

static inline void sleep_ms(long ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0)
        ;
}

/** test_dir_new() - a fresh empty directory; free with test_dir_free(). */
static inline char *test_dir_new(void)
{
    const char *base = getenv("TMPDIR");
    char path[256];
    int n = snprintf(path, sizeof(path), "%s/cloister-test-XXXXXX", base ? base : "/tmp");
    assert_true(n > 0 && (size_t)n < sizeof(path));
    assert_non_null(mkdtemp(path));
    char *copy = strdup(path);
    assert_non_null(copy);
    return copy;
}

static inline int test_dir_remove_one(const char *path, const struct stat *st, int type,
                                      struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

/** test_dir_free() - remove the directory with all that is in it; symbolic links are not followed.
 */
static inline void test_dir_free(char *path)
{
    nftw(path, test_dir_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(path);
}
