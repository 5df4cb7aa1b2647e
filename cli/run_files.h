#pragma once
/*
 * Files that go into the workspace, directories with all that is below them. What fits into a
 * request is read whole, in the order in which it is named; the rest is hashed, and put ahead of
 * the request (run_upload.h).
 */

#include <stddef.h>

#include "api/arena.h"
#include "api/model.h"

struct run_files {
    struct arena arena;
    struct model_file *list;
    size_t n, size;
    size_t total;       /* bytes of contents */
    const char **hosts; /* of those that are blobs: where they are here; else NULL */
    size_t n_blobs;
    /* While one is being added: its path here, and how much of its name that stands for. */
    const char *host;
    size_t name_len;
};

void run_files_init(struct run_files *files);
void run_files_done(struct run_files *files);

/**
 * run_files_add() - "PATH" (kept under its last part) or "PATH=NAME"
 * Below a directory symbolic links and everything but regular files are left out.
 *
 * Return: 0, or a negative errno with words for a person.
 */
int run_files_add(struct run_files *files, const char *spec, struct err *err);
