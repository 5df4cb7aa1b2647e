#include "base/limits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define KIB    (UINT64_C(1) << 10)
#define MIB    (UINT64_C(1) << 20)
#define GIB    (UINT64_C(1) << 30)

#define SECOND UINT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)

static const struct limit_info limit_table[LIMIT_COUNT] = {
    [LIMIT_MEMORY] = {"memory", LIMIT_UNIT_BYTES, 4 * MIB, 128 * MIB, GIB, "MEMORY_LIMIT_MB", MIB},
    [LIMIT_CPU] = {"cpu", LIMIT_UNIT_MS, 10, 30 * SECOND, 300 * SECOND, "EXECUTION_TIMEOUT",
                   SECOND},
    [LIMIT_WALL] = {"wall", LIMIT_UNIT_MS, 10, 60 * SECOND, HOUR, "WALL_TIMEOUT", SECOND},
    [LIMIT_IDLE] = {"idle", LIMIT_UNIT_MS, SECOND, 10 * MINUTE, HOUR, "IDLE_TIMEOUT", SECOND},
    [LIMIT_FILE_SIZE] = {"file-size", LIMIT_UNIT_BYTES, 1, 10 * MIB, GIB, "FILE_SIZE_LIMIT_MB",
                         MIB},
    [LIMIT_PROCESSES] = {"processes", LIMIT_UNIT_COUNT, 1, 50, 500, "MAX_PROCESSES", 1},
    [LIMIT_OUTPUT] = {"output", LIMIT_UNIT_BYTES, 1, MIB, 64 * MIB, "OUTPUT_LIMIT_KB", KIB},
    [LIMIT_WORKSPACE] = {"workspace", LIMIT_UNIT_BYTES, 64 * KIB, 64 * MIB, GIB,
                         "WORKSPACE_LIMIT_MB", MIB},
    [LIMIT_INODES] = {"inodes", LIMIT_UNIT_COUNT, 16, 4096, 65536, NULL, 1},
    [LIMIT_OPEN_FILES] = {"open-files", LIMIT_UNIT_COUNT, 8, 256, 4096, "OPEN_FILES_LIMIT", 1},
};

struct suffix {
    const char *text;
    uint64_t scale;
};

/* Largest first, which is what limit_format() wants. */
static const struct suffix size_suffixes[] = {{"G", GIB}, {"M", MIB}, {"K", KIB}, {"", 1}, {0}};
static const struct suffix time_suffixes[] = {
    {"h", HOUR}, {"m", MINUTE}, {"s", SECOND}, {"ms", 1}, {0}};
static const struct suffix count_suffixes[] = {{"", 1}, {0}};

static const char *const unit_help[] = {
    [LIMIT_UNIT_BYTES] = "a size such as 64K, 128M or 1G",
    [LIMIT_UNIT_MS] = "a time such as 500ms, 30s, 10m or 1h",
    [LIMIT_UNIT_COUNT] = "a whole number",
};

static const struct suffix *suffixes_of(enum limit_unit unit)
{
    switch (unit) {
    case LIMIT_UNIT_BYTES:
        return size_suffixes;
    case LIMIT_UNIT_MS:
        return time_suffixes;
    case LIMIT_UNIT_COUNT:
        break;
    }
    return count_suffixes;
}

const struct limit_info *limit_info(enum limit_id id)
{
    return &limit_table[id];
}

int limit_by_name(const char *name)
{
    for (int id = 0; id < LIMIT_COUNT; id++)
        if (strcmp(limit_table[id].name, name) == 0)
            return id;
    return -1;
}

void limits_default(struct limits *ret)
{
    for (int id = 0; id < LIMIT_COUNT; id++)
        ret->v[id] = limit_table[id].fallback;
}

void limits_ceiling(struct limits *ret)
{
    for (int id = 0; id < LIMIT_COUNT; id++)
        ret->v[id] = limit_table[id].ceiling;
}

static int check_range(enum limit_id id, uint64_t value, uint64_t ceiling, struct err *err)
{
    const struct limit_info *info = limit_info(id);
    bool above = value > ceiling;
    if (!above && value >= info->floor)
        return 0;
    char asked[32], bound[32];
    limit_format(id, value, asked, sizeof(asked));
    limit_format(id, above ? ceiling : info->floor, bound, sizeof(bound));
    return err_set(err, -ERANGE, "limit %s: %s is %s %s", info->name, asked,
                   above ? "above the ceiling of" : "below the least of", bound);
}

int limits_resolve(const struct limits *requested, const struct limits *defaults,
                   const struct limits *ceilings, struct limits *ret, struct err *err)
{
    struct limits resolved;
    for (int id = 0; id < LIMIT_COUNT; id++) {
        uint64_t fallback = defaults ? defaults->v[id] : limit_table[id].fallback;
        uint64_t ceiling = ceilings ? ceilings->v[id] : limit_table[id].ceiling;
        uint64_t value = requested->v[id];
        if (value == 0)
            value = fallback < ceiling ? fallback : ceiling;
        int r = check_range((enum limit_id)id, value, ceiling, err);
        if (r < 0)
            return r;
        resolved.v[id] = value;
    }
    *ret = resolved;
    return 0;
}

