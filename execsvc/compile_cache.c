#include "execsvc/compile_cache.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define BUCKETS 1024

/* Who holds how much; there while it holds anything. */
struct holder {
    struct holder *next;
    uint64_t bytes, entries;
    char name[];
};

struct entry {
    struct entry *hash_next;
    struct entry *newer, *older;
    struct holder *holder;
    struct compile_key key;
    struct compiled *compiled;
};

struct compile_cache {
    uint64_t bytes_max, entries_max;
    struct compile_cache_stats stats;
    struct entry *newest, *oldest;
    struct holder *holders;
    struct entry *buckets[BUCKETS];
};

struct compiled *compiled_new(void)
{
    struct compiled *compiled = calloc(1, sizeof(*compiled));
    if (compiled)
        compiled->refs = 1;
    return compiled;
}

struct compiled *compiled_ref(struct compiled *compiled)
{
    compiled->refs++;
    return compiled;
}

struct compiled *compiled_unref(struct compiled *compiled)
{
    if (!compiled || --compiled->refs > 0)
        return NULL;
    free(compiled->artifact);
    free(compiled->text);
    free(compiled);
    return NULL;
}

static uint64_t weight(const struct compiled *compiled)
{
    return sizeof(struct entry) + sizeof(*compiled) + compiled->artifact_len + compiled->text_len;
}

int compile_cache_new(uint64_t bytes_max, uint64_t entries_max, struct compile_cache **ret,
                      struct err *err)
{
    struct compile_cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        return err_set(err, -ENOMEM, "compile cache: %m");
    cache->bytes_max = bytes_max;
    cache->entries_max = entries_max;
    *ret = cache;
    return 0;
}

/* ---- holders ---- */

static struct holder *holder_get(struct compile_cache *cache, const char *name)
{
    struct holder *holder = cache->holders;
    while (holder && strcmp(holder->name, name) != 0)
        holder = holder->next;
    if (holder)
        return holder;
    size_t len = strlen(name);
    holder = calloc(1, sizeof(*holder) + len + 1);
    if (!holder)
        return NULL;
    memcpy(holder->name, name, len);
    holder->next = cache->holders;
    cache->holders = holder;
    return holder;
}

static void holder_leave(struct compile_cache *cache, struct holder *holder)
{
    struct holder **at = &cache->holders;
    if (holder->entries > 0)
        return;
    while (*at != holder)
        at = &(*at)->next;
    *at = holder->next;
    free(holder);
}

static const struct holder *holder_of_most(const struct compile_cache *cache)
{
    const struct holder *most = cache->holders;
    for (const struct holder *h = most; h; h = h->next)
        if (h->bytes > most->bytes)
            most = h;
    return most;
}

/* ---- entries ---- */

/* The key is a hash: any part of it is evenly spread. */
static struct entry **bucket_of(struct compile_cache *cache, const struct compile_key *key)
{
    uint32_t at;
    memcpy(&at, key->sha256, sizeof(at));
    return &cache->buckets[at % BUCKETS];
}

static void age_in(struct compile_cache *cache, struct entry *entry)
{
    entry->newer = NULL;
    entry->older = cache->newest;
    *(cache->newest ? &cache->newest->newer : &cache->oldest) = entry;
    cache->newest = entry;
}

static void age_out(struct compile_cache *cache, struct entry *entry)
{
    *(entry->newer ? &entry->newer->older : &cache->newest) = entry->older;
    *(entry->older ? &entry->older->newer : &cache->oldest) = entry->newer;
}

static struct entry *entry_find(struct compile_cache *cache, const struct compile_key *key)
{
    struct entry *entry = *bucket_of(cache, key);
    while (entry && memcmp(&entry->key, key, sizeof(*key)) != 0)
        entry = entry->hash_next;
    return entry;
}

static void entry_drop(struct compile_cache *cache, struct entry *entry)
{
    struct entry **at = bucket_of(cache, &entry->key);
    uint64_t bytes = weight(entry->compiled);
    while (*at != entry)
        at = &(*at)->hash_next;
    *at = entry->hash_next;
    age_out(cache, entry);
    cache->stats.bytes -= bytes;
    cache->stats.entries--;
    entry->holder->bytes -= bytes;
    entry->holder->entries--;
    holder_leave(cache, entry->holder);
    compiled_unref(entry->compiled);
    free(entry);
}

static void evict_one(struct compile_cache *cache)
{
    const struct holder *most = holder_of_most(cache);
    struct entry *entry = cache->oldest;
    while (entry->holder != most)
        entry = entry->newer;
    entry_drop(cache, entry);
    cache->stats.evicted++;
}

struct compile_cache *compile_cache_free(struct compile_cache *cache)
{
    while (cache && cache->oldest)
        entry_drop(cache, cache->oldest);
    free(cache);
    return NULL;
}

struct compiled *compile_cache_find(struct compile_cache *cache, const struct compile_key *key)
{
    struct entry *entry = entry_find(cache, key);
    if (!entry) {
        cache->stats.misses++;
        return NULL;
    }
    cache->stats.hits++;
    age_out(cache, entry);
    age_in(cache, entry);
    return compiled_ref(entry->compiled);
}

static bool fits(const struct compile_cache *cache, uint64_t more_bytes)
{
    return cache->stats.bytes + more_bytes <= cache->bytes_max &&
           cache->stats.entries < cache->entries_max;
}

void compile_cache_put(struct compile_cache *cache, const struct compile_key *key,
                       const char *tenant, struct compiled *compiled)
{
    uint64_t bytes = weight(compiled);
    if (bytes > cache->bytes_max / 4 || cache->entries_max == 0 || entry_find(cache, key))
        return;
    while (!fits(cache, bytes))
        evict_one(cache);
    struct entry *entry = calloc(1, sizeof(*entry));
    struct holder *holder = entry ? holder_get(cache, tenant) : NULL;
    if (!holder) {
        free(entry);
        return;
    }
    struct entry **bucket = bucket_of(cache, key);
    *entry = (struct entry){.hash_next = *bucket,
                            .holder = holder,
                            .key = *key,
                            .compiled = compiled_ref(compiled)};
    *bucket = entry;
    age_in(cache, entry);
    cache->stats.bytes += bytes;
    cache->stats.entries++;
    holder->bytes += bytes;
    holder->entries++;
}

void compile_cache_stats(const struct compile_cache *cache, struct compile_cache_stats *ret)
{
    *ret = cache->stats;
}
