#pragma once
/* Which versions of a file may go. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct thin_version {
    uint64_t created_ms;
    bool pinned; /* run, submit, restore, or labelled by its owner */
    bool drop;   /* answer */
};

/**
 * thin_select() - mark what to drop
 * @versions: of one file, oldest first
 *
 * Everything younger than an hour stays; then the newest of every ten minutes; after a day the
 * newest of every day. The first and the last version and every pinned one stay for ever. Doing it
 * twice drops nothing more than doing it once at the later time. Return: how many are marked.
 */
size_t thin_select(struct thin_version *versions, size_t n, uint64_t now_ms);
