/* Sandboxes that are made before there is a run for them, through the spawner itself: on the host,
 * and on cgroup v2 in the virtual machine (tests/vm). */

#include "tests/integration/sandbox/world.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"

#define MIB         (UINT64_C(1) << 20)
#define OWN_NETWORK "echo net: $(stat -L -c %i /proc/self/ns/net)"

static int setup_with(void **state, uint32_t ready_max)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    world_config(w, "ready");
    w->config.slots_max = 2;
    w->config.ready_max = ready_max;
    world_start(w);
    *state = w;
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, 1);
}

static int setup_without(void **state)
{
    return setup_with(state, 0);
}

static int teardown(void **state)
{
    world_stop(*state);
    free(*state);
    return 0;
}

/* Until there is a ready sandbox, and nothing else is going on. */
static void wait_ready(struct world *w)
{
    uint64_t until = clock_us() + 20000000;
    while (world_stats(w)->slots_ready == 0 || w->stats.slots_busy > 0) {
        if (clock_us() > until)
            fail_msg("no sandbox is made ready");
        sleep_ms(1);
    }
}

/* Return: whether it found a sandbox ready. */
static bool run_for(struct world *w, const struct sbx_spec *spec, const char *script)
{
    uint64_t before = world_stats(w)->ready_used;
    if (!world_run(w, spec, script))
        fail_msg("%s", w->refused.code ? w->refused.text : w->result.err.text);
    return world_stats(w)->ready_used == before + 1;
}

static bool run(struct world *w, const char *script)
{
    return run_for(w, &(struct sbx_spec){0}, script);
}

/* ---- the cases ---- */

static void a_run_finds_a_sandbox_ready_that_has_every_layer(void **state)
{
    struct world *w = *state;
    wait_ready(w);
    assert_true(run(w, "echo hello; echo made >file; exit 3"));
    assert_string_equal(w->out, "hello\n");
    assert_int_equal(w->result.verdict, VERDICT_EXITED);
    assert_int_equal(w->result.exit_code, 3);
    assert_int_equal(w->result.layers, w->config.layers);
    assert_non_null(memmem(w->files, w->files_len, "made\n", 5));
    /* At once: there is none, and one is made. */
    assert_false(run(w, "echo again"));
    assert_string_equal(w->out, "again\n");
}

static void nothing_of_the_run_before_is_in_it(void **state)
{
    static const char *const traces =
        "ls -A /tmp /dev/shm /workspace; set -- /proc/[0-9]*; echo $#; umask; ulimit -c";
    struct world *w = *state;
    char first[512];
    wait_ready(w);
    assert_true(run(w, traces));
    memcpy(first, w->out, sizeof(first) - 1);
    wait_ready(w);
    assert_true(run(w, "touch /tmp/a /dev/shm/b /workspace/c; sleep 100 & umask 0"));
    wait_ready(w);
    assert_true(run(w, traces));
    assert_string_equal(w->out, first);
}

static void the_limits_are_those_of_the_run(void **state)
{
    struct world *w = *state;
    wait_ready(w);
    struct sbx_spec small = {.limits.v[LIMIT_MEMORY] = 24 * MIB};
    assert_true(run_for(w, &small, "head -c 60M /dev/zero | tail -c 40M >/dev/null; exit 1"));
    assert_int_equal(w->result.verdict, VERDICT_MEMORY_LIMIT);
    wait_ready(w);
    struct sbx_spec large = {.limits.v[LIMIT_MEMORY] = 200 * MIB};
    assert_true(run_for(w, &large, "head -c 150M /dev/zero | tail -c 140M | wc -c"));
    assert_string_equal(w->out, "146800640\n");
    wait_ready(w);
    struct sbx_spec few = {.limits.v[LIMIT_PROCESSES] = 2};
    assert_true(run_for(w, &few, "sleep 1 | sleep 1 | sleep 1; exit 1"));
    assert_int_equal(w->result.verdict, VERDICT_PROCESS_LIMIT);
    wait_ready(w);
    struct sbx_spec short_ = {.limits.v[LIMIT_FILE_SIZE] = 4096, .limits.v[LIMIT_CPU] = 300};
    assert_true(run_for(w, &short_, "while :; do :; done"));
    assert_int_equal(w->result.verdict, VERDICT_CPU_TIME_LIMIT);
}

