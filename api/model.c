#include "api/model.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/text.h"
#include "base/cleanup.h"

static const char *const limit_fields[LIMIT_COUNT] = {
    [LIMIT_MEMORY] = "limits.memory_bytes",
    [LIMIT_CPU] = "limits.cpu_ms",
    [LIMIT_WALL] = "limits.wall_ms",
    [LIMIT_IDLE] = "limits.idle_ms",
    [LIMIT_FILE_SIZE] = "limits.file_size_bytes",
    [LIMIT_PROCESSES] = "limits.processes",
    [LIMIT_OUTPUT] = "limits.output_bytes",
    [LIMIT_WORKSPACE] = "limits.workspace_bytes",
    [LIMIT_INODES] = "limits.inodes",
    [LIMIT_OPEN_FILES] = "limits.open_files",
};

/* What has been counted over several fields of one request. */
struct strings {
    size_t count, bytes;
};

static int fault_at(struct model_fault *fault, const char *field, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fault_at(struct model_fault *fault, const char *field, const char *format, ...)
{
    char words[160];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof(words), format, args);
    va_end(args);
    text_clean(words);
    snprintf(fault->field, sizeof(fault->field), "%s", field);
    return err_set(&fault->err, -EINVAL, "%s: %s", field, words);
}

static int fault_in(struct model_fault *fault, const char *list, size_t index, const char *member,
                    const char *words)
{
    char field[sizeof(fault->field)];
    snprintf(field, sizeof(field), "%s[%zu]%s", list, index, member);
    return fault_at(fault, field, "%s", words);
}

/* The same, saying which value it is: people do not count their files. */
static int fault_of(struct model_fault *fault, const char *list, size_t index, const char *member,
                    const char *value, const char *words)
{
    char sentence[160];
    snprintf(sentence, sizeof(sentence), "'%.60s' %s", value, words);
    return fault_in(fault, list, index, member, sentence);
}

const char *model_limit_field(enum limit_id id)
{
    return limit_fields[id];
}

/* ---- single values ------------------------------------------------------------------------ */

static const char *part_fault(const unsigned char *part, size_t len)
{
    if (len == 0)
        return "has an empty part (no leading, trailing or double '/')";
    if (len > MODEL_NAME_MAX)
        return "has a part of more than 255 bytes";
    if ((len == 1 && part[0] == '.') || (len == 2 && part[0] == '.' && part[1] == '.'))
        return "must not contain '.' or '..' as a part";
    for (size_t i = 0; i < len; i++) {
        if (part[i] < 0x20 || part[i] == 0x7f)
            return "must not contain control characters";
    }
    return NULL;
}

const char *model_path_fault(const void *path, size_t len)
{
    const unsigned char *p = path;
    if (len == 0)
        return "must not be empty";
    if (len > MODEL_PATH_MAX)
        return "is longer than 4096 bytes";
    if (p[0] == '/')
        return "must be relative to the workspace: no leading '/'";
    for (size_t depth = 1;; depth++) {
        const unsigned char *slash = memchr(p, '/', len);
        size_t part = slash ? (size_t)(slash - p) : len;
        const char *words = part_fault(p, part);
        if (words)
            return words;
        if (depth > MODEL_DEPTH_MAX)
            return "is deeper than 32 parts";
        if (!slash)
            return NULL;
        p += part + 1;
        len -= part + 1;
    }
}

static bool is_made_of(const char *text, const char *alphabet)
{
    return text[strspn(text, alphabet)] == '\0';
}

#define LOWER_DIGITS "abcdefghijklmnopqrstuvwxyz0123456789"
#define UPPER        "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

bool model_run_id_valid(const char *run_id)
{
    size_t len = strlen(run_id);
    return len > 0 && len <= MODEL_RUN_ID_MAX && is_made_of(run_id, LOWER_DIGITS UPPER "_-");
}

static bool env_name_valid(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len <= MODEL_ENV_NAME_MAX && !(name[0] >= '0' && name[0] <= '9') &&
           is_made_of(name, LOWER_DIGITS UPPER "_");
}

/* ---- what to run -------------------------------------------------------------------------- */

static int check_runtime(const struct run_request *r, struct model_fault *fault)
{
    if (!r->runtime[0])
        return r->n_argv > 0 ? 0 : fault_at(fault, "runtime", "name a runtime, or give argv");
    if (r->n_argv > 0)
        return fault_at(fault, "argv", "give a runtime or argv, not both");
    if (strlen(r->runtime) > MODEL_RUNTIME_MAX || !is_made_of(r->runtime, LOWER_DIGITS "._+-"))
        return fault_at(fault, "runtime", "is not a name of up to 64 characters of [a-z0-9._+-]");
    return 0;
}

static int check_argv(const struct run_request *r, struct model_fault *fault)
{
    if (r->n_argv == 0)
        return 0;
    if (!r->argv[0][0])
        return fault_at(fault, "argv[0]", "must not be empty");
    if (r->entry[0])
        return fault_at(fault, "entry", "goes with a runtime, not with argv");
    if (r->n_args > 0)
        return fault_at(fault, "args", "go with a runtime; with argv they are part of it");
    return 0;
}

