/* Blobs.Missing and Blobs.Put. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cloister/exec/v1/exec.pb-c.h>

#include "api/arena.h"
#include "api/model.h"
#include "api/rpc_server.h"
#include "base/clock.h"
#include "base/err.h"
#include "execsvc/blob_store.h"
#include "execsvc/exs.h"
#include "execsvc/identity.h"
#include "execsvc/services.h"

#define MISSING_MAX   4096
#define MESSAGE_ARENA ((size_t)256 * 1024)
#define FULL_RETRY_MS 1000

typedef Cloister__Exec__V1__PutRequest put_msg;

struct blob_call {
    struct exs *exs;
    struct rpc_call *call;
    char tenant[TENANT_SIZE];

    /* Put */
    struct blob_put *put; /* NULL until the first message */
    uint64_t size;
    struct loop_timer stall; /* while we wait for the client */
};

/* ---- every call ---- */

static void refuse(struct rpc_call *call, const char *field, const char *words)
{
    struct rpc_status status;
    rpc_status_set(&status, RPC_INVALID_ARGUMENT, "BAD_REQUEST", "%s: %s", field, words);
    rpc_status_field(&status, "%s", field);
    rpc_call_finish(call, &status);
}

void service_blobs_off(const struct exs *exs, struct rpc_status *status)
{
    rpc_status_set(status, RPC_UNIMPLEMENTED, "BLOBS_NOT_OFFERED",
                   "this node takes no blobs: %s; send files inline, 1 MiB together",
                   exs->blobs_fault.text);
}

static bool may_begin(struct blob_call *b, struct rpc_status *status)
{
    const struct exs *exs = b->exs;
    if (!exs->blobs) {
        service_blobs_off(exs, status);
    } else if (exs->draining) {
        rpc_status_set(status, RPC_UNAVAILABLE, "DRAINING",
                       "the service is being shut down: try again");
        status->retry_ms = 1000;
    } else {
        return identity_tenant(exs->config, b->call, b->tenant, status) == 0;
    }
    return false;
}

static struct blob_call *open_call(struct rpc_call *call, struct exs *exs)
{
    struct rpc_status status;
    struct blob_call *b = calloc(1, sizeof(*b));
    if (!b) {
        rpc_call_finish_code(call, RPC_RESOURCE_EXHAUSTED, "no memory for the call");
        return NULL;
    }
    b->exs = exs;
    b->call = call;
    rpc_call_set_user(call, b);
    if (may_begin(b, &status))
        return b;
    rpc_call_finish(call, &status);
    return NULL;
}

static void on_close(struct rpc_call *call, bool cancelled)
{
    (void)cancelled;
    struct blob_call *b = rpc_call_user(call);
    if (!b)
        return;
    loop_timer_cancel(&b->stall);
    blob_put_free(b->put);
    free(b);
}

static void answer(struct rpc_call *call, const ProtobufCMessage *reply)
{
    const struct rpc_status ok = {.code = RPC_OK};
    if (rpc_call_send_last(call, reply, &ok) < 0)
        rpc_call_finish_code(call, RPC_INTERNAL, "the answer could not be sent");
}

/* ---- Missing ---- */

static void on_missing_start(struct rpc_call *call, void *arg)
{
    open_call(call, arg);
}

static void find_missing(struct blob_call *b, const Cloister__Exec__V1__MissingRequest *request)
{
    Cloister__Exec__V1__MissingResponse reply = CLOISTER__EXEC__V1__MISSING_RESPONSE__INIT;
    for (size_t i = 0; i < request->n_sha256; i++) {
        if (request->sha256[i].len == MODEL_SHA256)
            continue;
        char field[RPC_FIELD_MAX];
        snprintf(field, sizeof(field), "sha256[%zu]", i);
        refuse(b->call, field, "is not of 32 bytes");
        return;
    }
    ProtobufCBinaryData *missing = calloc(request->n_sha256, sizeof(*missing));
    if (!missing) {
        rpc_call_finish_code(b->call, RPC_RESOURCE_EXHAUSTED, "no memory for the answer");
        return;
    }
    reply.sha256 = missing;
    for (size_t i = 0; i < request->n_sha256; i++) {
        struct blob_key key;
        blob_store_key(b->tenant, request->sha256[i].data, &key);
        if (!blob_store_has(b->exs->blobs, &key))
            missing[reply.n_sha256++] = request->sha256[i];
    }
    answer(b->call, &reply.base);
    free(missing);
}

