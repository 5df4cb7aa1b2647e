#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frontgw/http/head.h"

/* The whole way of a head from the wire: end found byte by byte, then parsed. */
static enum gw_problem parse(const char *bytes, char *copy, struct gw_head *head)
{
    size_t len = strlen(bytes), scan = 0, end = 0;
    const char *detail;

    for (size_t have = 1; have <= len && end == 0; have++)
        end = gw_head_end(bytes, have, &scan);
    if (end == GW_HEAD_BAD)
        return GW_PROBLEM_BAD_REQUEST;
    assert_int_not_equal(end, 0);
    assert_int_equal(end, len);
    memcpy(copy, bytes, len + 1);
    enum gw_problem problem = gw_head_parse(copy, len, head, &detail);
    assert_true((problem == GW_PROBLEM_NONE) == (*detail == '\0'));
    return problem;
}

static void ordinary_heads_are_taken_apart(void **state)
{
    (void)state;
    char copy[512];
    struct gw_head head;

    assert_int_equal(parse("POST /a?b=c HTTP/1.1\r\nHost: x.example:8443\r\n"
                           "content-LENGTH:  12  \r\nCookie: a=b\r\nUser-Agent:\tcurl \r\n"
                           "Connection: keep-alive, Close\r\nX-Other: y\r\n\r\n",
                           copy, &head),
                     GW_PROBLEM_NONE);
    assert_int_equal(head.method, GW_POST);
    assert_string_equal(head.target, "/a?b=c");
    assert_int_equal(head.content_length, 12);
    assert_true(head.close);
    assert_false(head.upgrade);
    assert_string_equal(head.headers[GW_H_HOST], "x.example:8443");
    assert_string_equal(head.headers[GW_H_COOKIE], "a=b");
    assert_string_equal(head.headers[GW_H_USER_AGENT], "curl");
    assert_null(head.headers[GW_H_RANGE]);
}

