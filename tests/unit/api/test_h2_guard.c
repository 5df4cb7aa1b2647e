#include "api/h2_guard.h"

#include "tests/support/unit.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define SECOND  UINT64_C(1000000)

enum { DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION };

static struct h2_guard guard;

static int setup(void **state)
{
    (void)state;
    h2_guard_init(&guard, SECOND);
    assert_null(h2_guard_feed(&guard, (const uint8_t *)PREFACE, strlen(PREFACE), SECOND));
    return 0;
}

static const char *frame_at(uint64_t now_us, uint8_t type, uint8_t flags, uint32_t len)
{
    const uint8_t head[9] = {
        (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, type, flags, 0, 0, 0, 1};
    static const uint8_t payload[70000];
    const char *why = h2_guard_feed(&guard, head, sizeof(head), now_us);
    return why ? why : h2_guard_feed(&guard, payload, len, now_us);
}

static const char *frame(uint8_t type, uint8_t flags, uint32_t len)
{
    return frame_at(SECOND, type, flags, len);
}

/* How many frames of a kind are taken at one moment. */
static unsigned burst(uint8_t type, uint8_t flags, uint32_t len)
{
    unsigned n = 0;
    while (n < 1000000 && !frame(type, flags, len))
        n++;
    return n;
}

static void a_connection_begins_with_the_preface(void **state)
{
    (void)state;
    h2_guard_init(&guard, 0);
    for (size_t i = 0; i < strlen(PREFACE); i++) { /* byte by byte is as good */
        assert_false(h2_guard_begun(&guard));
        assert_null(h2_guard_feed(&guard, (const uint8_t *)PREFACE + i, 1, 0));
    }
    assert_true(h2_guard_begun(&guard));
    h2_guard_init(&guard, 0);
    assert_string_equal(h2_guard_feed(&guard, (const uint8_t *)"PRI / HTTP", 10, 0), "not HTTP/2");
    assert_false(h2_guard_begun(&guard));
    /* What failed once stays so. */
    assert_non_null(h2_guard_feed(&guard, (const uint8_t *)PREFACE, strlen(PREFACE), 0));
}

static void an_ordinary_call_costs_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 5000; i++) {
        assert_null(frame(HEADERS, 4, 200));
        assert_null(frame(DATA, 0, 16384));
        assert_null(frame(DATA, 1, 0)); /* the half-close */
        assert_null(frame(WINDOW, 0, 4));
    }
}

static void each_kind_of_flood_ends_the_connection(void **state)
{
    (void)state;
    static const struct {
        uint8_t type, flags;
        uint32_t len;
        unsigned burst;
        const char *words;
    } cases[] = {
        {RST, 0, 4, 2000, "too many streams reset"},
        {HEADERS, 5, 10, 10000, "too many streams a second"},
        {PING, 0, 8, 10000, "too many control frames"},
        {PING, 1, 8, 10000, "too many control frames"},
        {SETTINGS, 0, 0, 10000, "too many control frames"},
        {PRIORITY, 0, 5, 10000, "too many control frames"},
        {200, 0, 1, 10000, "too many control frames"},
        {WINDOW, 0, 4, 200000, "too many window updates"},
        {DATA, 0, 0, 2000, "too many empty frames"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        setup(NULL);
        assert_int_equal(burst(cases[i].type, cases[i].flags, cases[i].len), cases[i].burst);
        setup(NULL);
        for (unsigned n = 0; n < cases[i].burst; n++)
            assert_null(frame(cases[i].type, cases[i].flags, cases[i].len));
        assert_string_equal(frame(cases[i].type, cases[i].flags, cases[i].len), cases[i].words);
    }
}

static void time_gives_back_what_was_spent(void **state)
{
    (void)state;
    for (int i = 0; i < 2000; i++)
        assert_null(frame(RST, 0, 4));
    for (int i = 0; i < 500; i++)
        assert_null(frame_at(SECOND + SECOND / 2, RST, 0, 4));
    for (int i = 0; i < 2000; i++) /* and never more than the burst, however long it was */
        assert_null(frame_at(SECOND * 1000000, RST, 0, 4));
    assert_non_null(frame_at(SECOND * 1000000, RST, 0, 4));
}

static void a_header_block_has_an_end(void **state)
{
    (void)state;
    assert_null(frame(HEADERS, 0, 16384));
    for (int i = 0; i < 3; i++)
        assert_null(frame(CONTINUATION, 0, 16384));
    assert_string_equal(frame(CONTINUATION, 0, 1), "a header block of too many bytes");
    setup(NULL);
    assert_null(frame(HEADERS, 0, 1));
    for (unsigned i = 1; i < H2_BLOCK_FRAMES_MAX; i++)
        assert_null(frame(CONTINUATION, 0, 0));
    assert_string_equal(frame(CONTINUATION, 0, 0), "a header block of too many frames");
    setup(NULL);
    assert_null(frame(HEADERS, 0, 1));
    assert_null(frame(CONTINUATION, 4, 1));
    assert_string_equal(frame(CONTINUATION, 4, 1), "a header block out of order");
    setup(NULL);
    assert_null(frame(HEADERS, 0, 1));
    assert_string_equal(frame(DATA, 0, 1), "a header block out of order");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_begins_with_the_preface),
        cmocka_unit_test_setup(an_ordinary_call_costs_nothing, setup),
        cmocka_unit_test(each_kind_of_flood_ends_the_connection),
        cmocka_unit_test_setup(time_gives_back_what_was_spent, setup),
        cmocka_unit_test_setup(a_header_block_has_an_end, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
