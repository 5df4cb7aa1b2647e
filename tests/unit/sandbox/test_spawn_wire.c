/* The spawner's wire protocol: what is written is read the same, and what is wrong is told apart:
 * a framing fault (the peer is lost) from a bad wish (that run is refused). */

#include "tests/support/unit.h"

#include <errno.h>
#include <signal.h>

#include "base/err.h"
#include "sandbox/spawn_wire.h"

#define SET_NAME "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

enum { IN = 20, OUT, ERR, FILES_IN, FILES_OUT };

static uint8_t message[SPAWN_MESSAGE_MAX];
static size_t message_len;
static int sent_fds[SPAWN_FDS];
static size_t n_sent;
static struct spawn_request request;
static struct err err;

static const char *const argv[] = {"python3", "-c", "", NULL};
static const char *const envp[] = {"PATH=/usr/bin", "EMPTY=", NULL};

static struct sbx_spec good_spec(void)
{
    struct sbx_spec spec = {.argv = argv,
                            .envp = envp,
                            .cwd = "/tmp",
                            .policy = SBX_POLICY_NO_SUBPROCESS,
                            .layers = LAYERS_ALL,
                            .collect = true,
                            .tree = "lua",
                            .inputs = SET_NAME,
                            .tenant = "a class"};
    for (int i = 0; i < LIMIT_COUNT; i++)
        spec.limits.v[i] = UINT64_C(0x100000001) * (uint64_t)(i + 1);
    return spec;
}

static const struct spawn_fds all_fds = {IN, OUT, ERR, FILES_IN, FILES_OUT};

static void written(const struct sbx_spec *spec, const struct spawn_fds *fds)
{
    int n = spawn_wire_run_write(message, sizeof(message), UINT64_C(0xabcdef0123), spec, fds,
                                 sent_fds, &n_sent, &err);
    assert_true(n > 0);
    message_len = (size_t)n;
}

static int reread(void)
{
    memset(&err, 0, sizeof(err));
    return spawn_wire_request_read(message, message_len, sent_fds, n_sent, &request, &err);
}

static void assert_fault(int code, const char *words)
{
    int r = reread();
    if (r != code || !strstr(err.text, words))
        fail_msg("%d '%s' instead of %d '%s'", r, err.text, code, words);
}

static void a_run_is_read_as_it_was_written(void **state)
{
    (void)state;
    struct sbx_spec spec = good_spec();
    written(&spec, &all_fds);
    assert_int_equal(n_sent, SPAWN_FDS);
    assert_int_equal(reread(), 0);
    assert_int_equal(request.type, SPAWN_RUN);
    assert_true(request.run == UINT64_C(0xabcdef0123));
    const struct sbx_spec *got = &request.spec;
    for (int i = 0; argv[i]; i++)
        assert_string_equal(got->argv[i], argv[i]);
    assert_null(got->argv[3]);
    assert_string_equal(got->envp[0], envp[0]);
    assert_string_equal(got->envp[1], envp[1]);
    assert_null(got->envp[2]);
    assert_string_equal(got->cwd, "/tmp");
    assert_string_equal(got->tenant, "a class");
    assert_string_equal(got->tree, "lua");
    assert_string_equal(got->inputs, SET_NAME);
    assert_memory_equal(&got->limits, &spec.limits, sizeof(spec.limits));
    assert_int_equal(got->policy, spec.policy);
    assert_int_equal(got->layers, spec.layers);
    assert_true(got->collect && !got->terminal);
    static const int fds[SPAWN_FDS] = {IN, OUT, ERR, FILES_IN, FILES_OUT};
    assert_memory_equal(request.fds, fds, sizeof(fds));
}

static void a_terminal_run_has_its_size_and_no_stdio(void **state)
{
    (void)state;
    struct sbx_spec spec = good_spec();
    spec.terminal = true;
    spec.collect = false;
    spec.rows = 65535;
    spec.cols = 132;
    spec.cwd = spec.tenant = NULL;
    written(&spec, &(struct spawn_fds){-1, -1, -1, FILES_IN, -1});
    assert_int_equal(n_sent, 1);
    assert_int_equal(reread(), 0);
    assert_int_equal(request.spec.rows, 65535);
    assert_int_equal(request.spec.cols, 132);
    assert_string_equal(request.spec.cwd, SBX_WORKSPACE);
    assert_string_equal(request.spec.tenant, "");
    assert_int_equal(request.fds[SPAWN_FD_IN], FILES_IN);
    assert_int_equal(request.fds[SPAWN_FD_STDIN], -EBADF);
}