static void on_missing_message(struct rpc_call *call, const uint8_t *bytes, size_t len)
{
    struct blob_call *b = rpc_call_user(call);
    AUTO_ARENA struct arena arena;
    arena_init(&arena, arena_cap_for(len) + MESSAGE_ARENA);
    Cloister__Exec__V1__MissingRequest *request =
        cloister__exec__v1__missing_request__unpack(&arena.allocator, len, bytes);
    if (!request)
        refuse(call, "sha256", "not a MissingRequest, or one of too many parts");
    else if (request->n_sha256 < 1 || request->n_sha256 > MISSING_MAX)
        refuse(call, "sha256", "1 to 4096 names");
    else
        find_missing(b, request);
}

/* ---- Put ---- */

static void on_stall(struct loop_timer *timer)
{
    struct blob_call *b = container_of(timer, struct blob_call, stall);
    struct rpc_status status;
    rpc_status_set(&status, RPC_DEADLINE_EXCEEDED, "STALLED",
                   "nothing more has come for %lu s: a put holds room in the cache",
                   (unsigned long)(b->exs->config->stall_ms / 1000));
    rpc_call_finish(b->call, &status);
}

static void read_next(struct blob_call *b)
{
    loop_timer_set(b->exs->loop, &b->stall, clock_us() + b->exs->config->stall_ms * 1000, on_stall);
    rpc_call_read(b->call);
}

static void on_put_start(struct rpc_call *call, void *arg)
{
    struct blob_call *b = open_call(call, arg);
    if (b)
        read_next(b);
}

static void fail(struct blob_call *b, const struct err *err)
{
    struct rpc_status status;
    rpc_status_of_fault(err, &status);
    if (status.code != RPC_RESOURCE_EXHAUSTED)
        rpc_status_set(&status, RPC_INTERNAL, "CACHE_FAULT", "%s", err->text);
    rpc_call_finish(b->call, &status);
}

static void on_written(void *arg, int result, const struct err *err)
{
    struct blob_call *b = arg;
    if (result == 0)
        read_next(b);
    else
        fail(b, err);
}

static void refuse_mismatch(struct blob_call *b, const char *words)
{
    struct rpc_status status;
    rpc_status_set(&status, RPC_INVALID_ARGUMENT, "BLOB_MISMATCH", "data: %s", words);
    rpc_status_field(&status, "data");
    rpc_call_finish(b->call, &status);
}

static void stored(struct blob_call *b, bool existed)
{
    Cloister__Exec__V1__PutResponse reply = CLOISTER__EXEC__V1__PUT_RESPONSE__INIT;
    reply.existed = existed;
    answer(b->call, &reply.base);
}

static void on_finished(void *arg, int result, const struct err *err)
{
    struct blob_call *b = arg;
    if (result == 0)
        stored(b, false);
    else if (result == BLOB_E_MISMATCH)
        refuse_mismatch(b, "the bytes do not hash to the name, or are fewer than `size`");
    else
        fail(b, err);
}

static const struct blob_put_ops put_ops = {.written = on_written, .finished = on_finished};

void service_blobs_full(struct rpc_status *status)
{
    rpc_status_set(status, RPC_RESOURCE_EXHAUSTED, "BLOB_CACHE_FULL",
                   "the blob cache has no room: what is in it is in use, or still coming in");
    status->retry_ms = FULL_RETRY_MS;
}

