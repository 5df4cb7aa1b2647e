#pragma once
/*
 * Requests and reports as plain C, the same for server, client and command line, without gRPC and
 * without protobuf. proto_model.h maps them to the wire.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/result.h"

#define MODEL_FILES_MAX         4096
#define MODEL_INLINE_BYTES_MAX  (1u << 20) /* all inline contents together */
#define MODEL_STDIN_BYTES_MAX   (1u << 20)
#define MODEL_STRINGS_MAX       1024         /* argv, args and env entries together */
#define MODEL_STRING_BYTES_MAX  (128u << 10) /* all of them, NULs included */
#define MODEL_PATH_MAX          4096
#define MODEL_NAME_MAX          255
#define MODEL_DEPTH_MAX         32
#define MODEL_RUNTIME_MAX       64
#define MODEL_ENV_NAME_MAX      255
#define MODEL_LABELS_MAX        16
#define MODEL_LABEL_KEY_MAX     63
#define MODEL_LABEL_VALUE_MAX   255
#define MODEL_PATTERNS_MAX      64
#define MODEL_PATTERN_MAX       255
#define MODEL_DETACH_MS_MAX     600000u
#define MODEL_TERMINAL_MAX      1000
#define MODEL_COLLECT_FILES     256 /* default */
#define MODEL_COLLECT_FILES_MAX 4096
#define MODEL_COLLECT_BYTES     (16ull << 20) /* default */
#define MODEL_COLLECT_BYTES_MAX (256ull << 20)
#define MODEL_RUN_ID_MAX        64
#define MODEL_SHA256            32

struct model_file {
    const char *path;       /* relative, NUL-terminated */
    const uint8_t *content; /* NULL: empty, or by hash */
    size_t size;
    const uint8_t *sha256; /* MODEL_SHA256 bytes, or NULL: inline */
    bool executable;
};

struct model_pair {
    const char *key; /* name of an environment variable, key of a label */
    const char *value;
};

enum model_class { MODEL_CLASS_INTERACTIVE, MODEL_CLASS_BATCH };
enum model_subprocess { MODEL_SUBPROCESS_DEFAULT, MODEL_SUBPROCESS_ALLOW, MODEL_SUBPROCESS_DENY };

/* ExecuteRequest. All memory is borrowed from whoever made it (an arena, or argv and mapped files).
 */
struct run_request {
    const char *runtime; /* "" when argv is given */
    const char *const *argv;
    size_t n_argv;
    const struct model_file *files;
    size_t n_files;
    const char *entry; /* "" : the first file */
    const char *const *args;
    size_t n_args;
    const struct model_pair *env;
    size_t n_env;
    const uint8_t *stdin_data;
    size_t stdin_len;
    struct limits limits; /* 0: not said */
    enum model_subprocess subprocess;
    bool collect;
    const char *const *patterns;
    size_t n_patterns;
    uint32_t collect_files_max; /* 0: default */
    uint64_t collect_bytes_max;
    bool terminal;
    uint32_t rows, cols; /* 0: 24 x 80 */
    uint32_t detach_grace_ms;
    enum model_class class;
    const struct model_pair *labels;
    size_t n_labels;
};

/* Where a request is wrong. */
struct model_fault {
    char field[128]; /* "files[3].path", as the .proto names it */
    struct err err;
};

/**
 * run_request_check() - everything that can be judged without the node's configuration
 *
 * Return: 0, or -EINVAL with @fault naming the field and what would be right.
 */
int run_request_check(const struct run_request *request, struct model_fault *fault);

/** run_request_limits() - resolve against the node's defaults and ceilings (NULL: shipped). -EINVAL
 * names "limits.memory_bytes", value and ceiling. */
int run_request_limits(const struct run_request *request, const struct limits *defaults,
                       const struct limits *ceilings, struct limits *ret,
                       struct model_fault *fault);

/** run_request_entry() - path of the file to start, "" when there is none. */
const char *run_request_entry(const struct run_request *request);

/** model_limit_field() - "limits.memory_bytes", the name of @id in the .proto. */
const char *model_limit_field(enum limit_id id);

/** model_path_fault() - why @len bytes are no path of the workspace; NULL: they are one. */
const char *model_path_fault(const void *path, size_t len);
/** model_run_id_valid() - 1 to MODEL_RUN_ID_MAX of [A-Za-z0-9_-]. */
bool model_run_id_valid(const char *run_id);

/* A collected file. */
struct run_output {
    const char *path; /* NUL-terminated; perhaps not UTF-8 */
    uint64_t size;
    uint8_t sha256[MODEL_SHA256];
    const uint8_t *content; /* NULL: not at hand (written elsewhere) */
};

struct run_skipped {
    const char *path;
    uint64_t size;
    const char *reason;
};

/* `Result`: all that a caller learns of a run in the end. Pointers are borrowed. */
struct run_report {
    const char *run_id;
    struct run_result result;
    const char *runtime_name; /* "" for a bare command */
    const char *runtime_version;
    const char *node;
    uint64_t dropped_stdout, dropped_stderr;
    const struct run_output *outputs;
    size_t n_outputs;
    const struct run_skipped *skipped;
    size_t n_skipped;
};

/** run_message() - the sentence for a beginner: the explanation's, or of a fault of ours its words;
 * never NULL. */
const char *run_message(const struct run_result *result);
/** run_layer_detail() - why @layer is not active; "" when it is. */
const char *run_layer_detail(const struct run_result *result, enum layer layer);
