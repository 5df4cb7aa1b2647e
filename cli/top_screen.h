#pragma once
/* A page that stays: the terminal's other screen, keys without Enter, everything given back at the
 * end. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <termios.h>

struct err;

struct top_screen {
    bool open, keys; /* keys: stdin is a terminal too */
    struct termios before;
};

/** top_screen_open() - stdout is a terminal. */
int top_screen_open(struct top_screen *screen, struct err *err);
/** top_screen_close() - as it was before; safe at any time, any number of times. */
void top_screen_close(struct top_screen *screen);

/** top_screen_size() - of stdout; 24 x 80 when it does not say. */
void top_screen_size(uint32_t *ret_rows, uint32_t *ret_cols);
/** top_screen_draw() - @text from the upper left corner on. Return: 0 or a negative errno. */
int top_screen_draw(const char *text, size_t len);