static void what_it_counts_is_the_runs(void **state)
{
    struct world *w = *state;
    wait_ready(w);
    assert_true(run(w, "head -c 60M /dev/zero | tail -c 60M >/dev/null"));
    assert_true(w->result.usage.memory_peak_bytes > 60 * MIB);
    wait_ready(w);
    assert_true(run(w, "true"));
    assert_true(w->result.usage.memory_peak_bytes < 20 * MIB);
    assert_true(w->result.usage.cpu_user_us + w->result.usage.cpu_system_us < 1000000);
}

static void another_size_of_the_workspace_gets_a_sandbox_of_its_own(void **state)
{
    static const char *const fill = "head -c 3M /dev/zero >big 2>/dev/null; stat -c %s big";
    struct world *w = *state;
    struct sbx_spec small = {.limits.v[LIMIT_WORKSPACE] = MIB};
    wait_ready(w);
    assert_false(run_for(w, &small, fill));
    assert_string_equal(w->out, "1048576\n");
    /* The next one is made for a run like this. */
    wait_ready(w);
    assert_true(run_for(w, &small, fill));
    assert_string_equal(w->out, "1048576\n");
    wait_ready(w);
    assert_false(run(w, fill));
    assert_string_equal(w->out, "3145728\n");
}

static void another_tenant_gets_another_network(void **state)
{
    struct world *w = *state;
    char a[64], b[64];
    wait_ready(w);
    run_for(w, &(struct sbx_spec){.tenant = "a"}, OWN_NETWORK);
    snprintf(a, sizeof(a), "%.60s", w->out);
    assert_non_null(strstr(a, "net: 4"));
    wait_ready(w);
    assert_true(run_for(w, &(struct sbx_spec){.tenant = "a"}, OWN_NETWORK));
    assert_string_equal(w->out, a);
    wait_ready(w);
    assert_false(run_for(w, &(struct sbx_spec){.tenant = "b"}, OWN_NETWORK));
    snprintf(b, sizeof(b), "%.60s", w->out);
    assert_string_not_equal(b, a);
    /* Where tenants change, it is made for anybody. */
    wait_ready(w);
    assert_true(run_for(w, &(struct sbx_spec){.tenant = "c"}, OWN_NETWORK));
    assert_string_not_equal(w->out, a);
    assert_string_not_equal(w->out, b);
}

/* The only child of the spawner's. */
static pid_t ready_init(const struct world *w)
{
    char path[64], text[256];
    pid_t inner = node_inner_pid(w->node);
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", inner, inner);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd_read_all(fd, text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = 0;
    return (pid_t)strtol(text, NULL, 10);
}

static void one_that_is_killed_is_missed_by_nobody(void **state)
{
    struct world *w = *state;
    wait_ready(w);
    pid_t init = ready_init(w);
    assert_true(init > 1);
    assert_int_equal(kill(init, SIGKILL), 0);
    sleep_ms(20);
    assert_false(run(w, "echo alive"));
    assert_string_equal(w->out, "alive\n");
    wait_ready(w);
    assert_true(ready_init(w) != init);
    assert_true(run(w, "echo alive"));
}

static void without_room_for_any_none_is_made(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 3; i++) {
        sleep_ms(20);
        assert_false(run(w, "echo cold"));
        assert_string_equal(w->out, "cold\n");
        assert_int_equal(world_stats(w)->slots_ready, 0);
    }
}

int main(int argc, char **argv)
{
    int status = world_main(argc, argv);
    if (status >= 0)
        return status;
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_run_finds_a_sandbox_ready_that_has_every_layer),
        CASE(nothing_of_the_run_before_is_in_it),
        CASE(the_limits_are_those_of_the_run),
        CASE(what_it_counts_is_the_runs),
        CASE(another_size_of_the_workspace_gets_a_sandbox_of_its_own),
        CASE(another_tenant_gets_another_network),
        CASE(one_that_is_killed_is_missed_by_nobody),
        cmocka_unit_test_setup_teardown(without_room_for_any_none_is_made, setup_without, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
