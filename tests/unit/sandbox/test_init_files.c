/* Unpacking of input files: what arrives, what is refused, and that nothing gets out of the
 * directory. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/init_files.h"
#include "tests/support/fs_stream.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct files_caps no_caps = {UINT32_MAX, UINT64_MAX};

struct box {
    char path[64];
    int fd;
    struct fs_stream stream;
    struct files_fault fault;
};

static void box_new(struct box *box)
{
    *box = (struct box){0};
    box->fd = scratch_new(box->path);
}

static void box_done(struct box *box)
{
    close(box->fd);
    scratch_remove(box->path);
    fs_stream_done(&box->stream);
}

static int unpack(struct box *box, const struct files_caps *caps)
{
    int in = fs_stream_fd(&box->stream);
    int r = files_unpack(in, box->fd, caps, NULL, &box->fault);
    close(in);
    assert_int_equal(r, box->fault.code);
    return r;
}

static mode_t mode_of(const struct box *box, const char *path)
{
    struct stat st;
    if (fstatat(box->fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        fail_msg("%s is missing", path);
    return st.st_mode;
}

static void assert_content(const struct box *box, const char *path, const char *want)
{
    char got[256] = "";
    int fd = openat(box->fd, path, O_RDONLY | O_NOFOLLOW);
    assert_true(fd >= 0);
    ssize_t n = read(fd, got, sizeof(got) - 1);
    close(fd);
    assert_int_equal(n, strlen(want));
    assert_string_equal(got, want);
}

static size_t entries_in(const char *path)
{
    size_t n = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        n += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
    closedir(dir);
    return n;
}

static void makes_files_and_directories_with_exact_modes(void **state)
{
    (void)state;
    struct box box;
    box_new(&box);
    mode_t mask = umask(077);
    fs_put_file(&box.stream, "a.txt", 0644, "hello", 5);
    fs_put_file(&box.stream, "bin/deep/tool", 0755, "#!", 2);
    fs_put_file(&box.stream, "bin/deep/empty", 0400, "", 0);
    fs_put_dir(&box.stream, "bin", 0711);
    fs_put_dir(&box.stream, "data/none", 0);
    fs_put_file(&box.stream, "bin/last", 0666, "x", 1);
    fs_put_end(&box.stream, 0, "");
    assert_int_equal(unpack(&box, &no_caps), 0);
    assert_int_equal(umask(mask), 077);
    assert_content(&box, "a.txt", "hello");
    assert_content(&box, "bin/deep/tool", "#!");
    assert_int_equal(mode_of(&box, "a.txt"), S_IFREG | 0644);
    assert_int_equal(mode_of(&box, "bin/deep/tool"), S_IFREG | 0755);
    assert_int_equal(mode_of(&box, "bin/deep/empty"), S_IFREG | 0400);
    assert_int_equal(mode_of(&box, "bin/last"), S_IFREG | 0666);
    assert_int_equal(mode_of(&box, "bin"), S_IFDIR | 0711);
    assert_int_equal(mode_of(&box, "bin/deep"), S_IFDIR | 0755);
    assert_int_equal(mode_of(&box, "data/none"), S_IFDIR | 0700);
    box_done(&box);
}

static void odd_names_are_names(void **state)
{
    (void)state;
    struct box box;
    char longest[FS_NAME_MAX + 1], deepest[2 * FS_DEPTH_MAX] = "";
    box_new(&box);
    memset(longest, 'n', FS_NAME_MAX);
    longest[FS_NAME_MAX] = 0;
    for (size_t i = 0; i < sizeof(deepest) - 1; i++)
        deepest[i] = i % 2 ? '/' : 'd';
    const char *const names[] = {longest,   deepest, "\xff\xfe not utf-8", "...", "-rf", "..a",
                                 ".hidden", " ",     "back\\slash"};
    for (size_t i = 0; i < COUNT(names); i++)
        fs_put_file(&box.stream, names[i], 0600, "x", 1);
    fs_put_end(&box.stream, 0, "");
    assert_int_equal(unpack(&box, &no_caps), 0);
    for (size_t i = 0; i < COUNT(names); i++)
        assert_content(&box, names[i], "x");
    box_done(&box);
}

static void bad_paths_are_refused_in_words(void **state)
{
    (void)state;
    char too_long[FS_NAME_MAX + 2], too_deep[2 * FS_DEPTH_MAX + 2] = "";
    memset(too_long, 'n', sizeof(too_long) - 1);
    too_long[sizeof(too_long) - 1] = 0;
    for (size_t i = 0; i < sizeof(too_deep) - 1; i++)
        too_deep[i] = i % 2 ? '/' : 'd';
    const struct {
        const char *path, *words;
    } table[] = {
        {"", "no name"},
        {"/etc/passwd", "absolute"},
        {"a//b", "empty part"},
        {"new\nline", "control character"},
        {"\x1b[31m", "control character"},
        {"d\x7f/a", "control character"},
        {"a/", "empty part"},
        {"/", "absolute"},
        {".", ". or .."},
        {"..", ". or .."},
        {"../x", ". or .."},
        {"a/../../x", ". or .."},
        {"a/./b", ". or .."},
        {"a/..", ". or .."},
        {too_long, "too long"},
        {too_deep, "too deep"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        struct box box;
        box_new(&box);
        fs_put_file(&box.stream, table[i].path, 0600, "x", 1);
        fs_put_end(&box.stream, 0, "");
        assert_int_equal(unpack(&box, &no_caps), -EPROTO);
        if (!strstr(box.fault.text, table[i].words))
            fail_msg("\"%s\" says: %s", table[i].path, box.fault.text);
        assert_int_equal(entries_in(box.path), 0);
        box_done(&box);
    }
}

static void bad_headers_are_refused(void **state)
{
    (void)state;
    static const struct fs_header table[] = {
        {FS_MAGIC + 1, FS_FILE, 1, 0600, 0, 0},   /* another magic */
        {FS_MAGIC, 0, 1, 0600, 0, 0},             /* unknown types */
        {FS_MAGIC, 6, 1, 0600, 0, 0},             /**/
        {FS_MAGIC, FS_SKIPPED, 1, 0600, 0, 0},    /* goes out only */
        {FS_MAGIC, FS_FILE, 4097, 0600, 0, 0},    /* path too long */
        {FS_MAGIC, FS_FILE, 65535, 0600, 0, 0},   /**/
        {FS_MAGIC, FS_FILE, 1, 04755, 0, 0},      /* set-uid */
        {FS_MAGIC, FS_FILE, 1, UINT32_MAX, 0, 0}, /**/
        {FS_MAGIC, FS_DIR, 1, 0700, 0, 1},        /* directories have no content */
        {FS_MAGIC, FS_FILE, 3, 0600, 0, 0},       /* NUL in the path */
    };
    static const char path[65536] = {'a', 0, 'b'};
    for (size_t i = 0; i < COUNT(table); i++) {
        struct box box;
        box_new(&box);
        fs_put_record(&box.stream, &table[i], path, NULL);
        fs_put_end(&box.stream, 0, "");
        if (unpack(&box, &no_caps) != -EPROTO)
            fail_msg("header %zu: %d %s", i, box.fault.code, box.fault.text);
        assert_int_equal(entries_in(box.path), 0);
        box_done(&box);
    }
}

