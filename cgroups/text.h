#pragma once
/* Reading text piece by piece without copying it; for the parsers of this folder only. */

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* A piece of text; `at` moves on as it is read. */
struct piece {
    const char *at;
    const char *end;
};

/* Takes what stands before the next @sep (or the end) off @rest. False: nothing is left. */
static inline bool next_piece(struct piece *rest, char sep, struct piece *ret)
{
    if (rest->at >= rest->end)
        return false;
    const char *stop = memchr(rest->at, sep, (size_t)(rest->end - rest->at));
    *ret = (struct piece){rest->at, stop ? stop : rest->end};
    rest->at = stop ? stop + 1 : rest->end;
    return true;
}

static inline size_t piece_len(const struct piece *piece)
{
    return (size_t)(piece->end - piece->at);
}

static inline bool piece_is(const struct piece *piece, const char *word)
{
    return piece_len(piece) == strlen(word) && memcmp(piece->at, word, piece_len(piece)) == 0;
}

static inline bool piece_copy(const struct piece *piece, char *ret, size_t size)
{
    if (piece_len(piece) >= size)
        return false;
    memcpy(ret, piece->at, piece_len(piece));
    ret[piece_len(piece)] = 0;
    return true;
}
