#pragma once
/* The keys of [execsvc]: one table for reading (config.c) and printing (config_print.c). */

#include <stddef.h>
#include <stdint.h>

enum exs_key_kind { KEY_TEXT, KEY_COUNT, KEY_SIZE, KEY_TIME, KEY_BOOL };

struct exs_key {
    const char *name;
    enum exs_key_kind kind;
    size_t offset; /* in struct exs_config */
    uint64_t min, max;
};

extern const struct exs_key exs_keys[];
extern const size_t exs_keys_count;