static void every_truncation_is_noticed(void **state)
{
    (void)state;
    struct fs_stream whole = {0};
    fs_put_file(&whole, "d/a", 0600, "0123456789", 10);
    fs_put_dir(&whole, "e", 0700);
    fs_put_end(&whole, 0, "");
    for (size_t len = 0; len < whole.len; len++) {
        struct box box;
        box_new(&box);
        fs_put_bytes(&box.stream, whole.bytes, len);
        assert_int_equal(unpack(&box, &no_caps), -EPROTO);
        assert_non_null(strstr(box.fault.text, "ends in the middle"));
        box_done(&box);
    }
    fs_stream_done(&whole);
}

static void senders_faults_are_passed_on(void **state)
{
    (void)state;
    struct box box;
    box_new(&box);
    fs_put_end(&box.stream, -ENOLINK, "the store is\naway");
    assert_int_equal(unpack(&box, &no_caps), -ENOLINK);
    assert_non_null(strstr(box.fault.text, "the store is?away"));
    box_done(&box);

    box_new(&box);
    fs_put_end(&box.stream, 5, "");
    assert_int_equal(unpack(&box, &no_caps), -EPROTO);
    box_done(&box);

    box_new(&box);
    fs_put_file(&box.stream, "half", 0600, "\0\0\0", 3);
    struct fs_header broken = {FS_MAGIC, FS_BROKEN, 4, 0, -EIO, 3};
    fs_put_record(&box.stream, &broken, "half", NULL);
    fs_put_end(&box.stream, 0, "");
    assert_int_equal(unpack(&box, &no_caps), -EIO);
    assert_non_null(strstr(box.fault.text, "half"));
    box_done(&box);
}

