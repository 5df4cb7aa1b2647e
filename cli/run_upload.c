#include "cli/run_upload.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/client_blobs.h"
#include "base/cleanup.h"

static bool is_signalled(void *arg)
{
    sigset_t pending;
    (void)arg;
    return sigpending(&pending) == 0 &&
           (sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1 ||
            sigismember(&pending, SIGHUP) == 1);
}

static int put_one(const struct run_upload *upload, size_t index, struct rpc_status *status)
{
    const struct model_file *file = &upload->files->list[index];
    const char *host = upload->files->hosts[index];
    AUTO_CLOSE int fd = open(host, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        int code = -errno;
        rpc_status_set(status, RPC_ABORTED, NULL, "%s: %s", host, strerror(-code));
        return code;
    }
    const struct client_blob blob = {.sha256 = file->sha256,
                                     .size = file->size,
                                     .fd = fd,
                                     .stop = is_signalled};
    int rc = client_blob_put(upload->client, &blob, status);
    if (rc < 0 && strcmp(status->reason, "BLOB_MISMATCH") == 0)
        rpc_status_set(status, RPC_ABORTED, NULL, "%s changed while it was read", host);
    return rc;
}

/* The same content under two names is sent once. */
static bool is_first(const struct run_files *files, const size_t *indices, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (memcmp(files->list[indices[i]].sha256, files->list[indices[at]].sha256, MODEL_SHA256) ==
            0)
            return false;
    return true;
}

static int put_missing(const struct run_upload *upload, const size_t *indices, const bool *missing,
                       size_t n, struct rpc_status *status)
{
    size_t n_files = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        if (!missing[i])
            continue;
        n_files++;
        bytes += upload->files->list[indices[i]].size;
    }
    if (n_files > 0 && upload->tell)
        upload->tell(upload->arg, n_files, bytes);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (missing[i])
            rc = put_one(upload, indices[i], status);
    return rc;
}

int run_upload(const struct run_upload *upload, struct rpc_status *status)
{
    const struct run_files *files = upload->files;
    if (files->n_blobs == 0)
        return 0;
    AUTO_FREE size_t *indices = calloc(files->n_blobs, sizeof(*indices));
    AUTO_FREE const uint8_t **names = calloc(files->n_blobs, sizeof(*names));
    AUTO_FREE bool *missing = calloc(files->n_blobs, sizeof(*missing));
    if (!indices || !names || !missing) {
        rpc_status_set(status, RPC_INTERNAL, NULL, "no memory for %zu files", files->n_blobs);
        return -ENOMEM;
    }
    size_t n = 0;
    for (size_t i = 0; i < files->n; i++) {
        if (!files->list[i].sha256)
            continue;
        indices[n] = i;
        if (!is_first(files, indices, n))
            continue;
        names[n++] = files->list[i].sha256;
    }
    if (n > MODEL_FILES_MAX) {
        rpc_status_set(status, RPC_INVALID_ARGUMENT, NULL, "more than %d files", MODEL_FILES_MAX);
        return -EINVAL;
    }
    int rc = client_blobs_missing(upload->client, names, n, missing, status);
    return rc < 0 ? rc : put_missing(upload, indices, missing, n, status);
}
