/* Limits from the command line and the wire: what is taken is within bounds and reads back as it
 * was. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void check_resolved(const struct limits *requested)
{
    struct limits resolved;
    if (limits_resolve(requested, NULL, NULL, &resolved, NULL) < 0)
        return;
    for (int id = 0; id < LIMIT_COUNT; id++) {
        require(resolved.v[id] >= limit_info((enum limit_id)id)->floor);
        require(resolved.v[id] <= limit_info((enum limit_id)id)->ceiling);
        char text[32];
        uint64_t back = 0;
        limit_format((enum limit_id)id, resolved.v[id], text, sizeof(text));
        require(limit_parse((enum limit_id)id, text, &back, NULL) == 0);
        require(back == resolved.v[id]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char pair[64];
    size_t len = size < sizeof(pair) ? size : sizeof(pair) - 1;
    memcpy(pair, data, len);
    pair[len] = 0;
    struct limits limits = {0};
    if (limit_parse_pair(pair, &limits, NULL) == 0)
        check_resolved(&limits);

    struct limits raw = {0};
    memcpy(&raw, data, size < sizeof(raw) ? size : sizeof(raw));
    check_resolved(&raw);
    return 0;
}
