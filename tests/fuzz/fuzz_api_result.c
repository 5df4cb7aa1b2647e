/* A Result as a client gets it: unpack, map, print as JSON, map back. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/proto_model.h"
#include "api/result_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_ARENA struct arena arena;
    arena_init(&arena, arena_cap_for(size));
    Cloister__Exec__V1__Result *message =
        cloister__exec__v1__result__unpack(&arena.allocator, size, data);
    struct run_report report;
    if (!message || run_report_from_proto(message, &arena, &report, NULL) < 0)
        return 0;
    char *text = NULL;
    struct run_streams streams = {data, size, data, size / 2};
    if (result_json(&report, &streams, &text, NULL) < 0 || text[0] != '{')
        abort();
    free(text);
    AUTO_ARENA struct arena other;
    arena_init(&other, 64u << 20);
    if (!run_report_to_proto(&report, &other))
        abort();
    return 0;
}
