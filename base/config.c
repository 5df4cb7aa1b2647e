#include "base/config.h"

#include <errno.h>
#include <search.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/utf8.h"

#define CONFIG_BYTES_MAX (1024 * 1024)

/* One parse. @line is a copy of the current line; section and name point into @header. */
struct parse {
    const char *origin;
    unsigned line_number;
    char *line;
    char *header;
    const char *section, *name;
    void *seen; /* tsearch(3) tree of "section\nname\nkey" */
    config_fn *fn;
    void *arg;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Cuts blanks off both ends, in place. */
static char *trim(char *text)
{
    while (is_blank(*text))
        text++;
    size_t len = strlen(text);
    while (len > 0 && is_blank(text[len - 1]))
        len--;
    text[len] = 0;
    return text;
}

static bool is_word(const char *text)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    return *text && text[strspn(text, allowed)] == 0;
}

static int check_text(const char *text, size_t len, struct err *err)
{
    for (size_t i = 0; i < len;) {
        size_t n = utf8_sequence(text + i, len - i);
        unsigned char c = (unsigned char)text[i];
        if (n == 0)
            return err_set(err, -EINVAL, "byte %zu of the line is not UTF-8", i + 1);
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return err_set(err, -EINVAL, "byte %zu of the line is a control character", i + 1);
        i += n;
    }
    return 0;
}

/* [section] or [section "name"] */
static int parse_header(struct parse *p, char *line, struct err *err)
{
    size_t len = strlen(line);
    if (line[len - 1] != ']')
        return err_set(err, -EINVAL, "a section ends with ']'");
    line[len - 1] = 0;
    char *section = trim(line + 1);
    char *quote = strchr(section, '"');
    const char *name = "";
    if (quote) {
        char *end = strchr(quote + 1, '"');
        if (!end || end[1] || end == quote + 1 || quote == section || !is_blank(quote[-1]))
            return err_set(err, -EINVAL, "a named section is written [section \"name\"]");
        *end = 0;
        *quote = 0;
        name = quote + 1;
        section = trim(section);
    }
    if (!is_word(section))
        return err_set(err, -EINVAL, "'%.64s' is no name of a section", section);

    free(p->header);
    p->header = take_ptr(p->line); /* @section and @name point into it */
    p->section = section;
    p->name = name;
    return 0;
}

static int compare_seen(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Neither of the three holds a newline, so that joined they name one setting and no other. */
static int note_seen(struct parse *p, const char *key, struct err *err)
{
    char *id = NULL;
    if (asprintf(&id, "%s\n%s\n%s", p->section, p->name, key) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    char **node = tsearch(id, &p->seen, compare_seen);
    if (node && *node == id)
        return 0; /* the tree owns it */
    free(id);
    return node ? err_set(err, -EINVAL, "'%.64s' is set twice", key)
                : err_set(err, -ENOMEM, "out of memory");
}

static int parse_setting(struct parse *p, char *line, struct err *err)
{
    char *equals = strchr(line, '=');
    if (!equals)
        return err_set(err, -EINVAL, "neither [section] nor key = value");
    *equals = 0;
    const char *key = trim(line);
    const char *value = trim(equals + 1);
    if (!is_word(key))
        return err_set(err, -EINVAL, "'%.64s' is no name of a setting", key);
    if (!p->section)
        return err_set(err, -EINVAL, "'%.64s' stands before the first [section]", key);
    int r = note_seen(p, key, err);
    if (r < 0)
        return r;
    return p->fn(p->arg, p->section, p->name, key, value, err);
}

static int parse_line(struct parse *p, const char *text, size_t len, struct err *err)
{
    int r = check_text(text, len, err);
    if (r < 0)
        return r;
    free(p->line);
    p->line = strndup(text, len);
    if (!p->line)
        return err_set(err, -ENOMEM, "out of memory");
    char *line = trim(p->line);
    if (*line == 0 || *line == '#' || *line == ';')
        return 0;
    return *line == '[' ? parse_header(p, line, err) : parse_setting(p, line, err);
}

static void parse_done(struct parse *p)
{
    tdestroy(p->seen, free);
    free(p->line);
    free(p->header);
}

int config_parse(const char *text, size_t len, const char *origin, config_fn *fn, void *arg,
                 struct err *err)
{
    CLEANUP(parse_done) struct parse p = {.origin = origin, .fn = fn, .arg = arg};
    const char *end = text + len;
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *stop = newline ? newline : end;
        p.line_number++;
        struct err cause = {0};
        int r = parse_line(&p, text, (size_t)(stop - text), &cause);
        if (r < 0)
            return err_set(err, r, "%s:%u: %s", origin, p.line_number, cause.text);
        text = stop + 1;
    }
    return 0;
}

int config_parse_file(const char *path, config_fn *fn, void *arg, struct err *err)
{
    AUTO_FREE char *text = NULL;
    ssize_t len = file_read_text(path, CONFIG_BYTES_MAX, &text, err);
    if (len < 0)
        return (int)len;
    return config_parse(text, (size_t)len, path, fn, arg, err);
}

int config_bool(const char *value, int *ret, struct err *err)
{
    static const struct {
        const char *word;
        int truth;
    } words[] = {{"yes", 1}, {"true", 1}, {"on", 1}, {"no", 0}, {"false", 0}, {"off", 0}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(value, words[i].word) == 0) {
            *ret = words[i].truth;
            return 0;
        }
    }
    return err_set(err, -EINVAL, "'%.64s' is neither yes nor no", value);
}

int config_u64(const char *value, unsigned long min, unsigned long max, unsigned long *ret,
               struct err *err)
{
    char *end = NULL;
    errno = 0;
    unsigned long v = strtoul(value, &end, 10);
    /* strtoul takes blanks and signs, "-1" among them. */
    if (*value < '0' || *value > '9' || *end || errno || v < min || v > max)
        return err_set(err, -EINVAL, "'%.64s' is not a whole number from %lu to %lu", value, min,
                       max);
    *ret = v;
    return 0;
}
