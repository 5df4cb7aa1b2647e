#pragma once
/*
 * The limits of a run: one table for the command line, the .proto files, the configuration, the
 * environment aliases and the metrics. Units: bytes, milliseconds or a plain count.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

enum limit_id {
    LIMIT_MEMORY,     /* bytes, swap included; cgroup */
    LIMIT_CPU,        /* ms of CPU time of the whole tree */
    LIMIT_WALL,       /* ms */
    LIMIT_IDLE,       /* ms; terminal runs and sessions only */
    LIMIT_FILE_SIZE,  /* bytes; RLIMIT_FSIZE */
    LIMIT_PROCESSES,  /* count, threads included; pids cgroup */
    LIMIT_OUTPUT,     /* bytes per stream that are kept */
    LIMIT_WORKSPACE,  /* bytes of tmpfs: workspace, /tmp and /dev/shm together */
    LIMIT_INODES,     /* count, of the same tmpfs */
    LIMIT_OPEN_FILES, /* count; RLIMIT_NOFILE */
    LIMIT_COUNT
};

enum limit_unit { LIMIT_UNIT_BYTES, LIMIT_UNIT_MS, LIMIT_UNIT_COUNT };

struct limit_info {
    const char *name; /* "file-size" */
    enum limit_unit unit;
    uint64_t floor;        /* below it no program could start */
    uint64_t fallback;     /* the default */
    uint64_t ceiling;      /* the shipped ceiling; the operator's file may set another */
    const char *env_alias; /* "FILE_SIZE_LIMIT_MB" */
    uint64_t env_scale;    /* value of the alias times this is in the unit above */
};

/* A value per limit; in a request 0 means "not said": the default applies. */
struct limits {
    uint64_t v[LIMIT_COUNT];
};

/** An output stream that exceeds its limit by this factor ends the run. */
#define LIMIT_OUTPUT_KILL_FACTOR 64

const struct limit_info *limit_info(enum limit_id id);

/** limit_by_name() - return: the id, or -1 if @name is no limit's name. */
int limit_by_name(const char *name);

/** limits_default() / limits_ceiling() - the shipped defaults and ceilings. */
void limits_default(struct limits *ret);
void limits_ceiling(struct limits *ret);

/**
 * limits_resolve() - requested over defaults, held against ceilings
 * @requested: 0 entries take the default (never above the ceiling)
 * @defaults, @ceilings: the operator's; NULL for the shipped ones
 *
 * Return: 0, or -ERANGE naming the limit, the value and the ceiling (or floor).
 */
int limits_resolve(const struct limits *requested, const struct limits *defaults,
                   const struct limits *ceilings, struct limits *ret, struct err *err);

/** limit_parse() - "128M", "30s" or "50", as @id takes it; -EINVAL names the limit and the form. */
int limit_parse(enum limit_id id, const char *text, uint64_t *ret, struct err *err);

/** limit_parse_named() - limit_parse() of the limit called @name, into @limits; -EINVAL lists the
 * names that there are. */
int limit_parse_named(const char *name, const char *text, struct limits *limits, struct err *err);

/** limit_parse_pair() - "memory=64M" into @limits. */
int limit_parse_pair(const char *text, struct limits *limits, struct err *err);

/** limit_parse_alias() - the value of @id's environment alias, which it has: a whole number above
 * 0 in the alias' own unit. -EINVAL names the variable. */
int limit_parse_alias(enum limit_id id, const char *text, uint64_t *ret, struct err *err);

/**
 * limits_from_env() - the environment aliases, over @limits; for the operator's defaults
 *
 * An alias is a plain whole number in its own unit (MEMORY_LIMIT_MB=64). One that is unset or empty
 * changes nothing; -EINVAL names the variable that is no such number. Reads the environment: call
 * it before there are threads.
 */
int limits_from_env(struct limits *limits, struct err *err);

/** limit_format() - the shortest exact form: "128M", "1500ms", "50"; always NUL-terminated. */
void limit_format(enum limit_id id, uint64_t value, char *buf, size_t size);

/** size_parse() - K M G (1024) to bytes. time_parse() - ms s m h, or none: seconds, to ms. */
int size_parse(const char *text, uint64_t *ret, struct err *err);
int time_parse(const char *text, uint64_t *ret_ms, struct err *err);
