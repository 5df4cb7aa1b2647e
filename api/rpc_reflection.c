/*
 * grpc.reflection.v1 and v1alpha (one wire form, two names), answered from the descriptor set that
 * is compiled in. The set is walked as raw protobuf: it is our own, small, and needs no
 * descriptor.proto.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/reflection/v1/reflection.pb-c.h>

#include "api/arena.h"
#include "api/rpc_internal.h"
#include "base/err.h"
#include "proto/descriptor_set.h"

#define REQUEST_MAX  4096
#define FILES_MAX    32
#define SERVICES_MAX 32
#define NAME_MAX_LEN 128

/* Field numbers of google/protobuf/descriptor.proto. */
enum { SET_FILE = 1, NAME = 1, FILE_PACKAGE = 2, FILE_DEPENDENCY = 3 };

struct span {
    const uint8_t *p;
    size_t len;
};

struct stream {
    uint32_t sent; /* bit per file of the set: not twice on one stream */
};

/* ---- walking ------------------------------------------------------------------------------ */

static bool take_varint(struct span *in, uint64_t *ret)
{
    *ret = 0;
    for (unsigned shift = 0; shift < 64 && in->len > 0; shift += 7) {
        uint8_t byte = *in->p++;
        in->len--;
        *ret |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

/* The next field of @in; *ret_value is empty for numbers. Return: false at the end. */
static bool next_field(struct span *in, uint64_t *ret_number, struct span *ret_value)
{
    uint64_t tag, size = 0;
    if (in->len == 0 || !take_varint(in, &tag))
        return false;
    *ret_number = tag >> 3;
    *ret_value = (struct span){in->p, 0};
    switch (tag & 7) {
    case 0:
        return take_varint(in, &size);
    case 1:
        size = 8;
        break;
    case 2:
        if (!take_varint(in, &size))
            return false;
        break;
    case 5:
        size = 4;
        break;
    default:
        return false;
    }
    if (size > in->len)
        return false;
    if ((tag & 7) == 2)
        *ret_value = (struct span){in->p, (size_t)size};
    in->p += size;
    in->len -= (size_t)size;
    return true;
}

static struct span first_field(struct span in, uint64_t wanted)
{
    uint64_t number;
    struct span value;
    while (next_field(&in, &number, &value)) {
        if (number == wanted)
            return value;
    }
    return (struct span){in.p, 0};
}

static bool span_is(struct span span, const char *text)
{
    return span.len == strlen(text) && memcmp(span.p, text, span.len) == 0;
}

/* What may stand in a scope: {field number, what kind of scope it opens}. */
enum scope { SCOPE_LEAF, SCOPE_FILE, SCOPE_MESSAGE, SCOPE_ENUM, SCOPE_SERVICE };
static const struct {
    enum scope in;
    uint64_t number;
    enum scope opens;
} members[] = {
    {SCOPE_FILE, 4, SCOPE_MESSAGE},    {SCOPE_FILE, 5, SCOPE_ENUM},
    {SCOPE_FILE, 6, SCOPE_SERVICE},    {SCOPE_MESSAGE, 2, SCOPE_LEAF},
    {SCOPE_MESSAGE, 3, SCOPE_MESSAGE}, {SCOPE_MESSAGE, 4, SCOPE_ENUM},
    {SCOPE_MESSAGE, 8, SCOPE_LEAF},    {SCOPE_ENUM, 2, SCOPE_LEAF},
    {SCOPE_SERVICE, 2, SCOPE_LEAF},
};

/* Is @symbol ("Message.Nested", relative) declared in @body? Depth is that of the dots in it. */
static bool scope_declares(struct span body, enum scope scope, const char *symbol)
{
    uint64_t number;
    struct span value;
    while (next_field(&body, &number, &value)) {
        for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
            if (members[i].in != scope || members[i].number != number)
                continue;
            /* A value of an enum is its sibling: "pkg.VALUE", not "pkg.Enum.VALUE". */
            if (members[i].opens == SCOPE_ENUM && scope_declares(value, SCOPE_ENUM, symbol))
                return true;
            struct span name = first_field(value, NAME);
            if (name.len == 0 || strncmp(symbol, (const char *)name.p, name.len) != 0)
                continue;
            const char *rest = symbol + name.len;
            if (*rest == '\0')
                return true;
            if (*rest == '.' && members[i].opens != SCOPE_ENUM &&
                scope_declares(value, members[i].opens, rest + 1))
                return true;
        }
    }
    return false;
}

static bool file_declares(struct span file, const char *symbol)
{
    struct span package = first_field(file, FILE_PACKAGE);
    if (strncmp(symbol, (const char *)package.p, package.len) != 0 || symbol[package.len] != '.')
        return false;
    return scope_declares(file, SCOPE_FILE, symbol + package.len + 1);
}

/* ---- answering ---------------------------------------------------------------------------- */

struct answer {
    Grpc__Reflection__V1__ServerReflectionResponse response;
    Grpc__Reflection__V1__FileDescriptorResponse files;
    Grpc__Reflection__V1__ListServiceResponse list;
    Grpc__Reflection__V1__ErrorResponse error;
    ProtobufCBinaryData bytes[FILES_MAX];
    Grpc__Reflection__V1__ServiceResponse service[SERVICES_MAX];
    Grpc__Reflection__V1__ServiceResponse *services[SERVICES_MAX];
    char names[SERVICES_MAX][NAME_MAX_LEN];
};

static void answer_error(struct answer *answer, enum rpc_code code, const char *words)
{
    grpc__reflection__v1__error_response__init(&answer->error);
    answer->error.error_code = (int32_t)code;
    answer->error.error_message = (char *)(uintptr_t)words;
    answer->response.message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
    answer->response.error_response = &answer->error;
}

static bool find_file(bool (*matches)(struct span, const char *), const char *text,
                      size_t *ret_index, struct span *ret_file)
{
    struct span set = {cloister_descriptor_set, cloister_descriptor_set_len};
    uint64_t number;
    struct span file;
    for (size_t i = 0; i < FILES_MAX && next_field(&set, &number, &file); i++) {
        if (number != SET_FILE || !matches(file, text))
            continue;
        *ret_index = i;
        *ret_file = file;
        return true;
    }
    return false;
}

static bool file_is_named(struct span file, const char *name)
{
    return span_is(first_field(file, NAME), name);
}

/* The file, then what it imports and was not sent before. */
static void add_file(struct answer *answer, uint32_t *sent, size_t index, struct span file)
{
    *sent |= UINT32_C(1) << index;
    answer->bytes[answer->files.n_file_descriptor_proto++] =
        (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)file.p, .len = file.len};
    uint64_t number;
    struct span value;
    while (next_field(&file, &number, &value)) {
        char name[NAME_MAX_LEN];
        size_t other;
        struct span imported;
        if (number != FILE_DEPENDENCY || value.len >= sizeof(name))
            continue;
        snprintf(name, sizeof(name), "%.*s", (int)value.len, (const char *)value.p);
        if (find_file(file_is_named, name, &other, &imported) && !(*sent & (UINT32_C(1) << other)))
            add_file(answer, sent, other, imported);
    }
}

