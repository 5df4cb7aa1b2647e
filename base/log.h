#pragma once
/*
 * One JSON object a line on stderr. Only processes log, never libraries (base api sandbox cgroups),
 * and never user code, stdin, tokens or passwords.
 *
 *   log_info("run.ended", "run ended", LOG_STR("run_id", id), LOG_U64("wall_ms", ms));
 */

#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_field {
    const char *key;
    enum { LOG_FIELD_STR, LOG_FIELD_U64, LOG_FIELD_I64 } type;
    const char *str;
    uint64_t u64;
};

#define LOG_STR(k, v) ((struct log_field){.key = (k), .type = LOG_FIELD_STR, .str = (v)})
#define LOG_U64(k, v) ((struct log_field){.key = (k), .type = LOG_FIELD_U64, .u64 = (v)})
#define LOG_I64(k, v) ((struct log_field){.key = (k), .type = LOG_FIELD_I64, .u64 = (uint64_t)(v)})

/** log_init() - @program (borrowed) is named in every line. Before there are threads. */
void log_init(const char *program, enum log_level level);
int log_level_by_name(const char *name);
void log_write(enum log_level level, const char *event, const char *message,
               const struct log_field *fields);

#define log_at(level, event, message, ...)                                                         \
    log_write(level, event, message, (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}})
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)  log_at(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
