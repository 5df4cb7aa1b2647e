#pragma once
/* The page of `cloister top` as text, and an update as a line of JSON. Pure. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <cloister/exec/v1/exec.pb-c.h>

struct err;
struct top_figures;

struct top_page {
    FILE *out;
    bool screen;         /* a terminal: lines are cut to fit, and end what was there before */
    uint32_t rows, cols; /* of the screen */
};

/** top_view_print() - the newest figures; @info: what the node said of itself. */
void top_view_print(const struct top_page *page, const Cloister__Exec__V1__NodeInfo *info,
                    const struct top_figures *figures);

/** top_json_print() - one object and a newline. Return: 0 or a negative errno. */
int top_json_print(FILE *out, const Cloister__Exec__V1__NodeInfo *info,
                   const struct top_figures *figures, struct err *err);
