#include <errno.h>

#include "api/proto_model.h"
#include "tests/support/unit.h"
#include "tests/unit/api/report.h"

/* Through packed bytes, as it travels. */
static struct run_report travel(const struct run_report *report, struct arena *arena)
{
    struct run_report back;
    struct err err = {0};
    Cloister__Exec__V1__Result *message = run_report_to_proto(report, arena);
    assert_non_null(message);
    size_t len = cloister__exec__v1__result__get_packed_size(message);
    uint8_t *wire = arena_alloc(arena, len);
    assert_non_null(wire);
    cloister__exec__v1__result__pack(message, wire);
    message = cloister__exec__v1__result__unpack(&arena->allocator, len, wire);
    assert_non_null(message);
    assert_int_equal(run_report_from_proto(message, arena, &back, &err), 0);
    return back;
}

static void a_report_survives_the_wire(void **state)
{
    (void)state;
    AUTO_ARENA struct arena arena;
    arena_init(&arena, 1 << 20);
    struct run_report in = report_full(), out = travel(&in, &arena);
    assert_string_equal(out.run_id, in.run_id);
    assert_string_equal(out.runtime_name, in.runtime_name);
    assert_string_equal(out.runtime_version, in.runtime_version);
    assert_string_equal(out.node, in.node);
    assert_int_equal(out.dropped_stdout, 5);
    assert_int_equal(out.dropped_stderr, 6);
    assert_int_equal(out.result.verdict, VERDICT_MEMORY_LIMIT);
    assert_int_equal(out.result.exit_code, -1);
    assert_int_equal(out.result.term_signal, SIGKILL);
    assert_int_equal(out.result.limits_hit, in.result.limits_hit);
    assert_memory_equal(out.result.refusals, in.result.refusals, sizeof(in.result.refusals));
    assert_int_equal(out.result.explanation.limit, LIMIT_MEMORY);
    assert_int_equal(out.result.explanation.configured, 64 << 20);
    assert_string_equal(out.result.explanation.message, in.result.explanation.message);
    assert_string_equal(out.result.explanation.detected_by, "cgroup oom_kill");
    assert_memory_equal(&out.result.usage, &in.result.usage, sizeof(in.result.usage));
    assert_memory_equal(&out.result.timing, &in.result.timing, sizeof(in.result.timing));
    assert_int_equal(out.result.start, RUN_START_WARM);
    assert_int_equal(out.result.layers, in.result.layers);
    assert_int_equal(out.result.layers_missing, in.result.layers_missing);
    assert_string_equal(out.result.launcher, "native");
    assert_int_equal(out.n_outputs, 2);
    assert_string_equal(out.outputs[1].path, "dir/\xff.bin");
    assert_memory_equal(out.outputs[0].sha256, in.outputs[0].sha256, MODEL_SHA256);
    assert_int_equal(out.skipped[0].size, 1ull << 33);
    assert_string_equal(out.skipped[0].reason, "too many bytes");
}

static void every_verdict_survives(void **state)
{
    (void)state;
    for (int v = 0; v < VERDICT_COUNT; v++) {
        AUTO_ARENA struct arena arena;
        arena_init(&arena, 1 << 20);
        struct run_report in = report_full();
        in.result.verdict = (enum verdict)v;
        in.result.term_signal = 0;
        in.result.exit_code = v;
        struct run_report out = travel(&in, &arena);
        assert_int_equal(out.result.verdict, v);
        assert_int_equal(out.result.exit_code, v);
        assert_int_equal(out.result.term_signal, 0);
    }
}

static void neither_exit_code_nor_signal_is_possible(void **state)
{
    (void)state;
    AUTO_ARENA struct arena arena;
    arena_init(&arena, 1 << 20);
    struct run_report in = report_full();
    in.result.verdict = VERDICT_INTERNAL;
    in.result.term_signal = 0;
    in.result.explanation = (struct run_explanation){.limit = -1};
    err_set(&in.result.err, -EIO, "the disk is \xff gone");
    struct run_report out = travel(&in, &arena);
    assert_int_equal(out.result.exit_code, -1);
    assert_int_equal(out.result.term_signal, 0);
    assert_int_equal(out.result.explanation.limit, -1);
    assert_string_equal(out.result.explanation.message, "the disk is ? gone");
}

static void an_unknown_verdict_is_a_fault(void **state)
{
    (void)state;
    AUTO_ARENA struct arena arena;
    arena_init(&arena, 1 << 16);
    struct run_report out;
    struct err err = {0};
    Cloister__Exec__V1__Result message = CLOISTER__EXEC__V1__RESULT__INIT;
    assert_int_equal(run_report_from_proto(&message, &arena, &out, &err), -EBADMSG);
    message.verdict = (Cloister__Exec__V1__Verdict)(VERDICT_COUNT + 1);
    assert_int_equal(run_report_from_proto(&message, &arena, &out, &err), -EBADMSG);
    message.verdict = (Cloister__Exec__V1__Verdict)VERDICT_COUNT;
    assert_int_equal(run_report_from_proto(&message, &arena, &out, &err), 0);
    assert_string_equal(out.runtime_name, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_survives_the_wire),
        cmocka_unit_test(every_verdict_survives),
        cmocka_unit_test(neither_exit_code_nor_signal_is_possible),
        cmocka_unit_test(an_unknown_verdict_is_a_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
