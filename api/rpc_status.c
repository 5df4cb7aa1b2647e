#include "api/rpc_status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cloister/status/v1/status.pb-c.h>

#include "api/arena.h"
#include "api/text.h"

#define TYPE_PREFIX  "type.googleapis.com/google.rpc."
#define ERROR_DOMAIN "cloister"
#define DETAIL_MAX   4096
#define EXIT_OUR     125
#define EXIT_REFUSED 126

static const struct {
    const char *name;
    const char *words; /* when the fault brings none */
    int exit_status;   /* of the CLI, when no Result came */
} codes[] = {
    [RPC_OK] = {"OK", "ok", EXIT_OUR},
    [RPC_CANCELLED] = {"CANCELLED", "the call was cancelled", EXIT_OUR},
    [RPC_UNKNOWN] = {"UNKNOWN", "unknown fault", EXIT_OUR},
    [RPC_INVALID_ARGUMENT] = {"INVALID_ARGUMENT", "the request is not valid", EXIT_REFUSED},
    [RPC_DEADLINE_EXCEEDED] = {"DEADLINE_EXCEEDED", "the caller's deadline passed", EXIT_OUR},
    [RPC_NOT_FOUND] = {"NOT_FOUND", "there is no such thing", EXIT_REFUSED},
    [RPC_ALREADY_EXISTS] = {"ALREADY_EXISTS", "it exists already", EXIT_REFUSED},
    [RPC_PERMISSION_DENIED] = {"PERMISSION_DENIED", "not allowed", EXIT_REFUSED},
    [RPC_RESOURCE_EXHAUSTED] = {"RESOURCE_EXHAUSTED", "no room at the moment", EXIT_REFUSED},
    [RPC_FAILED_PRECONDITION] = {"FAILED_PRECONDITION", "not in this state", EXIT_REFUSED},
    [RPC_ABORTED] = {"ABORTED", "another call took over", EXIT_OUR},
    [RPC_OUT_OF_RANGE] = {"OUT_OF_RANGE", "out of range", EXIT_REFUSED},
    [RPC_UNIMPLEMENTED] = {"UNIMPLEMENTED", "not offered here", EXIT_REFUSED},
    [RPC_INTERNAL] = {"INTERNAL", "the service failed", EXIT_OUR},
    [RPC_UNAVAILABLE] = {"UNAVAILABLE", "the service is not available", EXIT_OUR},
    [RPC_DATA_LOSS] = {"DATA_LOSS", "data was lost", EXIT_OUR},
    [RPC_UNAUTHENTICATED] = {"UNAUTHENTICATED", "the caller is not known", EXIT_REFUSED},
};
#define CODE_COUNT ((int)(sizeof(codes) / sizeof(codes[0])))

