#include "cli/run_files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
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

static void put(const char *path, const void *bytes, size_t len, mode_t mode)
{
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
}

static const struct model_file *find(const struct run_files *files, const char *path)
{
    for (size_t i = 0; i < files->n; i++) {
        if (strcmp(files->list[i].path, path) == 0)
            return &files->list[i];
    }
    return NULL;
}

static void a_file_is_known_by_its_last_part(void **state)
{
    (void)state;
    struct run_files files;
    struct err err = {0};
    assert_int_equal(mkdir("sub", 0755), 0);
    put("sub/a.py", "print()", 7, 0644);
    put("sub/run.sh", "", 0, 0755);
    run_files_init(&files);
    assert_int_equal(run_files_add(&files, "sub/a.py", &err), 0);
    assert_int_equal(run_files_add(&files, "sub/run.sh", &err), 0);
    assert_int_equal(run_files_add(&files, "sub/a.py=other/name.py", &err), 0);
    assert_int_equal(files.n, 3);
    assert_string_equal(files.list[0].path, "a.py");
    assert_int_equal(files.list[0].size, 7);
    assert_memory_equal(files.list[0].content, "print()", 7);
    assert_false(files.list[0].executable);
    assert_true(files.list[1].executable);
    assert_null(files.list[1].content);
    assert_string_equal(files.list[2].path, "other/name.py");
    run_files_done(&files);
}

static void a_directory_comes_with_what_is_below_it(void **state)
{
    (void)state;
    struct run_files files;
    struct err err = {0};
    assert_int_equal(mkdir("data", 0755), 0);
    assert_int_equal(mkdir("data/in", 0755), 0);
    put("data/1", "a", 1, 0644);
    put("data/in/2", "b", 1, 0644);
    assert_int_equal(symlink("/etc/passwd", "data/link"), 0);
    assert_int_equal(symlink("/etc", "data/dirlink"), 0);
    assert_int_equal(mkfifo("data/fifo", 0600), 0);
    run_files_init(&files);
    assert_int_equal(run_files_add(&files, "data/", &err), 0);
    assert_int_equal(files.n, 2);
    assert_non_null(find(&files, "data/1"));
    assert_non_null(find(&files, "data/in/2"));
    run_files_done(&files);
}

static void what_cannot_be_sent_is_said(void **state)
{
    (void)state;
    struct run_files files;
    struct err err = {0};
    run_files_init(&files);
    assert_int_equal(run_files_add(&files, "nothing.py", &err), -ENOENT);
    assert_non_null(strstr(err.text, "nothing.py"));
    assert_int_equal(mkfifo("fifo", 0600), 0);
    assert_int_equal(run_files_add(&files, "fifo", &err), -EINVAL);
    put("more", "x", 1, 0644);
    assert_int_equal(run_files_add(&files, "more=../up", &err), -EINVAL);
    run_files_done(&files);
}

static void what_does_not_fit_into_the_request_is_named_by_its_hash(void **state)
{
    (void)state;
    static const uint8_t sha256_of_abc[MODEL_SHA256] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf,
                                                        0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae,
                                                        0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96,
                                                        0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61,
                                                        0xf2, 0x00, 0x15, 0xad};
    static uint8_t bytes[MODEL_INLINE_BYTES_MAX];
    struct run_files files;
    struct err err = {0};
    put("big", bytes, sizeof(bytes), 0644);
    assert_int_equal(mkdir("data", 0755), 0);
    assert_int_equal(mkdir("data/in", 0755), 0);
    put("data/in/abc", "abc", 3, 0755);
    run_files_init(&files);
    assert_int_equal(run_files_add(&files, "big", &err), 0);
    assert_int_equal(files.n_blobs, 0);
    assert_int_equal(run_files_add(&files, "./data/=under/it", &err), 0);
    assert_int_equal(files.n, 2);
    assert_int_equal(files.n_blobs, 1);
    assert_null(files.hosts[0]);
    const struct model_file *file = &files.list[1];
    assert_string_equal(file->path, "under/it/in/abc");
    assert_memory_equal(file->sha256, sha256_of_abc, MODEL_SHA256);
    assert_null(file->content);
    assert_int_equal(file->size, 3);
    assert_true(file->executable);
    assert_int_equal(access(files.hosts[1], R_OK), 0);
    assert_int_equal(files.total, sizeof(bytes));
    run_files_done(&files);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_file_is_known_by_its_last_part),
        CASE(a_directory_comes_with_what_is_below_it),
        CASE(what_cannot_be_sent_is_said),
        CASE(what_does_not_fit_into_the_request_is_named_by_its_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
