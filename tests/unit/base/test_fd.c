#include "tests/support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"

struct fixture {
    char *dir;
    char path[300];
};

static int set_up(void **state)
{
    static struct fixture f;
    f.dir = test_dir_new();
    snprintf(f.path, sizeof(f.path), "%s/file", f.dir);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    test_dir_free(f->dir);
    return 0;
}

static void put_file(const struct fixture *f, const char *bytes, size_t len)
{
    AUTO_CLOSE int fd = open(f->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fd_write_all(fd, bytes, len), 0);
}

static void read_all_gathers_short_reads_until_the_end(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(fd_write_all(fds[1], "ab", 2), 0);
    assert_int_equal(fd_write_all(fds[1], "cd", 2), 0);
    char buf[8];
    assert_int_equal(fd_read_all(fds[0], buf, 3), 3);
    fd_close(fds[1]);
    assert_int_equal(fd_read_all(fds[0], buf + 3, 5), 1);
    assert_memory_equal(buf, "abcd", 4);
    fd_close(fds[0]);
    assert_int_equal(fd_read_all(fds[0], buf, 1), -EBADF);
}

static void pread_text_cuts_one_newline_and_may_be_repeated(void **state)
{
    struct fixture *f = *state;
    put_file(f, "12\n34\n", 6);
    AUTO_CLOSE int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    char buf[16];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fd_pread_text(fd, buf, sizeof(buf)), 5);
        assert_string_equal(buf, "12\n34");
    }
}

static void pread_text_refuses_what_does_not_fit(void **state)
{
    struct fixture *f = *state;
    put_file(f, "12345", 5);
    AUTO_CLOSE int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    char buf[6];
    assert_int_equal(fd_pread_text(fd, buf, 6), 5);
    assert_int_equal(fd_pread_text(fd, buf, 5), -EFBIG);
}

static void read_text_returns_the_whole_file(void **state)
{
    struct fixture *f = *state;
    static char bytes[20000];
    memset(bytes, 'y', sizeof(bytes));
    put_file(f, bytes, sizeof(bytes));
    AUTO_FREE char *text = NULL;
    assert_int_equal(file_read_text(f->path, sizeof(bytes), &text, NULL), sizeof(bytes));
    assert_memory_equal(text, bytes, sizeof(bytes));
    assert_int_equal(text[sizeof(bytes)], 0);
}

static void read_text_of_a_kernel_file_that_claims_no_size(void **state)
{
    (void)state;
    AUTO_FREE char *text = NULL;
    assert_true(file_read_text("/proc/self/status", 65536, &text, NULL) > 0);
    assert_non_null(strstr(text, "\nPid:\t"));
}

static void read_text_names_the_file_it_cannot_take(void **state)
{
    struct fixture *f = *state;
    put_file(f, "123456", 6);
    char *text = NULL;
    struct err err = {0};
    assert_int_equal(file_read_text(f->path, 5, &text, &err), -EFBIG);
    assert_non_null(strstr(err.text, f->path));
    assert_int_equal(file_read_text("/nonexistent/x", 5, &text, &err), -ENOENT);
    assert_string_equal(err.text, "open /nonexistent/x: No such file or directory");
    assert_null(text);
}

static void write_text_does_not_create(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    assert_int_equal(file_write_text(f->path, "x", &err), -ENOENT);
    assert_non_null(strstr(err.text, f->path));
    put_file(f, "", 0);
    assert_int_equal(file_write_text(f->path, "50000", &err), 0);
    AUTO_FREE char *text = NULL;
    assert_int_equal(file_read_text(f->path, 16, &text, NULL), 5);
    assert_string_equal(text, "50000");
}

static void write_text_at_is_relative_to_the_directory(void **state)
{
    struct fixture *f = *state;
    put_file(f, "", 0);
    AUTO_CLOSE int dir = open(f->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(file_write_text_at(dir, "file", "7", NULL), 0);
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_size, 1);
}

