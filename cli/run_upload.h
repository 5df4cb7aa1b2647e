#pragma once
/* Files that are too large for the request go ahead of it, as far as the service has not got them.
 */

#include <stddef.h>
#include <stdint.h>

#include "cli/run_files.h"

struct client;
struct rpc_status;

struct run_upload {
    const struct run_files *files;
    struct client *client;
    /* What has to be sent, before it is; may be NULL. */
    void (*tell)(void *arg, size_t n_files, uint64_t bytes);
    void *arg;
};

/**
 * run_upload() - waits; SIGINT, SIGTERM and SIGHUP (blocked by the caller) end it
 * Return: 0 (nothing to do as well), or a negative errno with @status.
 */
int run_upload(const struct run_upload *upload, struct rpc_status *status);