static void refuse_put(struct blob_call *b, int why)
{
    const struct exs_config *config = b->exs->config;
    struct rpc_status status;
    uint64_t most = config->blob_size;
    if (why == BLOB_E_TOO_LARGE) {
        most = most < config->blob_cache_per_tenant ? most : config->blob_cache_per_tenant;
        most = most < config->blob_cache ? most : config->blob_cache;
        rpc_status_set(&status, RPC_INVALID_ARGUMENT, "OUT_OF_LIMITS",
                       "size: %llu is more than a blob may have here, %llu",
                       (unsigned long long)b->size, (unsigned long long)most);
        rpc_status_field(&status, "size");
    } else if (why == BLOB_E_TOO_MANY) {
        rpc_status_set(&status, RPC_RESOURCE_EXHAUSTED, "TOO_MANY_PUTS",
                       "you are putting %lu blobs already: let one of them end first",
                       (unsigned long)config->blob_puts_per_tenant);
        status.retry_ms = FULL_RETRY_MS;
    } else if (why == BLOB_E_FULL) {
        service_blobs_full(&status);
    } else {
        rpc_status_set(&status, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for the blob");
    }
    rpc_call_finish(b->call, &status);
}

/* Return: whether bytes are to follow. */
static bool begin(struct blob_call *b, const put_msg *message)
{
    struct blob_key key;
    if (message->sha256.len != MODEL_SHA256) {
        refuse(b->call, "sha256", "32 bytes in the first message");
        return false;
    }
    b->size = message->size;
    blob_store_key(b->tenant, message->sha256.data, &key);
    if (blob_store_has(b->exs->blobs, &key)) {
        stored(b, true);
        return false;
    }
    int r = blob_put_new(b->exs->blobs, &key, message->size, &put_ops, b, &b->put);
    if (r != 0)
        refuse_put(b, r);
    return r == 0;
}

static void take(struct blob_call *b, const ProtobufCBinaryData *data)
{
    if (data->len > BLOB_CHUNK_MAX) {
        refuse(b->call, "data", "at most 1 MiB a message");
        return;
    }
    if (data->len == 0) {
        read_next(b);
        return;
    }
    int r = blob_put_write(b->put, data->data, data->len);
    if (r == BLOB_E_MISMATCH)
        refuse_mismatch(b, "more bytes than `size`");
    else if (r < 0)
        refuse_put(b, r);
}

static void on_put_message(struct rpc_call *call, const uint8_t *bytes, size_t len)
{
    struct blob_call *b = rpc_call_user(call);
    AUTO_ARENA struct arena arena;
    loop_timer_cancel(&b->stall);
    arena_init(&arena, arena_cap_for(len) + MESSAGE_ARENA);
    put_msg *message = cloister__exec__v1__put_request__unpack(&arena.allocator, len, bytes);
    if (!message)
        refuse(call, "data", "not a PutRequest");
    else if (b->put && (message->sha256.len || message->size))
        refuse(call, message->sha256.len ? "sha256" : "size", "in the first message only");
    else if (b->put || begin(b, message))
        take(b, &message->data);
}

static void on_put_half_close(struct rpc_call *call)
{
    struct blob_call *b = rpc_call_user(call);
    loop_timer_cancel(&b->stall);
    if (b->put)
        blob_put_finish(b->put);
    else
        refuse(call, "sha256", "the first message names the blob");
}

static const struct rpc_method missing = {.path = "/cloister.exec.v1.Blobs/Missing",
                                          .shape = RPC_ONE_REQUEST,
                                          .on_start = on_missing_start,
                                          .on_message = on_missing_message,
                                          .on_close = on_close};

static const struct rpc_method put = {.path = "/cloister.exec.v1.Blobs/Put",
                                      .shape = RPC_STREAM_REQUEST,
                                      .on_start = on_put_start,
                                      .on_message = on_put_message,
                                      .on_half_close = on_put_half_close,
                                      .on_close = on_close};

int service_blobs_add(struct exs *exs, struct err *err)
{
    int r = rpc_server_add(exs->rpc, &missing, exs, err);
    return r < 0 ? r : rpc_server_add(exs->rpc, &put, exs, err);
}