static void memfd_is_sealed_and_reads_from_its_start(void **state)
{
    (void)state;
    AUTO_CLOSE int fd = fd_memfd("test", "hello", 5);
    assert_true(fd >= 0);
    char buf[8];
    assert_int_equal(fd_read_all(fd, buf, sizeof(buf)), 5);
    assert_memory_equal(buf, "hello", 5);
    assert_int_equal(pwrite(fd, "J", 1, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_ptr_equal(mmap(NULL, 5, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void nonblock_makes_an_empty_pipe_answer_eagain(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(fd_set_nonblock(fds[0]), 0);
    char c;
    assert_int_equal(fd_read_all(fds[0], &c, 1), -EAGAIN);
    fd_close(fds[0]);
    fd_close(fds[1]);
    assert_int_equal(fd_set_nonblock(-EBADF), -EBADF);
}

static void make_pair(int pair[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
}

static int open_fds(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void descriptors_travel_with_their_message(void **state)
{
    (void)state;
    int pair[2], through[2];
    make_pair(pair);
    assert_int_equal(pipe2(through, O_CLOEXEC), 0);
    assert_int_equal(fd_send(pair[0], "run", 3, through, 2), 0);
    fd_close(through[1]);

    char buf[8];
    int fds[FD_PASS_MAX];
    size_t n_fds;
    assert_int_equal(fd_recv(pair[1], buf, sizeof(buf), fds, &n_fds), 3);
    assert_memory_equal(buf, "run", 3);
    assert_int_equal(n_fds, 2);
    assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
    assert_int_equal(fd_write_all(fds[1], "!", 1), 0);
    assert_int_equal(fd_read_all(through[0], buf, 1), 1);

    fd_close(fds[0]);
    fd_close(fds[1]);
    fd_close(through[0]);
    fd_close(pair[0]);
    assert_int_equal(fd_recv(pair[1], buf, sizeof(buf), fds, &n_fds), 0);
    fd_close(pair[1]);
}

static void a_message_that_is_cut_leaves_no_descriptor_behind(void **state)
{
    (void)state;
    int pair[2];
    make_pair(pair);
    int before = open_fds();
    assert_int_equal(fd_send(pair[0], "too long", 8, pair, 1), 0);
    char buf[4];
    int fds[FD_PASS_MAX];
    size_t n_fds = 99;
    assert_int_equal(fd_recv(pair[1], buf, sizeof(buf), fds, &n_fds), -EMSGSIZE);
    assert_int_equal(n_fds, 0);
    assert_int_equal(open_fds(), before);
    fd_close(pair[0]);
    fd_close(pair[1]);
}

/* What fd_send() would not do: a peer that sends more descriptors than fit. */
static int send_many(int sock, int fd, size_t n)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * 32)];
    } control = {0};
    struct iovec iov = {.iov_base = (char[]){"x"}, .iov_len = 1};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = CMSG_SPACE(sizeof(int) * n)};
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(int) * n);
    for (size_t i = 0; i < n; i++)
        memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &fd, sizeof(int));
    return sendmsg(sock, &msg, 0) == 1 ? 0 : -errno;
}

static void without_room_for_its_descriptors_a_message_comes_alone(void **state)
{
    (void)state;
    int pair[2];
    make_pair(pair);
    struct rlimit before, low;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = before;
    low.rlim_cur = (rlim_t)pair[1] + 2; /* room for one of the three */
    int opened = open_fds();
    for (int round = 0; round < 2; round++) {
        char buf[4];
        int fds[FD_PASS_MAX];
        size_t n_fds = 99;
        bool lost = false;
        assert_int_equal(fd_send(pair[0], "abc", 3, (int[]){pair[0], pair[0], pair[0]}, 3), 0);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        ssize_t n = round == 0 ? fd_recv_or_lose(pair[1], buf, sizeof(buf), fds, &n_fds, &lost)
                               : fd_recv(pair[1], buf, sizeof(buf), fds, &n_fds);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_int_equal(n, round == 0 ? 3 : -EMSGSIZE);
        assert_int_equal(lost, round == 0);
        assert_int_equal(n_fds, 0);
        assert_int_equal(open_fds(), opened);
    }
    /* More than fit into a message is still the peer's fault. */
    char buf[4];
    int fds[FD_PASS_MAX];
    size_t n_fds;
    bool lost = true;
    assert_int_equal(send_many(pair[0], pair[0], FD_PASS_MAX + 1), 0);
    assert_int_equal(fd_recv_or_lose(pair[1], buf, sizeof(buf), fds, &n_fds, &lost), -EMSGSIZE);
    assert_false(lost);
    fd_close(pair[0]);
    fd_close(pair[1]);
}

