#pragma once
/* The files that come out of a sandbox (base/filestream.h), read into memory. */

#include <stdint.h>

#include "api/model.h"

struct sandbox_outputs {
    struct run_output *files;
    size_t n_files;
    struct run_skipped *skipped;
    size_t n_skipped;
    uint8_t *bytes; /* the stream so far */
    size_t used, cap;
};

/** sandbox_outputs_feed() - up to all that is readable. Return: 1 more may come, 0 end, negative
 * errno. */
int sandbox_outputs_feed(struct sandbox_outputs *outputs, int fd, struct err *err);
/** sandbox_outputs_parse() - after the end. Names are hostile bytes: each is checked. */
int sandbox_outputs_parse(struct sandbox_outputs *outputs, struct err *err);
void sandbox_outputs_done(struct sandbox_outputs *outputs);
