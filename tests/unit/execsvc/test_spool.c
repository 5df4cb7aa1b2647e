#include "tests/support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/err.h"
#include "execsvc/spool.h"

static uint8_t content[200000];
static const uint8_t digest[COLLECT_SHA256_LEN] = {1, 2, 3};

static int fill(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(content); i++)
        content[i] = (uint8_t)(i * 31 + i / 256);
    return 0;
}

/* Bytes [from, to) of a file of @size. */
static void put(struct spool *spool, const char *path, size_t size, size_t from, size_t to)
{
    const struct collect_chunk chunk = {.path = path,
                                        .path_len = strlen(path),
                                        .offset = from,
                                        .size = size,
                                        .data = content + from,
                                        .len = to - from,
                                        .last = to == size,
                                        .sha256 = digest};
    struct err err = {0};
    assert_int_equal(spool_put(spool, &chunk, &err), 0);
}

static void put_whole(struct spool *spool, const char *path, size_t size)
{
    size_t at = 0;
    do {
        size_t to = size - at < 65536 ? size : at + 65536;
        put(spool, path, size, at, to);
        at = to;
    } while (at < size);
}

static void assert_holds(const struct spool *spool, size_t file, const char *path, size_t size)
{
    static uint8_t back[sizeof(content)];
    struct err err = {0};
    assert_string_equal(spool->files[file].path, path);
    assert_int_equal(spool->files[file].size, size);
    assert_memory_equal(spool->files[file].sha256, digest, sizeof(digest));
    assert_int_equal(spool_read(spool, file, 0, back, size, &err), 0);
    assert_memory_equal(back, content, size);
    if (size < 2)
        return;
    assert_int_equal(spool_read(spool, file, size / 2, back, size - size / 2, &err), 0);
    assert_memory_equal(back, content + size / 2, size - size / 2);
}

static void files_come_back_whole_as_often_as_asked(void **state)
{
    (void)state;
    struct spool spool;
    spool_init(&spool);
    put_whole(&spool, "a", 3);
    put_whole(&spool, "dir/empty", 0);
    put_whole(&spool, "large", sizeof(content));
    for (int i = 0; i < 20; i++)
        put_whole(&spool, "more", 100);
    assert_int_equal(spool.n, 23);
    for (int i = 0; i < 2; i++) {
        assert_holds(&spool, 0, "a", 3);
        assert_holds(&spool, 1, "dir/empty", 0);
        assert_holds(&spool, 2, "large", sizeof(content));
        assert_holds(&spool, 22, "more", 100);
    }
    assert_true(spool_bytes(&spool) > 3 + sizeof(content) + 2000);
    spool_done(&spool);
}

static void a_file_that_was_never_ended_leaves_no_trace(void **state)
{
    (void)state;
    struct spool spool;
    struct stat st;
    spool_init(&spool);
    put_whole(&spool, "a", 1000);
    uint64_t before = spool_bytes(&spool);
    put(&spool, "broken", 150000, 0, 65536);
    put(&spool, "broken", 150000, 65536, 131072);
    put_whole(&spool, "b", 2000);
    assert_int_equal(spool.n, 2);
    assert_holds(&spool, 1, "b", 2000);
    assert_int_equal(spool_bytes(&spool), before + spool_cost(2000, 1));
    put(&spool, "broken too", 150000, 0, 65536);
    spool_trim(&spool);
    assert_int_equal(fstat(spool.fd, &st), 0);
    assert_int_equal(st.st_size, 3000);
    assert_int_equal(spool.n, 2);
    assert_holds(&spool, 0, "a", 1000);
    spool_done(&spool);
}

static void nothing_costs_nothing_and_the_end_gives_all_back(void **state)
{
    (void)state;
    struct spool spool;
    spool_init(&spool);
    assert_int_equal(spool_bytes(&spool), 0);
    assert_int_equal(spool.fd, -EBADF);
    put(&spool, "half", 100, 0, 50);
    int fd = spool.fd;
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    spool_done(&spool);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_int_equal(errno, EBADF);
    spool_done(&spool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_come_back_whole_as_often_as_asked),
        cmocka_unit_test(a_file_that_was_never_ended_leaves_no_trace),
        cmocka_unit_test(nothing_costs_nothing_and_the_end_gives_all_back),
    };
    return cmocka_run_group_tests(tests, fill, NULL);
}
