#pragma once
/*
 * Memory that was freed goes back to the kernel, and a process that has grown too large starts
 * anew.
 *
 * glibc keeps what it is given back, in arenas of gRPC's threads above all: after a flood of calls
 * hundreds of megabytes stay resident and unused. A timer looks for that and trims. What is in use
 * is compared with memory_max: above it the service drains as after SIGTERM and ends, and its
 * supervisor starts it again; above twice as much it ends at once.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"

struct exs;

enum memory_verdict { MEMORY_FINE, MEMORY_DRAIN, MEMORY_END };

typedef void memory_fn(enum memory_verdict verdict, uint64_t resident_bytes);

struct memory_watch {
    memory_fn *on_too_much;
    struct loop_timer timer;
    uint64_t kept_bytes; /* perhaps unused and still resident after the last trim; fades */
};

struct memory_figures {
    uint64_t resident_bytes; /* without files */
    uint64_t free_bytes;     /* in glibc's arenas, resident or given back: it does not know */
};

/**
 * memory_set_up() - before there are threads: one arena for all
 * malloc_trim() gives the end of the main arena back, and of no other. Threads that allocate are
 * few here, and take turns anyway (base/loop.h).
 */
void memory_set_up(void);

/** memory_wants_trim() - much may be resident that nobody uses, and more than a trim left; @idle:
 * little is enough. Pure. */
bool memory_wants_trim(const struct memory_figures *now, uint64_t kept_bytes, bool idle);
/** memory_judge() - @max_bytes 0: no limit. Pure. */
enum memory_verdict memory_judge(const struct memory_figures *now, uint64_t max_bytes);

/** memory_watch_start() - @on_too_much: each second while it is so. */
void memory_watch_start(struct exs *exs, memory_fn *on_too_much);