static void answer_file(struct answer *answer, struct stream *stream,
                        bool (*matches)(struct span, const char *), const char *text)
{
    size_t index;
    struct span file;
    if (!find_file(matches, text, &index, &file)) {
        answer_error(answer, RPC_NOT_FOUND, "not in this server's contracts");
        return;
    }
    grpc__reflection__v1__file_descriptor_response__init(&answer->files);
    answer->files.file_descriptor_proto = answer->bytes;
    /* What was asked for comes always, its imports once. */
    stream->sent &= ~(UINT32_C(1) << index);
    add_file(answer, &stream->sent, index, file);
    answer->response.message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
    answer->response.file_descriptor_response = &answer->files;
}

static bool listed(const struct answer *answer, const char *name)
{
    for (size_t i = 0; i < answer->list.n_service; i++) {
        if (strcmp(answer->names[i], name) == 0)
            return true;
    }
    return false;
}

/* The services that have a method here. */
static void answer_list(struct answer *answer, const struct rpc_server *server)
{
    grpc__reflection__v1__list_service_response__init(&answer->list);
    answer->list.service = answer->services;
    for (size_t i = 0; i < server->n_methods && answer->list.n_service < SERVICES_MAX; i++) {
        const char *path = server->methods[i].method->path + 1;
        char name[NAME_MAX_LEN];
        snprintf(name, sizeof(name), "%.*s", (int)strcspn(path, "/"), path);
        if (listed(answer, name))
            continue;
        size_t n = answer->list.n_service++;
        snprintf(answer->names[n], NAME_MAX_LEN, "%s", name);
        grpc__reflection__v1__service_response__init(&answer->service[n]);
        answer->service[n].name = answer->names[n];
        answer->services[n] = &answer->service[n];
    }
    answer->response.message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
    answer->response.list_services_response = &answer->list;
}

