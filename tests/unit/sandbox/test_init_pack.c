/* Packing of what a program left behind: only what is new, within the caps. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "tests/unit/sandbox/pack_box.h"

static void unpack_stream(struct box *box, struct fs_stream *stream)
{
    struct files_fault fault = {0};
    fs_put_end(stream, 0, "");
    int in = fs_stream_fd(stream);
    if (files_unpack(in, box->fd, &no_caps, box->snapshot, &fault) != 0)
        fail_msg("unpack: %s", fault.text);
    close(in);
    fs_stream_done(stream);
}

static void sends_regular_files_with_mode_and_content(void **state)
{
    (void)state;
    struct box box;
    box_new(&box);
    assert_int_equal(mkdirat(box.fd, "d", 0700), 0);
    assert_int_equal(mkdirat(box.fd, "empty", 0700), 0);
    put_file(&box, "a", "content");
    put_file(&box, "d/b", "");
    assert_int_equal(fchmodat(box.fd, "a", 06755, 0), 0);
    assert_int_equal(pack(&box, &no_caps, NULL), 0);
    assert_int_equal(box.n, 2);
    assert_sent(&box, "a", "content");
    assert_sent(&box, "d/b", "");
    assert_int_equal(record_of(&box, "a")->header.mode, 0755);
    assert_int_equal(box.end.header.status, 0);
    box_done(&box);
}

static void unchanged_inputs_stay(void **state)
{
    (void)state;
    struct box box;
    struct fs_stream stream = {0};
    box_new(&box);
    fs_put_file(&stream, "same", 0644, "12345", 5);
    fs_put_file(&stream, "d/touched", 0644, "12345", 5);
    fs_put_file(&stream, "empty", 0644, "", 0);
    unpack_stream(&box, &stream);
    assert_int_equal(utimensat(box.fd, "d/touched", NULL, 0), 0);
    put_file(&box, "new", "n");
    assert_int_equal(pack(&box, &no_caps, box.snapshot), 0);
    assert_int_equal(box.n, 1);
    assert_sent(&box, "new", "n");
    box_done(&box);
}

static void store_through_mapping(const struct box *box, const char *path)
{
    int fd = openat(box->fd, path, O_RDWR);
    char *at = mmap(NULL, 5, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(at, MAP_FAILED);
    at[1] = 'M';
    munmap(at, 5);
    close(fd);
}

/* Right after unpacking, in the same tick of the clock, and through every way that content has. */
static void every_change_is_seen(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        struct box box;
        struct fs_stream stream = {0};
        box_new(&box);
        const char *const paths[] = {"rewritten", "mapped", "grown", "mode", "renamed", "linked"};
        for (size_t i = 0; i < COUNT(paths); i++)
            fs_put_file(&stream, paths[i], 0644, "12345", 5);
        unpack_stream(&box, &stream);
        put_file(&box, "rewritten", "12346");
        store_through_mapping(&box, "mapped");
        put_file(&box, "grown", "123456");
        assert_int_equal(fchmodat(box.fd, "mode", 0755, 0), 0);
        assert_int_equal(renameat(box.fd, "renamed", box.fd, "name"), 0);
        assert_int_equal(linkat(box.fd, "linked", box.fd, "link", 0), 0);
        assert_int_equal(pack(&box, &no_caps, box.snapshot), 0);
        assert_sent(&box, "rewritten", "12346");
        assert_sent(&box, "mapped", "1M345");
        assert_sent(&box, "grown", "123456");
        assert_sent(&box, "mode", "12345");
        assert_sent(&box, "name", "12345");
        assert_sent(&box, "link", "12345");
        assert_null(record_of(&box, "linked"));
        assert_int_equal(box.n, 6);
        box_done(&box);
    }
}

static void files_beyond_the_snapshot_count_as_new(void **state)
{
    (void)state;
    struct box box;
    struct fs_stream stream = {0};
    box_new(&box);
    box.snapshot->capacity = 1;
    fs_put_file(&stream, "first", 0644, "1", 1);
    fs_put_file(&stream, "second", 0644, "2", 1);
    unpack_stream(&box, &stream);
    assert_int_equal(pack(&box, &no_caps, box.snapshot), 0);
    assert_int_equal(box.n, 1);
    assert_sent(&box, "second", "2");
    box_done(&box);
}

