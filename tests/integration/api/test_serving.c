/* Listening, connections, health, reflection and the drain. */

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <grpc/health/v1/health.pb-c.h>
#include <grpc/reflection/v1/reflection.pb-c.h>

#include "base/cleanup.h"
#include "tests/integration/api/fixture.h"

static int set_up(void **state)
{
    struct rpc_server_options options = {.reflection = true, .connections_max = 4};
    *state = fixture_new(&options);
    return 0;
}

static int tear_down(void **state)
{
    fixture_free(*state);
    return 0;
}

static int connect_raw(const struct fixture *f)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->socket);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return fd_close(fd);
    return fd;
}

static void echo_works(struct fixture *f)
{
    struct outcome *o = outcome_new(f);
    call_open(f, o, "/test.Test/Echo", NULL);
    call_say(o, "x", 1);
    rpc_client_half_close(o->call);
    await_true(f, &o->ended);
    assert_int_equal(o->status.code, RPC_OK);
    assert_int_equal(o->messages, 1);
}

/* ---- listening ---------------------------------------------------------------------------- */

static void socket_and_directory_have_their_modes(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    char dir[256];
    assert_int_equal(stat(f->socket, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0660);
    snprintf(dir, sizeof(dir), "%s/run", f->dir);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0750);
}

static void a_second_instance_is_refused(void **state)
{
    struct fixture *f = *state, other = {.loop = f->loop};
    struct err err = {0};
    snprintf(other.socket, sizeof(other.socket), "%s", f->socket);
    assert_int_equal(fixture_listen(&other, NULL, &err), -EADDRINUSE);
    assert_non_null(strstr(err.text, "another instance"));
    echo_works(f);
}

