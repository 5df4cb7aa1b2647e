#include "cli/run_outputs.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tests/support/unit.h"

static int set_up(void **state)
{
    char *dir = test_dir_new();
    *state = dir;
    return chdir(dir);
}

static int tear_down(void **state)
{
    int rc = chdir("/");
    test_dir_free(*state);
    return rc;
}

static void take(struct run_outputs *o, const char *path, const char *text, size_t piece)
{
    size_t size = strlen(text);
    for (size_t at = 0; at == 0 || at < size; at += piece) {
        size_t len = size - at < piece ? size - at : piece;
        struct client_file_chunk chunk = {.path = path,
                                          .offset = at,
                                          .size = size,
                                          .data = (const uint8_t *)text + at,
                                          .len = len,
                                          .last = at + len == size};
        run_outputs_take(o, &chunk);
    }
}

static void holds(const char *path, const char *expected)
{
    char text[64] = "";
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    assert_true(fd >= 0);
    ssize_t n = fd_read_all(fd, text, sizeof(text) - 1);
    assert_true(n >= 0);
    text[n] = '\0';
    assert_string_equal(text, expected);
}

static void files_are_written_with_their_directories(void **state)
{
    (void)state;
    struct run_outputs o;
    struct err err = {0};
    assert_int_equal(run_outputs_init(&o, "out", &err), 0);
    take(&o, "a.txt", "hello", 2);
    take(&o, "x/y/z.txt", "deep", 4);
    take(&o, "empty", "", 1);
    take(&o, "a.txt", "hi", 2);
    assert_int_equal(o.err.code, 0);
    run_outputs_done(&o);
    holds("out/a.txt", "hi");
    holds("out/x/y/z.txt", "deep");
    holds("out/empty", "");
}

static void a_symbolic_link_is_never_followed(void **state)
{
    (void)state;
    struct run_outputs o;
    struct err err = {0};
    assert_int_equal(mkdir("out", 0755), 0);
    assert_int_equal(mkdir("elsewhere", 0755), 0);
    assert_int_equal(symlink("../elsewhere", "out/dir"), 0);
    assert_int_equal(symlink("../elsewhere/file", "out/file"), 0);
    assert_int_equal(run_outputs_init(&o, "out", &err), 0);
    take(&o, "dir/x", "no", 2);
    assert_true(o.err.code < 0);
    run_outputs_done(&o);
    assert_int_equal(run_outputs_init(&o, "out", &err), 0);
    take(&o, "file", "no", 2);
    assert_true(o.err.code < 0);
    run_outputs_done(&o);
    assert_int_equal(access("elsewhere/x", F_OK), -1);
    assert_int_equal(access("elsewhere/file", F_OK), -1);
}

static void something_else_in_the_place_is_a_fault(void **state)
{
    (void)state;
    struct run_outputs o;
    struct err err = {0};
    assert_int_equal(mkdir("out", 0755), 0);
    assert_int_equal(mkfifo("out/fifo", 0600), 0);
    assert_int_equal(run_outputs_init(&o, "out", &err), 0);
    take(&o, "fifo", "no", 2); /* must not wait for a reader */
    assert_true(o.err.code < 0);
    run_outputs_done(&o);
    AUTO_CLOSE int fd = open("plain", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(run_outputs_init(&o, "plain", &err), -ENOTDIR);
}

static void without_a_directory_they_are_kept(void **state)
{
    (void)state;
    struct run_outputs o;
    struct err err = {0};
    assert_int_equal(run_outputs_init(&o, NULL, &err), 0);
    take(&o, "a", "hello", 2);
    take(&o, "b", "", 1);
    assert_int_equal(o.err.code, 0);
    assert_memory_equal(run_outputs_content(&o, "a", 5), "hello", 5);
    assert_non_null(run_outputs_content(&o, "b", 0));
    assert_null(run_outputs_content(&o, "a", 4));
    assert_null(run_outputs_content(&o, "c", 1));
    run_outputs_done(&o);
}

static void pieces_must_fit(void **state)
{
    (void)state;
    struct run_outputs o;
    struct err err = {0};
    struct client_file_chunk chunk = {
        .path = "a", .offset = 3, .size = 4, .data = (const uint8_t *)"x", .len = 1};
    assert_int_equal(run_outputs_init(&o, NULL, &err), 0);
    run_outputs_take(&o, &chunk); /* no beginning */
    assert_int_equal(o.err.code, -EBADMSG);
    run_outputs_done(&o);
    assert_int_equal(run_outputs_init(&o, NULL, &err), 0);
    chunk = (struct client_file_chunk){.path = "a",
                                       .size = 2,
                                       .data = (const uint8_t *)"abc",
                                       .len = 3};
    run_outputs_take(&o, &chunk); /* more than announced */
    assert_int_equal(o.err.code, -EBADMSG);
    run_outputs_done(&o);
    assert_int_equal(run_outputs_init(&o, NULL, &err), 0);
    chunk.size = UINT64_MAX;
    run_outputs_take(&o, &chunk);
    assert_int_equal(o.err.code, -E2BIG);
    run_outputs_done(&o);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(files_are_written_with_their_directories),
        CASE(a_symbolic_link_is_never_followed),
        CASE(something_else_in_the_place_is_a_fault),
        CASE(without_a_directory_they_are_kept),
        CASE(pieces_must_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
