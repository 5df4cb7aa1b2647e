#include "execsvc/command.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "api/arena.h"
#include "base/err.h"

#define WORDS_MAX 256

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

/* One word from *@at into @out. Return: its length or -EINVAL. */
static int split_one(const char **at, char *out, struct err *err)
{
    const char *p = *at;
    int len = 0;
    bool quoted = false;
    for (; *p && (quoted || !blank(*p)); p++) {
        if (*p == '"') {
            quoted = !quoted;
            continue;
        }
        if (quoted && *p == '\\' && (p[1] == '"' || p[1] == '\\'))
            p++;
        out[len++] = *p;
    }
    if (quoted)
        return err_set(err, -EINVAL, "a quote is not closed");
    *at = p;
    return len;
}

int words_split(const char *text, struct arena *arena, struct words *ret, struct err *err)
{
    const char **v = arena_zalloc(arena, WORDS_MAX + 1, sizeof(*v));
    char *word = arena_alloc(arena, strlen(text) + 1);
    if (!v || !word)
        return err_set(err, -ENOMEM, "out of memory");
    size_t n = 0;
    for (;;) {
        while (blank(*text))
            text++;
        if (!*text)
            break;
        if (n == WORDS_MAX)
            return err_set(err, -EINVAL, "more than %d words", WORDS_MAX);
        int len = split_one(&text, word, err);
        if (len < 0)
            return len;
        v[n] = arena_string(arena, word, (size_t)len);
        if (!v[n++])
            return err_set(err, -ENOMEM, "out of memory");
    }
    *ret = (struct words){.v = v, .n = n};
    return 0;
}

static size_t quote(const char *word, char *out)
{
    size_t n = 0;
    bool quotes = !*word || strpbrk(word, " \t\"");
    if (quotes)
        out[n++] = '"';
    for (; *word; word++) {
        if (quotes && (*word == '"' || *word == '\\'))
            out[n++] = '\\';
        out[n++] = *word;
    }
    if (quotes)
        out[n++] = '"';
    return n;
}

const char *words_join(const struct words *words, struct arena *arena)
{
    size_t size = 1;
    for (size_t i = 0; i < words->n; i++)
        size += 2 * strlen(words->v[i]) + 3;
    char *text = arena_alloc(arena, size);
    if (!text)
        return NULL;
    size_t at = 0;
    for (size_t i = 0; i < words->n; i++) {
        if (i > 0)
            text[at++] = ' ';
        at += quote(words->v[i], text + at);
    }
    text[at] = 0;
    return text;
}

static bool stands_alone(const char *word, const char *placeholder)
{
    return !strstr(word, placeholder) || strcmp(word, placeholder) == 0;
}

static int check_word(const char *word, struct err *err)
{
    static const char *const known[] = {"{entry}", "{args}", "{sources}", "{output}"};
    if (!stands_alone(word, "{args}") || !stands_alone(word, "{sources}"))
        return err_set(err, -EINVAL, "{args} and {sources} are words of their own, not '%.64s'",
                       word);
    for (const char *brace = strchr(word, '{'); brace; brace = strchr(brace + 1, '{')) {
        bool found = false;
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
            found = found || strncmp(brace, known[i], strlen(known[i])) == 0;
        if (!found)
            return err_set(err, -EINVAL,
                           "'%.64s': the placeholders are {entry} {args} {sources} {output}",
                           brace);
    }
    return 0;
}

int command_check(const struct words *template, struct err *err)
{
    if (template->n == 0 || template->v[0][0] != '/')
        return err_set(err, -EINVAL, "a command begins with an absolute path");
    for (size_t i = 0; i < template->n; i++) {
        int r = check_word(template->v[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

int command_has(const struct words *template, const char *placeholder)
{
    for (size_t i = 0; i < template->n; i++)
        if (strstr(template->v[i], placeholder))
            return 1;
    return 0;
}

/* @text with every {entry} and {output} replaced. */
static const char *fill_word(const char *text, const struct command_values *values,
                             struct arena *arena)
{
    if (!strchr(text, '{'))
        return text;
    const char *entry = values->entry ? values->entry : "";
    const char *output = values->output ? values->output : "";
    size_t braces = 0;
    for (const char *p = text; *p; p++)
        braces += *p == '{';
    char *out = arena_alloc(arena, strlen(text) + braces * (strlen(entry) + strlen(output)) + 1);
    if (!out)
        return NULL;
    char *to = out;
    while (*text) {
        if (strncmp(text, "{entry}", 7) == 0) {
            to = stpcpy(to, entry);
            text += 7;
        } else if (strncmp(text, "{output}", 8) == 0) {
            to = stpcpy(to, output);
            text += 8;
        } else {
            *to++ = *text++;
        }
    }
    *to = 0;
    return out;
}

int command_fill(const struct words *template, const struct command_values *values,
                 struct arena *arena, struct words *ret, struct err *err)
{
    size_t cap = 1;
    for (size_t i = 0; i < template->n; i++)
        cap += 1 + values->args.n + values->sources.n;
    const char **v = arena_zalloc(arena, cap, sizeof(*v));
    if (!v)
        return err_set(err, -ENOMEM, "out of memory");
    size_t n = 0;
    for (size_t i = 0; i < template->n; i++) {
        const struct words *many = strcmp(template->v[i], "{args}") == 0      ? &values->args
                                   : strcmp(template->v[i], "{sources}") == 0 ? &values->sources
                                                                              : NULL;
        for (size_t j = 0; many && j < many->n; j++)
            v[n++] = many->v[j];
        if (many)
            continue;
        v[n] = fill_word(template->v[i], values, arena);
        if (!v[n++])
            return err_set(err, -ENOMEM, "out of memory");
    }
    *ret = (struct words){.v = v, .n = n};
    return 0;
}

const char *command_path(const char *path, struct arena *arena)
{
    if (path[0] != '-')
        return path;
    char *out = arena_alloc(arena, strlen(path) + 3);
    if (out)
        stpcpy(stpcpy(out, "./"), path);
    return out;
}
