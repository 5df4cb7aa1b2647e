/* Request targets: what is accepted keeps the promises of target.h. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "frontgw/http/target.h"
#include "frontgw/http/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gw_target t;
    char *text = malloc(size + 1);

    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (gw_target_parse(text, &t) == GW_PROBLEM_NONE) {
        for (size_t i = 0; i < t.n_segments; i++) {
            require(*t.segments[i] && strcmp(t.segments[i], ".") != 0);
            require(strcmp(t.segments[i], "..") != 0 && !strpbrk(t.segments[i], "/\\"));
            require(gw_text_ok(t.segments[i], strlen(t.segments[i])));
        }
        for (size_t i = 0; i < t.n_query; i++) {
            require(gw_text_ok(t.query[i].name, strlen(t.query[i].name)));
            require(gw_text_ok(t.query[i].value, strlen(t.query[i].value)));
        }
    }
    free(text);
    return 0;
}