static void every_ambiguous_shape_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        enum gw_problem problem;
    } shapes[] = {
        {"GET / HTTP/1.1\nHost: x\n\n", GW_PROBLEM_BAD_REQUEST},
        {"GET / HTTP/1.1\r\nHost: x\n\r\n", GW_PROBLEM_BAD_REQUEST},
        {"GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n", GW_PROBLEM_BAD_REQUEST},
        {"GET / HTTP/1.1\r\nHost : x\r\n\r\n", GW_PROBLEM_BAD_REQUEST},
        {"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n",
         GW_PROBLEM_BAD_REQUEST},
        {"GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n", GW_PROBLEM_BAD_REQUEST},
        {"GET / HTTP/1.1\r\n Host: x\r\n\r\n", GW_PROBLEM_BAD_REQUEST},
        {"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", GW_PROBLEM_BAD_REQUEST},
        {"GET / HTTP/1.1\r\n\r\n", GW_PROBLEM_BAD_REQUEST},
        {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", GW_PROBLEM_BAD_REQUEST},
        {"GET / HTTP/1.1\r\nHost: x/y\r\n\r\n", GW_PROBLEM_BAD_REQUEST},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
         GW_PROBLEM_BAD_REQUEST},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 5\r\n\r\n", GW_PROBLEM_BAD_REQUEST},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\n", GW_PROBLEM_BAD_REQUEST},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x5\r\n\r\n", GW_PROBLEM_BAD_REQUEST},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", GW_PROBLEM_BAD_REQUEST},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n", GW_PROBLEM_BAD_REQUEST},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
         GW_PROBLEM_BAD_REQUEST},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
         GW_PROBLEM_BAD_REQUEST},
        {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
         GW_PROBLEM_LENGTH_REQUIRED},
        {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n",
         GW_PROBLEM_LENGTH_REQUIRED},
        {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n\r\n", GW_PROBLEM_LENGTH_REQUIRED},
        {"GET / HTTP/1.0\r\nHost: x\r\n\r\n", GW_PROBLEM_HTTP_VERSION},
        {"GET / HTTP/2.0\r\nHost: x\r\n\r\n", GW_PROBLEM_HTTP_VERSION},
        {"GET / HTTP/1.10\r\nHost: x\r\n\r\n", GW_PROBLEM_BAD_REQUEST},
        {"GET / http/1.1\r\nHost: x\r\n\r\n", GW_PROBLEM_BAD_REQUEST},
        {"GET /\r\nHost: x\r\n\r\n", GW_PROBLEM_BAD_REQUEST},
        {"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", GW_PROBLEM_BAD_REQUEST},
        {"GET / HTTP/1.1 \r\nHost: x\r\n\r\n", GW_PROBLEM_BAD_REQUEST},
        {"GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n", GW_PROBLEM_BAD_REQUEST},
        {" GET / HTTP/1.1\r\nHost: x\r\n\r\n", GW_PROBLEM_BAD_REQUEST},
        {"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", GW_PROBLEM_BAD_REQUEST},
        {"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", GW_PROBLEM_BAD_REQUEST},
        {"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", GW_PROBLEM_NOT_IMPLEMENTED},
        {"PRI * HTTP/2.0\r\n\r\n", GW_PROBLEM_HTTP_VERSION},
        {"GET /\xc3\xa4 HTTP/1.1\r\nHost: x\r\n\r\n", GW_PROBLEM_BAD_REQUEST},
        {"GET / HTTP/1.1\r\nHost: x\r\nBad\x01Name: x\r\n\r\n", GW_PROBLEM_BAD_REQUEST},
        {"GET / HTTP/1.1\r\nHost: x\r\nNoColon\r\n\r\n", GW_PROBLEM_BAD_REQUEST},
        {"GET / HTTP/1.1\r\nHost: x\r\n: empty\r\n\r\n", GW_PROBLEM_BAD_REQUEST},
        {"\r\n\r\n", GW_PROBLEM_BAD_REQUEST},
    };

    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        char copy[512];
        struct gw_head head;
        enum gw_problem problem = parse(shapes[i].bytes, copy, &head);
        if (problem != shapes[i].problem)
            fail_msg("shape %zu gives problem %d instead of %d:\n%s", i, (int)problem,
                     (int)shapes[i].problem, shapes[i].bytes);
    }
}

static void a_nul_byte_can_never_become_a_head(void **state)
{
    (void)state;
    static const char bytes[] = "GET / HTTP/1.1\r\nHost: x\0y\r\n\r\n";
    size_t scan = 0;
    assert_int_equal(gw_head_end(bytes, sizeof(bytes) - 1, &scan), GW_HEAD_BAD);
}

static void upgrades_are_recognised(void **state)
{
    (void)state;
    char copy[512];
    struct gw_head head;
    assert_int_equal(parse("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n\r\n", copy, &head),
                     GW_PROBLEM_NONE);
    assert_true(head.upgrade);
    assert_false(head.websocket);
    assert_int_equal(parse("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\n\r\n", copy, &head),
                     GW_PROBLEM_NONE);
    assert_true(head.websocket);
}

static void sixty_five_headers_are_too_many(void **state)
{
    (void)state;
    char bytes[4096] = "GET / HTTP/1.1\r\nHost: x\r\n", copy[4096];
    struct gw_head head;
    size_t n = strlen(bytes);

    for (int i = 1; i < 64; i++, n += 6)
        memcpy(bytes + n, "A: b\r\n", 7);
    memcpy(bytes + n, "\r\n", 3);
    assert_int_equal(parse(bytes, copy, &head), GW_PROBLEM_NONE);
    memcpy(bytes + n, "A: b\r\n\r\n", 9);
    assert_int_equal(parse(bytes, copy, &head), GW_PROBLEM_HEADERS_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_heads_are_taken_apart),
        cmocka_unit_test(every_ambiguous_shape_is_refused),
        cmocka_unit_test(a_nul_byte_can_never_become_a_head),
        cmocka_unit_test(upgrades_are_recognised),
        cmocka_unit_test(sixty_five_headers_are_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