static void caps_are_held(void **state)
{
    (void)state;
    static const struct {
        struct files_caps caps;
        int want;
    } table[] = {
        {{3, 7}, 0}, {{2, 7}, -EFBIG}, {{3, 6}, -EFBIG}, {{0, 0}, -EFBIG}, {{3, UINT64_MAX}, 0},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        struct box box;
        box_new(&box);
        fs_put_file(&box.stream, "a", 0600, "1234", 4);
        fs_put_dir(&box.stream, "d", 0700);
        fs_put_file(&box.stream, "b", 0600, "567", 3);
        fs_put_end(&box.stream, 0, "");
        assert_int_equal(unpack(&box, &table[i].caps), table[i].want);
        box_done(&box);
    }
    struct box box;
    box_new(&box);
    struct fs_header huge = {FS_MAGIC, FS_FILE, 1, 0600, 0, UINT64_MAX};
    fs_put_record(&box.stream, &huge, "h", NULL);
    assert_int_equal(unpack(&box, &(struct files_caps){1, 1 << 20}), -EFBIG);
    assert_int_equal(entries_in(box.path), 0);
    box_done(&box);
}

static void what_is_there_is_not_overwritten(void **state)
{
    (void)state;
    struct box box;
    box_new(&box);
    fs_put_file(&box.stream, "a", 0600, "first", 5);
    fs_put_file(&box.stream, "a", 0600, "second", 6);
    fs_put_end(&box.stream, 0, "");
    assert_int_equal(unpack(&box, &no_caps), -EEXIST);
    assert_content(&box, "a", "first");
    box_done(&box);

    box_new(&box);
    fs_put_file(&box.stream, "a", 0600, "file", 4);
    fs_put_file(&box.stream, "a/b", 0600, "x", 1);
    fs_put_end(&box.stream, 0, "");
    assert_int_equal(unpack(&box, &no_caps), -ENOTDIR);
    assert_non_null(strstr(box.fault.text, "a/b"));
    box_done(&box);

    box_new(&box);
    fs_put_file(&box.stream, "a/b", 0600, "x", 1);
    fs_put_file(&box.stream, "a", 0600, "file", 4);
    fs_put_end(&box.stream, 0, "");
    assert_int_equal(unpack(&box, &no_caps), -EEXIST);
    box_done(&box);
}

static void symbolic_links_are_not_followed(void **state)
{
    (void)state;
    static const char *const paths[] = {"link/x", "d/link/x", "file", "dangling", "link", "up/x"};
    for (size_t i = 0; i < COUNT(paths); i++) {
        struct box box, outside;
        box_new(&outside);
        box_new(&box);
        assert_int_equal(mkdirat(box.fd, "d", 0700), 0);
        assert_int_equal(symlinkat(outside.path, box.fd, "link"), 0);
        assert_int_equal(symlinkat(outside.path, box.fd, "d/link"), 0);
        assert_int_equal(symlinkat("..", box.fd, "up"), 0);
        assert_int_equal(symlinkat("/etc/passwd", box.fd, "file"), 0);
        assert_int_equal(symlinkat("d/new", box.fd, "dangling"), 0);
        fs_put_file(&box.stream, paths[i], 0600, "x", 1);
        fs_put_end(&box.stream, 0, "");
        int r = unpack(&box, &no_caps);
        if (r != -ELOOP && r != -EEXIST && r != -ENOTDIR)
            fail_msg("%s: %d", paths[i], r);
        assert_int_equal(entries_in(outside.path), 0);
        assert_int_equal(faccessat(box.fd, "d/new", F_OK, 0), -1);
        box_done(&box);
        box_done(&outside);
    }
}

