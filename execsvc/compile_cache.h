#pragma once
/*
 * What compile steps have made, by all that went into them: a second run of the same program skips
 * the step.
 *
 * Theory of operation. The key is a SHA-256 over the tenant, the runtime and the version that its
 * probe reported, the command line, the environment, and every input file (compile_key.h). What
 * a step made is taken in by the service itself, under the key that the service has computed before
 * the step began: no run can name a key or write here, and no tenant can reach what another's step
 * has made. The bytes are a student's: nobody looks into them, and nothing but another
 * sandbox of the same tenant executes them. They are kept in memory only, so that nothing outlives
 * a restart: who changes a compiler below a running service restarts it.
 *
 * Bounded by bytes and entries. What is too much goes by age, from the tenant that holds the most:
 * who compiles much pushes out his own.
 *
 * Pure bookkeeping: no clock, no descriptors; belongs to the loop's thread.
 */

#include <stddef.h>
#include <stdint.h>

struct compile_cache;
struct err;

#define COMPILE_KEY_LEN 32

struct compile_key {
    uint8_t sha256[COMPILE_KEY_LEN];
};

/* What a step made. Shared by reference count: an entry may go while a run still uses it. */
struct compiled {
    size_t refs;
    uint8_t *artifact; /* owned */
    size_t artifact_len;
    uint8_t *text; /* owned: what the compiler said */
    size_t text_len;
};

struct compile_cache_stats {
    uint64_t hits, misses, evicted;
    uint64_t bytes, entries; /* now */
};

/** compiled_new() - empty, with one reference. NULL: no memory. */
struct compiled *compiled_new(void);
struct compiled *compiled_ref(struct compiled *compiled);
/** compiled_unref() - NULL is fine. Return: NULL. */
struct compiled *compiled_unref(struct compiled *compiled);

/** compile_cache_new() - @bytes_max 0: keeps nothing, every look-up misses */
int compile_cache_new(uint64_t bytes_max, uint64_t entries_max, struct compile_cache **ret,
                      struct err *err);
struct compile_cache *compile_cache_free(struct compile_cache *cache);

/** compile_cache_find() - Return: a reference of the caller's own, or NULL. Counted as hit or miss.
 */
struct compiled *compile_cache_find(struct compile_cache *cache, const struct compile_key *key);

/**
 * compile_cache_put() - takes a reference of its own; must not be changed any more
 * Left out in silence: what takes more than a quarter of the cache, what is there already, and
 * anything when there is no memory.
 */
void compile_cache_put(struct compile_cache *cache, const struct compile_key *key,
                       const char *tenant, struct compiled *compiled);

void compile_cache_stats(const struct compile_cache *cache, struct compile_cache_stats *ret);
