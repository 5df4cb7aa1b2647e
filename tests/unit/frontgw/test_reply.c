#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frontgw/http/fields.h"
#include "frontgw/http/request.h"
#include "frontgw/http/response.h"

static const char *header(const struct gw_response *res, const char *name)
{
    for (size_t i = 0; i < res->n_headers; i++) {
        if (strcmp(res->headers[i].name, name) == 0)
            return res->headers[i].value;
    }
    return "(none)";
}

static void a_problem_is_a_problem_document(void **state)
{
    (void)state;
    struct gw_response res;
    gw_response_init(&res);
    assert_int_equal(gw_reply_problem_with(&res, GW_PROBLEM_RATE_LIMITED,
                                           json_pack("{s:i}", "retry_after_ms", 5), "wait %d ms",
                                           5),
                     0);
    assert_int_equal(res.status, 429);
    assert_string_equal(header(&res, "content-type"), "application/problem+json");
    json_t *doc = json_loads(res.body, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(doc, "code")), "rate_limited");
    assert_string_equal(json_string_value(json_object_get(doc, "type")),
                        "urn:cloister:problem:rate_limited");
    assert_string_equal(json_string_value(json_object_get(doc, "detail")), "wait 5 ms");
    assert_int_equal(json_integer_value(json_object_get(doc, "retry_after_ms")), 5);
    assert_int_equal(json_integer_value(json_object_get(doc, "status")), 429);
    json_decref(doc);
    gw_response_done(&res);
}

static void a_header_cannot_be_split(void **state)
{
    (void)state;
    struct gw_response res;
    gw_response_init(&res);
    assert_int_equal(gw_header_set(&res, "location", "/a\r\nset-cookie: x"), -EINVAL);
    assert_int_equal(gw_header_set(&res, "location", "/a\nb"), -EINVAL);
    assert_int_equal(gw_header_set(&res, "location", "/\xc3\xa4"), -EINVAL);
    assert_int_equal(res.n_headers, 0);
    assert_int_equal(gw_header_set(&res, "location", "/a"), 0);
    assert_int_equal(gw_header_set(&res, "location", "/b"), 0);
    assert_int_equal(res.n_headers, 1);
    assert_string_equal(header(&res, "location"), "/b");
    gw_response_done(&res);
}

static void reply_with(struct gw_request *req, struct gw_response *res, const char *type,
                       bool inline_ok)
{
    struct gw_content content = {.type = type,
                                 .filename = "b\xc3\xb6se \".html",
                                 .etag = "7",
                                 .inline_ok = inline_ok,
                                 .fd = -EBADF,
                                 .bytes = strdup("0123456789"),
                                 .size = 10};
    gw_response_init(res);
    assert_int_equal(gw_reply_content(req, res, &content), 0);
    assert_null(content.bytes);
}

static void stored_pages_are_only_ever_attachments(void **state)
{
    (void)state;
    static const char *const active[] = {
        "text/html",       "image/svg+xml",   "application/xhtml+xml",
        "text/javascript", "application/xml", "x/y"};
    struct gw_request req = {0};
    struct gw_response res;

    for (size_t i = 0; i < sizeof(active) / sizeof(active[0]); i++) {
        reply_with(&req, &res, active[i], true);
        assert_string_equal(header(&res, "content-type"), "application/octet-stream");
        assert_string_equal(header(&res, "content-disposition"),
                            "attachment; filename=\"b__se _.html\"; "
                            "filename*=UTF-8''b%C3%B6se%20%22.html");
        assert_string_equal(header(&res, "content-security-policy"), "sandbox; default-src 'none'");
        gw_response_done(&res);
    }
    reply_with(&req, &res, "image/png", true);
    assert_string_equal(header(&res, "content-type"), "image/png");
    assert_int_equal(strncmp(header(&res, "content-disposition"), "inline;", 7), 0);
    gw_response_done(&res);
    reply_with(&req, &res, "image/png", false);
    assert_int_equal(strncmp(header(&res, "content-disposition"), "attachment;", 11), 0);
    gw_response_done(&res);
}