/* --- somebody moves things meanwhile (nobody can, but it must not depend on that) --- */

struct swapper {
    int dir_fd;
    atomic_bool stop;
};

static void *swap_directory_and_link(void *arg)
{
    struct swapper *s = arg;
    while (!atomic_load(&s->stop)) {
        renameat2(s->dir_fd, "d", s->dir_fd, "evil", 1U << 1 /* RENAME_EXCHANGE */);
        sched_yield();
    }
    return NULL;
}

static void swapped_directories_lead_nowhere(void **state)
{
    (void)state;
    struct box box, outside;
    box_new(&outside);
    box_new(&box);
    assert_int_equal(mkdirat(box.fd, "d", 0700), 0);
    assert_int_equal(symlinkat(outside.path, box.fd, "evil"), 0);
    struct swapper swapper = {.dir_fd = box.fd};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, swap_directory_and_link, &swapper), 0);
    for (int i = 0; i < 2000; i++) {
        char in_d[32], in_other[32];
        snprintf(in_d, sizeof(in_d), "d/sub%d/x", i);
        snprintf(in_other, sizeof(in_other), "other%d", i);
        box.stream.len = 0;
        fs_put_file(&box.stream, in_d, 0600, "x", 1);
        fs_put_file(&box.stream, in_other, 0600, "x", 1); /* forget the parent */
        fs_put_end(&box.stream, 0, "");
        box.fault = (struct files_fault){0};
        unpack(&box, &no_caps);
    }
    atomic_store(&swapper.stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(entries_in(outside.path), 0);
    box_done(&box);
    box_done(&outside);
}

static void five_thousand_files_arrive(void **state)
{
    (void)state;
    struct box box;
    char path[64];
    box_new(&box);
    for (int i = 0; i < 5000; i++) {
        snprintf(path, sizeof(path), "d%d/e%d/file%d", i % 7, i % 50, i);
        fs_put_file(&box.stream, path, 0644, path, strlen(path));
    }
    fs_put_end(&box.stream, 0, "");
    assert_int_equal(unpack(&box, &no_caps), 0);
    for (int i = 0; i < 5000; i++) {
        snprintf(path, sizeof(path), "d%d/e%d/file%d", i % 7, i % 50, i);
        assert_content(&box, path, path);
    }
    box_done(&box);
}

struct drip {
    const struct fs_stream *stream;
    int fd;
};

static void *drip_bytes(void *arg)
{
    struct drip *drip = arg;
    for (size_t at = 0; at < drip->stream->len;) {
        size_t n = at % 13 + 1;
        n = n < drip->stream->len - at ? n : drip->stream->len - at;
        if (write(drip->fd, drip->stream->bytes + at, n) != (ssize_t)n)
            break;
        at += n;
        sched_yield();
    }
    close(drip->fd);
    return NULL;
}

static void pieces_and_a_nonblocking_pipe_make_no_difference(void **state)
{
    (void)state;
    struct box box;
    int fds[2];
    pthread_t thread;
    box_new(&box);
    fs_put_file(&box.stream, "some/where/a", 0600, "0123456789", 10);
    fs_put_file(&box.stream, "some/where/b", 0600, "abc", 3);
    fs_put_end(&box.stream, 0, "");
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    struct drip drip = {&box.stream, fds[1]};
    assert_int_equal(pthread_create(&thread, NULL, drip_bytes, &drip), 0);
    assert_int_equal(files_unpack(fds[0], box.fd, &no_caps, NULL, &box.fault), 0);
    pthread_join(thread, NULL);
    close(fds[0]);
    assert_content(&box, "some/where/a", "0123456789");
    assert_content(&box, "some/where/b", "abc");
    box_done(&box);
}