static void caps_are_held_and_what_is_left_out_is_named(void **state)
{
    (void)state;
    struct box box;
    box_new(&box);
    put_file(&box, "five", "12345");
    put_file(&box, "huge", "");
    int fd = openat(box.fd, "huge", O_WRONLY);
    assert_int_equal(ftruncate(fd, INT64_C(1) << 40), 0); /* sparse: holds nothing */
    close(fd);
    assert_int_equal(pack(&box, &(struct files_caps){10, 5}, NULL), 0);
    assert_sent(&box, "five", "12345");
    assert_skipped(&box, "huge", -EFBIG);
    assert_int_equal(record_of(&box, "huge")->header.size, UINT64_C(1) << 40);

    assert_int_equal(pack(&box, &(struct files_caps){10, 4}, NULL), 0);
    assert_skipped(&box, "five", -EFBIG);

    assert_int_equal(pack(&box, &(struct files_caps){0, UINT64_MAX}, NULL), 0);
    assert_skipped(&box, "five", -EFBIG);
    assert_int_equal(box.n, 2);
    box_done(&box);
}

static void caps_do_not_count_what_is_unchanged(void **state)
{
    (void)state;
    struct box box;
    struct fs_stream stream = {0};
    box_new(&box);
    for (char name[] = "a"; name[0] <= 'z'; name[0]++)
        fs_put_file(&stream, name, 0644, "12345", 5);
    unpack_stream(&box, &stream);
    put_file(&box, "new", "12345");
    assert_int_equal(pack(&box, &(struct files_caps){1, 5}, box.snapshot), 0);
    assert_int_equal(box.n, 1);
    assert_sent(&box, "new", "12345");
    box_done(&box);
}

static void sparse_files_within_the_cap_arrive_as_zeros(void **state)
{
    (void)state;
    struct box box;
    const size_t size = 3 << 20;
    box_new(&box);
    put_file(&box, "sparse", "head");
    int fd = openat(box.fd, "sparse", O_WRONLY);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    close(fd);
    assert_int_equal(pack(&box, &no_caps, NULL), 0);
    const struct fs_record *record = record_of(&box, "sparse");
    assert_int_equal(record->header.size, size);
    assert_memory_equal(record->content, "head", 4);
    for (size_t i = 4; i < size; i++)
        assert_int_equal(record->content[i], 0);
    box_done(&box);
}

static void hard_links_are_copies_within_the_caps(void **state)
{
    (void)state;
    struct box box;
    box_new(&box);
    put_file(&box, "a", "12345");
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof(name), "link%d", i);
        assert_int_equal(linkat(box.fd, "a", box.fd, name, 0), 0);
    }
    assert_int_equal(pack(&box, &(struct files_caps){1000, 52}, NULL), 0);
    size_t sent = 0;
    for (size_t i = 0; i < box.n; i++)
        sent += box.records[i].header.type == FS_FILE;
    assert_int_equal(sent, 10);
    assert_int_equal(box.n, 101);
    box_done(&box);
}

static void reports_of_skipped_files_are_bounded(void **state)
{
    (void)state;
    struct box box;
    box_new(&box);
    for (int i = 0; i < FILES_SKIPPED_MAX + 500; i++) {
        char name[16];
        snprintf(name, sizeof(name), "f%d", i);
        put_file(&box, name, "");
    }
    assert_int_equal(pack(&box, &(struct files_caps){3, 0}, NULL), 0);
    assert_int_equal(box.n, FILES_SKIPPED_MAX + 3);
    box_done(&box);
}

static void nobody_reading_ends_it_quietly(void **state)
{
    (void)state;
    struct box box;
    int fds[2];
    box_new(&box);
    put_file(&box, "a", "12345");
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    close(fds[0]);
    void (*before)(int) = signal(SIGPIPE, SIG_IGN);
    assert_int_equal(files_pack(fds[1], box.fd, &no_caps, NULL), -EPIPE);
    signal(SIGPIPE, before);
    close(fds[1]);
    box_done(&box);
}

