#include "base/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/utf8.h"

/*
 * A line is built in a buffer on the stack and leaves in one write, so that lines of threads and of
 * processes that share a pipe do not mix (atomic up to PIPE_BUF, 4096). A field that does not fit
 * is left out whole, so that the line stays one JSON object; "truncated":true then says so.
 */
#define LINE_MAX_BYTES 4096
#define LINE_RESERVE   24 /* ,"truncated":true}\n */

static const char *const level_names[] = {"debug", "info", "warn", "error"};

static const char *program_name = "cloister";
static atomic_int least_level = LOG_INFO;

struct line {
    char bytes[LINE_MAX_BYTES];
    size_t used;
    bool full;
};

void log_init(const char *program, enum log_level level)
{
    program_name = program;
    atomic_store(&least_level, (int)level);
}

int log_level_by_name(const char *name)
{
    for (int level = LOG_DEBUG; level <= LOG_ERROR; level++)
        if (strcmp(level_names[level], name) == 0)
            return level;
    return -1;
}

static void put(struct line *line, const char *bytes, size_t len)
{
    if (line->full || len > sizeof(line->bytes) - LINE_RESERVE - line->used) {
        line->full = true;
        return;
    }
    memcpy(line->bytes + line->used, bytes, len);
    line->used += len;
}

static void put_format(struct line *line, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void put_format(struct line *line, const char *format, ...)
{
    char text[64];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (n > 0 && (size_t)n < sizeof(text))
        put(line, text, (size_t)n);
    else
        line->full = true;
}

static void put_string(struct line *line, const char *text)
{
    size_t left = strlen(text);
    put(line, "\"", 1);
    while (left > 0) {
        size_t n = utf8_sequence(text, left);
        if (n == 0)
            put(line, "\xef\xbf\xbd", 3); /* U+FFFD */
        else if (n == 1 && ((unsigned char)*text < 0x20 || *text == 0x7f))
            put_format(line, "\\u%04x", (unsigned)*text);
        else if (*text == '"' || *text == '\\')
            put_format(line, "\\%c", *text);
        else
            put(line, text, n);
        n = n ? n : 1;
        text += n;
        left -= n;
    }
    put(line, "\"", 1);
}

static void put_key(struct line *line, const char *key)
{
    put(line, line->used > 1 ? "," : "", line->used > 1);
    put_string(line, key);
    put(line, ":", 1);
}

/* Return: whether it fitted; if not, the line is as it was. */
static bool put_field(struct line *line, const struct log_field *field)
{
    size_t before = line->used;
    put_key(line, field->key);
    switch (field->type) {
    case LOG_FIELD_STR:
        put_string(line, field->str ? field->str : "");
        break;
    case LOG_FIELD_U64:
        put_format(line, "%" PRIu64, field->u64);
        break;
    case LOG_FIELD_I64:
        put_format(line, "%" PRId64, (int64_t)field->u64);
        break;
    }
    bool fitted = !line->full;
    if (!fitted)
        line->used = before;
    line->full = false;
    return fitted;
}

static void format_time(char *buf, size_t size)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct tm utc;
    gmtime_r(&now.tv_sec, &utc);
    size_t n = strftime(buf, size, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(buf + n, size - n, ".%03ldZ", now.tv_nsec / 1000000);
}

void log_write(enum log_level level, const char *event, const char *message,
               const struct log_field *fields)
{
    if ((int)level < atomic_load_explicit(&least_level, memory_order_relaxed))
        return;
    char time_text[40];
    format_time(time_text, sizeof(time_text));
    const struct log_field head[] = {LOG_STR("time", time_text),
                                     LOG_STR("level", level_names[level]),
                                     LOG_STR("program", program_name), LOG_STR("event", event),
                                     LOG_STR("message", message)};

    struct line line;
    line.used = 0;
    line.full = false;
    put(&line, "{", 1);
    bool all = true;
    for (size_t i = 0; i < sizeof(head) / sizeof(head[0]); i++)
        all &= put_field(&line, &head[i]);
    for (; fields->key; fields++)
        all &= put_field(&line, fields);

    const char *tail = all ? "}\n" : ",\"truncated\":true}\n";
    memcpy(line.bytes + line.used, tail, strlen(tail)); /* LINE_RESERVE */
    fd_write_all(STDERR_FILENO, line.bytes, line.used + strlen(tail));
}
