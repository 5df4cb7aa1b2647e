#pragma once
/*
 * Collected files as they arrive: written below a directory, or kept for the JSON. Paths come from
 * a program that nobody trusts; model_path_fault() has judged them, and here no symbolic link is
 * followed and nothing outside the directory is touched.
 */

#include <stddef.h>

#include "api/client.h"

struct run_kept {
    char *path;
    uint8_t *content;
    uint64_t size;
};

struct run_outputs {
    int dir_fd;  /* -EBADF: keep in memory */
    int file_fd; /* being written */
    struct run_kept *kept;
    size_t n_kept;
    uint64_t next_offset;
    struct err err; /* the first thing that went wrong; code 0: nothing */
};

/** run_outputs_init() - @dir is made if need be; NULL: keep in memory. */
int run_outputs_init(struct run_outputs *outputs, const char *dir, struct err *err);
void run_outputs_done(struct run_outputs *outputs);

/** run_outputs_take() - one chunk; a fault is remembered in outputs->err. */
void run_outputs_take(struct run_outputs *outputs, const struct client_file_chunk *chunk);
/** run_outputs_tell_skipped() - on stderr, what was there and did not come back. */
void run_outputs_tell_skipped(const struct run_skipped *skipped, size_t n);
/** run_outputs_content() - what was kept of @path, NULL if nothing was. */
const uint8_t *run_outputs_content(const struct run_outputs *outputs, const char *path,
                                   uint64_t size);
