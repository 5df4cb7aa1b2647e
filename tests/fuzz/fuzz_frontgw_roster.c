/* Rosters: whatever the file holds, what is taken from it is a list of plain logins, each once,
 * with printable names. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "frontgw/people/roster.h"
#include "frontgw/people/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct roster roster = {0};
    struct err err = {0};
    char *text = malloc(size ? size : 1); /* exactly as long, so that a byte too far is seen */
    if (!text)
        return 0;
    memcpy(text, data, size);
    int r = roster_parse(text, size, &roster, &err);
    if (r != 0 && r != GW_PROBLEM_INVALID_VALUE)
        abort();
    if (r && !err.text[0])
        abort();
    for (size_t i = 0; r == 0 && i < roster.n; i++) {
        if (!text_login_ok(roster.entries[i].login) ||
            !text_line_ok(roster.entries[i].name, 1, 200))
            abort();
        for (size_t k = 0; k < i && i < 50; k++)
            if (!strcmp(roster.entries[i].login, roster.entries[k].login))
                abort();
    }
    roster_done(&roster);
    free(text);
    return 0;
}
