#include "cli/run_terminal.h"

#include "tests/support/unit.h"

/* Types @keys in pieces of @piece bytes; what is sent is gathered. Return: false when it ended. */
static bool type(struct run_terminal *t, const char *keys, size_t piece, char *sent)
{
    size_t len = strlen(keys);
    *sent = '\0';
    for (size_t at = 0; at < len; at += piece) {
        char out[64];
        size_t n = len - at < piece ? len - at : piece;
        ssize_t left = run_terminal_escape(t, keys + at, n, out);
        if (left < 0)
            return false;
        strncat(sent, out, (size_t)left);
    }
    return true;
}

static void keys_pass_and_only_the_escape_ends(void **state)
{
    (void)state;
    static const struct {
        const char *keys, *sent;
        bool ends;
    } table[] = {
        {"hello\r", "hello\r", false}, {"a~.", "a~.", false},      {"~.", "", true},
        {"x\r~.", "x\r", true},        {"x\n~~.", "x\n~.", false}, {"~x", "~x", false},
        {"\r~\r~.", "\r~\r", true},    {"~~~.", "~~.", false},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        for (size_t piece = 1; piece <= 8; piece++) {
            struct run_terminal t = {.at_line_start = true};
            char sent[64];
            bool went_on = type(&t, table[i].keys, piece, sent);
            assert_int_equal(went_on, !table[i].ends);
            if (went_on)
                assert_string_equal(sent, table[i].sent);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(keys_pass_and_only_the_escape_ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
