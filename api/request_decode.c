#include "api/proto_model.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/proto_text.h"

struct decoder {
    struct arena *arena;
    struct model_fault *fault;
};

static int decode_fault(const struct decoder *d, int code, const char *field, const char *words)
{
    snprintf(d->fault->field, sizeof(d->fault->field), "%s", field);
    return err_set(&d->fault->err, code, "%s: %s", field, words);
}

static int no_memory(const struct decoder *d)
{
    d->fault->field[0] = '\0';
    return err_set(&d->fault->err, -ENOMEM, "the request needs too much memory");
}

/* Bytes become a C string; the field's name is only made when it is needed. */
static int decode_bytes(const struct decoder *d, const ProtobufCBinaryData *bytes, const char *list,
                        size_t index, const char *member, const char **ret)
{
    if (bytes->len > 0 && memchr(bytes->data, 0, bytes->len)) {
        char field[sizeof(d->fault->field)];
        snprintf(field, sizeof(field), "%s[%zu]%s", list, index, member);
        return decode_fault(d, -EINVAL, field, "must not contain NUL");
    }
    *ret = arena_string(d->arena, bytes->data, bytes->len);
    return *ret ? 0 : no_memory(d);
}

static int decode_list(const struct decoder *d, const ProtobufCBinaryData *list, size_t n,
                       const char *name, const char *const **ret)
{
    const char **strings = arena_zalloc(d->arena, n + 1, sizeof(*strings));
    if (!strings)
        return no_memory(d);
    for (size_t i = 0; i < n; i++) {
        int rc = decode_bytes(d, &list[i], name, i, "", &strings[i]);
        if (rc < 0)
            return rc;
    }
    *ret = strings;
    return 0;
}

static int decode_file(const struct decoder *d, const Cloister__Exec__V1__SourceFile *in, size_t i,
                       struct model_file *ret)
{
    char field[sizeof(d->fault->field)];
    snprintf(field, sizeof(field), "files[%zu].sha256", i);
    if (in->sha256.len != 0 && in->sha256.len != MODEL_SHA256)
        return decode_fault(d, -EINVAL, field, "is not of 32 bytes");
    *ret = (struct model_file){
        .content = in->content.len > 0 ? in->content.data : NULL,
        .size = in->content.len,
        .sha256 = in->sha256.len > 0 ? in->sha256.data : NULL,
        .executable = in->executable,
    };
    return decode_bytes(d, &in->path, "files", i, ".path", &ret->path);
}

static int decode_files(const struct decoder *d, const Cloister__Exec__V1__ExecuteRequest *in,
                        struct run_request *ret)
{
    if (in->n_files > MODEL_FILES_MAX)
        return decode_fault(d, -EINVAL, "files", "more than 4096");
    struct model_file *files = arena_zalloc(d->arena, in->n_files, sizeof(*files));
    if (!files)
        return no_memory(d);
    for (size_t i = 0; i < in->n_files; i++) {
        int rc = decode_file(d, in->files[i], i, &files[i]);
        if (rc < 0)
            return rc;
    }
    ret->files = files;
    ret->n_files = in->n_files;
    return 0;
}

static int decode_env(const struct decoder *d, const Cloister__Exec__V1__ExecuteRequest *in,
                      struct run_request *ret)
{
    if (in->n_env > MODEL_STRINGS_MAX)
        return decode_fault(d, -EINVAL, "env", "more than 1024");
    struct model_pair *env = arena_zalloc(d->arena, in->n_env, sizeof(*env));
    if (!env)
        return no_memory(d);
    for (size_t i = 0; i < in->n_env; i++) {
        int rc = decode_bytes(d, &in->env[i]->name, "env", i, ".name", &env[i].key);
        if (rc == 0)
            rc = decode_bytes(d, &in->env[i]->value, "env", i, ".value", &env[i].value);
        if (rc < 0)
            return rc;
    }
    ret->env = env;
    ret->n_env = in->n_env;
    return 0;
}

static int decode_labels(const struct decoder *d, const Cloister__Exec__V1__ExecuteRequest *in,
                         struct run_request *ret)
{
    if (in->n_labels > MODEL_LABELS_MAX)
        return decode_fault(d, -EINVAL, "labels", "more than 16");
    struct model_pair *labels = arena_zalloc(d->arena, in->n_labels, sizeof(*labels));
    if (!labels)
        return no_memory(d);
    for (size_t i = 0; i < in->n_labels; i++)
        labels[i] = (struct model_pair){in->labels[i]->key, in->labels[i]->value};
    ret->labels = labels;
    ret->n_labels = in->n_labels;
    return 0;
}

static void decode_limits(const Cloister__Exec__V1__Limits *in, struct limits *ret)
{
    ret->v[LIMIT_MEMORY] = in->memory_bytes;
    ret->v[LIMIT_CPU] = in->cpu_ms;
    ret->v[LIMIT_WALL] = in->wall_ms;
    ret->v[LIMIT_IDLE] = in->idle_ms;
    ret->v[LIMIT_FILE_SIZE] = in->file_size_bytes;
    ret->v[LIMIT_PROCESSES] = in->processes;
    ret->v[LIMIT_OUTPUT] = in->output_bytes;
    ret->v[LIMIT_WORKSPACE] = in->workspace_bytes;
    ret->v[LIMIT_INODES] = in->inodes;
    ret->v[LIMIT_OPEN_FILES] = in->open_files;
}