/* Decimal digits, all of them. Return: what follows them, or NULL (none, or the value does not
 * fit). */
static const char *parse_digits(const char *text, uint64_t *ret)
{
    uint64_t value = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
            return NULL;
    *ret = value;
    return p > text ? p : NULL;
}

static int parse_scaled(const char *text, enum limit_unit unit, uint64_t *ret)
{
    uint64_t value = 0;
    const char *rest = parse_digits(text, &value);
    if (!rest)
        return -EINVAL;
    if (unit == LIMIT_UNIT_MS && *rest == 0)
        rest = "s"; /* a bare time is in seconds, as in the environment aliases */
    for (const struct suffix *s = suffixes_of(unit); s->text; s++)
        if (strcmp(rest, s->text) == 0)
            return __builtin_mul_overflow(value, s->scale, ret) ? -EINVAL : 0;
    return -EINVAL;
}

int size_parse(const char *text, uint64_t *ret, struct err *err)
{
    uint64_t value;
    if (parse_scaled(text, LIMIT_UNIT_BYTES, &value) < 0)
        return err_set(err, -EINVAL, "'%.32s' is not %s", text, unit_help[LIMIT_UNIT_BYTES]);
    *ret = value;
    return 0;
}

int time_parse(const char *text, uint64_t *ret_ms, struct err *err)
{
    uint64_t value;
    if (parse_scaled(text, LIMIT_UNIT_MS, &value) < 0)
        return err_set(err, -EINVAL, "'%.32s' is not %s", text, unit_help[LIMIT_UNIT_MS]);
    *ret_ms = value;
    return 0;
}

int limit_parse(enum limit_id id, const char *text, uint64_t *ret, struct err *err)
{
    const struct limit_info *info = limit_info(id);
    uint64_t value;
    /* 0 means "not said" in a struct limits, so it cannot be asked for. */
    if (parse_scaled(text, info->unit, &value) < 0 || value == 0)
        return err_set(err, -EINVAL, "limit %s: '%.32s' is not %s above 0", info->name, text,
                       unit_help[info->unit]);
    *ret = value;
    return 0;
}

static int no_such_limit(const char *name, struct err *err)
{
    char names[160] = "";
    size_t at = 0;
    for (int id = 0; id < LIMIT_COUNT && at < sizeof(names); id++) {
        int n = snprintf(names + at, sizeof(names) - at, "%s%s", id > 0 ? ", " : "",
                         limit_info((enum limit_id)id)->name);
        at += n > 0 ? (size_t)n : 0;
    }
    return err_set(err, -EINVAL, "there is no limit '%.64s'; there are %s", name, names);
}

int limit_parse_named(const char *name, const char *text, struct limits *limits, struct err *err)
{
    int id = limit_by_name(name);
    if (id < 0)
        return no_such_limit(name, err);
    return limit_parse((enum limit_id)id, text, &limits->v[id], err);
}

int limit_parse_pair(const char *text, struct limits *limits, struct err *err)
{
    const char *equals = strchr(text, '=');
    char name[32];
    size_t len = equals ? (size_t)(equals - text) : 0;
    if (len == 0 || len >= sizeof(name))
        return err_set(err, -EINVAL, "'%.64s' is not NAME=VALUE, as in memory=64M", text);
    memcpy(name, text, len);
    name[len] = 0;
    return limit_parse_named(name, equals + 1, limits, err);
}

int limit_parse_alias(enum limit_id id, const char *text, uint64_t *ret, struct err *err)
{
    const struct limit_info *info = &limit_table[id];
    uint64_t value = 0;
    const char *rest = parse_digits(text, &value);
    if (!rest || *rest || value == 0 || __builtin_mul_overflow(value, info->env_scale, &value))
        return err_set(err, -EINVAL, "%s: '%.32s' is not a whole number above 0", info->env_alias,
                       text);
    *ret = value;
    return 0;
}

int limits_from_env(struct limits *limits, struct err *err)
{
    for (int id = 0; id < LIMIT_COUNT; id++) {
        const struct limit_info *info = &limit_table[id];
        const char *text = info->env_alias ? getenv(info->env_alias) : NULL;
        if (!text || !*text)
            continue;
        int r = limit_parse_alias((enum limit_id)id, text, &limits->v[id], err);
        if (r < 0)
            return r;
    }
    return 0;
}

void limit_format(enum limit_id id, uint64_t value, char *buf, size_t size)
{
    const struct suffix *s = suffixes_of(limit_info(id)->unit);
    while (s[1].text && (value % s->scale != 0 || value == 0))
        s++;
    snprintf(buf, size, "%" PRIu64 "%s", value / s->scale, s->text);
}
