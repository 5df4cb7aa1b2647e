#include "base/hint.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static size_t least(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* '-' and '_' are the same to who mistakes them. */
static int folded(char c)
{
    return c == '_' ? '-' : tolower((unsigned char)c);
}

/* Insertions, deletions, changes and swaps of neighbours (optimal string alignment): three rows of
 * the table are alive at a time. Both are at most HINT_WORD_MAX long. */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][HINT_WORD_MAX + 1], n = strlen(b);
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= n; j++)
        above[j] = before[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t change = folded(a[i - 1]) != folded(b[j - 1]);
            row[j] = least(above[j] + 1, row[j - 1] + 1, above[j - 1] + change);
            if (i > 1 && j > 1 && folded(a[i - 1]) == folded(b[j - 2]) &&
                folded(a[i - 2]) == folded(b[j - 1]))
                row[j] = least(row[j], before[j - 2] + 1, row[j]);
        }
        size_t *free_row = before;
        before = above;
        above = row;
        row = free_row;
    }
    return above[n];
}

void hint_offer(struct hint *hint, const char *name)
{
    if (strlen(hint->word) > HINT_WORD_MAX || strlen(name) > HINT_WORD_MAX)
        return;
    size_t d = distance(hint->word, name);
    if (hint->best && d >= hint->distance)
        return;
    hint->best = name;
    hint->distance = d;
}

void hint_offer_all(struct hint *hint, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hint_offer(hint, names[i]);
}

/* Up to a third of the word may be wrong: beyond it the hint is a guess. */
const char *hint_text(const struct hint *hint, char buf[HINT_SIZE])
{
    buf[0] = '\0';
    if (hint->best && hint->distance <= (strlen(hint->word) + 1) / 3)
        snprintf(buf, HINT_SIZE, ". Did you mean '%s'?", hint->best);
    return buf;
}
