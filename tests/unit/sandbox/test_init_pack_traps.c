/* Packing of a tree that was made to harm the packer: no trap works, nothing leaks. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "tests/unit/sandbox/pack_box.h"

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
    assert_skipped(&box, "no-x/inner", -EACCES);
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
    const char *const names[] = {longest, "\xc3\x28", "...", " ", "-", "a\\b\"c'"};
    for (size_t i = 0; i < COUNT(names); i++)
        put_file(&box, names[i], names[i]);
    assert_int_equal(pack(&box, &no_caps, NULL), 0);
    assert_int_equal(box.n, COUNT(names));
    for (size_t i = 0; i < COUNT(names); i++)
        assert_sent(&box, names[i], names[i]);
    box_done(&box);
}

static void names_with_control_characters_are_skipped_and_shown_without_them(void **state)
{
    (void)state;
    struct box box;
    box_new(&box);
    put_file(&box, "new\nline", "x");
    put_file(&box, "\x1b[31mred", "x");
    put_file(&box, "del\x7f", "x");
    put_file(&box, "plain", "x");
    assert_int_equal(mkdirat(box.fd, "d\t", 0700), 0);
    put_file(&box, "d\t/inner", "x");
    assert_int_equal(pack(&box, &no_caps, NULL), 0);
    assert_sent(&box, "plain", "x");
    assert_skipped(&box, "new?line", -EILSEQ);
    assert_skipped(&box, "?[31mred", -EILSEQ);
    assert_skipped(&box, "del?", -EILSEQ);
    assert_skipped(&box, "d?/inner", -EILSEQ);
    assert_int_equal(box.n, 5);
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

struct packer {
    int out, dir_fd, r;
};

static void *pack_into_pipe(void *arg)
{
    struct packer *p = arg;
    p->r = files_pack(p->out, p->dir_fd, &no_caps, NULL);
    close(p->out);
    return NULL;
}

/* The packer is a pipe and a buffer ahead of its reader, which is far less than the file has. */
static void a_file_that_shrinks_is_padded_and_called_broken(void **state)
{
    (void)state;
    struct box box;
    int fds[2];
    pthread_t thread;
    const size_t size = 3 << 20;
    box_new(&box);
    put_file(&box, "file", "0123456789");
    int file = openat(box.fd, "file", O_WRONLY);
    assert_int_equal(ftruncate(file, (off_t)size), 0);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    struct packer packer = {.out = fds[1], .dir_fd = box.fd};
    box.bytes = malloc(2 * size);
    assert_non_null(box.bytes);
    assert_int_equal(pthread_create(&thread, NULL, pack_into_pipe, &packer), 0);
    assert_int_equal(read(fds[0], box.bytes, 100), 100);
    assert_int_equal(ftruncate(file, 10), 0);
    ssize_t n = 100;
    do {
        box.len += (size_t)n;
        n = read(fds[0], box.bytes + box.len, 2 * size - box.len);
    } while (n > 0);
    pthread_join(thread, NULL);
    assert_int_equal(packer.r, 0);
    parse(&box);
    assert_int_equal(box.n, 2);
    assert_int_equal(box.records[0].header.size, size);
    assert_memory_equal(box.records[0].content, "0123456789", 10);
    assert_int_equal(box.records[1].header.type, FS_BROKEN);
    assert_string_equal(box.records[1].path, "file");
    assert_int_equal(box.records[1].header.status, -EIO);
    close(file);
    close(fds[0]);
    box_done(&box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_regular_files_are_touched),
        cmocka_unit_test(what_is_unreadable_is_named),
        cmocka_unit_test(odd_names_come_as_they_are),
        cmocka_unit_test(names_with_control_characters_are_skipped_and_shown_without_them),
        cmocka_unit_test(deep_trees_end_at_the_depth_of_the_format),
        cmocka_unit_test(long_paths_end_at_the_length_of_the_format),
        cmocka_unit_test(exchanged_files_leak_nothing),
        cmocka_unit_test(a_file_that_shrinks_is_padded_and_called_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
