/* From facts to a verdict: the whole precedence as a table, on pure facts. */

#include "tests/support/unit.h"

#include <errno.h>
#include <signal.h>

#include "sandbox/init_proto.h"
#include "sandbox/verdict.h"

#define EXIT(code)     .have_status = true, .status = (code) << 8
#define DIED_OF(signo) .have_status = true, .status = (signo)
#define HIT(limit)     (1u << LIMIT_##limit)
#define OWN_OOM        .cg.oom_kills = 1, .cg.oom_own = true
#define CPU_USED(ms)   .tree_cpu_counted = true, .cg.cpu_user_us = (ms)*1000
#define REFUSED        .refusals[REFUSAL_MOUNT] = 1

struct row {
    const char *name;
    struct verdict_facts facts;
    enum verdict verdict;
    uint32_t hit;
};

static const struct row rows[] = {
    {"status 0", {EXIT(0)}, VERDICT_EXITED, 0},
    {"status 3", {EXIT(3)}, VERDICT_EXITED, 0},
    {"a signal", {DIED_OF(SIGSEGV)}, VERDICT_SIGNALED, 0},
    {"its own SIGKILL", {DIED_OF(SIGKILL)}, VERDICT_SIGNALED, 0},
    /* Status 0 is EXITED, whatever was touched, and whoever was about to end it. */
    {"0, cancelled", {EXIT(0), .cause = END_CANCELLED}, VERDICT_EXITED, 0},
    {"0, wall", {EXIT(0), .cause = END_WALL}, VERDICT_EXITED, HIT(WALL)},
    {"0, cpu", {EXIT(0), .cause = END_CPU, CPU_USED(1000)}, VERDICT_EXITED, HIT(CPU)},
    {"0, the machinery broke", {EXIT(0), .cause = END_INTERNAL}, VERDICT_EXITED, 0},
    {"0, the node's memory", {EXIT(0), .cg.oom_kills = 1}, VERDICT_EXITED, 0},
    {"0, all that can be touched",
     {EXIT(0), OWN_OOM, REFUSED, .cg.pids_refused = 1,
      .fs_hits = INIT_HIT_FILE_SIZE | INIT_HIT_WORKSPACE | INIT_HIT_INODES},
     VERDICT_EXITED,
     HIT(MEMORY) | HIT(PROCESSES) | HIT(FILE_SIZE) | HIT(WORKSPACE) | HIT(INODES)},
    /* INTERNAL */
    {"init is gone, and nobody knows why", {.cause = END_NONE}, VERDICT_INTERNAL, 0},
    {"the machinery broke", {.cause = END_INTERNAL}, VERDICT_INTERNAL, 0},
    {"the node's memory, main killed", {DIED_OF(SIGKILL), .cg.oom_kills = 1}, VERDICT_INTERNAL, 0},
    {"the node's memory, status 1", {EXIT(1), .cg.oom_kills = 1}, VERDICT_INTERNAL, 0},
    {"the node's memory, init too", {.cg.oom_kills = 2}, VERDICT_INTERNAL, 0},
    {"the node's memory before cancelled",
     {DIED_OF(SIGKILL), .cause = END_CANCELLED, .cg.oom_kills = 1},
     VERDICT_INTERNAL,
     0},
    /* CANCELLED */
    {"cancelled", {DIED_OF(SIGKILL), .cause = END_CANCELLED}, VERDICT_CANCELLED, 0},
    {"cancelled, init went along", {.cause = END_CANCELLED}, VERDICT_CANCELLED, 0},
    {"cancelled before memory",
     {DIED_OF(SIGKILL), OWN_OOM, .cause = END_CANCELLED},
     VERDICT_CANCELLED,
     HIT(MEMORY)},
    {"cancelled, but it had ended itself", {EXIT(3), .cause = END_CANCELLED}, VERDICT_EXITED, 0},
    {"cancelled, but it had crashed",
     {DIED_OF(SIGSEGV), .cause = END_CANCELLED},
     VERDICT_SIGNALED,
     0},
    /* MEMORY_LIMIT */
    {"memory", {DIED_OF(SIGKILL), OWN_OOM}, VERDICT_MEMORY_LIMIT, HIT(MEMORY)},
    {"memory, init too", {OWN_OOM}, VERDICT_MEMORY_LIMIT, HIT(MEMORY)},
    {"memory, status 1", {EXIT(1), OWN_OOM}, VERDICT_MEMORY_LIMIT, HIT(MEMORY)},
    {"memory before cpu",
     {DIED_OF(SIGKILL), OWN_OOM, .cause = END_CPU},
     VERDICT_MEMORY_LIMIT,
     HIT(MEMORY) | HIT(CPU)},
    {"memory before file size",
     {DIED_OF(SIGXFSZ), OWN_OOM},
     VERDICT_MEMORY_LIMIT,
     HIT(MEMORY) | HIT(FILE_SIZE)},
    {"memory before policy", {DIED_OF(SIGSYS), OWN_OOM}, VERDICT_MEMORY_LIMIT, HIT(MEMORY)},
    /* CPU_TIME_LIMIT */
    {"cpu", {DIED_OF(SIGKILL), .cause = END_CPU, CPU_USED(1001)}, VERDICT_CPU_TIME_LIMIT, HIT(CPU)},
    {"cpu, init too", {.cause = END_CPU}, VERDICT_CPU_TIME_LIMIT, HIT(CPU)},
    {"the backstop's signal", {DIED_OF(SIGXCPU), CPU_USED(3000)}, VERDICT_CPU_TIME_LIMIT, HIT(CPU)},
    {"the backstop without accounting", {DIED_OF(SIGXCPU)}, VERDICT_CPU_TIME_LIMIT, HIT(CPU)},
    {"the backstop without accounting, as soon as can be",
     {DIED_OF(SIGXCPU), .cpus = 2, .wall_us = 500000},
     VERDICT_CPU_TIME_LIMIT,
     HIT(CPU)},
    {"too soon for the backstop",
     {DIED_OF(SIGXCPU), .cpus = 2, .wall_us = 499999},
     VERDICT_SIGNALED,
     0},
    {"the backstop's SIGKILL",
     {DIED_OF(SIGKILL), CPU_USED(4000)},
     VERDICT_CPU_TIME_LIMIT,
     HIT(CPU)},
    {"SIGXCPU of its own making", {DIED_OF(SIGXCPU), CPU_USED(5)}, VERDICT_SIGNALED, 0},
    {"cpu, but it had ended itself", {EXIT(3), .cause = END_CPU}, VERDICT_EXITED, HIT(CPU)},
    {"cpu before file size",
     {DIED_OF(SIGKILL), .cause = END_CPU, .fs_hits = INIT_HIT_FILE_SIZE},
     VERDICT_CPU_TIME_LIMIT,
     HIT(CPU) | HIT(FILE_SIZE)},
    {"wall came first",
     {DIED_OF(SIGKILL), .cause = END_WALL, CPU_USED(1000)},
     VERDICT_WALL_TIME_LIMIT,
     HIT(WALL) | HIT(CPU)},
    /* WALL, IDLE, OUTPUT */
    {"wall", {DIED_OF(SIGKILL), .cause = END_WALL}, VERDICT_WALL_TIME_LIMIT, HIT(WALL)},
    {"wall before processes",
     {DIED_OF(SIGKILL), .cause = END_WALL, .cg.pids_refused = 3},
     VERDICT_WALL_TIME_LIMIT,
     HIT(WALL) | HIT(PROCESSES)},
    {"idle", {DIED_OF(SIGKILL), .cause = END_IDLE}, VERDICT_IDLE_LIMIT, HIT(IDLE)},
    {"too old", {DIED_OF(SIGKILL), .cause = END_MAX_AGE}, VERDICT_IDLE_LIMIT, 0},
    {"output", {DIED_OF(SIGKILL), .cause = END_OUTPUT}, VERDICT_OUTPUT_LIMIT, HIT(OUTPUT)},
    {"output before policy",
     {DIED_OF(SIGKILL), .cause = END_OUTPUT, REFUSED},
     VERDICT_OUTPUT_LIMIT,
     HIT(OUTPUT)},
    {"output, but it had ended itself",
     {EXIT(1), .cause = END_OUTPUT},
     VERDICT_EXITED,
     HIT(OUTPUT)},
    /* FILE_SIZE_LIMIT, PROCESS_LIMIT */
    {"SIGXFSZ", {DIED_OF(SIGXFSZ)}, VERDICT_FILE_SIZE_LIMIT, HIT(FILE_SIZE)},
    {"a file of exactly that size",
     {EXIT(1), .fs_hits = INIT_HIT_FILE_SIZE},
     VERDICT_FILE_SIZE_LIMIT,
     HIT(FILE_SIZE)},
    {"file size before processes",
     {EXIT(1), .fs_hits = INIT_HIT_FILE_SIZE, .cg.pids_refused = 1},
     VERDICT_FILE_SIZE_LIMIT,
     HIT(FILE_SIZE) | HIT(PROCESSES)},
    {"processes", {EXIT(1), .cg.pids_refused = 1}, VERDICT_PROCESS_LIMIT, HIT(PROCESSES)},
    {"processes before policy",
     {EXIT(1), .cg.pids_refused = 1, REFUSED},
     VERDICT_PROCESS_LIMIT,
     HIT(PROCESSES)},
    {"processes before a signal",
     {DIED_OF(SIGABRT), .cg.pids_refused = 1},
     VERDICT_PROCESS_LIMIT,
     HIT(PROCESSES)},
    /* POLICY_VIOLATION, and limits without a verdict */
    {"refusals and status 1", {EXIT(1), REFUSED}, VERDICT_POLICY_VIOLATION, 0},
    {"refusals and a signal", {DIED_OF(SIGABRT), REFUSED}, VERDICT_POLICY_VIOLATION, 0},
    {"SIGSYS", {DIED_OF(SIGSYS)}, VERDICT_POLICY_VIOLATION, 0},
    {"a full workspace", {EXIT(1), .fs_hits = INIT_HIT_WORKSPACE}, VERDICT_EXITED, HIT(WORKSPACE)},
    {"no inodes left", {EXIT(1), .fs_hits = INIT_HIT_INODES}, VERDICT_EXITED, HIT(INODES)},
};

