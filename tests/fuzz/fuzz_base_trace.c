/* A caller's traceparent, and words of others that become labels or get a hint: what is taken is
 * what the log and the metrics may show. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/hint.h"
#include "base/prom.h"
#include "base/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void check_trace(const char *text, size_t size)
{
    char id[TRACE_ID_SIZE] = "";
    if (!trace_parse(text, size, id)) {
        require(id[0] == '\0');
        return;
    }
    require(strlen(id) == TRACE_ID_SIZE - 1);
    require(strspn(id, "0123456789abcdef") == TRACE_ID_SIZE - 1);
    require(strspn(id, "0") < TRACE_ID_SIZE - 1);
    require(memcmp(id, text + 3, TRACE_ID_SIZE - 1) == 0);
}

/* Every quote, backslash and newline stands behind a backslash, and none is cut in two. */
static void check_label(const char *word)
{
    char label[64];
    prom_label(word, label, sizeof(label));
    for (const char *at = label; *at; at++) {
        require(*at != '"' && *at != '\n');
        if (*at == '\\')
            require(*++at == '\\' || *at == '"' || *at == 'n');
    }
}

static void check_hint(const char *word)
{
    static const char *const names[] = {"socket", "queue_per_tenant", "x", ""};
    char words[HINT_SIZE];
    struct hint hint = {.word = word};
    hint_offer_all(&hint, names, sizeof(names) / sizeof(names[0]));
    hint_offer(&hint, word);
    require(strlen(hint_text(&hint, words)) < HINT_SIZE);
    if (hint.best && strlen(word) >= 2)
        require(hint.distance == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *word = malloc(size + 1);
    if (!word)
        return 0;
    if (size > 0)
        memcpy(word, data, size);
    word[size] = '\0';
    check_trace((const char *)data, size);
    check_label(word);
    check_hint(word);
    free(word);
    return 0;
}
