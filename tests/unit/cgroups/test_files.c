/* Against files of /proc, which behave as control files do, and one of our own. */
#include "tests/support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "cgroups/files.h"

static void a_number_is_read_from_the_kernel(void **state)
{
    (void)state;
    uint64_t max = 0;
    assert_true(cg_read_u64_at(AT_FDCWD, "/proc/sys/kernel/pid_max", &max));
    assert_true(max >= 301);
    assert_false(cg_read_u64_at(AT_FDCWD, "/proc/sys/kernel/ostype", &max));
    assert_false(cg_read_u64_at(AT_FDCWD, "/proc/sys/kernel/nothing-of-the-kind", &max));
}

static void a_fault_names_the_file(void **state)
{
    (void)state;
    struct err err = {0};
    uint64_t value;
    int fd = open("/proc/sys/kernel/ostype", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(cg_read_u64(fd, "kernel.ostype", &value, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "kernel.ostype"));
    assert_non_null(strstr(err.text, "Linux"));
    assert_int_equal(cg_write_text(fd, "kernel.ostype", "x", &err), -EBADF);
    assert_non_null(strstr(err.text, "kernel.ostype"));
    close(fd);
}

static void a_file_that_does_not_exist_leaves_a_flat_value_alone(void **state)
{
    (void)state;
    uint64_t value = 7;
    assert_int_equal(cg_read_flat(-EBADF, "pids.events", "max", &value, NULL), 0);
    assert_int_equal(value, 7);
    assert_int_equal(cg_open_if_any(AT_FDCWD, "/nothing/here", O_RDONLY), -EBADF);
}

static void a_file_longer_than_a_page_is_read_whole(void **state)
{
    (void)state;
    char path[] = "/tmp/cloister-files-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    size_t size = 200001;
    char *written = malloc(size), *text = NULL;
    assert_non_null(written);
    for (size_t i = 0; i < size; i++)
        written[i] = (char)('0' + i % 10);
    assert_int_equal(fd_write_all(fd, written, size), 0);
    assert_int_equal(cg_read_long_at(AT_FDCWD, path, &text), size);
    assert_memory_equal(text, written, size);
    free(text);
    free(written);
    close(fd);
    unlink(path);
    assert_int_equal(cg_read_long_at(AT_FDCWD, path, &text), -ENOENT);
}

static void no_limit_is_written_in_the_words_of_the_file(void **state)
{
    (void)state;
    char path[] = "/tmp/cloister-files-XXXXXX", text[CG_FILE_MAX];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(cg_write_u64(fd, "x", UINT64_MAX, "max", NULL), 0);
    assert_int_equal(cg_read_at(AT_FDCWD, path, text), 3);
    assert_string_equal(text, "max");
    assert_int_equal(cg_write_u64(fd, "x", UINT64_MAX - 1, "max", NULL), 0);
    assert_int_equal(cg_pread(fd, text), 20);
    assert_string_equal(text, "18446744073709551614");
    close(fd);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_is_read_from_the_kernel),
        cmocka_unit_test(a_fault_names_the_file),
        cmocka_unit_test(a_file_that_does_not_exist_leaves_a_flat_value_alone),
        cmocka_unit_test(a_file_longer_than_a_page_is_read_whole),
        cmocka_unit_test(no_limit_is_written_in_the_words_of_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
