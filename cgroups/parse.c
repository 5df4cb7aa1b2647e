#include "cgroups/parse.h"

#include <stdio.h>
#include <string.h>

#include "cgroups/cgroup.h"
#include "cgroups/text.h"

static const struct {
    const char *name;
    uint32_t bit;
} controller_names[] = {
    {"memory", CG_MEMORY}, {"swap", CG_SWAP},       {"pids", CG_PIDS},
    {"cpu", CG_CPU},       {"cpuacct", CG_CPUACCT}, {"freezer", CG_FREEZER},
};

#define CONTROLLERS (sizeof(controller_names) / sizeof(controller_names[0]))

const char *cg_version_name(enum cg_version version)
{
    static const char *const names[] = {[CG_V1] = "v1", [CG_HYBRID] = "hybrid", [CG_V2] = "v2"};
    return (size_t)version < sizeof(names) / sizeof(names[0]) ? names[version] : NULL;
}

static bool digits(const char *text, size_t len, uint64_t *ret)
{
    uint64_t value = 0;
    if (len == 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value))
            return false;
    }
    *ret = value;
    return true;
}

bool cg_parse_u64(const char *text, size_t len, uint64_t *ret)
{
    if (len > 0 && text[len - 1] == '\n')
        len--;
    struct piece all = {text, text + len};
    if (piece_is(&all, "max") || piece_is(&all, "-1")) {
        *ret = UINT64_MAX;
        return true;
    }
    return digits(text, len, ret);
}

bool cg_parse_flat(const char *text, size_t len, const char *key, uint64_t *ret)
{
    struct piece rest = {text, text + len}, line, word;
    while (next_piece(&rest, '\n', &line)) {
        if (next_piece(&line, ' ', &word) && piece_is(&word, key))
            return cg_parse_u64(line.at, piece_len(&line), ret);
    }
    return false;
}

/* "12.34" -> 1234 */
static bool centi(const struct piece *number, uint32_t *ret)
{
    struct piece rest = *number, whole, part;
    uint64_t units, hundredths;
    if (!next_piece(&rest, '.', &whole) || !next_piece(&rest, '.', &part) || rest.at != rest.end)
        return false;
    if (piece_len(&part) != 2 || !digits(whole.at, piece_len(&whole), &units) ||
        !digits(part.at, 2, &hundredths) || units > 1000)
        return false;
    *ret = (uint32_t)(units * 100 + hundredths);
    return true;
}

bool cg_parse_psi(const char *text, size_t len, const char *kind, uint32_t *ret_centi)
{
    static const char avg10[] = "avg10=";
    struct piece rest = {text, text + len}, line, word;
    while (next_piece(&rest, '\n', &line)) {
        if (!next_piece(&line, ' ', &word) || !piece_is(&word, kind))
            continue;
        while (next_piece(&line, ' ', &word)) {
            if (piece_len(&word) < sizeof(avg10) || memcmp(word.at, avg10, sizeof(avg10) - 1) != 0)
                continue;
            word.at += sizeof(avg10) - 1;
            return centi(&word, ret_centi);
        }
    }
    return false;
}

bool cg_parse_pid(const char **cursor, const char *end, pid_t *ret)
{
    struct piece rest = {*cursor, end}, line;
    while (next_piece(&rest, '\n', &line)) {
        uint64_t pid;
        *cursor = rest.at;
        if (digits(line.at, piece_len(&line), &pid) && pid > 0 && pid <= INT32_MAX) {
            *ret = (pid_t)pid;
            return true;
        }
    }
    *cursor = end;
    return false;
}

static bool list_has(struct piece list, char sep, const char *word)
{
    struct piece one;
    while (next_piece(&list, sep, &one))
        if (piece_is(&one, word))
            return true;
    return false;
}

bool cg_parse_own_path(const char *text, size_t len, const char *controller, char *ret, size_t size)
{
    /* "hierarchy-ID:controller-list:path"; the path may hold colons. v2 has ID 0 and no list. */
    struct piece rest = {text, text + len}, line, id, list;
    while (next_piece(&rest, '\n', &line)) {
        if (!next_piece(&line, ':', &id) || !next_piece(&line, ':', &list))
            continue;
        bool here = controller ? list_has(list, ',', controller)
                               : piece_is(&id, "0") && piece_len(&list) == 0;
        if (here && piece_len(&line) > 0 && line.at[0] == '/')
            return piece_copy(&line, ret, size);
    }
    return false;
}

uint32_t cg_controller_bit(const char *name, size_t len)
{
    struct piece word = {name, name + len};
    for (size_t i = 0; i < CONTROLLERS; i++)
        if (piece_is(&word, controller_names[i].name))
            return controller_names[i].bit;
    return 0;
}

uint32_t cg_parse_controllers(const char *text, size_t len, char sep)
{
    uint32_t bits = 0;
    if (len > 0 && text[len - 1] == '\n')
        len--;
    struct piece rest = {text, text + len}, word;
    while (next_piece(&rest, sep, &word))
        bits |= cg_controller_bit(word.at, piece_len(&word));
    return bits;
}

int cg_format_controllers(uint32_t controllers, char sep, char *buf, size_t size)
{
    size_t used = 0;
    if (size > 0)
        buf[0] = 0;
    for (size_t i = 0; i < CONTROLLERS; i++) {
        if (!(controllers & controller_names[i].bit))
            continue;
        const char joint[2] = {used ? sep : 0, 0};
        int n = snprintf(used < size ? buf + used : NULL, used < size ? size - used : 0, "%s%s",
                         joint, controller_names[i].name);
        if (n < 0)
            return n;
        used += (size_t)n;
    }
    return (int)used;
}

bool cg_name_ok(const char *name)
{
    size_t len = strnlen(name, CG_NAME_MAX + 1);
    if (len == 0 || len > CG_NAME_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!word && (i == 0 || !strchr("._-", c)))
            return false;
    }
    return true;
}
