/* Where hierarchies are: /proc/<pid>/mountinfo (proc(5)), and the one-line description of a tree.
 */
#include "cgroups/parse.h"

#include <string.h>

#include "cgroups/cgroup.h"
#include "cgroups/text.h"

/* Space, tab, newline and backslash stand as \040 and so on. */
static bool unescape(const struct piece *escaped, char *ret, size_t size)
{
    size_t used = 0;
    for (const char *at = escaped->at; at < escaped->end; at++) {
        char c = *at;
        if (c == '\\') {
            int value = 0;
            for (int k = 1; k <= 3; k++) {
                if (escaped->end - at <= k || at[k] < '0' || at[k] > '7')
                    return false;
                value = value * 8 + (at[k] - '0');
            }
            if (value == 0 || value > 255)
                return false;
            c = (char)value;
            at += 3;
        }
        if (used + 1 >= size)
            return false;
        ret[used++] = c;
    }
    ret[used] = 0;
    return true;
}

static bool has_option(struct piece list, const char *option)
{
    struct piece word;
    while (next_piece(&list, ',', &word))
        if (piece_is(&word, option))
            return true;
    return false;
}

struct mount_words {
    struct piece root, point, fstype, options;
};

/* id parent major:minor root point options [tags] - fstype source super-options */
static bool split_line(struct piece line, struct mount_words *ret)
{
    struct piece word;
    for (int i = 0; i < 3; i++)
        if (!next_piece(&line, ' ', &word))
            return false;
    if (!next_piece(&line, ' ', &ret->root) || !next_piece(&line, ' ', &ret->point))
        return false;
    do {
        if (!next_piece(&line, ' ', &word))
            return false;
    } while (!piece_is(&word, "-"));
    if (!next_piece(&line, ' ', &ret->fstype))
        return false;
    if (!next_piece(&line, ' ', &word) || !next_piece(&line, ' ', &ret->options))
        ret->options = (struct piece){line.end, line.end};
    return true;
}

static bool mount_line(struct piece line, const char *fstype, const char *option,
                       struct cg_mount *ret)
{
    struct mount_words words;
    return split_line(line, &words) && piece_is(&words.fstype, fstype) &&
           unescape(&words.root, ret->root, sizeof(ret->root)) &&
           unescape(&words.point, ret->point, sizeof(ret->point)) &&
           (!option || has_option(words.options, option));
}

bool cg_parse_mounted(const char **cursor, const char *end, struct cg_mounted *ret)
{
    struct piece rest = {*cursor, end}, line;
    while (next_piece(&rest, '\n', &line)) {
        struct mount_words words;
        *cursor = rest.at;
        if (!split_line(line, &words))
            continue;
        bool v2 = piece_is(&words.fstype, "cgroup2");
        if ((!v2 && !piece_is(&words.fstype, "cgroup")) ||
            !unescape(&words.point, ret->point, sizeof(ret->point)))
            continue;
        ret->v2 = v2;
        ret->controllers =
            v2 ? 0 : cg_parse_controllers(words.options.at, piece_len(&words.options), ',');
        return true;
    }
    *cursor = end;
    return false;
}

bool cg_parse_mount(const char *text, size_t len, const char *fstype, const char *point,
                    const char *option, struct cg_mount *ret)
{
    struct piece rest = {text, text + len}, line;
    while (next_piece(&rest, '\n', &line)) {
        struct cg_mount mount;
        if (!mount_line(line, fstype, option, &mount))
            continue;
        if (point && strcmp(point, mount.point) != 0)
            continue;
        *ret = mount;
        return true;
    }
    return false;
}

static bool description_entry(struct piece entry, struct cg_described *ret)
{
    struct piece names;
    if (ret->n == CG_HIER_MAX || !next_piece(&entry, '=', &names))
        return false;
    if (piece_len(&entry) == 0 || entry.at[0] != '/' ||
        memchr(entry.at, 0, piece_len(&entry)) != NULL)
        return false;
    uint32_t controllers = cg_parse_controllers(names.at, piece_len(&names), '+');
    if (!controllers || !piece_copy(&entry, ret->hier[ret->n].path, CG_PATH_MAX))
        return false;
    ret->hier[ret->n++].controllers = controllers;
    return true;
}

bool cg_parse_description(const char *text, size_t len, struct cg_described *ret)
{
    struct piece rest = {text, text + len}, word;
    ret->n = 0;
    ret->version = -1;
    if (!next_piece(&rest, ' ', &word))
        return false;
    for (int version = CG_V1; version <= CG_V2; version++)
        if (piece_is(&word, cg_version_name((enum cg_version)version)))
            ret->version = version;
    if (ret->version < 0)
        return false;
    while (next_piece(&rest, ' ', &word))
        if (!description_entry(word, ret))
            return false;
    return ret->n > 0 && (ret->version != CG_V2 || ret->n == 1);
}
