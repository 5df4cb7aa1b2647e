#include "api/client_blobs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cloister/exec/v1/exec.pb-c.h>
#include <openssl/evp.h>

#include "api/client.h"
#include "api/client_internal.h"
#include "api/rpc_client.h"
#include "api/rpc_cq.h"
#include "base/err.h"

#define CHUNK         ((size_t)512 << 10)
#define MISSING_CAP   ((size_t)4 << 20)
#define MISSING_MS    30000u
#define STOP_EVERY_MS 200

int client_blob_hash(int fd, uint8_t sha256[MODEL_SHA256], uint64_t *ret_size, struct err *err)
{
    AUTO_FREE uint8_t *chunk = malloc(CHUNK);
    EVP_MD_CTX *sha = EVP_MD_CTX_new();
    bool good = chunk && sha && EVP_DigestInit_ex(sha, EVP_sha256(), NULL);
    uint64_t size = 0;
    ssize_t n = 0;
    while (good && (n = pread(fd, chunk, CHUNK, (off_t)size)) > 0) {
        good = EVP_DigestUpdate(sha, chunk, (size_t)n);
        size += (uint64_t)n;
    }
    int rc = n < 0 ? err_set(err, -errno, "read: %m") : 0;
    if (rc == 0 && !(good && EVP_DigestFinal_ex(sha, sha256, NULL)))
        rc = err_set(err, -ENOMEM, "SHA-256 can't be computed");
    EVP_MD_CTX_free(sha);
    *ret_size = size;
    return rc;
}

/* ---- Missing ------------------------------------------------------------------------------ */

static bool is_among(const Cloister__Exec__V1__MissingResponse *reply, const uint8_t *name)
{
    for (size_t i = 0; i < reply->n_sha256; i++) {
        if (reply->sha256[i].len == MODEL_SHA256 &&
            memcmp(reply->sha256[i].data, name, MODEL_SHA256) == 0)
            return true;
    }
    return false;
}

int client_blobs_missing(struct client *client, const uint8_t *const *names, size_t n,
                         bool *ret_missing, struct rpc_status *status)
{
    AUTO_ARENA struct arena arena;
    arena_init(&arena, MISSING_CAP);
    Cloister__Exec__V1__MissingRequest request = CLOISTER__EXEC__V1__MISSING_REQUEST__INIT;
    ProtobufCBinaryData bytes;
    request.n_sha256 = n;
    request.sha256 = arena_zalloc(&arena, n, sizeof(*request.sha256));
    if (!request.sha256) {
        rpc_status_set(status, RPC_INTERNAL, NULL, "no memory to ask for %zu files", n);
        return -ENOMEM;
    }
    for (size_t i = 0; i < n; i++)
        request.sha256[i] =
            (ProtobufCBinaryData){.len = MODEL_SHA256, .data = (uint8_t *)(uintptr_t)names[i]};
    int rc = client_call(client, "/cloister.exec.v1.Blobs/Missing", &request.base, MISSING_MS,
                         &arena, &bytes, status);
    if (rc < 0)
        return rc;
    const Cloister__Exec__V1__MissingResponse *reply =
        cloister__exec__v1__missing_response__unpack(&arena.allocator, bytes.len, bytes.data);
    if (!reply) {
        rpc_status_set(status, RPC_INTERNAL, "BAD_REPLY", "the service's answer cannot be read");
        return -EBADMSG;
    }
    for (size_t i = 0; i < n; i++)
        ret_missing[i] = is_among(reply, names[i]);
    return 0;
}

/* ---- Put ---------------------------------------------------------------------------------- */

struct put {
    const struct client_blob *blob;
    uint64_t sent;
    uint8_t *chunk;
    bool broken, stored, done; /* broken: the file could not be read as it was before */
    struct rpc_status status;
};

/* The next piece of the file into @message. */
static bool fill(struct put *put, Cloister__Exec__V1__PutRequest *message)
{
    uint64_t left = put->blob->size - put->sent;
    size_t want = left < CHUNK ? (size_t)left : CHUNK;
    ssize_t n = want ? pread(put->blob->fd, put->chunk, want, (off_t)put->sent) : 0;
    put->broken = n < 0 || (size_t)n != want;
    message->data = (ProtobufCBinaryData){.len = want, .data = put->chunk};
    put->sent += want;
    return !put->broken;
}

static void on_writable(struct rpc_client_call *call)
{
    struct put *put = rpc_client_user(call);
    Cloister__Exec__V1__PutRequest message = CLOISTER__EXEC__V1__PUT_REQUEST__INIT;
    if (!rpc_client_writable(call))
        return;
    if (put->sent == put->blob->size)
        rpc_client_half_close(call);
    else if (fill(put, &message))
        (void)rpc_client_send(call, &message.base); /* -EPIPE: its end will be told */
    else
        rpc_client_cancel(call);
}

static void on_message(struct rpc_client_call *call, const uint8_t *bytes, size_t len)
{
    struct put *put = rpc_client_user(call);
    (void)bytes, (void)len;
    put->stored = true; /* whether it was there before makes no difference */
    rpc_client_read(call);
}

static void on_end(struct rpc_client_call *call, const struct rpc_status *status)
{
    struct put *put = rpc_client_user(call);
    put->status = *status;
    put->done = true;
}

static const struct rpc_client_events put_events = {.on_message = on_message,
                                                    .on_writable = on_writable,
                                                    .on_end = on_end};

static void wait_for_end(struct client *client, struct rpc_client_call *call, struct put *put)
{
    const struct client_blob *blob = put->blob;
    while (!put->done) {
        rpc_cq_wait(client->cq, blob->stop ? STOP_EVERY_MS : -1);
        if (!put->done && blob->stop && blob->stop(blob->arg))
            rpc_client_cancel(call);
    }
}

static int begin(struct client *client, struct put *put, struct rpc_client_call **ret,
                 struct err *err)
{
    Cloister__Exec__V1__PutRequest message = CLOISTER__EXEC__V1__PUT_REQUEST__INIT;
    message.sha256 =
        (ProtobufCBinaryData){.len = MODEL_SHA256, .data = (uint8_t *)(uintptr_t)put->blob->sha256};
    message.size = put->blob->size;
    if (!fill(put, &message))
        return err_set(err, -EIO, "the file changed while it was read");
    struct rpc_client_options options = {.path = "/cloister.exec.v1.Blobs/Put",
                                         .headers = client->headers,
                                         .n_headers = client->n_headers,
                                         .first = &message.base,
                                         .events = &put_events,
                                         .user = put};
    return rpc_client_call_new(client->channel, &options, ret, err);
}

int client_blob_put(struct client *client, const struct client_blob *blob,
                    struct rpc_status *status)
{
    struct rpc_client_call *call;
    struct err err = {0};
    AUTO_FREE uint8_t *chunk = malloc(CHUNK);
    struct put put = {.blob = blob, .chunk = chunk};
    int rc = chunk ? begin(client, &put, &call, &err) : err_set(&err, -ENOMEM, "put: %m");
    if (rc < 0) {
        rpc_status_of_fault(&err, status);
        return rc;
    }
    rpc_client_read(call);
    wait_for_end(client, call, &put);
    *status = put.status;
    if (put.broken)
        rpc_status_set(status, RPC_ABORTED, NULL, "the file changed while it was read");
    else if (put.status.code == RPC_OK && !put.stored)
        rpc_status_set(status, RPC_DATA_LOSS, "NO_REPLY", "the reply is missing");
    return status->code == RPC_OK ? 0 : -EREMOTEIO;
}
