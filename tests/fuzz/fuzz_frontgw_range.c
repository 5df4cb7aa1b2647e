/* Range and entity-tag headers: a part always lies within the content. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "frontgw/http/range.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t sizes[] = {0, 1, 10, UINT64_C(1) << 40};
    char *text = malloc(size + 1);

    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    for (int i = 0; i < 4; i++) {
        uint64_t start = 0, length = 0;
        enum gw_range_result r = gw_range_parse(text, sizes[i], &start, &length);
        if (r == GW_RANGE_PART && (length == 0 || start >= sizes[i] || length > sizes[i] - start))
            abort();
    }
    if (gw_etag_listed(text, "a", false) && !gw_etag_listed(text, "a", true))
        abort();
    free(text);
    return 0;
}
