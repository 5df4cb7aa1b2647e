#pragma once
/* "Did you mean ...?": of the names that there are, the one nearest to what somebody wrote. */

#include <stddef.h>

#define HINT_WORD_MAX 63
#define HINT_SIZE     96

/* Zero it but for @word, offer every name there is, then ask. All texts are borrowed. */
struct hint {
    const char *word;
    const char *best;
    size_t distance; /* of @best; its value does not count while @best is NULL */
};

/** hint_offer() - a name that could have been meant. */
void hint_offer(struct hint *hint, const char *name);
void hint_offer_all(struct hint *hint, const char *const *names, size_t n);

/** hint_text() - ". Did you mean 'x'?", or "" when nothing is near. Return: @buf. */
const char *hint_text(const struct hint *hint, char buf[HINT_SIZE]);
