/* Server and client against each other: calls, ends, details, flow control, refusals. */

#include <errno.h>
#include <unistd.h>

#include "tests/integration/api/fixture.h"

static int set_up(void **state)
{
    *state = fixture_new(NULL);
    return 0;
}

static int tear_down(void **state)
{
    fixture_free(*state);
    return 0;
}

static void messages_come_back_and_half_close_ends_it(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = outcome_new(f);
    call_open(f, o, "/test.Test/Echo", NULL);
    for (unsigned i = 1; i <= 20; i++) {
        while (call_say(o, "hello", 5) ==
               -EAGAIN) /* an echo may overtake the news of its writing */
            linger(f, 1);
        await(f, &o->messages, i);
    }
    assert_int_equal(o->first_len, 7); /* tag, length, hello */
    assert_memory_equal(o->first + 2, "hello", 5);
    rpc_client_half_close(o->call);
    await_true(f, &o->ended);
    await(f, &f->closes, 1);
    assert_int_equal(o->status.code, RPC_OK);
    assert_int_equal(f->half_closes, 1);
    assert_int_equal(f->cancels, 0);
}

static void messages_that_follow_fast_all_arrive(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = outcome_new(f);
    unsigned sum = 0;
    call_open(f, o, "/test.Test/Sink", NULL);
    for (unsigned i = 0; i < 200; i++) {
        char byte = (char)(1 + i % 100);
        while (call_say(o, &byte, 1) == -EAGAIN)
            linger(f, 1);
        sum += (unsigned)byte;
    }
    rpc_client_half_close(o->call);
    await_true(f, &o->ended);
    assert_int_equal(o->status.code, RPC_OK);
    assert_int_equal(f->messages, 200);
    assert_int_equal(f->sunk_sum, sum);
    assert_int_equal(f->half_closes, 1);
}

static void the_peer_is_known_by_its_uid(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = outcome_new(f);
    char expected[32];
    struct rpc_client_header header = {"cloister-subject", "student-7"};
    struct rpc_client_options more = {.headers = &header, .n_headers = 1, .timeout_ms = 5000};
    uint64_t before = clock_us();
    call_open(f, o, "/test.Test/Echo", &more);
    rpc_client_half_close(o->call);
    await_true(f, &o->ended);
    snprintf(expected, sizeof(expected), "uid:%u", (unsigned)getuid());
    assert_string_equal(f->peer.identity, expected);
    assert_int_equal(f->peer.uid, getuid());
    assert_int_equal(f->peer.pid, getpid());
    assert_string_equal(f->subject, "student-7");
    assert_true(f->deadline_us > before + 4000000 && f->deadline_us < clock_us() + 5100000);
}

static void an_unknown_method_is_unimplemented(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = outcome_new(f);
    call_open(f, o, "/test.Test/Nothing", NULL);
    await_true(f, &o->ended);
    assert_int_equal(o->status.code, RPC_UNIMPLEMENTED);
    assert_int_equal(f->started, 0);
}

static void a_status_arrives_with_all_its_details(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = outcome_new(f);
    call_open(f, o, "/test.Test/Refuse", NULL);
    await_true(f, &o->ended);
    assert_int_equal(o->status.code, RPC_RESOURCE_EXHAUSTED);
    assert_string_equal(o->status.message, "the queue is full?100 % \xc3\xa9");
    assert_string_equal(o->status.reason, "QUEUE_FULL");
    assert_string_equal(o->status.field, "files[3].path");
    assert_int_equal(o->status.retry_ms, 1250);
    assert_int_equal(o->status.n_meta, 1);
    assert_string_equal(o->status.meta[0].key, "queue_position");
    assert_string_equal(o->status.meta[0].value, "2001");
}

static void a_finish_waits_for_the_message_before_it(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = outcome_new(f);
    call_open(f, o, "/test.Test/Last", NULL);
    call_say(o, "one", 3);
    rpc_client_half_close(o->call);
    await_true(f, &o->ended);
    assert_int_equal(o->messages, 1);
    assert_int_equal(o->status.code, RPC_ABORTED);
    assert_string_equal(o->status.message, "after the message");
}

static void a_missing_request_message_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = outcome_new(f);
    call_open(f, o, "/test.Test/Last", NULL);
    rpc_client_half_close(o->call);
    await_true(f, &o->ended);
    assert_int_equal(o->status.code, RPC_INTERNAL);
}

static void a_cancel_reaches_the_server(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = outcome_new(f);
    call_open(f, o, "/test.Test/Park", NULL);
    call_say(o, "x", 1);
    await(f, &f->started, 1);
    rpc_client_cancel(o->call);
    await(f, &f->cancels, 1);
    await_true(f, &o->ended);
    assert_int_equal(o->status.code, RPC_CANCELLED);
    assert_null(f->parked);
}

static void a_deadline_ends_the_call_on_both_sides(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = outcome_new(f);
    struct rpc_client_options more = {.timeout_ms = 150};
    call_open(f, o, "/test.Test/Park", &more);
    call_say(o, "x", 1);
    await_true(f, &o->ended);
    assert_int_equal(o->status.code, RPC_DEADLINE_EXCEEDED);
    await(f, &f->cancels, 1);
}

static void a_client_that_does_not_read_stops_the_writer(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = outcome_new(f);
    o->hold = true;
    call_open(f, o, "/test.Test/Fire", NULL);
    call_say(o, "x", 1);
    size_t stalled_at;
    do { /* until nothing moves any more */
        stalled_at = f->fired;
        linger(f, 300);
        assert_true(f->fired < (16u << 20));
    } while (f->fired != stalled_at || stalled_at == 0);
    o->hold = false;
    rpc_client_read(o->call);
    unsigned enough = (unsigned)(stalled_at / FIRE_BYTES) + 100;
    await(f, &o->messages, enough);
    rpc_client_cancel(o->call);
    await(f, &f->cancels, 1);
    await_true(f, &o->ended);
}

