#pragma once
/*
 * limit_program: what a row of the verdict table runs inside a sandbox. Its arguments are steps,
 * done one after the other: `limit_program fork malloc:64M end wait exit:3`.
 *
 *   fork[:N] ... end     N children do the steps up to `end`, and end with status 0; main goes on
 *   vfork-exec           a child that ends at once, made as posix_spawn() makes it
 *   daemon ... end       the same in a grandchild with a session of its own
 *   thread[:N] ... end   the same in threads
 *   wait, wait-all       for one child, for all of them
 *
 * A step that must meet a limit ("write until EFBIG") and does not ends the program with status 99
 * and says why.
 */

#include <stddef.h>
#include <stdint.h>

struct step {
    const char *name;
    void (*run)(const char *arg); /* "" if there is none */
};

extern const struct step end_steps[], use_steps[], file_steps[], policy_steps[];

/** unmet() - the program could do what it must not be able to, or failed otherwise. */
__attribute__((noreturn, format(printf, 1, 2))) void unmet(const char *format, ...);
/** number() - "64", "64K", "64M" */
uint64_t number(const char *text);
