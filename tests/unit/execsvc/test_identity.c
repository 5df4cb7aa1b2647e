#include "execsvc/identity.h"

#include "api/rpc_server.h"
#include "base/err.h"
#include "execsvc/config.h"
#include "tests/support/unit.h"

static struct exs_config config;

static int setup(void **state)
{
    (void)state;
    static const char text[] = "[execsvc]\ntls_allowed = dns:gw.test\n"
                               "[identity \"uid:7\"]\nact_for = school/\n"
                               "[identity \"gid:50\"]\nact_for = lab/\n"
                               "[identity \"dns:gw.test\"]\nact_for = *\n"
                               "[identity \"uid:8\"]\nact_for =\n";
    struct err err = {0};
    exs_config_init(&config);
    assert_int_equal(exs_config_text(&config, text, strlen(text), "test.conf", &err), 0);
    assert_int_equal(exs_config_finish(&config, &err), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    exs_config_done(&config);
    return 0;
}

static bool may(const struct rpc_peer *peer, const char *subject)
{
    return identity_may_act(&config, peer, subject, strlen(subject));
}

static void a_prefix_is_given_to_a_user_or_a_group(void **state)
{
    (void)state;
    const struct rpc_peer user = {.gid = 1, .identity = "uid:7"};
    const struct rpc_peer both = {.gid = 50, .identity = "uid:7"};
    const struct rpc_peer group = {.gid = 50, .identity = "uid:9"};
    const struct rpc_peer nobody = {.gid = 5, .identity = "uid:8"};
    assert_true(may(&user, "school/ann"));
    assert_false(may(&user, "schoo"));
    assert_false(may(&user, "lab/ann"));
    assert_true(may(&both, "school/ann"));
    assert_true(may(&both, "lab/ann"));
    assert_true(may(&group, "lab/ann"));
    assert_false(may(&group, "school/ann"));
    assert_false(may(&nobody, "school/ann"));
    assert_false(may(&nobody, ""));
}

static void a_group_means_nothing_over_tcp(void **state)
{
    (void)state;
    const struct rpc_peer gateway = {.transport = RPC_TRANSPORT_TLS, .identity = "dns:gw.test"};
    const struct rpc_peer other = {.transport = RPC_TRANSPORT_TLS,
                                   .gid = 50,
                                   .identity = "dns:other.test"};
    assert_true(may(&gateway, "anybody"));
    assert_false(may(&other, "lab/ann"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_prefix_is_given_to_a_user_or_a_group, setup, teardown),
        cmocka_unit_test_setup_teardown(a_group_means_nothing_over_tcp, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
