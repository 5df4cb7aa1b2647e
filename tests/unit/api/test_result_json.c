#include "api/result_json.h"

#include <errno.h>

#include <jansson.h>

#include "tests/support/unit.h"
#include "tests/unit/api/report.h"

static json_t *parse(const struct run_report *report, const struct run_streams *streams)
{
    char *text = NULL;
    struct err err = {0};
    assert_int_equal(result_json(report, streams, &text, &err), 0);
    assert_null(strchr(text, '\n'));
    json_t *object = json_loads(text, JSON_ALLOW_NUL, NULL);
    assert_non_null(object);
    free(text);
    return object;
}

/* The object as in docs/API.md, but for the layers, which have a test of their own. */
static const char golden[] =
    "{\"run_id\":\"01HZXYZ\",\"verdict\":\"MEMORY_LIMIT\",\"exit_code\":null,\"signal\":"
    "\"SIGKILL\","
    "\"stdout\":\"a\\u0000b\\n\",\"stderr\":\"\xef\xbf\xbd\xc3\xa9\",\"stdout_base64\":\"YQBiCg=="
    "\","
    "\"stderr_base64\":\"/8Op\",\"dropped\":{\"stdout\":5,\"stderr\":6},"
    "\"limits_hit\":[\"memory\",\"processes\"],"
    "\"refusals\":[{\"operation\":\"subprocess\",\"count\":3,\"message\":\"%s\"}],"
    "\"explanation\":{\"limit\":\"memory\",\"configured\":67108864,\"observed\":67104768,"
    "\"detected_by\":\"cgroup oom_kill\","
    "\"message\":\"your program used more memory than the 64M it may use\"},"
    "\"usage\":{\"cpu_user_ms\":1234,\"cpu_system_ms\":89,\"wall_ms\":2000,"
    "\"memory_peak_bytes\":67104768,\"processes_peak\":12},"
    "\"timing_us\":{\"queued\":1,\"slot\":2,\"files_in\":3,\"spawn\":4,\"run\":5,\"collect\":6,"
    "\"total\":21,\"compile\":7},\"start\":\"warm\",\"layers\":[],"
    "\"runtime\":{\"name\":\"python3\",\"version\":\"3.11.2\"},\"node\":\"node-1\","
    "\"outputs\":[{\"path\":\"plot.png\",\"size\":4,"
    "\"sha256\":\"dead000000000000000000000000000000000000000000000000000000000000\","
    "\"content_base64\":\"iVBORw==\"},{\"path_base64\":\"ZGlyL/8uYmlu\",\"size\":0,"
    "\"sha256\":\"0000000000000000000000000000000000000000000000000000000000000000\","
    "\"content_base64\":\"\"}]}";

static void the_object_is_exactly_the_contracts(void **state)
{
    (void)state;
    struct run_report report = report_full();
    report.result.layers = report.result.layers_missing = 0;
    struct run_streams streams = {(const uint8_t *)"a\0b\n", 4, (const uint8_t *)"\xff\xc3\xa9", 3};
    char *text = NULL, expected[4096];
    struct err err = {0};
    snprintf(expected, sizeof(expected), golden, refusal_message(REFUSAL_SUBPROCESS));
    assert_int_equal(result_json(&report, &streams, &text, &err), 0);
    assert_string_equal(text, expected);
    free(text);
}

static void layers_say_why_they_are_not_active(void **state)
{
    (void)state;
    struct run_report report = report_full();
    json_t *object = parse(&report, &(struct run_streams){0});
    json_t *layers = json_object_get(object, "layers");
    assert_int_equal(json_array_size(layers), LAYER_COUNT);
    for (int id = 0; id < LAYER_COUNT; id++) {
        json_t *layer = json_array_get(layers, (size_t)id);
        assert_string_equal(json_string_value(json_object_get(layer, "name")),
                            layer_name((enum layer)id));
        const char *detail = json_string_value(json_object_get(layer, "detail"));
        bool active = json_is_true(json_object_get(layer, "active"));
        assert_int_equal(active, id != LAYER_NET_NS && id != LAYER_SECCOMP);
        assert_int_equal(active, detail[0] == '\0');
    }
    const char *net =
        json_string_value(json_object_get(json_array_get(layers, LAYER_NET_NS), "detail"));
    const char *seccomp =
        json_string_value(json_object_get(json_array_get(layers, LAYER_SECCOMP), "detail"));
    assert_string_not_equal(net, seccomp);
    json_decref(object);
}

