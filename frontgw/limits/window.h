#pragma once
/*
 * Sliding-window logs in memory: per key the times (u32 milliseconds) of what was allowed in the
 * last 60 seconds, in a ring that grows up to the limit. Not thread-safe: the limiter locks.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct window {
    uint32_t *ring;
    uint32_t cap, head, count; /* head: the oldest */
};

/** window_wait() - 0: one more is allowed at @now; else the milliseconds until it will be. Forgets
 * what is older than @span. */
uint32_t window_wait(struct window *w, uint32_t now, uint32_t span, uint32_t limit);
/** window_add() - after window_wait() said 0. Return: 0 or -ENOMEM. */
int window_add(struct window *w, uint32_t now);
/** window_remove() - take the newest entry of time @stamp out again; nothing if there is none. */
void window_remove(struct window *w, uint32_t stamp);
void window_done(struct window *w);

struct windows;
int windows_new(size_t keys_max, struct windows **ret);
struct windows *windows_free(struct windows *ws);
/** windows_get() - made when missing; NULL when there is no room for another key. Valid until
 * windows_sweep(). */
struct window *windows_get(struct windows *ws, const char *key);
/** windows_sweep() - drop keys without an entry younger than @span. */
void windows_sweep(struct windows *ws, uint32_t now, uint32_t span);
size_t windows_count(const struct windows *ws);
