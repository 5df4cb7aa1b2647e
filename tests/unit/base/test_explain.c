#include "tests/support/unit.h"

#include <signal.h>

#include "base/result.h"

#define MIB UINT64_C(1048576)

static struct run_result result_of(enum verdict verdict)
{
    return (struct run_result){.verdict = verdict, .exit_code = -1, .explanation.limit = -1};
}

static void expect(struct run_result result, const char *message)
{
    result_explain(&result);
    assert_string_equal(result.explanation.message, message);
}

static void a_plain_success_needs_no_words(void **state)
{
    (void)state;
    struct run_result result = result_of(VERDICT_EXITED);
    result.exit_code = 0;
    memcpy(result.explanation.message, "stale", sizeof("stale"));
    expect(result, "");
}

static void an_exit_status_is_named(void **state)
{
    (void)state;
    struct run_result result = result_of(VERDICT_EXITED);
    result.exit_code = 3;
    expect(result, "your program ended with exit status 3");
}

static void a_success_that_touched_limits_says_which(void **state)
{
    (void)state;
    struct run_result result = result_of(VERDICT_EXITED);
    result.exit_code = 0;
    result.limits_hit = (1U << LIMIT_MEMORY) | (1U << LIMIT_PROCESSES);
    expect(result, "your program ended well, but touched these limits: memory, processes");
    result.exit_code = 1;
    expect(result,
           "your program ended with exit status 1 and touched these limits: memory, processes");
    result.limits_hit = (1U << LIMIT_COUNT) - 1; /* all of them still fit */
    result_explain(&result);
    assert_non_null(strstr(result.explanation.message, ", open-files"));
}

static void each_limit_speaks_of_its_configured_value(void **state)
{
    (void)state;
    static const struct {
        enum verdict verdict;
        uint64_t configured;
        const char *message;
    } cases[] = {
        {VERDICT_MEMORY_LIMIT, 64 * MIB,
         "your program needed more memory than the 64M that it may use"},
        {VERDICT_CPU_TIME_LIMIT, 1500,
         "your program computed for longer than the 1500ms of processor time that it may use: is "
         "there a loop that never ends?"},
        {VERDICT_WALL_TIME_LIMIT, 60000,
         "your program ran for longer than the 1m that it may take"},
        {VERDICT_IDLE_LIMIT, 600000, "your program was ended because nothing happened for 10m"},
        {VERDICT_OUTPUT_LIMIT, MIB,
         "your program printed far more than the 1M of output that are kept"},
        {VERDICT_FILE_SIZE_LIMIT, 10 * MIB,
         "your program wrote a file beyond the 10M that a file may have"},
        {VERDICT_PROCESS_LIMIT, 50,
         "your program tried to have more than 50 processes and threads at once"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct run_result result = result_of(cases[i].verdict);
        result.explanation.configured = cases[i].configured;
        expect(result, cases[i].message);
        result_explain(&result);
        assert_int_equal(result.explanation.limit, verdict_limit(cases[i].verdict));
    }
}

static void a_violation_speaks_of_the_call_refused_most(void **state)
{
    (void)state;
    struct run_result result = result_of(VERDICT_POLICY_VIOLATION);
    expect(result, "your program made a system call that is not allowed here");
    result.refusals[REFUSAL_SUBPROCESS] = 1;
    expect(result, "your program tried to start another program: not allowed here");
    result.refusals[REFUSAL_SOCKET] = 3;
    expect(result, "your program tried to open a network connection: not allowed here (3 times)");
}

static void signals_are_explained(void **state)
{
    (void)state;
    struct run_result result = result_of(VERDICT_SIGNALED);
    result.term_signal = SIGSEGV;
    expect(result, "your program crashed: it touched memory that is not its own (SIGSEGV)");
    result.term_signal = SIGUSR1;
    expect(result, "your program was ended by the signal SIGUSR1");
}

static void our_faults_are_ours(void **state)
{
    (void)state;
    struct run_result result = result_of(VERDICT_INTERNAL);
    expect(result, "this is our fault, not your program's: the sandbox failed");
    err_set(&result.err, -5, "the node ran out of memory");
    expect(result, "this is our fault, not your program's: the node ran out of memory");
}

static void the_rest_has_fixed_words(void **state)
{
    (void)state;
    expect(result_of(VERDICT_CANCELLED), "the run was cancelled before your program ended");
    expect(result_of(VERDICT_COMPILE_FAILED),
           "your program did not compile: the compiler's messages say why");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_success_needs_no_words),
        cmocka_unit_test(an_exit_status_is_named),
        cmocka_unit_test(a_success_that_touched_limits_says_which),
        cmocka_unit_test(each_limit_speaks_of_its_configured_value),
        cmocka_unit_test(a_violation_speaks_of_the_call_refused_most),
        cmocka_unit_test(signals_are_explained),
        cmocka_unit_test(our_faults_are_ours),
        cmocka_unit_test(the_rest_has_fixed_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