static struct run_result decided(const struct verdict_facts *facts)
{
    struct verdict_facts with_limits = *facts;
    limits_default(&with_limits.limits);
    with_limits.limits.v[LIMIT_CPU] = 1000;
    struct run_result result;
    memset(&result, 0, sizeof(result));
    verdict_decide(&with_limits, &result);
    return result;
}

static void each_row_of_facts_has_its_verdict(void **state)
{
    (void)state;
    bool seen[VERDICT_COUNT] = {false};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct run_result result = decided(&rows[i].facts);
        if (result.verdict != rows[i].verdict || result.limits_hit != rows[i].hit)
            fail_msg("%s: %s, limits_hit 0x%x instead of %s, 0x%x", rows[i].name,
                     verdict_name(result.verdict), result.limits_hit, verdict_name(rows[i].verdict),
                     rows[i].hit);
        seen[result.verdict] = true;
    }
    for (int v = 0; v < VERDICT_COUNT; v++) /* only the service knows of compile steps */
        assert_true(seen[v] || v == VERDICT_COMPILE_FAILED);
}

static void each_explanation_fits_its_verdict(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct run_result result = decided(&rows[i].facts);
        const struct run_explanation *e = &result.explanation;
        assert_int_equal(e->limit, verdict_limit(result.verdict));
        assert_true(e->limit < 0 || e->configured > 0);
        assert_true(e->detected_by[0]);
        bool plain =
            result.verdict == VERDICT_EXITED && result.exit_code == 0 && !result.limits_hit;
        if (plain == (e->message[0] != 0))
            fail_msg("%s: the message is '%s'", rows[i].name, e->message);
        assert_int_equal(result.err.code != 0, result.verdict == VERDICT_INTERNAL);
    }
}

