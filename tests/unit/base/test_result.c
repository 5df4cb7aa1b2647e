#include "tests/support/unit.h"

#include <signal.h>

#include "base/result.h"

static void every_verdict_has_its_name_and_is_found_by_it(void **state)
{
    (void)state;
    static const char *const names[VERDICT_COUNT] = {
        "INTERNAL",   "CANCELLED",    "MEMORY_LIMIT",    "CPU_TIME_LIMIT", "WALL_TIME_LIMIT",
        "IDLE_LIMIT", "OUTPUT_LIMIT", "FILE_SIZE_LIMIT", "PROCESS_LIMIT",  "POLICY_VIOLATION",
        "SIGNALED",   "EXITED",       "COMPILE_FAILED",
    };
    for (int i = 0; i < VERDICT_COUNT; i++) {
        assert_string_equal(verdict_name((enum verdict)i), names[i]);
        assert_int_equal(verdict_by_name(names[i]), i);
    }
    assert_null(verdict_name(VERDICT_COUNT));
    assert_int_equal(verdict_by_name("exited"), -1);
}

static void seven_verdicts_are_limits(void **state)
{
    (void)state;
    int limits = 0;
    for (int i = 0; i < VERDICT_COUNT; i++) {
        bool is_limit = strstr(verdict_name((enum verdict)i), "_LIMIT") != NULL;
        assert_int_equal(verdict_is_limit((enum verdict)i), is_limit);
        assert_int_equal(verdict_limit((enum verdict)i) >= 0, is_limit);
        limits += is_limit;
    }
    assert_int_equal(limits, 7);
    assert_int_equal(verdict_limit(VERDICT_CPU_TIME_LIMIT), LIMIT_CPU);
    assert_int_equal(verdict_limit(VERDICT_FILE_SIZE_LIMIT), LIMIT_FILE_SIZE);
    assert_int_equal(verdict_limit(VERDICT_EXITED), -1);
}

static void every_layer_has_its_name_and_a_bit(void **state)
{
    (void)state;
    static const char *const names[LAYER_COUNT] = {
        "user-namespace", "pid-namespace",    "mount-namespace", "net-namespace", "ipc-namespace",
        "uts-namespace",  "cgroup-namespace", "root-overlay",    "proc-mask",     "tmpfs-limits",
        "no-new-privs",   "capabilities",     "slot-uid",        "session",       "seccomp",
        "rlimits",        "cgroup-memory",    "cgroup-pids",     "cgroup-cpu",    "fds",
    };
    uint32_t all = 0;
    for (int i = 0; i < LAYER_COUNT; i++) {
        assert_string_equal(layer_name((enum layer)i), names[i]);
        assert_int_equal(layer_by_name(names[i]), i);
        all |= LAYER_BIT(i);
    }
    assert_int_equal(all, LAYERS_ALL);
    assert_null(layer_name(LAYER_COUNT));
    assert_int_equal(layer_by_name("moat"), -1);
}

static void every_refusal_has_a_name_and_a_sentence(void **state)
{
    (void)state;
    for (int i = 0; i < REFUSAL_COUNT; i++) {
        assert_non_null(refusal_name((enum refusal_op)i));
        assert_non_null(strstr(refusal_message((enum refusal_op)i), "your program tried to "));
        for (int j = 0; j < i; j++)
            assert_string_not_equal(refusal_name((enum refusal_op)i),
                                    refusal_name((enum refusal_op)j));
    }
    assert_string_equal(refusal_message(REFUSAL_SUBPROCESS),
                        "your program tried to start another program: not allowed here");
    assert_null(refusal_name(REFUSAL_COUNT));
    assert_null(refusal_message(REFUSAL_COUNT));
}

static void signals_have_names(void **state)
{
    (void)state;
    assert_string_equal(signal_name(SIGKILL), "SIGKILL");
    assert_string_equal(signal_name(SIGSYS), "SIGSYS");
    assert_string_equal(signal_name(SIGRTMIN), "SIGRTMIN");
    assert_string_equal(signal_name(SIGRTMIN + 3), "SIGRTMIN+3");
    assert_string_equal(signal_name(32), "SIG32"); /* the C library's own */
    assert_null(signal_name(0));
    assert_null(signal_name(-1));
}

static void signals_are_found_by_name_and_number(void **state)
{
    (void)state;
    assert_int_equal(signal_by_name("SIGINT"), SIGINT);
    assert_int_equal(signal_by_name("INT"), SIGINT);
    assert_int_equal(signal_by_name("2"), SIGINT);
    assert_int_equal(signal_by_name("RTMIN+1"), SIGRTMIN + 1);
    static const char *const none[] = {"",       "SIG",    "0",
                                       "65",     "2x",     "-2",
                                       "sigint", "NOSUCH", "99999999999999999999"};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_int_equal(signal_by_name(none[i]), -1);
    for (int signo = 1; signo <= SIGRTMAX; signo++)
        assert_int_equal(signal_by_name(signal_name(signo)), signo);
}

static int exit_status(enum verdict verdict, int exit_code, int term_signal)
{
    struct run_result result = {.verdict = verdict,
                                .exit_code = exit_code,
                                .term_signal = term_signal};
    return result_exit_status(&result);
}

static void exit_statuses_follow_the_contract(void **state)
{
    (void)state;
    assert_int_equal(exit_status(VERDICT_EXITED, 0, 0), 0);
    assert_int_equal(exit_status(VERDICT_EXITED, 3, 0), 3);
    assert_int_equal(exit_status(VERDICT_SIGNALED, -1, SIGSEGV), 139);
    assert_int_equal(exit_status(VERDICT_MEMORY_LIMIT, -1, SIGKILL), 124);
    assert_int_equal(exit_status(VERDICT_PROCESS_LIMIT, 1, 0), 124);
    assert_int_equal(exit_status(VERDICT_INTERNAL, -1, 0), 125);
    assert_int_equal(exit_status(VERDICT_POLICY_VIOLATION, 1, 0), 126);
    assert_int_equal(exit_status(VERDICT_CANCELLED, -1, SIGKILL), 137);
    assert_int_equal(exit_status(VERDICT_CANCELLED, -1, 0), 130);
    assert_int_equal(exit_status(VERDICT_COMPILE_FAILED, 2, 0), 2);
    assert_int_equal(exit_status(VERDICT_COMPILE_FAILED, -1, SIGKILL), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_verdict_has_its_name_and_is_found_by_it),
        cmocka_unit_test(seven_verdicts_are_limits),
        cmocka_unit_test(every_layer_has_its_name_and_a_bit),
        cmocka_unit_test(every_refusal_has_a_name_and_a_sentence),
        cmocka_unit_test(signals_have_names),
        cmocka_unit_test(signals_are_found_by_name_and_number),
        cmocka_unit_test(exit_statuses_follow_the_contract),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