static void a_dead_socket_is_replaced_and_a_file_is_not(void **state)
{
    struct fixture *f = *state, other = {.loop = f->loop};
    struct err err = {0};
    snprintf(other.socket, sizeof(other.socket), "%s/dead.sock", f->dir);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", other.socket);
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    fd = fd_close(fd);
    assert_int_equal(fixture_listen(&other, NULL, &err), 0);
    other.server = rpc_server_free(other.server);
    assert_int_equal(access(other.socket, F_OK), -1);

    AUTO_CLOSE int file = open(other.socket, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    assert_int_equal(fixture_listen(&other, NULL, &err), -EEXIST);
    assert_int_equal(access(other.socket, F_OK), 0);
}

static void a_server_that_never_started_can_be_freed(void **state)
{
    struct fixture *f = *state;
    struct rpc_server *server = NULL;
    struct err err = {0};
    assert_int_equal(rpc_server_new(f->loop, NULL, &server, &err), 0);
    rpc_server_free(server);
    rpc_server_free(NULL);
}

static void connections_above_the_cap_are_closed_and_come_back(void **state)
{
    struct fixture *f = *state;
    struct rpc_server_stats stats;
    int fds[6];
    for (int i = 0; i < 6; i++)
        fds[i] = connect_raw(f);
    linger(f, 200);
    rpc_server_stats(f->server, &stats);
    assert_int_equal(stats.connections, 4);
    assert_int_equal(stats.connections_refused, 2);
    char byte;
    ssize_t n; /* the server's preface comes to those that were taken, nothing and the end to the
                  others */
    while ((n = read(fds[5], &byte, 1)) > 0)
        ;
    assert_int_equal(n, 0);
    for (int i = 0; i < 6; i++)
        fd_close(fds[i]);
    linger(f, 200);
    rpc_server_stats(f->server, &stats);
    assert_int_equal(stats.connections, 0);
    echo_works(f);
}

static void a_number_is_not_reused_for_the_next_connection(void **state)
{
    struct fixture *f = *state;
    uint64_t seen = 0;
    for (int i = 0; i < 5; i++) {
        AUTO_CLOSE int fd = connect_raw(f);
        linger(f, 30);
        echo_works(f);
        assert_true(f->peer.connection >= seen);
        seen = f->peer.connection;
    }
}

static void running_out_of_descriptors_is_survived(void **state)
{
    struct fixture *f = *state;
    echo_works(f);
    struct rlimit before, low;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    AUTO_CLOSE int raw = connect_raw(f);
    AUTO_CLOSE int probe = dup(0);
    low = before;
    low.rlim_cur = (rlim_t)probe; /* not one more */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    linger(f, 300);
    struct rpc_server_stats stats;
    rpc_server_stats(f->server, &stats);
    assert_int_equal(stats.connections, 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    linger(f, 300);
    rpc_server_stats(f->server, &stats);
    assert_int_equal(stats.connections, 2); /* it waited in the backlog */
    echo_works(f);
}

static void garbage_and_silence_harm_nobody(void **state)
{
    struct fixture *f = *state;
    AUTO_CLOSE int silent = connect_raw(f);
    AUTO_CLOSE int loud = connect_raw(f);
    static const char bytes[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_true(write(loud, bytes, sizeof(bytes)) > 0);
    linger(f, 200);
    echo_works(f);
    (void)silent;
}

/* ---- health ------------------------------------------------------------------------------- */

static int last_health(const struct outcome *o)
{
    /* status = 1: tag 0x08 and the value; SERVING 1, NOT_SERVING 2, SERVICE_UNKNOWN 3 */
    return o->first_len == 2 && o->first[0] == 0x08 ? o->first[1] : 0;
}

static int check(struct fixture *f, const char *service)
{
    struct outcome *o = outcome_new(f);
    call_open(f, o, "/grpc.health.v1.Health/Check", NULL);
    call_say(o, service, strlen(service));
    rpc_client_half_close(o->call);
    await_true(f, &o->ended);
    return o->status.code == RPC_OK ? last_health(o) : -(int)o->status.code;
}

static void health_says_what_it_was_told(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(check(f, ""), 2);
    assert_int_equal(check(f, "test.Test"), 2);
    assert_int_equal(check(f, "no.Such"), -RPC_NOT_FOUND);
    rpc_server_health(f->server, "test.Test", true);
    assert_int_equal(check(f, "test.Test"), 1);
    assert_int_equal(check(f, ""), 2);
    rpc_server_health(f->server, "", true);
    assert_int_equal(check(f, ""), 1);
}

static void a_watch_hears_each_change(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = outcome_new(f);
    struct outcome *unknown = outcome_new(f);
    call_open(f, o, "/grpc.health.v1.Health/Watch", NULL);
    call_say(o, "test.Test", 9);
    await(f, &o->messages, 1);
    assert_int_equal(last_health(o), 2);
    rpc_server_health(f->server, "test.Test", true);
    await(f, &o->messages, 2);
    rpc_server_health(f->server, "test.Test", true); /* no change */
    rpc_server_health(f->server, "", true);
    linger(f, 50);
    assert_int_equal(o->messages, 2);
    call_open(f, unknown, "/grpc.health.v1.Health/Watch", NULL);
    call_say(unknown, "no.Such", 7);
    await(f, &unknown->messages, 1);
    assert_int_equal(last_health(unknown), 3);
    assert_false(unknown->ended);
    rpc_client_cancel(o->call);
    rpc_client_cancel(unknown->call);
    await_true(f, &o->ended);
    await_true(f, &unknown->ended);
}

/* ---- drain -------------------------------------------------------------------------------- */

static void on_drained(void *arg)
{
    ((struct fixture *)arg)->drained = true;
}

static void a_drain_waits_for_calls_and_ends_watches(void **state)
{
    struct fixture *f = *state;
    struct outcome *running = outcome_new(f);
    struct outcome *watch = outcome_new(f);
    struct outcome *late = outcome_new(f);
    rpc_server_health(f->server, "", true);
    call_open(f, running, "/test.Test/Park", NULL);
    call_say(running, "x", 1);
    call_open(f, watch, "/grpc.health.v1.Health/Watch", NULL);
    call_say(watch, "", 0);
    await(f, &watch->messages, 1);
    await(f, &f->started, 1);
    rpc_server_drain(f->server, on_drained, f);
    await_true(f, &watch->ended);
    assert_int_equal(watch->messages, 2); /* NOT_SERVING was said */
    assert_int_equal(watch->status.code, RPC_UNAVAILABLE);
    assert_false(f->drained);
    call_open(f, late, "/test.Test/Echo", NULL);
    await_true(f, &late->ended);
    assert_int_equal(late->status.code, RPC_UNAVAILABLE);
    assert_false(f->drained);
    assert_false(running->ended);
    rpc_call_finish_ok(f->parked);
    await_true(f, &running->ended);
    assert_int_equal(running->status.code, RPC_OK);
    await_true(f, &f->drained);
}

static void cancel_all_ends_a_drain(void **state)
{
    struct fixture *f = *state;
    struct outcome *running = outcome_new(f);
    call_open(f, running, "/test.Test/Park", NULL);
    call_say(running, "x", 1);
    await(f, &f->started, 1);
    rpc_server_drain(f->server, on_drained, f);
    rpc_server_cancel_all(f->server);
    await_true(f, &f->drained);
    assert_int_equal(f->cancels, 1);
    await_true(f, &running->ended);
    assert_int_equal(running->status.code, RPC_UNAVAILABLE);
}

/* ---- reflection --------------------------------------------------------------------------- */

typedef Grpc__Reflection__V1__ServerReflectionRequest reflection_request;
typedef Grpc__Reflection__V1__ServerReflectionResponse reflection_response;
#define ASK(kind)    GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##kind
#define ANSWER(kind) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##kind

static reflection_response *reflect(struct fixture *f, const char *version,
                                    const reflection_request *request)
{
    char path[96];
    struct outcome *o = outcome_new(f);
    snprintf(path, sizeof(path), "/grpc.reflection.%s.ServerReflection/ServerReflectionInfo",
             version);
    call_open(f, o, path, NULL);
    assert_int_equal(rpc_client_send(o->call, &request->base), 0);
    rpc_client_half_close(o->call);
    await_true(f, &o->ended);
    assert_int_equal(o->status.code, RPC_OK);
    assert_int_equal(o->messages, 1);
    reflection_response *response =
        grpc__reflection__v1__server_reflection_response__unpack(NULL, o->first_len, o->first);
    assert_non_null(response);
    return response;
}

static void reflect_free(reflection_response *response)
{
    grpc__reflection__v1__server_reflection_response__free_unpacked(response, NULL);
}

static void reflection_lists_what_is_served(void **state)
{
    struct fixture *f = *state;
    char nothing[] = "";
    reflection_request request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    request.message_request_case = ASK(LIST_SERVICES);
    request.list_services = nothing;
    reflection_response *response = reflect(f, "v1alpha", &request);
    assert_int_equal(response->message_response_case, ANSWER(LIST_SERVICES_RESPONSE));
    unsigned found = 0;
    for (size_t i = 0; i < response->list_services_response->n_service; i++) {
        const char *name = response->list_services_response->service[i]->name;
        found += strcmp(name, "test.Test") == 0 || strcmp(name, "grpc.health.v1.Health") == 0;
    }
    assert_int_equal(found, 2);
    reflect_free(response);
}

static void reflection_finds_files_by_symbol(void **state)
{
    static const char *const symbols[] = {
        "cloister.exec.v1.Execution",      "cloister.exec.v1.Execution.Execute",
        "cloister.exec.v1.ExecuteRequest", "cloister.exec.v1.Notice.Kind",
        "cloister.exec.v1.Verdict",        "cloister.exec.v1.ExecuteRequest.runtime",
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
        reflection_request request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
        request.message_request_case = ASK(FILE_CONTAINING_SYMBOL);
        request.file_containing_symbol = (char *)(uintptr_t)symbols[i];
        reflection_response *response = reflect(f, "v1", &request);
        assert_int_equal(response->message_response_case, ANSWER(FILE_DESCRIPTOR_RESPONSE));
        assert_int_equal(response->file_descriptor_response->n_file_descriptor_proto, 1);
        const ProtobufCBinaryData *file =
            &response->file_descriptor_response->file_descriptor_proto[0];
        assert_memory_equal(file->data + 2, "cloister/exec/v1/exec.proto", 27);
        reflect_free(response);
    }
}

static void reflection_says_not_found(void **state)
{
    static const char *const symbols[] = {"cloister.exec.v1.Nothing",
                                          "cloister.exec.v1.Execution.X", "cloister.exec.v1", "",
                                          "cloister.exec.v1.ExecuteReques"};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
        reflection_request request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
        request.message_request_case = ASK(FILE_CONTAINING_SYMBOL);
        request.file_containing_symbol = (char *)(uintptr_t)symbols[i];
        reflection_response *response = reflect(f, "v1", &request);
        assert_int_equal(response->message_response_case, ANSWER(ERROR_RESPONSE));
        assert_int_equal(response->error_response->error_code, RPC_NOT_FOUND);
        reflect_free(response);
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(socket_and_directory_have_their_modes),
        CASE(a_second_instance_is_refused),
        CASE(a_dead_socket_is_replaced_and_a_file_is_not),
        CASE(a_server_that_never_started_can_be_freed),
        CASE(connections_above_the_cap_are_closed_and_come_back),
        CASE(a_number_is_not_reused_for_the_next_connection),
        CASE(running_out_of_descriptors_is_survived),
        CASE(garbage_and_silence_harm_nobody),
        CASE(health_says_what_it_was_told),
        CASE(a_watch_hears_each_change),
        CASE(a_drain_waits_for_calls_and_ends_watches),
        CASE(cancel_all_ends_a_drain),
        CASE(reflection_lists_what_is_served),
        CASE(reflection_finds_files_by_symbol),
        CASE(reflection_says_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