static void orders_are_read_as_they_were_written(void **state)
{
    (void)state;
    static const struct {
        enum spawn_type type;
        uint32_t arg;
    } orders[] = {{SPAWN_END, SPAWN_END_MAX_AGE},
                  {SPAWN_SIGNAL, SIGINT},
                  {SPAWN_SIGNAL, 64},
                  {SPAWN_QUERY, 0},
                  {SPAWN_QUERY_NODE, 0}};
    n_sent = 0;
    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        message_len = (size_t)spawn_wire_plain_write(message, sizeof(message), orders[i].type, 7,
                                                     orders[i].arg);
        assert_int_equal(reread(), 0);
        assert_int_equal(request.type, orders[i].type);
        assert_int_equal(request.arg, orders[i].arg);
        assert_true(request.run == 7);
    }
}

static void a_message_that_is_cut_off_is_a_framing_fault(void **state)
{
    (void)state;
    struct sbx_spec spec = good_spec();
    written(&spec, &all_fds);
    size_t whole = message_len;
    for (message_len = 0; message_len < whole; message_len++)
        assert_int_equal(reread(), -EBADMSG);
    message_len = whole;
    assert_int_equal(reread(), 0);
}

static void trailing_bytes_are_a_framing_fault(void **state)
{
    (void)state;
    struct sbx_spec spec = good_spec();
    written(&spec, &all_fds);
    message[message_len++] = 0;
    assert_fault(-EBADMSG, "trailing");
    n_sent = 0;
    message_len = (size_t)spawn_wire_plain_write(message, sizeof(message), SPAWN_QUERY, 1, 0) + 1;
    assert_fault(-EBADMSG, "malformed");
}

static void descriptors_that_do_not_match_are_a_framing_fault(void **state)
{
    (void)state;
    struct sbx_spec spec = good_spec();
    written(&spec, &all_fds);
    for (n_sent = 0; n_sent < SPAWN_FDS; n_sent++)
        assert_fault(-EBADMSG, "malformed");
    written(&spec, &(struct spawn_fds){IN, OUT, ERR, -1, FILES_OUT});
    n_sent++;
    assert_fault(-EBADMSG, "malformed");
    written(&spec, &(struct spawn_fds){IN, OUT, -1, -1, FILES_OUT}); /* stderr is not there */
    assert_fault(-EBADMSG, "descriptors");
    written(&spec, &(struct spawn_fds){IN, OUT, ERR, -1, -1}); /* collect without a pipe for it */
    assert_fault(-EBADMSG, "descriptors");
    spec.terminal = true; /* a terminal, and stdio all the same */
    written(&spec, &all_fds);
    assert_fault(-EBADMSG, "descriptors");
    message_len = (size_t)spawn_wire_plain_write(message, sizeof(message), SPAWN_END, 1, 0);
    n_sent = 1;
    assert_fault(-EBADMSG, "malformed");
}

static void types_that_are_not_for_clients_are_a_framing_fault(void **state)
{
    (void)state;
    static const uint32_t types[] = {
        0,         SPAWN_HELLO, SPAWN_STARTED, SPAWN_RESULT, SPAWN_NODE_STATS, SPAWN_NODE_STATS + 1,
        UINT32_MAX};
    n_sent = 0;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        message_len = (size_t)spawn_wire_plain_write(message, sizeof(message),
                                                     (enum spawn_type)types[i], 1, 0);
        assert_fault(-EBADMSG, "not for clients");
    }
    message_len = (size_t)spawn_wire_plain_write(message, sizeof(message), SPAWN_QUERY, 1, 0);
    message[0] ^= 1;
    assert_fault(-EBADMSG, "magic");
}