struct sink {
    int fd;
    uint8_t *bytes;
    size_t len, cap;
};

static void *read_slowly(void *arg)
{
    struct sink *sink = arg;
    ssize_t n;
    while ((n = read(sink->fd, sink->bytes + sink->len, 1777)) > 0) {
        sink->len += (size_t)n;
        if (sink->len + 1777 > sink->cap)
            break;
        sched_yield();
    }
    return NULL;
}

static void a_slow_reader_gets_the_same(void **state)
{
    (void)state;
    struct box box;
    int fds[2];
    pthread_t thread;
    box_new(&box);
    for (int i = 0; i < 300; i++) {
        char name[16], content[700];
        snprintf(name, sizeof(name), "f%d", i);
        snprintf(content, sizeof(content), "%*d", i * 2 + 1, i);
        put_file(&box, name, content);
    }
    assert_int_equal(pack(&box, &no_caps, NULL), 0);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    struct sink sink = {.fd = fds[0], .cap = 1 << 20};
    sink.bytes = malloc(sink.cap);
    assert_non_null(sink.bytes);
    assert_int_equal(pthread_create(&thread, NULL, read_slowly, &sink), 0);
    assert_int_equal(files_pack(fds[1], box.fd, &no_caps, NULL), 0);
    close(fds[1]);
    pthread_join(thread, NULL);
    close(fds[0]);
    assert_int_equal(sink.len, box.len);
    assert_memory_equal(sink.bytes, box.bytes, box.len);
    free(sink.bytes);
    box_done(&box);
}

static void five_thousand_files_make_the_round_trip(void **state)
{
    (void)state;
    struct box box, copy;
    char path[64];
    box_new(&box);
    box_new(&copy);
    for (int i = 0; i < 5000; i++) {
        snprintf(path, sizeof(path), "d%d", i % 50);
        mkdirat(box.fd, path, 0700);
        snprintf(path, sizeof(path), "d%d/file%d", i % 50, i);
        put_file(&box, path, path);
    }
    assert_int_equal(pack(&box, &no_caps, NULL), 0);
    assert_int_equal(box.n, 5000);
    struct fs_stream stream = {0};
    for (size_t i = 0; i < box.n; i++)
        fs_put_record(&stream, &box.records[i].header, box.records[i].path, box.records[i].content);
    unpack_stream(&copy, &stream);
    assert_int_equal(pack(&copy, &no_caps, copy.snapshot), 0);
    assert_int_equal(copy.n, 0);
    assert_int_equal(pack(&copy, &no_caps, NULL), 0);
    assert_int_equal(copy.n, 5000);
    assert_sent(&copy, "d49/file4999", "d49/file4999");
    box_done(&box);
    box_done(&copy);
}

static void finds_a_file_of_exactly_that_size(void **state)
{
    (void)state;
    struct box box;
    box_new(&box);
    assert_int_equal(mkdirat(box.fd, "d", 0700), 0);
    put_file(&box, "d/seven", "1234567");
    assert_int_equal(symlinkat("12345678", box.fd, "eight"), 0);
    assert_int_equal(files_find(box.fd, 7), 1);
    assert_int_equal(files_find(box.fd, 6), 0);
    assert_int_equal(files_find(box.fd, 8), 0);
    box_done(&box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_regular_files_with_mode_and_content),
        cmocka_unit_test(unchanged_inputs_stay),
        cmocka_unit_test(every_change_is_seen),
        cmocka_unit_test(files_beyond_the_snapshot_count_as_new),
        cmocka_unit_test(caps_are_held_and_what_is_left_out_is_named),
        cmocka_unit_test(caps_do_not_count_what_is_unchanged),
        cmocka_unit_test(sparse_files_within_the_cap_arrive_as_zeros),
        cmocka_unit_test(hard_links_are_copies_within_the_caps),
        cmocka_unit_test(reports_of_skipped_files_are_bounded),
        cmocka_unit_test(nobody_reading_ends_it_quietly),
        cmocka_unit_test(a_slow_reader_gets_the_same),
        cmocka_unit_test(five_thousand_files_make_the_round_trip),
        cmocka_unit_test(finds_a_file_of_exactly_that_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