static void how_main_ended_is_an_exit_code_or_a_signal(void **state)
{
    (void)state;
    struct run_result result = decided(&(struct verdict_facts){EXIT(255)});
    assert_int_equal(result.exit_code, 255);
    assert_int_equal(result.term_signal, 0);
    result = decided(&(struct verdict_facts){DIED_OF(SIGTERM)});
    assert_int_equal(result.exit_code, -1);
    assert_int_equal(result.term_signal, SIGTERM);
    result = decided(&(struct verdict_facts){DIED_OF(SIGSEGV | 0x80 /* with a core */)});
    assert_int_equal(result.term_signal, SIGSEGV);
    result = decided(&(struct verdict_facts){.cause = END_WALL});
    assert_int_equal(result.term_signal, SIGKILL);
}

static void a_program_that_never_was_is_not_our_fault(void **state)
{
    (void)state;
    static const struct {
        int code, exit_code;
    } cases[] = {{-ENOENT, 127}, {-ENOTDIR, 127}, {-EACCES, 126}, {-ENOEXEC, 126}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct verdict_facts facts = {.no_program = true};
        err_set(&facts.err, cases[i].code, "prog: words of its own");
        struct run_result result = decided(&facts);
        assert_int_equal(result.verdict, VERDICT_EXITED);
        assert_int_equal(result.exit_code, cases[i].exit_code);
        assert_string_equal(result.explanation.message, "prog: words of its own");
        assert_int_equal(result.err.code, 0);
        facts.cause = END_CANCELLED;
        assert_int_equal(decided(&facts).verdict, VERDICT_CANCELLED);
    }
}

