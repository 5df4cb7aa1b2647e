#pragma once
/*
 * The text of cgroup files, and of the /proc files that say where cgroups are. Pure functions over
 * a buffer and its length: no NUL is needed, nothing beyond the length is read.
 *
 * "Not there" and "not in this form" are both false; nothing is written to outputs then.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CG_NAME_MAX 64   /* a tree's or a group's name */
#define CG_PATH_MAX 1024 /* a tree has to be described in as much (node.h) */
#define CG_HIER_MAX 6

/** "4096", "4096\n"; "max" and "-1" (v1: no limit) are UINT64_MAX. Overflow is false. */
bool cg_parse_u64(const char *text, size_t len, uint64_t *ret);

/** One line "key value" of a flat keyed file: memory.events, cpu.stat, memory.oom_control,
 * pids.events. */
bool cg_parse_flat(const char *text, size_t len, const char *key, uint64_t *ret);

/** avg10 of the line that starts with @kind ("some", "full") of a pressure file, in hundredths. */
bool cg_parse_psi(const char *text, size_t len, const char *kind, uint32_t *ret_centi);

/**
 * cg_parse_pid() - the next positive pid at *@cursor; 0 (a process outside our pid namespace) is
 * passed over, as is anything that is not a number
 */
bool cg_parse_pid(const char **cursor, const char *end, pid_t *ret);

/** Path of @controller in /proc/<pid>/cgroup; NULL: the v2 line "0::". */
bool cg_parse_own_path(const char *text, size_t len, const char *controller, char *ret,
                       size_t size);

struct cg_mount {
    char root[CG_PATH_MAX];  /* the part of the hierarchy that is mounted */
    char point[CG_PATH_MAX]; /* where */
};

/**
 * cg_parse_mount() - the first mount of @fstype in /proc/<pid>/mountinfo
 * @point: only the mount at this place; NULL: any
 * @option: only with this super option ("name=systemd"); NULL: any
 */
bool cg_parse_mount(const char *text, size_t len, const char *fstype, const char *point,
                    const char *option, struct cg_mount *ret);

struct cg_mounted {
    bool v2;
    uint32_t controllers; /* of a v1 mount, by its options */
    char point[CG_PATH_MAX];
};

/** cg_parse_mounted() - the next mount of any cgroup hierarchy at *@cursor in mountinfo */
bool cg_parse_mounted(const char **cursor, const char *end, struct cg_mounted *ret);

/** Bits (enum cg_controller) of the names in a list separated by @sep; unknown names are passed
 * over. */
uint32_t cg_parse_controllers(const char *text, size_t len, char sep);
/** "memory+pids" into @buf; return: as snprintf. */
int cg_format_controllers(uint32_t controllers, char sep, char *buf, size_t size);
/** The bit of one name, 0 when it is none of ours. */
uint32_t cg_controller_bit(const char *name, size_t len);

struct cg_described {
    int version; /* enum cg_version */
    size_t n;
    struct {
        uint32_t controllers;
        char path[CG_PATH_MAX];
    } hier[CG_HIER_MAX];
};

/** The line that cg_tree_describe() writes: "v1 memory+swap=/path pids=/path". */
bool cg_parse_description(const char *text, size_t len, struct cg_described *ret);

/** A name that may become a directory: [A-Za-z0-9][A-Za-z0-9._-]*, at most CG_NAME_MAX bytes. */
bool cg_name_ok(const char *name);
