#include "tests/support/unit.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/notify.h"

/* A listener at @path (of @len bytes; the first may be 0), named in the environment as @name. */
static int listen_at(const char *path, size_t len, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, len);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
                     0);
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

static void assert_heard(int fd, const char *text)
{
    char heard[64] = "";
    assert_int_equal(recv(fd, heard, sizeof(heard) - 1, 0), strlen(text));
    assert_string_equal(heard, text);
}

static void without_a_listener_nothing_is_said(void **state)
{
    (void)state;
    static const char *const names[] = {"", "relative", "vsock:2:1234", "/no/such/socket"};
    unsetenv("NOTIFY_SOCKET");
    notify_take();
    notify_send("READY=1");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        setenv("NOTIFY_SOCKET", names[i], 1);
        notify_take();
        assert_null(getenv("NOTIFY_SOCKET"));
        notify_send("READY=1");
    }
}

static void a_socket_with_a_file_hears_it(void **state)
{
    (void)state;
    char path[96];
    snprintf(path, sizeof(path), "/tmp/cloister-notify-%d", getpid());
    AUTO_CLOSE int fd = listen_at(path, strlen(path), path);
    notify_take();
    notify_send("READY=1");
    unlink(path);
    assert_heard(fd, "READY=1");
    assert_null(getenv("NOTIFY_SOCKET"));
}

static void an_abstract_socket_hears_it(void **state)
{
    (void)state;
    char name[96];
    snprintf(name, sizeof(name), "@cloister-notify-%d", getpid());
    char path[96];
    memcpy(path, name, sizeof(path));
    path[0] = '\0';
    AUTO_CLOSE int fd = listen_at(path, strlen(name), name);
    notify_take();
    notify_send("STOPPING=1");
    assert_heard(fd, "STOPPING=1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_listener_nothing_is_said),
        cmocka_unit_test(a_socket_with_a_file_hears_it),
        cmocka_unit_test(an_abstract_socket_hears_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
