/* Packing of what a program left behind: only what is new, and no trap in the tree works. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/init_files.h"
#include "tests/support/fs_stream.h"

#define COUNT(a)    (sizeof(a) / sizeof((a)[0]))
#define RECORDS_MAX 8192
#define CAPACITY    8192

static const struct files_caps no_caps = {UINT32_MAX, UINT64_MAX};

struct box {
    char path[64];
    int fd;
    struct files_snapshot *snapshot;
    /* the last stream */
    uint8_t *bytes;
    size_t len, n;
    struct fs_record *records;
    struct fs_record end;
};

static void box_new(struct box *box)
{
    *box = (struct box){0};
    box->fd = scratch_new(box->path);
    box->snapshot = calloc(1, files_snapshot_size(CAPACITY));
    box->records = calloc(RECORDS_MAX, sizeof(*box->records));
    assert_non_null(box->snapshot);
    assert_non_null(box->records);
    box->snapshot->capacity = CAPACITY;
    alarm(60); /* a walk that blocks is a failure, not a wait */
}

static void box_done(struct box *box)
{
    alarm(0);
    close(box->fd);
    scratch_remove(box->path);
    free(box->snapshot);
    free(box->records);
    free(box->bytes);
}

static void parse(struct box *box)
{
    struct fs_cursor cursor = {box->bytes, box->len, 0};
    int r;
    box->n = 0;
    while ((r = fs_next(&cursor, &box->end)) == 1) {
        assert_true(box->n < RECORDS_MAX);
        box->records[box->n++] = box->end;
    }
    assert_int_equal(r, 0);
}

static int pack(struct box *box, const struct files_caps *caps,
                const struct files_snapshot *snapshot)
{
    int out = memfd_create("out", MFD_CLOEXEC);
    assert_true(out >= 0);
    int r = files_pack(out, box->fd, caps, snapshot);
    free(box->bytes);
    box->bytes = fs_read_all(out, &box->len);
    close(out);
    parse(box);
    return r;
}

static const struct fs_record *record_of(const struct box *box, const char *path)
{
    for (size_t i = 0; i < box->n; i++)
        if (strcmp(box->records[i].path, path) == 0)
            return &box->records[i];
    return NULL;
}

static void put_file(const struct box *box, const char *path, const char *content)
{
    int fd = openat(box->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    close(fd);
}

static void assert_sent(const struct box *box, const char *path, const char *content)
{
    const struct fs_record *record = record_of(box, path);
    if (!record || record->header.type != FS_FILE)
        fail_msg("%s was not sent", path);
    assert_int_equal(record->header.size, strlen(content));
    assert_memory_equal(record->content, content, strlen(content));
}

static void assert_skipped(const struct box *box, const char *path, int status)
{
    const struct fs_record *record = record_of(box, path);
    if (!record || record->header.type != FS_SKIPPED)
        fail_msg("%s was not named as skipped", path);
    assert_int_equal(record->header.status, status);
}

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

static void bind_socket(const struct box *box)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/sock", box->path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
}

