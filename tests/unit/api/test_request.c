/* ExecuteRequest to the wire and back, and what the wire can do that plain C cannot. */

#include <errno.h>

#include "api/proto_model.h"
#include "tests/support/unit.h"

static const uint8_t sha[MODEL_SHA256] = {1, 2, 3};
static const char *const args[] = {"one", "", "\xff bytes"};
static const char *const patterns[] = {"*.png"};
static const struct model_pair env[] = {{"A", "1"}, {"B", ""}};
static const struct model_pair labels[] = {{"course", "py"}};

static struct run_request full_request(const struct model_file *files)
{
    struct run_request r = {
        .runtime = "python3",
        .entry = "main.py",
        .files = files,
        .n_files = 3,
        .args = args,
        .n_args = 3,
        .env = env,
        .n_env = 2,
        .stdin_data = (const uint8_t *)"in\0put",
        .stdin_len = 6,
        .subprocess = MODEL_SUBPROCESS_DENY,
        .collect = true,
        .patterns = patterns,
        .n_patterns = 1,
        .collect_files_max = 7,
        .collect_bytes_max = 1 << 20,
        .terminal = true,
        .rows = 40,
        .cols = 120,
        .detach_grace_ms = 120000,
        .class = MODEL_CLASS_BATCH,
        .labels = labels,
        .n_labels = 1,
    };
    for (int id = 0; id < LIMIT_COUNT; id++)
        r.limits.v[id] = 1000u + (unsigned)id;
    return r;
}

static void everything_survives_the_wire(void **state)
{
    (void)state;
    const struct model_file files[] = {
        {.path = "main.py", .content = (const uint8_t *)"print()\0\n", .size = 9},
        {.path = "big", .sha256 = sha, .executable = true},
        {.path = "empty"},
    };
    struct run_request in = full_request(files), out;
    struct model_fault fault = {0};
    AUTO_ARENA struct arena sent, received;
    arena_init(&sent, 1 << 20);
    arena_init(&received, 1 << 20);
    Cloister__Exec__V1__ExecuteRequest *message = run_request_to_proto(&in, &sent);
    assert_non_null(message);
    size_t len = cloister__exec__v1__execute_request__get_packed_size(message);
    uint8_t *wire = malloc(len);
    assert_non_null(wire);
    cloister__exec__v1__execute_request__pack(message, wire);
    assert_int_equal(run_request_decode(wire, len, &received, &out, &fault), 0);
    free(wire);
    assert_int_equal(run_request_check(&out, &fault), 0);

    assert_string_equal(out.runtime, "python3");
    assert_string_equal(out.entry, "main.py");
    assert_int_equal(out.n_argv, 0);
    assert_int_equal(out.n_files, 3);
    assert_string_equal(out.files[0].path, "main.py");
    assert_int_equal(out.files[0].size, 9);
    assert_memory_equal(out.files[0].content, "print()\0\n", 9);
    assert_false(out.files[0].executable);
    assert_null(out.files[0].sha256);
    assert_memory_equal(out.files[1].sha256, sha, MODEL_SHA256);
    assert_null(out.files[1].content);
    assert_true(out.files[1].executable);
    assert_int_equal(out.files[2].size, 0);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(out.args[i], args[i]);
    assert_string_equal(out.env[0].key, "A");
    assert_string_equal(out.env[1].value, "");
    assert_int_equal(out.stdin_len, 6);
    assert_memory_equal(out.stdin_data, "in\0put", 6);
    assert_memory_equal(&out.limits, &in.limits, sizeof(in.limits));
    assert_int_equal(out.subprocess, MODEL_SUBPROCESS_DENY);
    assert_true(out.collect);
    assert_string_equal(out.patterns[0], "*.png");
    assert_int_equal(out.collect_files_max, 7);
    assert_int_equal(out.collect_bytes_max, 1 << 20);
    assert_true(out.terminal);
    assert_int_equal(out.rows, 40);
    assert_int_equal(out.cols, 120);
    assert_int_equal(out.detach_grace_ms, 120000);
    assert_int_equal(out.class, MODEL_CLASS_BATCH);
    assert_string_equal(out.labels[0].value, "py");
}

