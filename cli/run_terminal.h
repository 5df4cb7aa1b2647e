#pragma once
/* The caller's own terminal while the program has one: raw, and given back as it was. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <termios.h>

struct err;

struct run_terminal {
    bool raw;
    struct termios before;
    bool at_line_start, tilde; /* for the escape "~." */
};

/** run_terminal_size() - of the terminal on stdin; 24 x 80 when it does not say. */
void run_terminal_size(uint32_t *ret_rows, uint32_t *ret_cols);
/** run_terminal_raw() - from now on every key goes to the program. -ENOTTY without a terminal on
 * stdin. */
int run_terminal_raw(struct run_terminal *terminal, struct err *err);
/** run_terminal_restore() - safe at any time, any number of times. */
void run_terminal_restore(struct run_terminal *terminal);

/**
 * run_terminal_escape() - looks for Enter ~ . in what was typed, as ssh does
 * @out: room for @len + 1 bytes; gets what is to be sent ("~~" is one tilde)
 *
 * Return: how many bytes that is, or -1: end the run.
 */
ssize_t run_terminal_escape(struct run_terminal *terminal, const char *typed, size_t len,
                            char *out);