static int count_string(struct strings *strings, size_t len, const char *list, size_t index,
                        struct model_fault *fault)
{
    strings->count++;
    strings->bytes += len + 1;
    if (strings->count > MODEL_STRINGS_MAX)
        return fault_in(fault, list, index, "", "more than 1024 arguments and variables in all");
    if (strings->bytes > MODEL_STRING_BYTES_MAX)
        return fault_in(fault, list, index, "", "more than 128 KiB of arguments and variables");
    return 0;
}

static int check_strings(const struct run_request *r, struct model_fault *fault)
{
    struct strings strings = {0};
    int rc = 0;
    for (size_t i = 0; i < r->n_argv && rc == 0; i++)
        rc = count_string(&strings, strlen(r->argv[i]), "argv", i, fault);
    for (size_t i = 0; i < r->n_args && rc == 0; i++)
        rc = count_string(&strings, strlen(r->args[i]), "args", i, fault);
    for (size_t i = 0; i < r->n_env && rc == 0; i++) {
        size_t len = strlen(r->env[i].key) + 1 + strlen(r->env[i].value);
        rc = count_string(&strings, len, "env", i, fault);
    }
    return rc;
}

static int compare_keys(const void *a, const void *b)
{
    const struct model_pair *const *left = a, *const *right = b;
    return strcmp((*left)->key, (*right)->key);
}

/* Sorted, so that a list of many costs no quadratic time. Return: 0, -EINVAL or -ENOMEM. */
static int check_unique(const struct model_pair *pairs, size_t n, const char *list,
                        struct model_fault *fault)
{
    if (n < 2)
        return 0;
    AUTO_FREE const struct model_pair **sorted = calloc(n, sizeof(*sorted));
    if (!sorted)
        return err_set(&fault->err, -ENOMEM, "%s: %m", list);
    for (size_t i = 0; i < n; i++)
        sorted[i] = &pairs[i];
    qsort(sorted, n, sizeof(*sorted), compare_keys);
    for (size_t i = 1; i < n; i++) {
        if (strcmp(sorted[i - 1]->key, sorted[i]->key) == 0)
            return fault_at(fault, list, "'%.64s' is given twice", sorted[i]->key);
    }
    return 0;
}

static int check_env(const struct run_request *r, struct model_fault *fault)
{
    for (size_t i = 0; i < r->n_env; i++) {
        if (!env_name_valid(r->env[i].key))
            return fault_of(fault, "env", i, ".name", r->env[i].key,
                            "is not a name ([A-Za-z_][A-Za-z0-9_]*, at most 255 bytes)");
    }
    return check_unique(r->env, r->n_env, "env", fault);
}

static int check_labels(const struct run_request *r, struct model_fault *fault)
{
    if (r->n_labels > MODEL_LABELS_MAX)
        return fault_at(fault, "labels", "more than %d", MODEL_LABELS_MAX);
    for (size_t i = 0; i < r->n_labels; i++) {
        size_t key_len = strlen(r->labels[i].key), value_len = strlen(r->labels[i].value);
        if (key_len == 0 || key_len > MODEL_LABEL_KEY_MAX ||
            !is_made_of(r->labels[i].key, LOWER_DIGITS "._/-"))
            return fault_of(fault, "labels", i, ".key", r->labels[i].key,
                            "is not [a-z0-9._/-]{1,63}");
        if (value_len > MODEL_LABEL_VALUE_MAX || !text_valid(r->labels[i].value, value_len))
            return fault_in(fault, "labels", i, ".value",
                            "is not UTF-8 text of at most 255 bytes without control characters");
    }
    return check_unique(r->labels, r->n_labels, "labels", fault);
}

/* ---- files -------------------------------------------------------------------------------- */

/* '/' sorts before everything that a path may contain, so that a directory's files follow it. */
static int compare_paths(const void *a, const void *b)
{
    const struct model_file *const *left = a, *const *right = b;
    const unsigned char *p = (const unsigned char *)(*left)->path;
    const unsigned char *q = (const unsigned char *)(*right)->path;
    while (*p && *p == *q) {
        p++;
        q++;
    }
    int x = *p == '/' ? 1 : *p, y = *q == '/' ? 1 : *q;
    return x - y;
}

static int check_overlap(const struct run_request *r, struct model_fault *fault)
{
    if (r->n_files < 2)
        return 0;
    AUTO_FREE const struct model_file **sorted = calloc(r->n_files, sizeof(*sorted));
    if (!sorted)
        return err_set(&fault->err, -ENOMEM, "files: %m");
    for (size_t i = 0; i < r->n_files; i++)
        sorted[i] = &r->files[i];
    qsort(sorted, r->n_files, sizeof(*sorted), compare_paths);
    for (size_t i = 1; i < r->n_files; i++) {
        const struct model_file *one = sorted[i - 1], *two = sorted[i];
        size_t len = strlen(one->path);
        if (strncmp(one->path, two->path, len) != 0)
            continue;
        if (two->path[len] == '\0')
            return fault_of(fault, "files", (size_t)(two - r->files), ".path", two->path,
                            "is there already");
        if (two->path[len] == '/')
            return fault_of(fault, "files", (size_t)(two - r->files), ".path", two->path,
                            "lies below another file");
    }
    return 0;
}

