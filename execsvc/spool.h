#pragma once
/*
 * Collected files of a run that may outlive its connection: kept whole until somebody has fetched
 * them or nobody will. One memory file without a name, so that nothing is left behind however this
 * process ends. Belongs to the loop's thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "execsvc/collect.h"

struct err;

struct spool_file {
    char *path;
    size_t path_len;
    uint64_t size, at; /* its place in the memory file */
    uint8_t sha256[COLLECT_SHA256_LEN];
};

struct spool {
    int fd; /* -EBADF until the first file */
    struct spool_file *files;
    size_t n, cap;  /* whole ones */
    bool open;      /* files[n] is coming */
    uint64_t end;   /* of the last whole file */
    uint64_t names; /* bytes of all paths */
};

void spool_init(struct spool *spool);
void spool_done(struct spool *spool);

/**
 * spool_put() - the next chunk as the collector gives it
 * One with offset 0 begins a file; what came before of a file that was never ended is forgotten.
 * Return: 0, or a negative errno (no memory).
 */
int spool_put(struct spool *spool, const struct collect_chunk *chunk, struct err *err);
/** spool_trim() - nothing more comes: gives back the room of what was never ended. */
void spool_trim(struct spool *spool);

/** spool_read() - @len bytes of file @file from @offset, which are there. Return: 0 or -errno. */
int spool_read(const struct spool *spool, size_t file, uint64_t offset, void *to, size_t len,
               struct err *err);

/** spool_bytes() - what the whole files cost, names and table included. */
uint64_t spool_bytes(const struct spool *spool);
/** spool_cost() - what one more file of @size with a path of @path_len would add to that. */
uint64_t spool_cost(uint64_t size, size_t path_len);