static void too_many_descriptors_are_closed_and_refused(void **state)
{
    (void)state;
    int pair[2];
    make_pair(pair);
    int before = open_fds();
    char buf[4];
    int fds[FD_PASS_MAX];
    size_t n_fds;
    assert_int_equal(fd_send(pair[0], "x", 1, fds, FD_PASS_MAX + 1), -E2BIG);

    assert_int_equal(send_many(pair[0], pair[0], FD_PASS_MAX), 0);
    assert_int_equal(fd_recv(pair[1], buf, sizeof(buf), fds, &n_fds), 1);
    assert_int_equal(n_fds, FD_PASS_MAX);
    for (size_t i = 0; i < n_fds; i++)
        fd_close(fds[i]);

    assert_int_equal(send_many(pair[0], pair[0], FD_PASS_MAX + 1), 0);
    assert_int_equal(fd_recv(pair[1], buf, sizeof(buf), fds, &n_fds), -EMSGSIZE);
    assert_int_equal(open_fds(), before);
    fd_close(pair[0]);
    fd_close(pair[1]);
}

static void sending_to_a_peer_that_is_gone_is_epipe_and_no_signal(void **state)
{
    (void)state;
    int pair[2];
    make_pair(pair);
    fd_close(pair[1]);
    assert_int_equal(fd_send(pair[0], "x", 1, NULL, 0), -EPIPE);
    fd_close(pair[0]);
}

static void close_keeps_errno_and_take_leaves_an_invalid_one(void **state)
{
    (void)state;
    int fd = fd_memfd("test", "", 0);
    errno = ENOSPC;
    int taken = take_fd(&fd);
    assert_int_equal(fd, -EBADF);
    assert_int_equal(fd_close(taken), -EBADF);
    assert_int_equal(fd_close(-EBADF), -EBADF);
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(fcntl(taken, F_GETFD), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_all_gathers_short_reads_until_the_end),
        cmocka_unit_test_setup_teardown(pread_text_cuts_one_newline_and_may_be_repeated, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(pread_text_refuses_what_does_not_fit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(read_text_returns_the_whole_file, set_up, tear_down),
        cmocka_unit_test(read_text_of_a_kernel_file_that_claims_no_size),
        cmocka_unit_test_setup_teardown(read_text_names_the_file_it_cannot_take, set_up, tear_down),
        cmocka_unit_test_setup_teardown(write_text_does_not_create, set_up, tear_down),
        cmocka_unit_test_setup_teardown(write_text_at_is_relative_to_the_directory, set_up,
                                        tear_down),
        cmocka_unit_test(memfd_is_sealed_and_reads_from_its_start),
        cmocka_unit_test(nonblock_makes_an_empty_pipe_answer_eagain),
        cmocka_unit_test(descriptors_travel_with_their_message),
        cmocka_unit_test(a_message_that_is_cut_leaves_no_descriptor_behind),
        cmocka_unit_test(too_many_descriptors_are_closed_and_refused),
        cmocka_unit_test(without_room_for_its_descriptors_a_message_comes_alone),
        cmocka_unit_test(sending_to_a_peer_that_is_gone_is_epipe_and_no_signal),
        cmocka_unit_test(close_keeps_errno_and_take_leaves_an_invalid_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
