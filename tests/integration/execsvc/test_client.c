/* The C client against the real service; with_service.py starts it and says where it is. */
#include "tests/support/unit.h"

#include <errno.h>
#include <signal.h>

#include "api/client.h"
#include "base/clock.h"
#include "base/err.h"

struct seen {
    struct client_run *run;
    char out[65536];
    size_t out_len;
    uint64_t out_bytes;
    size_t file_len;
    bool started, result, ended;
    bool hold_once, held;
    uint64_t first_us, end_us;
    struct run_result report;
    struct rpc_status status;
};

static struct client *client;

static void on_started(void *arg, const struct client_started *started)
{
    struct seen *seen = arg;
    assert_true(*started->run_id);
    seen->started = true;
}

static void on_output(void *arg, int stream, uint64_t offset, const uint8_t *data, size_t len)
{
    struct seen *seen = arg;
    (void)stream;
    assert_int_equal(offset, seen->out_bytes);
    if (!seen->first_us)
        seen->first_us = clock_us();
    size_t room = sizeof(seen->out) - 1 - seen->out_len, n = len < room ? len : room;
    memcpy(seen->out + seen->out_len, data, n);
    seen->out_len += n;
    seen->out_bytes += len;
    if (seen->hold_once && !seen->held) {
        seen->held = true;
        client_run_hold(seen->run);
    }
}

static void on_file(void *arg, const struct client_file_chunk *chunk)
{
    struct seen *seen = arg;
    assert_string_equal(chunk->path, "made");
    assert_int_equal(chunk->offset, seen->file_len);
    seen->file_len += chunk->len;
}

static void on_result(void *arg, const struct run_report *report)
{
    struct seen *seen = arg;
    seen->report = report->result;
    seen->result = true;
}

static void on_end(void *arg, const struct rpc_status *status)
{
    struct seen *seen = arg;
    seen->status = *status;
    seen->end_us = clock_us();
    seen->ended = true;
    seen->run = NULL;
}

static const struct client_events events = {.on_started = on_started,
                                            .on_output = on_output,
                                            .on_file = on_file,
                                            .on_result = on_result,
                                            .on_end = on_end};

static void wait_end(struct seen *seen)
{
    uint64_t until = clock_ms() + 60000;
    while (!seen->ended) {
        assert_true(clock_ms() < until);
        client_wait(client, 1000);
    }
}

static void wait_text(struct seen *seen, const char *text)
{
    uint64_t until = clock_ms() + 60000;
    while (!strstr(seen->out, text)) {
        assert_true(clock_ms() < until && !seen->ended);
        client_wait(client, 1000);
    }
}

static struct model_file script(const char *path, const char *code)
{
    return (
        struct model_file){.path = path, .content = (const uint8_t *)code, .size = strlen(code)};
}

static void a_program_is_run_and_its_files_come_back(void **state)
{
    (void)state;
    static struct seen seen;
    struct model_fault fault = {0};
    const struct model_file file =
        script("a.py", "import time\nprint('first', flush=True)\n"
                       "time.sleep(0.5)\nopen('made', 'w').write('x' * 150000)\n");
    const struct run_request request = {
        .runtime = "python3", .entry = "", .files = &file, .n_files = 1, .collect = true};
    assert_int_equal(client_execute(client, &request, &events, &seen, &seen.run, &fault), 0);
    wait_end(&seen);
    assert_int_equal(seen.status.code, RPC_OK);
    assert_true(seen.started && seen.result);
    assert_int_equal(seen.report.verdict, VERDICT_EXITED);
    assert_string_equal(seen.out, "first\n");
    assert_int_equal(seen.file_len, 150000);
    assert_true(seen.end_us - seen.first_us > 400000);
}

static void a_program_is_talked_to(void **state)
{
    (void)state;
    static struct seen seen;
    struct model_fault fault = {0};
    const struct model_file file =
        script("a.sh",
               "trap 'echo trapped' USR1\necho ready\nwhile read -r x; do echo got $x; done\n"
               "while read -r x; do echo got $x; done\necho end\n");
    const struct run_request request = {.runtime = "bash",
                                        .entry = "",
                                        .files = &file,
                                        .n_files = 1};
    assert_int_equal(client_interact(client, &request, &events, &seen, &seen.run, &fault), 0);
    wait_text(&seen, "ready");
    assert_int_equal(client_run_input(seen.run, "one\n", 4), 0);
    wait_text(&seen, "got one");
    client_run_signal(seen.run, SIGUSR1);
    wait_text(&seen, "trapped");
    client_run_close_input(seen.run);
    wait_end(&seen);
    assert_int_equal(seen.report.verdict, VERDICT_EXITED);
    assert_int_equal(seen.report.exit_code, 0);
    assert_non_null(strstr(seen.out, "end"));
}

static void a_held_run_waits_and_loses_nothing(void **state)
{
    (void)state;
    static struct seen seen;
    struct model_fault fault = {0};
    const char *argv[] = {"/usr/bin/head", "-c", "20000000", "/dev/zero", NULL};
    struct run_request request = {.runtime = "", .entry = "", .argv = argv, .n_argv = 4};
    request.limits.v[LIMIT_OUTPUT] = 32 << 20;
    seen.hold_once = true;
    assert_int_equal(client_execute(client, &request, &events, &seen, &seen.run, &fault), 0);
    uint64_t until = clock_ms() + 1000;
    while (clock_ms() < until)
        client_wait(client, 50);
    assert_true(seen.held && !seen.ended && !seen.result);
    client_run_resume(seen.run);
    wait_end(&seen);
    assert_int_equal(seen.report.verdict, VERDICT_EXITED);
    assert_int_equal(seen.out_bytes, 20000000);
}