static void unknown_ends_are_framing_and_unknown_signals_are_not(void **state)
{
    (void)state;
    n_sent = 0;
    message_len = (size_t)spawn_wire_plain_write(message, sizeof(message), SPAWN_END, 1,
                                                 SPAWN_END_MAX_AGE + 1);
    assert_fault(-EBADMSG, "reason");
    static const uint32_t signals[] = {0, 65, UINT32_MAX};
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        message_len =
            (size_t)spawn_wire_plain_write(message, sizeof(message), SPAWN_SIGNAL, 1, signals[i]);
        assert_fault(-EINVAL, "no signal");
    }
}

static void bad_wishes_refuse_the_run_only(void **state)
{
    (void)state;
    struct sbx_spec spec = good_spec();
    spec.cwd = "relative";
    written(&spec, &all_fds);
    assert_fault(-EINVAL, "cwd");
    spec = good_spec();
    spec.policy = 1u << 31;
    written(&spec, &all_fds);
    assert_fault(-EINVAL, "policy");
    spec = good_spec();
    spec.layers = LAYERS_ALL + 1;
    written(&spec, &all_fds);
    assert_fault(-EINVAL, "layers");
    static const char *const nothing[] = {NULL};
    spec = good_spec();
    spec.argv = nothing;
    written(&spec, &all_fds);
    assert_fault(-EINVAL, "argv");
}

static void arguments_have_a_count_and_a_size(void **state)
{
    (void)state;
    static const char *many[SBX_ARGS_MAX + 2];
    struct sbx_spec spec = good_spec();
    static const char *const none[] = {NULL};
    spec.envp = none;
    spec.argv = many;
    for (int i = 0; i < SBX_ARGS_MAX; i++)
        many[i] = "x";
    written(&spec, &all_fds);
    assert_int_equal(reread(), 0);
    assert_string_equal(request.spec.argv[SBX_ARGS_MAX - 1], "x");
    assert_null(request.spec.argv[SBX_ARGS_MAX]);
    assert_null(request.spec.envp[0]);
    spec.envp = envp; /* two more */
    written(&spec, &all_fds);
    assert_fault(-E2BIG, "entries");

    static char half[SBX_ARGS_BYTES_MAX / 2];
    memset(half, 'x', sizeof(half) - 1);
    const char *const two[] = {half, half, NULL}, *const more[] = {half, half, "", NULL};
    spec.envp = none;
    spec.argv = two;
    written(&spec, &all_fds);
    assert_int_equal(reread(), 0);
    spec.argv = more;
    written(&spec, &all_fds);
    assert_fault(-E2BIG, "KiB");
}

static void a_spec_that_is_too_long_is_not_sent(void **state)
{
    (void)state;
    static char huge[SPAWN_MESSAGE_MAX];
    memset(huge, 'x', sizeof(huge) - 1);
    const char *const one[] = {huge, NULL};
    struct sbx_spec spec = good_spec();
    spec.argv = one;
    assert_int_equal(spawn_wire_run_write(message, sizeof(message), 1, &spec, &all_fds, sent_fds,
                                          &n_sent, &err),
                     -E2BIG);
    assert_int_equal(spawn_wire_plain_write(message, 10, SPAWN_QUERY, 1, 0), -E2BIG);
    assert_int_equal(spawn_wire_event_write(message, 20, SPAWN_RESULT, 1, huge, 64), -E2BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_is_read_as_it_was_written),
        cmocka_unit_test(a_terminal_run_has_its_size_and_no_stdio),
        cmocka_unit_test(orders_are_read_as_they_were_written),
        cmocka_unit_test(a_message_that_is_cut_off_is_a_framing_fault),
        cmocka_unit_test(trailing_bytes_are_a_framing_fault),
        cmocka_unit_test(descriptors_that_do_not_match_are_a_framing_fault),
        cmocka_unit_test(types_that_are_not_for_clients_are_a_framing_fault),
        cmocka_unit_test(unknown_ends_are_framing_and_unknown_signals_are_not),
        cmocka_unit_test(bad_wishes_refuse_the_run_only),
        cmocka_unit_test(arguments_have_a_count_and_a_size),
        cmocka_unit_test(a_spec_that_is_too_long_is_not_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