/* --- in a mount namespace of its own --- */

enum { CHILD_GOOD = 0, CHILD_NO_NAMESPACE = 77 };

static int mount_tmpfs(const char *path, const char *options)
{
    return mount("cloister-test", path, "tmpfs", MS_NOSUID | MS_NODEV, options);
}

static int full_workspace_child(struct box *box)
{
    static uint8_t megabyte[1 << 20];
    if (mount_tmpfs(box->path, "size=256k,nr_inodes=8") < 0)
        return 1;
    int dir_fd = open(box->path, O_RDONLY | O_DIRECTORY);
    fs_put_file(&box->stream, "big", 0600, megabyte, sizeof(megabyte));
    fs_put_end(&box->stream, 0, "");
    int r = files_unpack(fs_stream_fd(&box->stream), dir_fd, &no_caps, NULL, &box->fault);
    if (r != -ENOSPC || !strstr(box->fault.text, "do not fit into the workspace"))
        return 2;
    if (unlinkat(dir_fd, "big", 0) < 0)
        return 3;
    box->stream.len = 0;
    for (char name[] = "a"; name[0] <= 'j'; name[0]++)
        fs_put_dir(&box->stream, name, 0700);
    fs_put_end(&box->stream, 0, "");
    r = files_unpack(fs_stream_fd(&box->stream), dir_fd, &no_caps, NULL, &box->fault);
    return r == -ENOSPC && strstr(box->fault.text, "do not fit") ? CHILD_GOOD : 4;
}

static int other_mount_child(struct box *box)
{
    char inner[128];
    snprintf(inner, sizeof(inner), "%s/bound", box->path);
    if (mkdir(inner, 0700) < 0 || mount_tmpfs(inner, "size=64k") < 0)
        return 1;
    int dir_fd = open(box->path, O_RDONLY | O_DIRECTORY); /* box->fd is of the outer namespace */
    fs_put_file(&box->stream, "bound/x", 0600, "x", 1);
    fs_put_end(&box->stream, 0, "");
    int r = files_unpack(fs_stream_fd(&box->stream), dir_fd, &no_caps, NULL, &box->fault);
    return r == -EXDEV && entries_in(inner) == 0 ? CHILD_GOOD : 2;
}

static void in_own_mount_namespace(int (*body)(struct box *))
{
    struct box box;
    int status;
    box_new(&box);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER) < 0 ||
            mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
            _exit(CHILD_NO_NAMESPACE);
        _exit(body(&box));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    box_done(&box);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == CHILD_NO_NAMESPACE && !getenv("TESTS_MUST_RUN")) {
        print_message("no mount namespace to be had here\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), CHILD_GOOD);
}

static void a_full_workspace_is_named(void **state)
{
    (void)state;
    in_own_mount_namespace(full_workspace_child);
}

static void other_mounts_are_not_written_to(void **state)
{
    (void)state;
    in_own_mount_namespace(other_mount_child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_files_and_directories_with_exact_modes),
        cmocka_unit_test(odd_names_are_names),
        cmocka_unit_test(bad_paths_are_refused_in_words),
        cmocka_unit_test(bad_headers_are_refused),
        cmocka_unit_test(every_truncation_is_noticed),
        cmocka_unit_test(senders_faults_are_passed_on),
        cmocka_unit_test(caps_are_held),
        cmocka_unit_test(what_is_there_is_not_overwritten),
        cmocka_unit_test(symbolic_links_are_not_followed),
        cmocka_unit_test(swapped_directories_lead_nowhere),
        cmocka_unit_test(five_thousand_files_arrive),
        cmocka_unit_test(pieces_and_a_nonblocking_pipe_make_no_difference),
        cmocka_unit_test(a_full_workspace_is_named),
        cmocka_unit_test(other_mounts_are_not_written_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
