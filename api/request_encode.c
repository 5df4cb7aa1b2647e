#include "api/proto_model.h"
#include "api/proto_parts.h"

static ProtobufCBinaryData *encode_list(struct arena *arena, const char *const *list, size_t n)
{
    ProtobufCBinaryData *out = arena_zalloc(arena, n, sizeof(*out));
    for (size_t i = 0; out && i < n; i++)
        out[i] = proto_text_bytes(list[i]);
    return out;
}

static bool encode_files(const struct run_request *in, struct arena *arena,
                         Cloister__Exec__V1__ExecuteRequest *out)
{
    out->files = proto_array(arena, in->n_files, sizeof(**out->files));
    if (!out->files)
        return false;
    out->n_files = in->n_files;
    for (size_t i = 0; i < in->n_files; i++) {
        cloister__exec__v1__source_file__init(out->files[i]);
        out->files[i]->path = proto_text_bytes(in->files[i].path);
        out->files[i]->executable = in->files[i].executable;
        if (in->files[i].sha256)
            out->files[i]->sha256 = proto_bytes(in->files[i].sha256, MODEL_SHA256);
        else
            out->files[i]->content = proto_bytes(in->files[i].content, in->files[i].size);
    }
    return true;
}

static bool encode_pairs(const struct run_request *in, struct arena *arena,
                         Cloister__Exec__V1__ExecuteRequest *out)
{
    out->env = proto_array(arena, in->n_env, sizeof(**out->env));
    out->labels = proto_array(arena, in->n_labels, sizeof(**out->labels));
    if (!out->env || !out->labels)
        return false;
    out->n_env = in->n_env;
    out->n_labels = in->n_labels;
    for (size_t i = 0; i < in->n_env; i++) {
        cloister__exec__v1__env_var__init(out->env[i]);
        out->env[i]->name = proto_text_bytes(in->env[i].key);
        out->env[i]->value = proto_text_bytes(in->env[i].value);
    }
    for (size_t i = 0; i < in->n_labels; i++) {
        cloister__exec__v1__label__init(out->labels[i]);
        out->labels[i]->key = proto_text(in->labels[i].key);
        out->labels[i]->value = proto_text(in->labels[i].value);
    }
    return true;
}

static Cloister__Exec__V1__Limits *encode_limits(const struct limits *in, struct arena *arena)
{
    Cloister__Exec__V1__Limits *out = arena_alloc(arena, sizeof(*out));
    if (!out)
        return NULL;
    cloister__exec__v1__limits__init(out);
    out->memory_bytes = in->v[LIMIT_MEMORY];
    out->cpu_ms = in->v[LIMIT_CPU];
    out->wall_ms = in->v[LIMIT_WALL];
    out->idle_ms = in->v[LIMIT_IDLE];
    out->file_size_bytes = in->v[LIMIT_FILE_SIZE];
    out->processes = in->v[LIMIT_PROCESSES];
    out->output_bytes = in->v[LIMIT_OUTPUT];
    out->workspace_bytes = in->v[LIMIT_WORKSPACE];
    out->inodes = in->v[LIMIT_INODES];
    out->open_files = in->v[LIMIT_OPEN_FILES];
    return out;
}

static bool encode_parts(const struct run_request *in, struct arena *arena,
                         Cloister__Exec__V1__ExecuteRequest *out)
{
    out->limits = encode_limits(&in->limits, arena);
    out->policy = arena_alloc(arena, sizeof(*out->policy));
    if (!out->limits || !out->policy)
        return false;
    cloister__exec__v1__policy__init(out->policy);
    out->policy->subprocess = (Cloister__Exec__V1__Policy__Subprocess)in->subprocess;
    if (in->terminal) {
        out->terminal = arena_alloc(arena, sizeof(*out->terminal));
        if (!out->terminal)
            return false;
        cloister__exec__v1__terminal__init(out->terminal);
        out->terminal->rows = in->rows;
        out->terminal->cols = in->cols;
    }
    if (!in->collect)
        return true;
    out->collect = arena_alloc(arena, sizeof(*out->collect));
    if (!out->collect)
        return false;
    cloister__exec__v1__collect__init(out->collect);
    out->collect->max_files = in->collect_files_max;
    out->collect->max_bytes = in->collect_bytes_max;
    out->collect->n_patterns = in->n_patterns;
    out->collect->patterns = encode_list(arena, in->patterns, in->n_patterns);
    return out->collect->patterns != NULL;
}

Cloister__Exec__V1__ExecuteRequest *run_request_to_proto(const struct run_request *request,
                                                         struct arena *arena)
{
    Cloister__Exec__V1__ExecuteRequest *out = arena_alloc(arena, sizeof(*out));
    if (!out)
        return NULL;
    cloister__exec__v1__execute_request__init(out);
    out->runtime = proto_text(request->runtime);
    out->n_argv = request->n_argv;
    out->argv = encode_list(arena, request->argv, request->n_argv);
    out->n_args = request->n_args;
    out->args = encode_list(arena, request->args, request->n_args);
    out->entry = proto_text_bytes(proto_text(request->entry));
    out->stdin_data = proto_bytes(request->stdin_data, request->stdin_len);
    out->detach_grace_ms = request->detach_grace_ms;
    out->class_ = request->class == MODEL_CLASS_BATCH
                      ? CLOISTER__EXEC__V1__CLASS__CLASS_BATCH
                      : CLOISTER__EXEC__V1__CLASS__CLASS_UNSPECIFIED;
    if (!out->argv || !out->args || !encode_files(request, arena, out) ||
        !encode_pairs(request, arena, out) || !encode_parts(request, arena, out))
        return NULL;
    return out;
}
