#pragma once
/*
 * The JSON object of `cloister run --json` and `cloister sandbox run --json` (docs/API.md): one
 * function, so that both print the same. Needs base and jansson, no gRPC.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "api/model.h"

struct run_streams {
    const uint8_t *out; /* what was kept of stdout (head and tail) */
    size_t out_len;
    const uint8_t *err; /* stderr; the compiler's output of COMPILE_FAILED */
    size_t err_len;
};

/**
 * result_json() - the object as one line without newline, malloc'd into @ret (free() it)
 *
 * Text that is not UTF-8 has its bad bytes replaced by U+FFFD; the base64 twins are exact.
 * An output without content has no `content_base64`.
 */
int result_json(const struct run_report *report, const struct run_streams *streams, char **ret,
                struct err *err);

/** result_json_print() - the same with a newline to @file, flushed. */
int result_json_print(FILE *file, const struct run_report *report,
                      const struct run_streams *streams, struct err *err);

/**
 * result_json_failure() - a report for a run that never was
 * @verdict: VERDICT_INTERNAL (no service, our fault), VERDICT_CANCELLED, or VERDICT_COUNT for a
 * request that was refused: no program ran, so there is no verdict, and the JSON has null.
 * @message: what happened and what to do.
 */
void result_json_failure(enum verdict verdict, const char *message, struct run_report *ret);
