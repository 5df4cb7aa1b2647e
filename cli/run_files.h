#pragma once
/* Files that go into the workspace: read whole, directories with all that is below them. */

#include <stddef.h>

#include "api/arena.h"
#include "api/model.h"

struct run_files {
    struct arena arena;
    struct model_file *list;
    size_t n, size;
    size_t total; /* bytes of contents */
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
