#pragma once
/*
 * What comes back from a sandbox, as chunks for the client: the caller's patterns and caps,
 * SHA-256, pieces of at most 64 KiB, and the two lists that the result carries. A file's last chunk
 * is held back until the next record shows that the file was not broken. The loop's thread owns it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "execsvc/files_out.h"

#define COLLECT_CHUNK_MAX   ((size_t)64 * 1024)
#define COLLECT_SHA256_LEN  32
#define COLLECT_LISTED_MAX  ((size_t)1024 * 1024) /* bytes of all names in the result together */
#define COLLECT_SKIPPED_MAX 256                   /* entries; the rest is a number */

struct err;
struct collect;

struct collect_bytes {
    const void *data;
    size_t len;
};

struct collect_rules {
    const struct collect_bytes *patterns; /* borrowed as long as the collector lives; none: all */
    size_t n_patterns;
    uint32_t max_files;
    uint64_t max_bytes;
    /* Is there room to keep a file of this size? NULL: always. */
    bool (*room)(void *arg, uint64_t size, size_t path_len);
    void *room_arg;
};

struct collect_file {
    char *path; /* NUL-terminated; may hold any other byte but `/` between parts */
    size_t path_len;
    uint64_t size;
    uint8_t sha256[COLLECT_SHA256_LEN];
};

struct collect_skipped {
    char *path;
    size_t path_len;
    uint64_t size;
    const char *reason; /* static */
};

struct collect_list {
    const struct collect_file *files;
    size_t n_files;
    const struct collect_skipped *skipped;
    size_t n_skipped;
    uint64_t n_skipped_more; /* not listed */
    bool incomplete;         /* collecting stopped early */
};

enum collect_step {
    COLLECT_MORE, /* all input is used up */
    COLLECT_CHUNK,
    COLLECT_END,
};

struct collect_chunk {
    const char *path;
    size_t path_len;
    uint64_t offset, size;
    const uint8_t *data;
    size_t len;
    bool last;
    const uint8_t *sha256; /* with last */
};

int collect_new(const struct collect_rules *rules, struct collect **ret, struct err *err);
struct collect *collect_free(struct collect *collect);

/**
 * collect_next() - the next step from *@at; both are moved past what was used
 * @ret_chunk: with COLLECT_CHUNK; borrowed until the next call
 * Return: an enum collect_step, -EPROTO, -ENOMEM, or what the sandbox's helper reports as its own
 * fault.
 */
int collect_next(struct collect *collect, const uint8_t **at, size_t *left,
                 struct collect_chunk *ret_chunk, struct err *err);

/**
 * collect_stop() - no more comes. If the stream was not at its end, or the helper said that it had
 * to give up, the list of what was skipped says so. Call once.
 */
void collect_stop(struct collect *collect);

/** collect_list() - what came and what did not, so far; borrowed. */
void collect_list(const struct collect *collect, struct collect_list *ret);

/** collect_match() - shell pattern: `*` and `?` do not cross a `/`, no other character is special.
 */
bool collect_match(const char *pattern, size_t pattern_len, const char *text, size_t text_len);