static void a_cancelled_run_has_its_result(void **state)
{
    (void)state;
    static struct seen seen;
    struct model_fault fault = {0};
    const char *argv[] = {"/bin/cat", NULL};
    const struct run_request request = {.runtime = "", .entry = "", .argv = argv, .n_argv = 1};
    assert_int_equal(client_interact(client, &request, &events, &seen, &seen.run, &fault), 0);
    while (!seen.started)
        client_wait(client, 1000);
    client_run_cancel(seen.run);
    wait_end(&seen);
    assert_true(seen.result);
    assert_int_equal(seen.report.verdict, VERDICT_CANCELLED);
}

/* Of a run that was dropped, in @place; its id outlives the run. */
static void drop(struct seen *seen, struct client_attach *place, char id[MODEL_RUN_ID_MAX + 1])
{
    assert_true(client_run_place(seen->run, place));
    snprintf(id, MODEL_RUN_ID_MAX + 1, "%s", place->run_id);
    place->run_id = id;
    client_run_drop(seen->run);
    wait_end(seen);
    assert_int_equal(seen->status.code, RPC_CANCELLED);
    assert_false(seen->result);
    seen->ended = false;
}

static void a_dropped_run_is_gone_on_with_from_its_place(void **state)
{
    (void)state;
    static struct seen seen;
    struct model_fault fault = {0};
    struct client_attach place;
    char id[MODEL_RUN_ID_MAX + 1];
    const struct model_file file = script(
        "a.sh",
        "echo ready; while read -r x; do echo got $x; done; head -c 150000 /dev/zero > made\n");
    const struct run_request request = {.runtime = "bash",
                                        .entry = "",
                                        .files = &file,
                                        .n_files = 1,
                                        .collect = true,
                                        .detach_grace_ms = 60000};
    assert_int_equal(client_interact(client, &request, &events, &seen, &seen.run, &fault), 0);
    wait_text(&seen, "ready\n");
    drop(&seen, &place, id);
    assert_int_equal(place.stdout_offset, strlen("ready\n"));
    assert_true(place.interactive);
    assert_int_equal(client_attach(client, &place, &events, &seen, &seen.run, &fault), 0);
    while (client_run_input(seen.run, "one\n", 4) == -EAGAIN)
        client_wait(client, 1000);
    wait_text(&seen, "got one\n");
    drop(&seen, &place, id);
    assert_int_equal(place.stdout_offset, strlen("ready\ngot one\n"));
    assert_int_equal(client_attach(client, &place, &events, &seen, &seen.run, &fault), 0);
    client_run_close_input(seen.run);
    wait_end(&seen);
    assert_int_equal(seen.status.code, RPC_OK);
    assert_int_equal(seen.report.verdict, VERDICT_EXITED);
    assert_string_equal(seen.out, "ready\ngot one\n");
    assert_int_equal(seen.file_len, 150000);
    place.files_done = 1; /* and once more, but for what is there */
    place.interactive = false;
    seen.ended = seen.result = false;
    assert_int_equal(client_attach(client, &place, &events, &seen, &seen.run, &fault), 0);
    wait_end(&seen);
    assert_true(seen.result);
    assert_int_equal(seen.file_len, 150000);
    place.run_id = "no id";
    assert_int_equal(client_attach(client, &place, &events, &seen, &seen.run, &fault), -EINVAL);
}

static void a_limit_above_the_ceiling_comes_back_with_its_field(void **state)
{
    (void)state;
    static struct seen seen;
    struct model_fault fault = {0};
    const char *argv[] = {"/bin/true", NULL};
    struct run_request request = {.runtime = "", .entry = "", .argv = argv, .n_argv = 1};
    request.limits.v[LIMIT_MEMORY] = UINT64_C(5) << 30;
    assert_int_equal(client_execute(client, &request, &events, &seen, &seen.run, &fault), 0);
    wait_end(&seen);
    assert_int_equal(seen.status.code, RPC_INVALID_ARGUMENT);
    assert_string_equal(seen.status.field, "limits.memory_bytes");
}

static void health_is_asked(void **state)
{
    (void)state;
    struct rpc_status status;
    assert_int_equal(client_health(client, "cloister.exec.v1.Execution", 5000, &status), 1);
}

static int connect_once(void **state)
{
    (void)state;
    struct err err = {0};
    const char *socket = getenv("CLOISTER_SOCKET");
    if (!socket)
        return -1;
    return client_new(&(struct client_options){.socket = socket}, &client, &err);
}

static int disconnect(void **state)
{
    (void)state;
    client = client_free(client);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_is_run_and_its_files_come_back),
        cmocka_unit_test(a_program_is_talked_to),
        cmocka_unit_test(a_held_run_waits_and_loses_nothing),
        cmocka_unit_test(a_cancelled_run_has_its_result),
        cmocka_unit_test(a_dropped_run_is_gone_on_with_from_its_place),
        cmocka_unit_test(a_limit_above_the_ceiling_comes_back_with_its_field),
        cmocka_unit_test(health_is_asked),
    };
    return cmocka_run_group_tests(tests, connect_once, disconnect);
}