static void a_server_that_does_not_read_stops_the_client(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = outcome_new(f);
    static uint8_t bytes[FIRE_BYTES];
    memset(bytes, 'x', sizeof(bytes));
    call_open(f, o, "/test.Test/Deaf", NULL);
    unsigned said = 0, before;
    do { /* until nothing moves any more */
        before = said;
        for (int i = 0; i < 300; i++) {
            said += call_say(o, bytes, sizeof(bytes)) == 0;
            linger(f, 1);
        }
        assert_true(said < (16u << 20) / sizeof(bytes));
    } while (said != before);
    assert_int_equal(call_say(o, bytes, 1), -EAGAIN);
    assert_int_equal(f->messages, 0);
    rpc_client_cancel(o->call);
    await_true(f, &o->ended);
}

static void an_oversized_message_never_reaches_the_handler(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = outcome_new(f);
    size_t size = RPC_MESSAGE_BYTES_MAX + 1;
    char *bytes = malloc(size);
    assert_non_null(bytes);
    memset(bytes, 'x', size);
    call_open(f, o, "/test.Test/Echo", NULL);
    assert_int_equal(call_say(o, bytes, size), 0);
    free(bytes);
    await_true(f, &o->ended);
    assert_int_equal(o->status.code, RPC_RESOURCE_EXHAUSTED);
    assert_int_equal(f->messages, 0);
    await(f, &f->cancels, 1);
}

static void a_compressed_message_is_refused(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = outcome_new(f);
    char bytes[4096] = {0};
    memset(bytes, 'x', sizeof(bytes));
    struct rpc_client_header header = {"grpc-internal-encoding-request", "gzip"};
    struct rpc_client_options more = {.headers = &header, .n_headers = 1};
    call_open(f, o, "/test.Test/Echo", &more);
    call_say(o, bytes, sizeof(bytes));
    rpc_client_half_close(o->call);
    await_true(f, &o->ended);
    assert_int_equal(o->status.code, RPC_UNIMPLEMENTED);
    assert_int_equal(f->messages, 0);
}

static void too_much_metadata_is_refused(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = outcome_new(f);
    size_t size = 20 << 10;
    char *value = calloc(1, size + 1);
    assert_non_null(value);
    memset(value, 'v', size);
    struct rpc_client_header header = {"cloister-subject", value};
    struct rpc_client_options more = {.headers = &header, .n_headers = 1};
    call_open(f, o, "/test.Test/Echo", &more);
    await_true(f, &o->ended);
    free(value);
    assert_int_equal(o->status.code, RPC_RESOURCE_EXHAUSTED);
    assert_int_equal(f->started, 0);
    /* The connection may be closed with it: others are not harmed. */
    for (int i = 0; i < 3 && f->closes == 0; i++) {
        struct outcome *after = outcome_new(f);
        call_open(f, after, "/test.Test/Echo", NULL);
        rpc_client_half_close(after->call);
        await_true(f, &after->ended);
        linger(f, 50);
    }
    assert_int_equal(f->closes, 1);
}

static void a_header_with_control_characters_is_not_sent(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct rpc_client_call *call = NULL;
    struct rpc_client_header header = {"cloister-subject", "a\nb"};
    struct rpc_client_options options = {.path = "/test.Test/Echo",
                                         .headers = &header,
                                         .n_headers = 1};
    assert_int_equal(rpc_client_call_new(f->channel, &options, &call, &err), -EINVAL);
    assert_null(call);
}

static void many_calls_at_once_all_end_well(void **state)
{
    struct fixture *f = *state;
    struct outcome *o[90];
    for (size_t i = 0; i < 90; i++) {
        o[i] = outcome_new(f);
        call_open(f, o[i], "/test.Test/Echo", NULL);
        call_say(o[i], "m", 1);
        rpc_client_half_close(o[i]->call);
    }
    for (size_t i = 0; i < 90; i++) {
        await_true(f, &o[i]->ended);
        assert_int_equal(o[i]->status.code, RPC_OK);
        assert_int_equal(o[i]->messages, 1);
    }
    await(f, &f->closes, 90);
}

static void freeing_the_server_ends_its_calls(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = outcome_new(f);
    call_open(f, o, "/test.Test/Park", NULL);
    call_say(o, "x", 1);
    await(f, &f->started, 1);
    f->server = rpc_server_free(f->server);
    assert_int_equal(f->cancels, 1);
    await_true(f, &o->ended);
    assert_int_equal(o->status.code, RPC_UNAVAILABLE);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(messages_come_back_and_half_close_ends_it),
        CASE(messages_that_follow_fast_all_arrive),
        CASE(the_peer_is_known_by_its_uid),
        CASE(an_unknown_method_is_unimplemented),
        CASE(a_status_arrives_with_all_its_details),
        CASE(a_finish_waits_for_the_message_before_it),
        CASE(a_missing_request_message_is_an_error),
        CASE(a_cancel_reaches_the_server),
        CASE(a_deadline_ends_the_call_on_both_sides),
        CASE(a_client_that_does_not_read_stops_the_writer),
        CASE(a_server_that_does_not_read_stops_the_client),
        CASE(an_oversized_message_never_reaches_the_handler),
        CASE(a_compressed_message_is_refused),
        CASE(too_much_metadata_is_refused),
        CASE(a_header_with_control_characters_is_not_sent),
        CASE(many_calls_at_once_all_end_well),
        CASE(freeing_the_server_ends_its_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
