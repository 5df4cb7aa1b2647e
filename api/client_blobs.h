#pragma once
/* Files that are too large for a request: put once, then named by their hash. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/model.h"
#include "api/rpc_status.h"

struct client;
struct err;

/** client_blob_hash() - SHA-256 of the file open at @fd, from its beginning to its end */
int client_blob_hash(int fd, uint8_t sha256[MODEL_SHA256], uint64_t *ret_size, struct err *err);

/**
 * client_blobs_missing() - which of @n names (at most 4096) have to be put: @ret_missing[i]
 * Waits. Return: 0, or a negative errno with @status.
 */
int client_blobs_missing(struct client *client, const uint8_t *const *names, size_t n,
                         bool *ret_missing, struct rpc_status *status);

struct client_blob {
    const uint8_t *sha256;
    uint64_t size;
    int fd;                  /* a file that can be read at any offset; borrowed */
    bool (*stop)(void *arg); /* asked several times a second: give up? NULL: never */
    void *arg;
};

/** client_blob_put() - waits until it is stored. Return: 0, or a negative errno with @status. */
int client_blob_put(struct client *client, const struct client_blob *blob,
                    struct rpc_status *status);
