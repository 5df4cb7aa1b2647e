#include "api/rpc_status.h"

#include <errno.h>

#include "api/text.h"
#include "tests/support/unit.h"

static void each_fault_has_its_code(void **state)
{
    (void)state;
    static const struct {
        int fault;
        enum rpc_code code;
    } table[] = {
        {-EINVAL, RPC_INVALID_ARGUMENT},   {-ERANGE, RPC_INVALID_ARGUMENT},
        {-ENOENT, RPC_NOT_FOUND},          {-EACCES, RPC_PERMISSION_DENIED},
        {-EAGAIN, RPC_RESOURCE_EXHAUSTED}, {-ENOMEM, RPC_RESOURCE_EXHAUSTED},
        {-EOPNOTSUPP, RPC_UNIMPLEMENTED},  {-ETIMEDOUT, RPC_DEADLINE_EXCEEDED},
        {-ECANCELED, RPC_CANCELLED},       {-EPIPE, RPC_UNAVAILABLE},
        {-ESHUTDOWN, RPC_UNAVAILABLE},     {-EIO, RPC_INTERNAL},
        {-EEXIST, RPC_ALREADY_EXISTS},     {0, RPC_INTERNAL},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct err err = {.code = table[i].fault, .text = "words"};
        struct rpc_status status;
        rpc_status_of_fault(&err, &status);
        assert_int_equal(status.code, table[i].code);
        assert_string_equal(status.message, "words");
        err.text[0] = '\0';
        rpc_status_of_fault(&err, &status);
        assert_true(status.message[0] != '\0');
    }
}

static void only_our_failure_is_an_error_of_the_call(void **state)
{
    (void)state;
    for (int v = 0; v < VERDICT_COUNT; v++)
        assert_int_equal(rpc_code_of_verdict((enum verdict)v),
                         v == VERDICT_INTERNAL ? RPC_INTERNAL : RPC_OK);
}

static void codes_have_names_and_exit_statuses(void **state)
{
    (void)state;
    assert_string_equal(rpc_code_name(RPC_UNAUTHENTICATED), "UNAUTHENTICATED");
    assert_string_equal(rpc_code_name(17), "UNKNOWN");
    assert_string_equal(rpc_code_name(-1), "UNKNOWN");
    assert_int_equal(rpc_code_exit_status(RPC_INVALID_ARGUMENT), 126);
    assert_int_equal(rpc_code_exit_status(RPC_RESOURCE_EXHAUSTED), 126);
    assert_int_equal(rpc_code_exit_status(RPC_UNAVAILABLE), 125);
    assert_int_equal(rpc_code_exit_status(RPC_INTERNAL), 125);
    assert_int_equal(rpc_code_exit_status(99), 125);
}

static void details_come_back_as_they_went(void **state)
{
    (void)state;
    struct rpc_status out, in = {0};
    uint8_t bytes[4096];
    rpc_status_set(&out, RPC_INVALID_ARGUMENT, "OUT_OF_LIMITS", "limit %s", "memory");
    rpc_status_field(&out, "limits.%s", "memory_bytes");
    rpc_status_meta(&out, "ceiling", "%d", 1024);
    rpc_status_meta(&out, "value", "%s", "2048");
    out.retry_ms = 61001;
    size_t len = rpc_status_encode(&out, bytes, sizeof(bytes));
    assert_true(len > 0);
    rpc_status_decode(bytes, len, &in);
    assert_string_equal(in.field, "limits.memory_bytes");
    assert_string_equal(in.reason, "OUT_OF_LIMITS");
    assert_int_equal(in.retry_ms, 61001);
    assert_int_equal(in.n_meta, 2);
    assert_string_equal(in.meta[1].key, "value");
    assert_string_equal(in.meta[1].value, "2048");
}

/* Byte for byte what any google.rpc client expects. */
static void details_have_the_standard_form(void **state)
{
    (void)state;
    struct rpc_status status;
    uint8_t bytes[512];
    rpc_status_set(&status, RPC_NOT_FOUND, NULL, "no");
    status.retry_ms = 1500;
    static const char expected[] = "\x08\x05\x12\x02no\x1a\x36\x0a\x28"
                                   "type.googleapis.com/google.rpc.RetryInfo"
                                   "\x12\x0a\x0a\x08\x08\x01\x10\x80\xca\xb5\xee\x01";
    size_t len = rpc_status_encode(&status, bytes, sizeof(bytes));
    assert_int_equal(len, sizeof(expected) - 1);
    assert_memory_equal(bytes, expected, len);
}

static void the_largest_status_fits_and_too_small_a_buffer_gets_none(void **state)
{
    (void)state;
    struct rpc_status status;
    uint8_t bytes[3072];
    char longest[2000];
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    rpc_status_set(&status, RPC_INTERNAL, longest, "%s", longest);
    rpc_status_field(&status, "%s", longest);
    for (int i = 0; i < RPC_META_MAX + 2; i++)
        rpc_status_meta(&status, longest, "%s", longest);
    status.retry_ms = UINT32_MAX;
    assert_int_equal(status.n_meta, RPC_META_MAX);
    assert_true(rpc_status_encode(&status, bytes, sizeof(bytes)) > 0);
    assert_int_equal(rpc_status_encode(&status, bytes, 100), 0);
}

static void words_that_are_not_utf8_are_made_so(void **state)
{
    (void)state;
    struct rpc_status status;
    rpc_status_set(&status, RPC_INTERNAL, NULL, "%s", "bad \xff byte\n");
    assert_string_equal(status.message, "bad ? byte?");
}

static void broken_details_are_ignored(void **state)
{
    (void)state;
    struct rpc_status out, in = {.code = RPC_INTERNAL};
    uint8_t bytes[4096];
    rpc_status_set(&out, RPC_INTERNAL, "REASON", "words");
    rpc_status_meta(&out, "k", "v");
    size_t len = rpc_status_encode(&out, bytes, sizeof(bytes));
    for (size_t cut = 0; cut < len; cut++)
        rpc_status_decode(bytes, cut, &in);
    for (size_t i = 0; i < len; i++) {
        bytes[i] ^= 0x55;
        rpc_status_decode(bytes, len, &in);
        bytes[i] ^= 0x55;
    }
    assert_int_equal(in.code, RPC_INTERNAL);
    assert_true(in.n_meta <= RPC_META_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fault_has_its_code),
        cmocka_unit_test(only_our_failure_is_an_error_of_the_call),
        cmocka_unit_test(codes_have_names_and_exit_statuses),
        cmocka_unit_test(details_come_back_as_they_went),
        cmocka_unit_test(details_have_the_standard_form),
        cmocka_unit_test(the_largest_status_fits_and_too_small_a_buffer_gets_none),
        cmocka_unit_test(words_that_are_not_utf8_are_made_so),
        cmocka_unit_test(broken_details_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