static int decode_choices(const struct decoder *d, const Cloister__Exec__V1__ExecuteRequest *in,
                          struct run_request *ret)
{
    if ((unsigned)in->class_ > CLOISTER__EXEC__V1__CLASS__CLASS_BATCH)
        return decode_fault(d, -EINVAL, "class", "is not a known class");
    if (in->class_ == CLOISTER__EXEC__V1__CLASS__CLASS_BATCH)
        ret->class = MODEL_CLASS_BATCH;
    if (!in->policy)
        return 0;
    switch (in->policy->subprocess) {
    case CLOISTER__EXEC__V1__POLICY__SUBPROCESS__SUBPROCESS_UNSPECIFIED:
        break;
    case CLOISTER__EXEC__V1__POLICY__SUBPROCESS__SUBPROCESS_ALLOW:
        ret->subprocess = MODEL_SUBPROCESS_ALLOW;
        break;
    case CLOISTER__EXEC__V1__POLICY__SUBPROCESS__SUBPROCESS_DENY:
        ret->subprocess = MODEL_SUBPROCESS_DENY;
        break;
    default:
        return decode_fault(d, -EINVAL, "policy.subprocess", "is not a known choice");
    }
    return 0;
}

static int decode_collect(const struct decoder *d, const Cloister__Exec__V1__Collect *in,
                          struct run_request *ret)
{
    if (!in)
        return 0;
    if (in->n_patterns > MODEL_PATTERNS_MAX)
        return decode_fault(d, -EINVAL, "collect.patterns", "more than 64");
    ret->collect = true;
    ret->n_patterns = in->n_patterns;
    ret->collect_files_max = in->max_files;
    ret->collect_bytes_max = in->max_bytes;
    return decode_list(d, in->patterns, in->n_patterns, "collect.patterns", &ret->patterns);
}

static int decode_strings(const struct decoder *d, const Cloister__Exec__V1__ExecuteRequest *in,
                          struct run_request *ret)
{
    if (in->n_argv > MODEL_STRINGS_MAX)
        return decode_fault(d, -EINVAL, "argv", "more than 1024");
    if (in->n_args > MODEL_STRINGS_MAX)
        return decode_fault(d, -EINVAL, "args", "more than 1024");
    ret->n_argv = in->n_argv;
    ret->n_args = in->n_args;
    int rc = decode_list(d, in->argv, in->n_argv, "argv", &ret->argv);
    if (rc == 0)
        rc = decode_list(d, in->args, in->n_args, "args", &ret->args);
    if (rc == 0 && in->entry.len > 0 && memchr(in->entry.data, 0, in->entry.len))
        rc = decode_fault(d, -EINVAL, "entry", "must not contain NUL");
    if (rc == 0) {
        ret->entry = arena_string(d->arena, in->entry.data, in->entry.len);
        rc = ret->entry ? 0 : no_memory(d);
    }
    return rc;
}

int run_request_from_proto(const Cloister__Exec__V1__ExecuteRequest *message, struct arena *arena,
                           struct run_request *ret, struct model_fault *fault)
{
    struct decoder d = {arena, fault};
    struct run_request request = {
        .runtime = message->runtime,
        .stdin_data = message->stdin_data.data,
        .stdin_len = message->stdin_data.len,
        .detach_grace_ms = message->detach_grace_ms,
    };
    if (message->limits)
        decode_limits(message->limits, &request.limits);
    if (message->terminal) {
        request.terminal = true;
        request.rows = message->terminal->rows;
        request.cols = message->terminal->cols;
    }
    int rc = decode_strings(&d, message, &request);
    if (rc == 0)
        rc = decode_files(&d, message, &request);
    if (rc == 0)
        rc = decode_env(&d, message, &request);
    if (rc == 0)
        rc = decode_labels(&d, message, &request);
    if (rc == 0)
        rc = decode_choices(&d, message, &request);
    if (rc == 0)
        rc = decode_collect(&d, message->collect, &request);
    if (rc == 0)
        *ret = request;
    return rc;
}

int run_request_decode(const uint8_t *bytes, size_t len, struct arena *arena,
                       struct run_request *ret, struct model_fault *fault)
{
    Cloister__Exec__V1__ExecuteRequest *message =
        cloister__exec__v1__execute_request__unpack(&arena->allocator, len, bytes);
    if (!message) {
        fault->field[0] = '\0';
        return err_set(&fault->err, -EINVAL, "not an ExecuteRequest, or one of too many parts");
    }
    int rc = proto_text_check(&cloister__exec__v1__execute_request__descriptor, bytes, len, fault);
    return rc < 0 ? rc : run_request_from_proto(message, arena, ret, fault);
}
