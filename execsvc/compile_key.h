#pragma once
/* The key of a compile step: everything that its outcome can depend on. */

#include <stddef.h>

#include "execsvc/compile_cache.h"

struct err;
struct run_request;
struct runtime;

/* Borrowed for the call. */
struct compile_inputs {
    const char *tenant;
    const struct runtime *runtime;
    const char *const *argv, *const *envp; /* as the step gets them */
    const struct run_request *request;     /* its files */
};

/** compile_key() - Return: 0, or -EIO when there is no SHA-256. */
int compile_key(const struct compile_inputs *inputs, struct compile_key *ret, struct err *err);
