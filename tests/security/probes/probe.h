#pragma once
/*
 * Containment probes: each tries one thing that a sandboxed program must not be able to do, and
 * says what came of it. They are one static program, so that a sandbox with nothing in it can run
 * them.
 *
 *   probe list                       the table, tab-separated, for run.py and the virtual machine
 *   probe NAME [key=value ...]       exit status 0 contained, 1 escaped or visible, 2 could not be
 * tried probe put NAME [key=value ...]   the sending party of a two-party probe; holds for hold_ms
 *   probe host DIR                   outside: sets up what probes look for, prints its key=value
 * words
 *
 * A probe that could not be tried proves nothing and counts as failed. Arguments of dangerous calls
 * are chosen so that even root outside a sandbox would change nothing (a wrong magic, a bad
 * address).
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum outcome { CONTAINED = 0, ESCAPED = 1, BROKEN = 2 };

enum probe_flags {
    /* Run outside as root it must report an escape: that it can see one is tested
       (security.control). */
    PROBE_CONTROL = 1 << 0,
    /* Leaves files behind whose collection is judged by run.py. */
    PROBE_COLLECT = 1 << 1,
    /* The kernel under test may not have what it needs; run.py says so instead of failing. Not used
       for layers. */
    PROBE_PTY = 1 << 2, /* wants a terminal */
};

struct probe {
    const char *name;  /* "fs.write-usr": category, then what */
    const char *layer; /* the layer whose absence it must notice, or NULL */
    enum outcome (*run)(void);
    enum outcome (*put)(void); /* two-party: runs in another sandbox, before or beside run() */
    const char
        *expect; /* verdicts ("A|B") of a probe that the sandbox must end; NULL: it ends itself */
    const char *limits; /* "memory=32M processes=20": the run's limits, or NULL */
    unsigned flags;
};

struct probe_table {
    const struct probe *probes;
    size_t n;
};

extern const struct probe_table fs_probes, process_probes, privilege_probes, kernel_probes,
    network_probes, covert_probes, resource_probes, collector_probes;

/* What was found, in one line on stdout. */
enum outcome contained(const char *format, ...) __attribute__((format(printf, 1, 2)));
enum outcome escaped(const char *format, ...) __attribute__((format(printf, 1, 2)));
enum outcome broken(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The value of "key=..." on the command line, or NULL. */
const char *argument(const char *key);
long argument_number(const char *key, long fallback);

/* The first @size - 1 bytes of a file as text. Return: length, or -1 with errno. */
ssize_t read_text(const char *path, char *buf, size_t size);

/* The number after "Name:" in /proc/self/status, in @base; ULLONG_MAX when there is none. */
unsigned long long status_number(const char *name, int base);

/* Runs @attempt in a child; its wait status, or -1. Nothing of the child's can hurt the probe. */
int in_child(void (*attempt)(void));

/* @error is what a refused call gives: by the filter, for want of a capability, or because nobody
 * has it. */
bool is_refusal(int error);

/* outside, host.c */
int host_serve(const char *dir);