static const struct {
    int fault; /* positive errno */
    enum rpc_code code;
    const char *reason;
} faults[] = {
    {EINVAL, RPC_INVALID_ARGUMENT, "BAD_REQUEST"},
    {ERANGE, RPC_INVALID_ARGUMENT, "OUT_OF_LIMITS"},
    {ENAMETOOLONG, RPC_INVALID_ARGUMENT, "BAD_REQUEST"},
    {E2BIG, RPC_INVALID_ARGUMENT, "TOO_LARGE"},
    {EBADMSG, RPC_INVALID_ARGUMENT, "BAD_MESSAGE"},
    {EMSGSIZE, RPC_RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE"},
    {ENOENT, RPC_NOT_FOUND, "NOT_FOUND"},
    {EEXIST, RPC_ALREADY_EXISTS, "ALREADY_EXISTS"},
    {EACCES, RPC_PERMISSION_DENIED, "NOT_ALLOWED"},
    {EPERM, RPC_PERMISSION_DENIED, "NOT_ALLOWED"},
    {EAGAIN, RPC_RESOURCE_EXHAUSTED, "BUSY"},
    {EBUSY, RPC_RESOURCE_EXHAUSTED, "BUSY"},
    {ENOSPC, RPC_RESOURCE_EXHAUSTED, "NO_SPACE"},
    {EDQUOT, RPC_RESOURCE_EXHAUSTED, "QUOTA"},
    {ENOMEM, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY"},
    {EOPNOTSUPP, RPC_UNIMPLEMENTED, "NOT_OFFERED"},
    {ENOSYS, RPC_UNIMPLEMENTED, "NOT_OFFERED"},
    {ETIMEDOUT, RPC_DEADLINE_EXCEEDED, "DEADLINE"},
    {ECANCELED, RPC_CANCELLED, "CANCELLED"},
    {EPIPE, RPC_UNAVAILABLE, "GONE"},
    {ECONNRESET, RPC_UNAVAILABLE, "GONE"},
    {ECONNREFUSED, RPC_UNAVAILABLE, "GONE"},
    {ESHUTDOWN, RPC_UNAVAILABLE, "DRAINING"},
};

const char *rpc_code_name(int code)
{
    return code >= 0 && code < CODE_COUNT ? codes[code].name : "UNKNOWN";
}

int rpc_code_exit_status(int code)
{
    return code >= 0 && code < CODE_COUNT ? codes[code].exit_status : EXIT_OUR;
}

enum rpc_code rpc_code_of_verdict(enum verdict verdict)
{
    return verdict == VERDICT_INTERNAL ? RPC_INTERNAL : RPC_OK;
}

struct rpc_status *rpc_status_set(struct rpc_status *status, enum rpc_code code, const char *reason,
                                  const char *format, ...)
{
    *status = (struct rpc_status){.code = code};
    if (reason)
        snprintf(status->reason, sizeof(status->reason), "%s", reason);
    va_list args;
    va_start(args, format);
    vsnprintf(status->message, sizeof(status->message), format, args);
    va_end(args);
    text_clean(status->message);
    return status;
}

void rpc_status_field(struct rpc_status *status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(status->field, sizeof(status->field), format, args);
    va_end(args);
    text_clean(status->field);
}

void rpc_status_meta(struct rpc_status *status, const char *key, const char *format, ...)
{
    if (status->n_meta >= RPC_META_MAX)
        return;
    struct rpc_meta *meta = &status->meta[status->n_meta++];
    snprintf(meta->key, sizeof(meta->key), "%s", key);
    va_list args;
    va_start(args, format);
    vsnprintf(meta->value, sizeof(meta->value), format, args);
    va_end(args);
    text_clean(meta->value);
}

void rpc_status_of_fault(const struct err *err, struct rpc_status *ret)
{
    enum rpc_code code = RPC_INTERNAL;
    const char *reason = "FAULT";
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        if (faults[i].fault != -err->code)
            continue;
        code = faults[i].code;
        reason = faults[i].reason;
    }
    rpc_status_set(ret, code, reason, "%s", err->text[0] ? err->text : codes[code].words);
}

/* ---- details: google.rpc.Status with BadRequest, RetryInfo and ErrorInfo ------------------- */

struct detail_set {
    Cloister__Status__V1__Any any[3];
    Cloister__Status__V1__Any *list[3];
    uint8_t bytes[3][DETAIL_MAX / 2];
    size_t n;
};

static void detail_add(struct detail_set *set, const char *type_url,
                       const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    if (size > sizeof(set->bytes[0]))
        return;
    Cloister__Status__V1__Any *any = &set->any[set->n];
    cloister__status__v1__any__init(any);
    any->type_url = (char *)(uintptr_t)type_url;
    any->value.data = set->bytes[set->n];
    any->value.len = protobuf_c_message_pack(message, set->bytes[set->n]);
    set->list[set->n] = any;
    set->n++;
}

static void detail_bad_request(struct detail_set *set, const struct rpc_status *status)
{
    Cloister__Status__V1__FieldViolation violation = CLOISTER__STATUS__V1__FIELD_VIOLATION__INIT;
    Cloister__Status__V1__FieldViolation *list[] = {&violation};
    Cloister__Status__V1__BadRequest bad = CLOISTER__STATUS__V1__BAD_REQUEST__INIT;
    violation.field = (char *)(uintptr_t)status->field;
    violation.description = (char *)(uintptr_t)status->message;
    bad.n_field_violations = 1;
    bad.field_violations = list;
    detail_add(set, TYPE_PREFIX "BadRequest", &bad.base);
}

static void detail_retry(struct detail_set *set, const struct rpc_status *status)
{
    Cloister__Status__V1__Duration delay = CLOISTER__STATUS__V1__DURATION__INIT;
    Cloister__Status__V1__RetryInfo retry = CLOISTER__STATUS__V1__RETRY_INFO__INIT;
    delay.seconds = status->retry_ms / 1000;
    delay.nanos = (int32_t)(status->retry_ms % 1000) * 1000000;
    retry.retry_delay = &delay;
    detail_add(set, TYPE_PREFIX "RetryInfo", &retry.base);
}

static void detail_info(struct detail_set *set, const struct rpc_status *status)
{
    Cloister__Status__V1__MetadataEntry entries[RPC_META_MAX];
    Cloister__Status__V1__MetadataEntry *list[RPC_META_MAX];
    Cloister__Status__V1__ErrorInfo info = CLOISTER__STATUS__V1__ERROR_INFO__INIT;
    char domain[] = ERROR_DOMAIN;
    for (size_t i = 0; i < status->n_meta; i++) {
        cloister__status__v1__metadata_entry__init(&entries[i]);
        entries[i].key = (char *)(uintptr_t)status->meta[i].key;
        entries[i].value = (char *)(uintptr_t)status->meta[i].value;
        list[i] = &entries[i];
    }
    info.reason = (char *)(uintptr_t)status->reason;
    info.domain = domain;
    info.n_metadata = status->n_meta;
    info.metadata = list;
    detail_add(set, TYPE_PREFIX "ErrorInfo", &info.base);
}

size_t rpc_status_encode(const struct rpc_status *status, uint8_t *buf, size_t size)
{
    struct detail_set set;
    set.n = 0;
    if (status->field[0])
        detail_bad_request(&set, status);
    if (status->retry_ms)
        detail_retry(&set, status);
    if (status->reason[0])
        detail_info(&set, status);
    Cloister__Status__V1__Status message = CLOISTER__STATUS__V1__STATUS__INIT;
    message.code = (int32_t)status->code;
    message.message = (char *)(uintptr_t)status->message;
    message.n_details = set.n;
    message.details = set.list;
    if (cloister__status__v1__status__get_packed_size(&message) > size)
        return 0;
    return cloister__status__v1__status__pack(&message, buf);
}

static void decode_bad_request(struct arena *arena, const ProtobufCBinaryData *value,
                               struct rpc_status *status)
{
    Cloister__Status__V1__BadRequest *bad =
        cloister__status__v1__bad_request__unpack(&arena->allocator, value->len, value->data);
    if (bad && bad->n_field_violations > 0)
        rpc_status_field(status, "%s", bad->field_violations[0]->field);
}

static void decode_retry(struct arena *arena, const ProtobufCBinaryData *value,
                         struct rpc_status *status)
{
    Cloister__Status__V1__RetryInfo *retry =
        cloister__status__v1__retry_info__unpack(&arena->allocator, value->len, value->data);
    if (!retry || !retry->retry_delay)
        return;
    const Cloister__Status__V1__Duration *delay = retry->retry_delay;
    if (delay->seconds >= 0 && delay->seconds < 1000000 && delay->nanos >= 0)
        status->retry_ms = (uint32_t)(delay->seconds * 1000 + delay->nanos / 1000000);
}

static void decode_info(struct arena *arena, const ProtobufCBinaryData *value,
                        struct rpc_status *status)
{
    Cloister__Status__V1__ErrorInfo *info =
        cloister__status__v1__error_info__unpack(&arena->allocator, value->len, value->data);
    if (!info)
        return;
    snprintf(status->reason, sizeof(status->reason), "%s", info->reason);
    for (size_t i = 0; i < info->n_metadata; i++)
        rpc_status_meta(status, info->metadata[i]->key, "%s", info->metadata[i]->value);
}

void rpc_status_decode(const void *bytes, size_t len, struct rpc_status *status)
{
    static const struct {
        const char *type_url;
        void (*fn)(struct arena *, const ProtobufCBinaryData *, struct rpc_status *);
    } known[] = {
        {TYPE_PREFIX "BadRequest", decode_bad_request},
        {TYPE_PREFIX "RetryInfo", decode_retry},
        {TYPE_PREFIX "ErrorInfo", decode_info},
    };
    AUTO_ARENA struct arena arena;
    arena_init(&arena, arena_cap_for(len) * 2);
    Cloister__Status__V1__Status *message =
        cloister__status__v1__status__unpack(&arena.allocator, len, bytes);
    for (size_t i = 0; message && i < message->n_details; i++) {
        for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++) {
            if (strcmp(message->details[i]->type_url, known[k].type_url) == 0)
                known[k].fn(&arena, &message->details[i]->value, status);
        }
    }
}