static void only_regular_files_are_touched(void **state)
{
    (void)state;
    struct box box, outside;
    box_new(&outside);
    box_new(&box);
    put_file(&outside, "secret", "SECRET");
    bind_socket(&box);
    assert_int_equal(mkfifoat(box.fd, "fifo", 0600), 0);
    assert_int_equal(symlinkat("/etc/passwd", box.fd, "absolute"), 0);
    assert_int_equal(symlinkat(outside.path, box.fd, "directory"), 0);
    assert_int_equal(symlinkat("real", box.fd, "relative"), 0);
    assert_int_equal(symlinkat("loop", box.fd, "loop"), 0);
    assert_int_equal(symlinkat("/proc/self/fd/0", box.fd, "magic"), 0);
    if (mknodat(box.fd, "zero", S_IFCHR | 0666, makedev(1, 5)) < 0)
        assert_int_equal(errno, EPERM); /* only root can set that trap */
    put_file(&box, "real", "r");
    assert_int_equal(pack(&box, &no_caps, NULL), 0);
    assert_int_equal(box.n, 1);
    assert_sent(&box, "real", "r");
    box_done(&box);
    box_done(&outside);
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

/* As an unprivileged user, who can be kept out by modes. */
static void what_is_unreadable_is_named(void **state)
{
    (void)state;
    struct box box;
    int status;
    box_new(&box);
    put_file(&box, "closed", "12345");
    put_file(&box, "open", "o");
    assert_int_equal(mkdirat(box.fd, "cave", 0700), 0);
    put_file(&box, "cave/inner", "i");
    assert_int_equal(mkdirat(box.fd, "no-x", 0700), 0);
    put_file(&box, "no-x/inner", "i");
    assert_int_equal(fchmodat(box.fd, "open", 0644, 0), 0);
    assert_int_equal(fchmodat(box.fd, "closed", 0, 0), 0);
    assert_int_equal(fchmodat(box.fd, "cave", 0, 0), 0);
    assert_int_equal(fchmodat(box.fd, "no-x", 0744, 0), 0);
    assert_int_equal(fchmod(box.fd, 0755), 0);
    int out = memfd_create("out", MFD_CLOEXEC);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
            _exit(1);
        _exit(files_pack(out, box.fd, &no_caps, NULL) == 0 ? 0 : 2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    box.bytes = fs_read_all(out, &box.len);
    close(out);
    parse(&box);
    assert_sent(&box, "open", "o");
    assert_skipped(&box, "closed", -EACCES);
    assert_skipped(&box, "cave", -EACCES);
    assert_null(record_of(&box, "cave/inner"));
    assert_null(record_of(&box, "no-x/inner"));
    assert_int_equal(fchmodat(box.fd, "cave", 0700, 0), 0);
    box_done(&box);
}

static void odd_names_come_as_they_are(void **state)
{
    (void)state;
    struct box box;
    char longest[FS_NAME_MAX + 1];
    box_new(&box);
    memset(longest, '\xfe', FS_NAME_MAX);
    longest[FS_NAME_MAX] = 0;
    const char *const names[] = {longest, "new\nline", "\xc3\x28", "...", " ", "-", "\x01"};
    for (size_t i = 0; i < COUNT(names); i++)
        put_file(&box, names[i], names[i]);
    assert_int_equal(pack(&box, &no_caps, NULL), 0);
    assert_int_equal(box.n, COUNT(names));
    for (size_t i = 0; i < COUNT(names); i++)
        assert_sent(&box, names[i], names[i]);
    box_done(&box);
}

/* @levels nested directories called @name, a file "f" in each. */
static void dig(const struct box *box, int levels, const char *name)
{
    int fd = dup(box->fd);
    for (int i = 0; i < levels; i++) {
        int file = openat(fd, "f", O_WRONLY | O_CREAT, 0600);
        assert_true(file >= 0);
        close(file);
        assert_int_equal(mkdirat(fd, name, 0700), 0);
        int next = openat(fd, name, O_RDONLY | O_DIRECTORY);
        assert_true(next >= 0);
        close(fd);
        fd = next;
    }
    close(fd);
}

static void deep_trees_end_at_the_depth_of_the_format(void **state)
{
    (void)state;
    struct box box;
    char deepest[2 * FS_DEPTH_MAX] = "";
    box_new(&box);
    dig(&box, 200, "d");
    for (size_t i = 0; i < sizeof(deepest) - 1; i++)
        deepest[i] = i % 2 ? '/' : 'd';
    assert_int_equal(pack(&box, &no_caps, NULL), 0);
    assert_int_equal(box.n, FS_DEPTH_MAX + 1);
    assert_skipped(&box, deepest, -ENAMETOOLONG); /* a directory with 32 parts: its files had 33 */
    deepest[sizeof(deepest) - 2] = 'f';
    assert_sent(&box, deepest, "");
    box_done(&box);
}

static void long_paths_end_at_the_length_of_the_format(void **state)
{
    (void)state;
    struct box box;
    char name[FS_NAME_MAX + 1];
    box_new(&box);
    memset(name, 'n', FS_NAME_MAX);
    name[FS_NAME_MAX] = 0;
    dig(&box, 20, name);
    assert_int_equal(pack(&box, &no_caps, NULL), 0);
    size_t sent = 0, skipped = 0;
    for (size_t i = 0; i < box.n; i++) {
        sent += box.records[i].header.type == FS_FILE;
        skipped += box.records[i].header.type == FS_SKIPPED;
    }
    assert_int_equal(sent, FS_PATH_MAX / (FS_NAME_MAX + 1)); /* 15 directories and the file fit */
    assert_true(skipped > 0);
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

/* --- somebody changes things meanwhile (all are dead then, but it must not depend on that) --- */

struct meddler {
    int dir_fd;
    atomic_bool stop;
};

static void *exchange(void *arg)
{
    struct meddler *m = arg;
    while (!atomic_load(&m->stop)) {
        renameat2(m->dir_fd, "file", m->dir_fd, "to-file", 1U << 1 /* RENAME_EXCHANGE */);
        renameat2(m->dir_fd, "d", m->dir_fd, "to-dir", 1U << 1);
        renameat2(m->dir_fd, "file", m->dir_fd, "fifo", 1U << 1);
        sched_yield();
    }
    return NULL;
}

static void *resize(void *arg)
{
    struct meddler *m = arg;
    int fd = openat(m->dir_fd, "file", O_WRONLY);
    while (!atomic_load(&m->stop)) {
        if (ftruncate(fd, 3000000) < 0 || ftruncate(fd, 10) < 0)
            break;
        sched_yield();
    }
    close(fd);
    return NULL;
}

static void exchanged_files_leak_nothing(void **state)
{
    (void)state;
    struct box box, outside;
    char secret[128];
    pthread_t thread;
    box_new(&outside);
    box_new(&box);
    put_file(&outside, "inner", "SECRET");
    snprintf(secret, sizeof(secret), "%s/inner", outside.path);
    put_file(&box, "file", "mine");
    assert_int_equal(mkdirat(box.fd, "d", 0700), 0);
    put_file(&box, "d/inner", "mine");
    assert_int_equal(symlinkat(secret, box.fd, "to-file"), 0);
    assert_int_equal(symlinkat(outside.path, box.fd, "to-dir"), 0);
    assert_int_equal(mkfifoat(box.fd, "fifo", 0600), 0);
    struct meddler meddler = {.dir_fd = box.fd};
    assert_int_equal(pthread_create(&thread, NULL, exchange, &meddler), 0);
    for (int i = 0; i < 3000; i++) {
        assert_int_equal(pack(&box, &no_caps, NULL), 0);
        assert_null(memmem(box.bytes, box.len, "SECRET", 6));
    }
    atomic_store(&meddler.stop, true);
    pthread_join(thread, NULL);
    box_done(&box);
    box_done(&outside);
}

static void a_file_that_shrinks_is_padded_and_called_broken(void **state)
{
    (void)state;
    struct box box;
    pthread_t thread;
    size_t broken = 0;
    box_new(&box);
    put_file(&box, "file", "0123456789");
    struct meddler meddler = {.dir_fd = box.fd};
    assert_int_equal(pthread_create(&thread, NULL, resize, &meddler), 0);
    for (int i = 0; i < 2000 && (i < 100 || !broken); i++) {
        assert_int_equal(pack(&box, &no_caps, NULL), 0); /* parses: that is the point */
        broken += box.n == 2 && box.records[1].header.type == FS_BROKEN &&
                  strcmp(box.records[1].path, "file") == 0;
    }
    atomic_store(&meddler.stop, true);
    pthread_join(thread, NULL);
    assert_true(broken > 0);
    box_done(&box);
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
        cmocka_unit_test(only_regular_files_are_touched),
        cmocka_unit_test(caps_are_held_and_what_is_left_out_is_named),
        cmocka_unit_test(caps_do_not_count_what_is_unchanged),
        cmocka_unit_test(sparse_files_within_the_cap_arrive_as_zeros),
        cmocka_unit_test(hard_links_are_copies_within_the_caps),
        cmocka_unit_test(reports_of_skipped_files_are_bounded),
        cmocka_unit_test(what_is_unreadable_is_named),
        cmocka_unit_test(odd_names_come_as_they_are),
        cmocka_unit_test(deep_trees_end_at_the_depth_of_the_format),
        cmocka_unit_test(long_paths_end_at_the_length_of_the_format),
        cmocka_unit_test(nobody_reading_ends_it_quietly),
        cmocka_unit_test(a_slow_reader_gets_the_same),
        cmocka_unit_test(five_thousand_files_make_the_round_trip),
        cmocka_unit_test(exchanged_files_leak_nothing),
        cmocka_unit_test(a_file_that_shrinks_is_padded_and_called_broken),
        cmocka_unit_test(finds_a_file_of_exactly_that_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
