#pragma once
/*
 * The launch benchmark.
 *
 * Theory of operation
 *
 * A launcher starts one of two programs and waits for its end. In a round every launcher has its
 * turn once, so that a machine that becomes slower in the middle does so for all of them; a gap
 * before each start shows what a tight loop hides (the cgroup's attach that waits for a grace
 * period, cold caches). Figures are the median, the 99th percentile and the ratio of the median to
 * that of bare vfork + exec.
 *
 * Of our own launchers every result must name every layer as active: a quick start that left one
 * out is no result but a failure of the benchmark.
 */

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/result.h"

enum program { PROGRAM_TINY, PROGRAM_PYTHON, PROGRAMS };

#define LAUNCHERS_MAX 14
#define COMMAND_ARGS  80
#define INSIDE_DIR    "/bench" /* where our sandboxes see the tiny program's folder */

/* One kind of launcher; @run waits for the end, @rate (NULL: it has none) keeps @clients of them
 * going. */
struct launcher {
    const char *name;
    bool ours;
    int (*run)(struct launcher *launcher, enum program program, struct err *err);
    int (*rate)(struct launcher *launcher, unsigned clients, uint64_t for_us, double *ret,
                struct err *err);
    /* What the last run's result says of its steps; NULL: it has no result. */
    const struct run_timing *(*timing)(const struct launcher *launcher);
    void *data;
};

struct bench {
    char bin[PATH_MAX];      /* folder of cloister and execsvc */
    char tiny_dir[PATH_MAX]; /* folder of the tiny program */
    char work[64];           /* our temporary folder */
    const char *peers[LAUNCHERS_MAX];
    unsigned rounds[PROGRAMS];
    unsigned gap_rounds[PROGRAMS];
    unsigned gap_ms, rate_ms;
    bool strict, floor;
    const char *only; /* NULL: all */
    struct launcher launchers[LAUNCHERS_MAX];
    size_t n;
};

/* Commands: bare, one-shot, and every launcher of other people. */
struct command {
    const char *argv[PROGRAMS][COMMAND_ARGS]; /* "%ID%": a name that was not used before */
    bool without_v2; /* in mounts of its own, where a hybrid host's cgroup2 is not seen */
    char text[4096]; /* what argv points into */
    size_t used;
};
/** command_new() - @argv ends with NULL; the program's own arguments follow, seen at @tiny */
struct command *command_new(const char *const *prefix, const char *tiny);
const char *const *program_argv(enum program program, const char *tiny);
int command_run(struct launcher *launcher, enum program program, struct err *err);
int command_rate(struct launcher *launcher, unsigned clients, uint64_t for_us, double *ret,
                 struct err *err);
/** oneshot_attest() - one more run with --json, whose layers are read. */
int oneshot_attest(const struct bench *bench, struct err *err);
/** oci_bundle() - a folder for crun and runc that runs @program in it. */
int oci_bundle(const struct bench *bench, enum program program, char *ret, size_t size,
               struct err *err);

/* Our spawner, by the door that execsvc uses. */
struct resident;
/** resident_start() - @ready: with sandboxes made before their run, as the configuration has them
 */
int resident_start(const struct bench *bench, const char *name, bool ready, struct resident **ret,
                   struct err *err);
int resident_run(struct launcher *launcher, enum program program, struct err *err);
int resident_rate(struct launcher *launcher, unsigned clients, uint64_t for_us, double *ret,
                  struct err *err);
const struct run_timing *resident_timing(const struct launcher *launcher);
struct resident *resident_stop(struct resident *resident);

/* execsvc over a spawner of its own, by gRPC. grpc_connect() starts threads: after all nodes. */
struct grpc;
int grpc_start(const struct bench *bench, struct grpc **ret, struct err *err);
int grpc_connect(struct grpc *grpc, struct err *err);
int grpc_run(struct launcher *launcher, enum program program, struct err *err);
/** grpc_ask() - a question of the health service's on the same connection: what a call costs in
 * which nothing is run. */
int grpc_ask(struct launcher *launcher, enum program program, struct err *err);
int grpc_rate(struct launcher *launcher, unsigned clients, uint64_t for_us, double *ret,
              struct err *err);
const struct run_timing *grpc_timing(const struct launcher *launcher);
struct grpc *grpc_stop(struct grpc *grpc);

/** attested() - 0 if @result is a plain exit 0 with every layer active; else why not. */
int attested(const struct run_result *result, struct err *err);
/** measure_all() - every table and the line of JSON. Return: 0, 1 with a bar missed, or an error.
 */
int measure_all(struct bench *bench, struct err *err);