static void contents_are_sent_whole_in_part_or_not_at_all(void **state)
{
    (void)state;
    struct gw_request req = {0};
    struct gw_response res;
    char range[] = "bytes=2-4", beyond[] = "bytes=10-", same[] = "\"7\"", other[] = "\"8\"";

    reply_with(&req, &res, "text/csv", false);
    assert_int_equal(res.status, 200);
    assert_int_equal(res.body_size, 10);
    gw_response_done(&res);

    req.headers[GW_H_RANGE] = range;
    reply_with(&req, &res, "text/csv", false);
    assert_int_equal(res.status, 206);
    assert_int_equal(res.body_size, 3);
    assert_memory_equal(res.body, "234", 3);
    assert_string_equal(header(&res, "content-range"), "bytes 2-4/10");
    gw_response_done(&res);

    req.headers[GW_H_IF_RANGE] = other;
    reply_with(&req, &res, "text/csv", false);
    assert_int_equal(res.status, 200);
    gw_response_done(&res);

    req.headers[GW_H_IF_RANGE] = same;
    req.headers[GW_H_RANGE] = beyond;
    reply_with(&req, &res, "text/csv", false);
    assert_int_equal(res.status, 416);
    assert_string_equal(header(&res, "content-range"), "bytes */10");
    gw_response_done(&res);

    req.headers[GW_H_IF_NONE_MATCH] = same;
    reply_with(&req, &res, "text/csv", false);
    assert_int_equal(res.status, 304);
    assert_null(res.body);
    gw_response_done(&res);
}

static void the_cookie_has_every_attribute(void **state)
{
    (void)state;
    struct gw_request req = {.secure = true};
    struct gw_response res;
    gw_response_init(&res);
    assert_int_equal(gw_set_session_cookie(&req, &res, "abc", 60), 0);
    assert_string_equal(header(&res, "set-cookie"), "__Host-cloister=abc; Path=/; HttpOnly; "
                                                    "SameSite=Lax; Max-Age=60; Secure");
    assert_int_equal(gw_set_session_cookie(&req, &res, NULL, 60), 0);
    assert_string_equal(header(&res, "set-cookie"), "__Host-cloister=; Path=/; HttpOnly; "
                                                    "SameSite=Lax; Max-Age=0; Secure");
    gw_response_done(&res);
}

static void fields_name_what_is_wrong(void **state)
{
    (void)state;
    struct gw_response res;
    gw_response_init(&res);
    json_t *body = json_pack("{s:s, s:i, s:s, s:n, s:b}", "title", "Week 1", "n", 7, "tab", "a\tb",
                             "none", "yes", 1);
    const char *text = "unset";
    int64_t n = 0;
    bool yes = false;

    assert_true(gw_field_only(&res, body, "title n tab none yes"));
    assert_true(gw_field_text(&res, body, "title", 1, 6, &text));
    assert_string_equal(text, "Week 1");
    assert_true(gw_field_text_opt(&res, body, "none", 1, 6, &text));
    assert_string_equal(text, "Week 1");
    assert_true(gw_field_int_opt(&res, body, "n", 0, 7, &n));
    assert_int_equal(n, 7);
    assert_true(gw_field_bool_opt(&res, body, "yes", &yes));
    assert_true(yes);
    assert_int_equal(res.status, 0);

    assert_false(gw_field_only(&res, body, "title n tab none"));
    assert_int_equal(res.status, 422);
    assert_non_null(strstr(res.body, "\"field\":\"yes\""));
    assert_false(gw_field_text(&res, body, "title", 1, 5, &text));
    assert_false(gw_field_text(&res, body, "missing", 1, 5, &text));
    assert_false(gw_field_text(&res, body, "tab", 1, 5, &text));
    assert_false(gw_field_text(&res, body, "n", 1, 5, &text));
    assert_false(gw_field_int_opt(&res, body, "n", 0, 6, &n));
    assert_false(gw_field_bool_opt(&res, body, "n", &yes));
    json_decref(body);
    gw_response_done(&res);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_problem_is_a_problem_document),
        cmocka_unit_test(a_header_cannot_be_split),
        cmocka_unit_test(stored_pages_are_only_ever_attachments),
        cmocka_unit_test(contents_are_sent_whole_in_part_or_not_at_all),
        cmocka_unit_test(the_cookie_has_every_attribute),
        cmocka_unit_test(fields_name_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