static void refusals_are_handed_on(void **state)
{
    (void)state;
    struct verdict_facts facts = {EXIT(0)};
    for (int i = 0; i < REFUSAL_COUNT; i++)
        facts.refusals[i] = UINT32_MAX - (uint32_t)i; /* their sum must not wrap to 0 */
    struct run_result result = decided(&facts);
    assert_memory_equal(result.refusals, facts.refusals, sizeof(facts.refusals));
    facts.status = 1 << 8;
    assert_int_equal(decided(&facts).verdict, VERDICT_POLICY_VIOLATION);
}

static void what_was_observed_is_told_in_the_limits_unit(void **state)
{
    (void)state;
    struct run_result result =
        decided(&(struct verdict_facts){DIED_OF(SIGKILL), .cause = END_CPU, CPU_USED(700),
                                        .cg.cpu_system_us = 304999});
    assert_int_equal(result.explanation.observed, 1004);
    assert_int_equal(result.explanation.configured, 1000);
    result =
        decided(&(struct verdict_facts){DIED_OF(SIGKILL), .cause = END_WALL, .wall_us = 60001999});
    assert_int_equal(result.explanation.observed, 60001);
    result = decided(
        &(struct verdict_facts){DIED_OF(SIGKILL), OWN_OOM, .cg.memory_peak_bytes = 128 << 20});
    assert_int_equal(result.explanation.observed, 128 << 20);
}

static void the_nodes_own_shortage_has_words(void **state)
{
    (void)state;
    struct run_result result =
        decided(&(struct verdict_facts){DIED_OF(SIGKILL), .cg.oom_kills = 1});
    assert_string_equal(result.err.text, "the node ran out of memory");
    assert_non_null(strstr(result.explanation.message, "the node ran out of memory"));
    assert_string_equal(result.explanation.detected_by, "parent cgroup");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_of_facts_has_its_verdict),
        cmocka_unit_test(each_explanation_fits_its_verdict),
        cmocka_unit_test(how_main_ended_is_an_exit_code_or_a_signal),
        cmocka_unit_test(a_program_that_never_was_is_not_our_fault),
        cmocka_unit_test(refusals_are_handed_on),
        cmocka_unit_test(what_was_observed_is_told_in_the_limits_unit),
        cmocka_unit_test(the_nodes_own_shortage_has_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
