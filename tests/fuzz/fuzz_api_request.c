/*
 * An ExecuteRequest as execsvc gets it: unpack with a capped arena, copy, check, resolve limits.
 * What is accepted must survive encoding and decoding, and its paths must be paths.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/proto_model.h"
#include "api/proto_text.h"
#include "api/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void check_accepted(const struct run_request *r)
{
    for (size_t i = 0; i < r->n_files; i++)
        require(!model_path_fault(r->files[i].path, strlen(r->files[i].path)));
    for (size_t i = 0; i < r->n_labels; i++)
        require(text_valid(r->labels[i].value, strlen(r->labels[i].value)));
    require((r->n_argv == 0) != (r->runtime[0] == '\0'));
    require(r->n_argv + r->n_args + r->n_env <= MODEL_STRINGS_MAX);
    struct limits resolved;
    struct model_fault fault = {0};
    if (run_request_limits(r, NULL, NULL, &resolved, &fault) == 0) {
        for (int id = 0; id < LIMIT_COUNT; id++)
            require(resolved.v[id] > 0);
    } else {
        require(fault.field[0] != '\0' && fault.err.text[0] != '\0');
    }
}

static void check_round_trip(const struct run_request *r)
{
    AUTO_ARENA struct arena arena;
    arena_init(&arena, 64u << 20);
    struct run_request again;
    struct model_fault fault = {0};
    Cloister__Exec__V1__ExecuteRequest *message = run_request_to_proto(r, &arena);
    require(message != NULL);
    size_t len = cloister__exec__v1__execute_request__get_packed_size(message);
    uint8_t *wire = arena_alloc(&arena, len);
    require(wire != NULL);
    cloister__exec__v1__execute_request__pack(message, wire);
    require(run_request_decode(wire, len, &arena, &again, &fault) == 0);
    require(run_request_check(&again, &fault) == 0);
    require(again.n_files == r->n_files && again.n_args == r->n_args && again.n_env == r->n_env);
    require(memcmp(&again.limits, &r->limits, sizeof(r->limits)) == 0);
    require(strcmp(run_request_entry(&again), run_request_entry(r)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_ARENA struct arena arena;
    arena_init(&arena, arena_cap_for(size));
    struct run_request request;
    struct model_fault fault = {0};
    /* Also on bytes that are no message: it only has to end, within them. */
    if (proto_text_check(&cloister__exec__v1__interact_request__descriptor, data, size, &fault) < 0)
        require(fault.field[0] != '\0' && fault.err.text[0] != '\0');
    fault = (struct model_fault){0};
    int rc = run_request_decode(data, size, &arena, &request, &fault);
    if (rc == 0)
        rc = run_request_check(&request, &fault);
    if (rc < 0) {
        require(fault.err.text[0] != '\0');
        return 0;
    }
    check_accepted(&request);
    check_round_trip(&request);
    return 0;
}