static void nothing_said_means_defaults(void **state)
{
    (void)state;
    struct run_request out;
    struct model_fault fault = {0};
    AUTO_ARENA struct arena arena;
    arena_init(&arena, 1 << 16);
    assert_int_equal(run_request_decode((const uint8_t *)"", 0, &arena, &out, &fault), 0);
    assert_string_equal(out.runtime, "");
    assert_string_equal(out.entry, "");
    assert_false(out.collect || out.terminal);
    assert_int_equal(out.class, MODEL_CLASS_INTERACTIVE);
    assert_int_equal(out.subprocess, MODEL_SUBPROCESS_DEFAULT);
    assert_int_equal(run_request_check(&out, &fault), -EINVAL);
}

/* Decoding @wire must fail and name @field. */
static void refused(const char *wire, size_t len, const char *field)
{
    struct run_request out;
    struct model_fault fault = {0};
    AUTO_ARENA struct arena arena;
    arena_init(&arena, 1 << 20);
    assert_int_equal(run_request_decode((const uint8_t *)wire, len, &arena, &out, &fault), -EINVAL);
    assert_string_equal(fault.field, field);
    assert_true(fault.err.text[0] != '\0');
}

#define REFUSED(wire, field) refused(wire, sizeof(wire) - 1, field)

static void what_only_the_wire_can_say_is_refused(void **state)
{
    (void)state;
    REFUSED("\x2a\x03"
            "a\0b",
            "args[0]");
    REFUSED("\x12\x01x\x12\x03"
            "a\0b",
            "argv[1]");
    REFUSED("\x22\x02\0x", "entry");
    REFUSED("\x1a\x04\x0a\x02"
            "a\0",
            "files[0].path");
    REFUSED("\x1a\x05\x1a\x03"
            "abc",
            "files[0].sha256");
    REFUSED("\x32\x03\x0a\x01\0", "env[0].name");
    REFUSED("\x32\x03\x12\x01\0", "env[0].value");
    REFUSED("\x68\x03", "class");
    REFUSED("\x68\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "class");
    REFUSED("\x4a\x02\x08\x07", "policy.subprocess");
    REFUSED("\x52\x03\x0a\x01\0", "collect.patterns[0]");
    REFUSED("\x0a\xff", "");
    /* protobuf-c would end these strings at the NUL, or take any byte. */
    REFUSED("\x0a\x09python3\0x", "runtime");
    REFUSED("\x72\x05\x0a\x01k\x12\x00\x72\x06\x0a\x01k\x12\x01\xff", "labels[1].value");
    REFUSED("\x72\x07\x0a\x02k\0\x12\x01v", "labels[0].key");
    REFUSED("\x72\x06\x0a\x01k\x12\x01\n", "labels[0].value");
    REFUSED("\x72\x07\x0a\x01k\x12\x02\xc0\x80", "labels[0].value");
}

static void a_small_arena_is_no_crash(void **state)
{
    (void)state;
    const struct model_file files[] = {
        {.path = "main.py", .content = (const uint8_t *)"x", .size = 1},
        {.path = "big", .sha256 = sha},
        {.path = "empty"},
    };
    struct run_request in = full_request(files), out;
    AUTO_ARENA struct arena big;
    arena_init(&big, 1 << 20);
    Cloister__Exec__V1__ExecuteRequest *message = run_request_to_proto(&in, &big);
    assert_non_null(message);
    uint8_t wire[1024];
    size_t len = cloister__exec__v1__execute_request__get_packed_size(message);
    assert_true(len <= sizeof(wire));
    cloister__exec__v1__execute_request__pack(message, wire);
    bool worked = false;
    for (size_t cap = 0; cap < 16384; cap += 16) {
        struct model_fault fault = {0};
        AUTO_ARENA struct arena arena;
        arena_init(&arena, cap);
        worked = run_request_decode(wire, len, &arena, &out, &fault) == 0;
        AUTO_ARENA struct arena other;
        arena_init(&other, cap);
        (void)run_request_to_proto(&in, &other);
    }
    assert_true(worked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_survives_the_wire),
        cmocka_unit_test(nothing_said_means_defaults),
        cmocka_unit_test(what_only_the_wire_can_say_is_refused),
        cmocka_unit_test(a_small_arena_is_no_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
