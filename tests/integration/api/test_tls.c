/* The door to the network, in one process with its client: what python's tests of the service
 * cannot show to the sanitizers. */

#include "tests/integration/api/fixture.h"

#include <arpa/inet.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

static char *dir;
static char paths[5][200];

static int make_certificates(void **state)
{
    (void)state;
    static const char *const names[] = {"ca.pem", "server.pem", "server.key", "client.pem",
                                        "client.key"};
    char script[400];
    const char *source = getenv("CLOISTER_SOURCE");
    pid_t pid;
    int status;
    dir = test_dir_new();
    snprintf(script, sizeof(script), "%s/deploy/certs.sh", source ? source : ".");
    const char *argv[] = {script, dir, NULL};
    assert_int_equal(posix_spawn(&pid, script, NULL, NULL, (char *const *)(uintptr_t)argv, environ),
                     0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    for (size_t i = 0; i < 5; i++)
        snprintf(paths[i], sizeof(paths[i]), "%s/%s", dir, names[i]);
    return status;
}

static int remove_certificates(void **state)
{
    (void)state;
    test_dir_free(dir);
    return 0;
}

static int setup(void **state)
{
    static const char *const allowed[] = {"dns:other.test", "dns:client.test"};
    const struct rpc_tls_options server = {.listen = "127.0.0.1:0",
                                           .certificate = paths[1],
                                           .key = paths[2],
                                           .client_ca = paths[0],
                                           .allowed = allowed,
                                           .n_allowed = 2};
    const struct rpc_channel_tls client = {paths[0], paths[3], paths[4]};
    *state = fixture_new_tls(&server, &client);
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

static int stranger(const struct fixture *f)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons(rpc_server_tls_port(f->server)),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void messages_go_through_whole(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = outcome_new(f);
    static uint8_t message[50000];
    call_open(f, o, "/test.Test/Sink", NULL);
    for (unsigned i = 0; i < 100; i++) {
        memset(message, (int)i + 1, sizeof(message));
        while (call_say(o, message, sizeof(message)) < 0)
            linger(f, 1);
    }
    rpc_client_half_close(o->call);
    await_true(f, &o->ended);
    assert_int_equal(o->status.code, RPC_OK);
    assert_int_equal(f->messages, 100);
    assert_true(f->sunk >= 100 * sizeof(message));
    assert_string_equal(f->peer.identity, "dns:client.test");
    assert_int_equal(f->peer.transport, RPC_TRANSPORT_TLS);
}

static void a_client_that_takes_nothing_slows_the_writer_down(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = outcome_new(f);
    o->hold = true;
    call_open(f, o, "/test.Test/Fire", NULL);
    await(f, &f->started, 1);
    linger(f, 300);
    size_t fired = f->fired;
    linger(f, 200);
    assert_int_equal(f->fired, fired);
    rpc_client_cancel(o->call);
    await(f, &f->cancels, 1);
}

static void strangers_and_reloads_disturb_nobody(void **state)
{
    struct fixture *f = *state;
    int fds[20];
    for (size_t i = 0; i < 20; i++)
        fds[i] = stranger(f);
    for (int i = 0; i < 10; i++) {
        struct outcome *o = outcome_new(f);
        rpc_server_tls_reload(f->server);
        call_open(f, o, "/test.Test/Echo", NULL);
        rpc_client_half_close(o->call);
        await_true(f, &o->ended);
        assert_int_equal(o->status.code, RPC_OK);
        fd_close(fds[i]);
    }
    struct rpc_server_stats stats;
    rpc_server_stats(f->server, &stats);
    assert_int_equal(stats.door.connections, 1);
    assert_int_equal(stats.door.admitted, 1);
    assert_int_equal(stats.door.reloads, 0); /* the files are as they were */
    for (size_t i = 10; i < 20; i++)
        fd_close(fds[i]);
}

static void on_drained(void *arg)
{
    *(bool *)arg = true;
}

static void a_drain_tells_the_last_word(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = outcome_new(f);
    call_open(f, o, "/test.Test/Park", NULL);
    await(f, &f->started, 1);
    rpc_server_drain(f->server, on_drained, &f->drained);
    rpc_server_cancel_all(f->server);
    await_true(f, &o->ended);
    assert_int_equal(o->status.code, RPC_UNAVAILABLE);
    await_true(f, &f->drained);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_go_through_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(a_client_that_takes_nothing_slows_the_writer_down, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(strangers_and_reloads_disturb_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(a_drain_tells_the_last_word, setup, teardown),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
