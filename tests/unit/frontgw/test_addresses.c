#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "frontgw/http/addresses.h"

static struct ip ip_of(const char *text)
{
    struct ip ip;
    if (ip_parse(text, &ip) < 0)
        fail_msg("not an address: %s", text);
    return ip;
}

static const char *text_of(struct ip ip)
{
    static char text[46];
    ip_format(&ip, text, sizeof(text));
    return text;
}

static void addresses_have_one_form(void **state)
{
    (void)state;
    struct ip ip;
    assert_string_equal(text_of(ip_of("::ffff:192.0.2.1")), "192.0.2.1");
    assert_string_equal(text_of(ip_of("2001:DB8:0:0:0:0:0:1")), "2001:db8::1");
    assert_int_equal(ip_parse("192.0.2.256", &ip), -22);
    assert_int_equal(ip_parse("192.0.2.1 ", &ip), -22);
    assert_int_equal(ip_parse("", &ip), -22);
    struct ip v4 = ip_of("127.8.8.8"), v6 = ip_of("::1"), other = ip_of("192.0.2.1");
    assert_true(ip_is_loopback(&v4));
    assert_true(ip_is_loopback(&v6));
    assert_false(ip_is_loopback(&other));
}

static void a_client_of_ipv6_is_its_network(void **state)
{
    (void)state;
    struct ip a = ip_of("2001:db8:1:2:3:4:5:6"), v4 = ip_of("192.0.2.77");
    assert_string_equal(text_of(ip_client_key(&a)), "2001:db8:1:2::");
    assert_string_equal(text_of(ip_client_key(&v4)), "192.0.2.77");
}

static void networks_hold_what_they_should(void **state)
{
    (void)state;
    struct ip_nets *nets;
    struct err err;
    assert_int_equal(ip_nets_new("10.0.0.0/8, 192.0.2.1 fd00::/8  203.0.113.128/25", &nets, &err),
                     0);
    static const struct {
        const char *ip;
        bool in;
    } cases[] = {{"10.255.0.1", true},    {"11.0.0.1", false},    {"192.0.2.1", true},
                 {"192.0.2.2", false},    {"fdff::1", true},      {"fe00::1", false},
                 {"203.0.113.200", true}, {"203.0.113.1", false}, {"::ffff:10.1.1.1", true}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ip ip = ip_of(cases[i].ip);
        if (ip_nets_has(nets, &ip) != cases[i].in)
            fail_msg("%s", cases[i].ip);
    }
    ip_nets_free(nets);
    static const char *const bad[] = {"10.0.0.0/33", "10.0.0.0/", "x", "10.0.0.0/8x", "fd00::/129"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(ip_nets_new(bad[i], &nets, &err), -22);
    assert_int_equal(ip_nets_new("", &nets, &err), 0);
    struct ip any = ip_of("127.0.0.1");
    assert_false(ip_nets_has(nets, &any));
    ip_nets_free(nets);
}

static void the_client_is_the_last_one_that_is_not_trusted(void **state)
{
    (void)state;
    struct ip_nets *nets;
    assert_int_equal(ip_nets_new("10.0.0.0/8 ::1", &nets, NULL), 0);
    static const struct {
        const char *peer, *header, *client;
    } cases[] = {
        {"192.0.2.9", "198.51.100.1", "192.0.2.9"}, /* the peer is not trusted */
        {"10.0.0.1", NULL, "10.0.0.1"},
        {"10.0.0.1", "198.51.100.1", "198.51.100.1"},
        {"10.0.0.1", "6.6.6.6, 198.51.100.1", "198.51.100.1"},
        {"10.0.0.1", "6.6.6.6, 198.51.100.1 , 10.9.9.9", "198.51.100.1"},
        {"::1", "10.0.0.7,10.0.0.8", "10.0.0.7"},
        {"10.0.0.1", "unknown", "10.0.0.1"},
        {"10.0.0.1", "198.51.100.1, evil", "10.0.0.1"},
        {"10.0.0.1", "", "10.0.0.1"},
        {"10.0.0.1", ",,,", "10.0.0.1"},
        {"10.0.0.1", "2001:db8::5", "2001:db8::5"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ip peer = ip_of(cases[i].peer);
        struct ip client = ip_client_of(&peer, cases[i].header, nets);
        if (strcmp(text_of(client), cases[i].client) != 0)
            fail_msg("%s behind %s: %s", cases[i].header, cases[i].peer, text_of(client));
    }
    ip_nets_free(nets);
}

static void connections_are_counted_per_client(void **state)
{
    (void)state;
    struct addresses *a;
    assert_int_equal(addresses_new(&a, NULL), 0);
    /* many clients, so that the table grows and its gaps are closed */
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 5000; i++) {
            char text[32];
            snprintf(text, sizeof(text), "10.%d.%d.1", i / 250, i % 250);
            struct ip ip = ip_of(text);
            assert_true(addresses_enter(a, &ip, 2));
            assert_true(addresses_enter(a, &ip, 2));
            assert_false(addresses_enter(a, &ip, 2));
        }
        for (int i = 0; i < 5000; i++) {
            char text[32];
            snprintf(text, sizeof(text), "10.%d.%d.1", i / 250, i % 250);
            struct ip ip = ip_of(text);
            addresses_leave(a, &ip);
            assert_true(addresses_enter(a, &ip, 2));
            assert_false(addresses_enter(a, &ip, 2));
            addresses_leave(a, &ip);
            addresses_leave(a, &ip);
            addresses_leave(a, &ip); /* one too many does no harm */
        }
    }
    addresses_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_have_one_form),
        cmocka_unit_test(a_client_of_ipv6_is_its_network),
        cmocka_unit_test(networks_hold_what_they_should),
        cmocka_unit_test(the_client_is_the_last_one_that_is_not_trusted),
        cmocka_unit_test(connections_are_counted_per_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
