#include "frontgw/limits/window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint32_t at(const struct window *w, uint32_t i)
{
    return w->ring[(w->head + i) % w->cap];
}

uint32_t window_wait(struct window *w, uint32_t now, uint32_t span, uint32_t limit)
{
    /* Unsigned differences: the clock may wrap. */
    while (w->count > 0 && now - at(w, 0) >= span) {
        w->head = (w->head + 1) % w->cap;
        w->count--;
    }
    if (w->count < limit)
        return 0;
    uint32_t oldest_needed = at(w, w->count - limit);
    return span - (now - oldest_needed);
}

static int grow(struct window *w)
{
    uint32_t cap = w->cap ? 2 * w->cap : 4;
    uint32_t *ring = calloc(cap, sizeof(*ring));

    if (!ring)
        return -ENOMEM;
    for (uint32_t i = 0; i < w->count; i++)
        ring[i] = at(w, i);
    free(w->ring);
    w->ring = ring;
    w->cap = cap;
    w->head = 0;
    return 0;
}

int window_add(struct window *w, uint32_t now)
{
    if (w->count == w->cap && grow(w) < 0)
        return -ENOMEM;
    w->ring[(w->head + w->count++) % w->cap] = now;
    return 0;
}

void window_remove(struct window *w, uint32_t stamp)
{
    for (uint32_t i = w->count; i-- > 0;) {
        if (at(w, i) != stamp)
            continue;
        for (; i + 1 < w->count; i++)
            w->ring[(w->head + i) % w->cap] = at(w, i + 1);
        w->count--;
        return;
    }
}

void window_done(struct window *w)
{
    free(w->ring);
    *w = (struct window){0};
}

struct entry {
    struct entry *next;
    struct window window;
    char key[];
};

struct windows {
    struct entry **buckets;
    size_t n_buckets, n, max;
};

int windows_new(size_t keys_max, struct windows **ret)
{
    struct windows *ws = calloc(1, sizeof(*ws));

    if (ws) {
        ws->max = keys_max;
        ws->n_buckets = 4096;
        ws->buckets = calloc(ws->n_buckets, sizeof(struct entry *));
    }
    if (!ws || !ws->buckets) {
        free(ws);
        return -ENOMEM;
    }
    *ret = ws;
    return 0;
}

static void drop(struct windows *ws, struct entry **slot)
{
    struct entry *e = *slot;

    *slot = e->next;
    window_done(&e->window);
    free(e);
    ws->n--;
}

struct windows *windows_free(struct windows *ws)
{
    for (size_t i = 0; ws && i < ws->n_buckets; i++) {
        while (ws->buckets[i])
            drop(ws, &ws->buckets[i]);
    }
    if (ws)
        free(ws->buckets);
    free(ws);
    return NULL;
}

static struct entry **bucket_of(struct windows *ws, const char *key)
{
    uint64_t h = UINT64_C(14695981039346656037);

    for (; *key; key++)
        h = (h ^ (unsigned char)*key) * UINT64_C(1099511628211);
    return &ws->buckets[(h ^ h >> 32) % ws->n_buckets];
}

struct window *windows_get(struct windows *ws, const char *key)
{
    struct entry **bucket = bucket_of(ws, key);

    for (struct entry *e = *bucket; e; e = e->next) {
        if (strcmp(e->key, key) == 0)
            return &e->window;
    }
    size_t len = strlen(key) + 1;
    struct entry *e = ws->n < ws->max ? calloc(1, sizeof(*e) + len) : NULL;
    if (!e)
        return NULL;
    memcpy(e->key, key, len);
    e->next = *bucket;
    *bucket = e;
    ws->n++;
    return &e->window;
}

void windows_sweep(struct windows *ws, uint32_t now, uint32_t span)
{
    for (size_t i = 0; i < ws->n_buckets; i++) {
        for (struct entry **slot = &ws->buckets[i]; *slot;) {
            window_wait(&(*slot)->window, now, span, UINT32_MAX);
            if ((*slot)->window.count == 0)
                drop(ws, slot);
            else
                slot = &(*slot)->next;
        }
    }
}

size_t windows_count(const struct windows *ws)
{
    return ws->n;
}