static int check_files(const struct run_request *r, struct model_fault *fault)
{
    if (r->n_files > MODEL_FILES_MAX)
        return fault_at(fault, "files", "more than %d", MODEL_FILES_MAX);
    size_t total = 0;
    for (size_t i = 0; i < r->n_files; i++) {
        const struct model_file *file = &r->files[i];
        const char *words = model_path_fault(file->path, strlen(file->path));
        if (words)
            return fault_of(fault, "files", i, ".path", file->path, words);
        if (file->sha256 && file->content)
            return fault_in(fault, "files", i, ".sha256", "give content or sha256, not both");
        if (!file->sha256 && __builtin_add_overflow(total, file->size, &total))
            return fault_in(fault, "files", i, ".content", "is too large");
        if (total > MODEL_INLINE_BYTES_MAX)
            return fault_in(fault, "files", i, ".content",
                            "makes more than 1 MiB of inline files: send larger ones as blobs");
    }
    return check_overlap(r, fault);
}

static int check_entry(const struct run_request *r, struct model_fault *fault)
{
    if (!r->entry[0])
        return 0;
    for (size_t i = 0; i < r->n_files; i++) {
        if (strcmp(r->files[i].path, r->entry) == 0)
            return 0;
    }
    return fault_at(fault, "entry", "is not among the files");
}

const char *run_request_entry(const struct run_request *request)
{
    if (request->entry[0])
        return request->entry;
    return request->n_argv == 0 && request->n_files > 0 ? request->files[0].path : "";
}

/* ---- the rest ----------------------------------------------------------------------------- */

static int check_collect(const struct run_request *r, struct model_fault *fault)
{
    if (r->n_patterns > MODEL_PATTERNS_MAX)
        return fault_at(fault, "collect.patterns", "more than %d", MODEL_PATTERNS_MAX);
    for (size_t i = 0; i < r->n_patterns; i++) {
        size_t len = strlen(r->patterns[i]);
        const char *words = len > MODEL_PATTERN_MAX ? "is longer than 255 bytes"
                                                    : model_path_fault(r->patterns[i], len);
        if (words)
            return fault_in(fault, "collect.patterns", i, "", words);
    }
    if (r->collect_files_max > MODEL_COLLECT_FILES_MAX)
        return fault_at(fault, "collect.max_files", "%u is above the ceiling of %d",
                        r->collect_files_max, MODEL_COLLECT_FILES_MAX);
    if (r->collect_bytes_max > MODEL_COLLECT_BYTES_MAX)
        return fault_at(fault, "collect.max_bytes", "%llu is above the ceiling of %llu",
                        (unsigned long long)r->collect_bytes_max, MODEL_COLLECT_BYTES_MAX);
    return 0;
}

static int check_numbers(const struct run_request *r, struct model_fault *fault)
{
    if (r->stdin_len > MODEL_STDIN_BYTES_MAX)
        return fault_at(fault, "stdin_data", "is more than 1 MiB: stream it with Interact");
    if (r->rows > MODEL_TERMINAL_MAX)
        return fault_at(fault, "terminal.rows", "is more than %d", MODEL_TERMINAL_MAX);
    if (r->cols > MODEL_TERMINAL_MAX)
        return fault_at(fault, "terminal.cols", "is more than %d", MODEL_TERMINAL_MAX);
    if (r->detach_grace_ms > MODEL_DETACH_MS_MAX)
        return fault_at(fault, "detach_grace_ms", "%u is above the ceiling of %u",
                        r->detach_grace_ms, MODEL_DETACH_MS_MAX);
    return 0;
}

int run_request_check(const struct run_request *request, struct model_fault *fault)
{
    static int (*const checks[])(const struct run_request *, struct model_fault *) = {
        check_runtime, check_argv,   check_files,   check_entry,   check_strings,
        check_env,     check_labels, check_collect, check_numbers,
    };
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        int rc = checks[i](request, fault);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int run_request_limits(const struct run_request *request, const struct limits *defaults,
                       const struct limits *ceilings, struct limits *ret, struct model_fault *fault)
{
    for (int id = 0; id < LIMIT_COUNT; id++) { /* one by one, to know which it is */
        struct limits one = {.v = {0}}, resolved;
        one.v[id] = request->limits.v[id];
        int rc = limits_resolve(&one, defaults, ceilings, &resolved, &fault->err);
        if (rc < 0) {
            snprintf(fault->field, sizeof(fault->field), "%s", limit_fields[id]);
            return fault->err.code = -EINVAL;
        }
    }
    return limits_resolve(&request->limits, defaults, ceilings, ret, &fault->err);
}