#define REQUEST(kind) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##kind

struct reflection_call {
    struct stream stream;
    struct rpc_server *server;
};

static void answer_make(struct answer *answer, struct reflection_call *self,
                        Grpc__Reflection__V1__ServerReflectionRequest *request)
{
    grpc__reflection__v1__server_reflection_response__init(&answer->response);
    answer->response.valid_host = request->host;
    answer->response.original_request = request;
    switch (request->message_request_case) {
    case REQUEST(FILE_BY_FILENAME):
        answer_file(answer, &self->stream, file_is_named, request->file_by_filename);
        break;
    case REQUEST(FILE_CONTAINING_SYMBOL):
        answer_file(answer, &self->stream, file_declares, request->file_containing_symbol);
        break;
    case REQUEST(LIST_SERVICES):
        answer_list(answer, self->server);
        break;
    case REQUEST(FILE_CONTAINING_EXTENSION):
    case REQUEST(ALL_EXTENSION_NUMBERS_OF_TYPE):
        answer_error(answer, RPC_NOT_FOUND, "these contracts have no extensions");
        break;
    default:
        answer_error(answer, RPC_INVALID_ARGUMENT, "nothing is asked");
        break;
    }
}

static void reflection_start(struct rpc_call *call, void *arg)
{
    struct reflection_call *self = calloc(1, sizeof(*self));
    if (!self) {
        rpc_call_finish_code(call, RPC_RESOURCE_EXHAUSTED, "no memory");
        return;
    }
    self->server = arg;
    rpc_call_set_user(call, self);
    rpc_call_read(call);
}

static void reflection_message(struct rpc_call *call, const uint8_t *bytes, size_t len)
{
    struct reflection_call *self = rpc_call_user(call);
    AUTO_ARENA struct arena arena;
    arena_init(&arena, arena_cap_for(REQUEST_MAX));
    Grpc__Reflection__V1__ServerReflectionRequest *request = NULL;
    if (len <= REQUEST_MAX)
        request =
            grpc__reflection__v1__server_reflection_request__unpack(&arena.allocator, len, bytes);
    struct answer *answer = request ? calloc(1, sizeof(*answer)) : NULL;
    if (!answer) {
        rpc_call_finish_code(call, RPC_INVALID_ARGUMENT, "not a ServerReflectionRequest");
        return;
    }
    answer_make(answer, self, request);
    if (rpc_call_send(call, &answer->response.base) < 0)
        rpc_call_finish_code(call, RPC_INTERNAL, "the answer cannot be sent");
    free(answer);
}

static void reflection_half_close(struct rpc_call *call)
{
    rpc_call_finish_ok(call);
}

static void reflection_close(struct rpc_call *call, bool cancelled)
{
    (void)cancelled;
    free(rpc_call_user(call));
}

#define REFLECTION_METHOD(package)                                                                 \
    {                                                                                              \
        .path = "/" package ".ServerReflection/ServerReflectionInfo", .shape = RPC_STREAM_REQUEST, \
        .aside = true, .on_start = reflection_start, .on_message = reflection_message,             \
        .on_half_close = reflection_half_close, .on_writable = rpc_call_read,                      \
        .on_close = reflection_close,                                                              \
    }

static const struct rpc_method methods[] = {
    REFLECTION_METHOD("grpc.reflection.v1"),
    REFLECTION_METHOD("grpc.reflection.v1alpha"),
};

int rpc_reflection_add(struct rpc_server *server, struct err *err)
{
    int rc = rpc_server_add(server, &methods[0], server, err);
    return rc < 0 ? rc : rpc_server_add(server, &methods[1], server, err);
}
