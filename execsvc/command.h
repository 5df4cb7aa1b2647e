#pragma once
/*
 * Command templates: words separated by blanks, "double quotes" around a word with blanks (a
 * backslash before `"` or `\` there), and placeholders:
 *   {entry}     path of the file to start, relative to the workspace
 *   {args}      a word of its own: the caller's arguments, one word each
 *   {sources}   a word of its own: the entry and every other file with the runtime's extension
 *   {output}    path of what the compile step makes
 * No shell is involved. All memory comes from the arena that is passed in. Pure.
 */

#include <stddef.h>

struct arena;
struct err;

struct words {
    const char *const *v; /* NULL-terminated */
    size_t n;
};

struct command_values {
    const char *entry, *output;
    struct words args, sources;
};

/** words_split() - return: 0, -EINVAL with words, -ENOMEM. */
int words_split(const char *text, struct arena *arena, struct words *ret, struct err *err);

/** words_join() - the text that words_split() makes the same words of; NULL without memory. */
const char *words_join(const struct words *words, struct arena *arena);

/** command_check() - every placeholder is known, {args} and {sources} stand alone, the first word
 * is an absolute path. */
int command_check(const struct words *template, struct err *err);

/** command_has() - @placeholder ("{args}") occurs. */
int command_has(const struct words *template, const char *placeholder);

/** command_fill() - the argv. Return: 0 or -ENOMEM. */
int command_fill(const struct words *template, const struct command_values *values,
                 struct arena *arena, struct words *ret, struct err *err);

/** command_path() - @path as a command line takes it: "./" before one that begins with '-'. */
const char *command_path(const char *path, struct arena *arena);