static void an_exit_status_is_a_number_and_no_signal(void **state)
{
    (void)state;
    struct run_report report = report_full();
    report.result.verdict = VERDICT_EXITED;
    report.result.term_signal = 0;
    report.result.exit_code = 0;
    report.result.explanation = (struct run_explanation){.limit = -1};
    json_t *object = parse(&report, &(struct run_streams){0});
    assert_int_equal(json_integer_value(json_object_get(object, "exit_code")), 0);
    assert_true(json_is_integer(json_object_get(object, "exit_code")));
    assert_true(json_is_null(json_object_get(object, "signal")));
    json_t *explanation = json_object_get(object, "explanation");
    assert_true(json_is_null(json_object_get(explanation, "limit")));
    assert_string_equal(json_string_value(json_object_get(explanation, "message")), "");
    json_decref(object);
}

static void content_that_is_elsewhere_is_left_out(void **state)
{
    (void)state;
    struct run_report report = report_full();
    struct run_output output = {.path = "a", .size = 3};
    report.outputs = &output;
    report.n_outputs = 1;
    json_t *object = parse(&report, &(struct run_streams){0});
    json_t *first = json_array_get(json_object_get(object, "outputs"), 0);
    assert_null(json_object_get(first, "content_base64"));
    assert_int_equal(json_integer_value(json_object_get(first, "size")), 3);
    json_decref(object);
}

static void every_byte_survives_in_base64(void **state)
{
    (void)state;
    static const char *const expected[] = {"", "AA==", "AAE=", "AAEC", "AAECAw=="};
    static const uint8_t bytes[] = {0, 1, 2, 3};
    for (size_t len = 0; len <= 4; len++) {
        struct run_report report = report_full();
        json_t *object = parse(&report, &(struct run_streams){.out = bytes, .out_len = len});
        assert_string_equal(json_string_value(json_object_get(object, "stdout_base64")),
                            expected[len]);
        json_decref(object);
    }
}

static void a_run_that_never_was_has_the_same_members(void **state)
{
    (void)state;
    struct run_report report, full = report_full();
    result_json_failure(VERDICT_COUNT, "the queue is full", &report);
    json_t *object = parse(&report, &(struct run_streams){0});
    json_t *other = parse(&full, &(struct run_streams){0});
    const char *key;
    json_t *value;
    json_object_foreach(other, key, value) assert_non_null(json_object_get(object, key));
    assert_int_equal(json_object_size(object), json_object_size(other));
    assert_true(json_is_null(json_object_get(object, "verdict")));
    assert_true(json_is_null(json_object_get(object, "exit_code")));
    assert_int_equal(json_array_size(json_object_get(object, "layers")), 0);
    assert_string_equal(json_string_value(
                            json_object_get(json_object_get(object, "explanation"), "message")),
                        "the queue is full");
    json_decref(object);
    json_decref(other);
    result_json_failure(VERDICT_INTERNAL, "no service", &report);
    object = parse(&report, &(struct run_streams){0});
    assert_string_equal(json_string_value(json_object_get(object, "verdict")), "INTERNAL");
    json_decref(object);
}

static void a_full_disk_is_a_fault(void **state)
{
    (void)state;
    struct run_report report = report_full();
    struct err err = {0};
    FILE *full = fopen("/dev/full", "we");
    assert_non_null(full);
    assert_int_equal(result_json_print(full, &report, &(struct run_streams){0}, &err), -EIO);
    fclose(full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_object_is_exactly_the_contracts),
        cmocka_unit_test(layers_say_why_they_are_not_active),
        cmocka_unit_test(an_exit_status_is_a_number_and_no_signal),
        cmocka_unit_test(content_that_is_elsewhere_is_left_out),
        cmocka_unit_test(every_byte_survives_in_base64),
        cmocka_unit_test(a_run_that_never_was_has_the_same_members),
        cmocka_unit_test(a_full_disk_is_a_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
