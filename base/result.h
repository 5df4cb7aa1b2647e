#pragma once
/*
 * What became of a run, in the one vocabulary that the sandbox, the wire, the service and the
 * command line share. All structs here are plain data of fixed size: they travel whole over the
 * spawner's socket between two programs of one build.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/limits.h"

/* How the main process ended; the first that applies, in this order. */
enum verdict {
    VERDICT_INTERNAL,  /* we failed, not the program */
    VERDICT_CANCELLED, /* the caller asked for the end, or is gone */
    VERDICT_MEMORY_LIMIT,
    VERDICT_CPU_TIME_LIMIT,
    VERDICT_WALL_TIME_LIMIT,
    VERDICT_IDLE_LIMIT,
    VERDICT_OUTPUT_LIMIT,
    VERDICT_FILE_SIZE_LIMIT,
    VERDICT_PROCESS_LIMIT,
    VERDICT_POLICY_VIOLATION,
    VERDICT_SIGNALED,
    VERDICT_EXITED,
    VERDICT_COMPILE_FAILED, /* set by the service on the result of a compile step */
    VERDICT_COUNT
};

/* "MEMORY_LIMIT"; NULL beyond the enum. */
const char *verdict_name(enum verdict verdict);
/* Return: the verdict, or -1. */
int verdict_by_name(const char *name);
/* A limit ended it (exit status 124 of the CLI). */
bool verdict_is_limit(enum verdict verdict);
/* The limit that @verdict speaks of (enum limit_id), or -1. */
int verdict_limit(enum verdict verdict);

/* Kinds of calls that policy forbids; reported with a count. */
enum refusal_op {
    REFUSAL_SUBPROCESS, /* fork, vfork, clone of a process under no-subprocess */
    REFUSAL_SOCKET,     /* a socket family beyond AF_UNIX (and loopback AF_INET/6, netlink ROUTE) */
    REFUSAL_PTRACE,     /* ptrace, process_vm_*, pidfd_getfd, kcmp */
    REFUSAL_MOUNT,      /* mount, umount, pivot_root, chroot, the new mount API */
    REFUSAL_NAMESPACE,  /* unshare, setns, clone with CLONE_NEW* */
    REFUSAL_KEYRING,    /* add_key, keyctl, request_key */
    REFUSAL_KERNEL,     /* bpf, io_uring, userfaultfd, perf_event_open, modules, reboot ... */
    REFUSAL_TIME,       /* setting clocks */
    REFUSAL_TERMINAL,   /* TIOCSTI, TIOCLINUX */
    REFUSAL_DEVICE,     /* mknod of devices, iopl, ioperm */
    REFUSAL_OTHER,      /* anything else outside the allow-list */
    REFUSAL_COUNT
};

/* "subprocess"; NULL beyond the enum. */
const char *refusal_name(enum refusal_op op);
/* "your program tried to start another program: not allowed here" */
const char *refusal_message(enum refusal_op op);

/*
 * Layers of a sandbox, each reported back per run. LAYER_TIME is the pair of CPU and wall timers.
 * Each has a probe in tests/security that fails when the layer is taken away.
 */
enum layer {
    LAYER_USER_NS, /* uid 0 inside is nobody outside */
    LAYER_PID_NS,
    LAYER_MOUNT_NS, /* private mount tree and pivot_root into the read-only root */
    LAYER_NET_NS,
    LAYER_IPC_NS,
    LAYER_UTS_NS,
    LAYER_CGROUP_NS,
    LAYER_ROOT_OVERLAY, /* the slot's own overlay: file locks on shared inodes carry nothing */
    LAYER_PROC_MASK,    /* sensitive files of /proc covered, /proc read-only */
    LAYER_TMPFS_LIMITS, /* byte and inode limits of the writable tmpfs */
    LAYER_NO_NEW_PRIVS,
    LAYER_CAPABILITIES, /* all capabilities dropped, bounding set empty */
    LAYER_SLOT_UID,     /* a uid of its own, not the init's */
    LAYER_SESSION,      /* a new session without the launcher's terminal */
    LAYER_SECCOMP,
    LAYER_RLIMITS, /* file size, open files, core, stack, locked memory, CPU backstop */
    LAYER_CG_MEMORY,
    LAYER_CG_PIDS,
    LAYER_CG_CPU, /* CPU accounting of the tree, and weight */
    LAYER_FDS,    /* no descriptor beyond the stdio reaches the program */
    LAYER_COUNT
};

/* "user-namespace"; NULL beyond the enum. */
const char *layer_name(enum layer layer);
/* Return: the layer, or -1. */
int layer_by_name(const char *name);

#define LAYER_BIT(layer)   (UINT32_C(1) << (layer))
#define LAYERS_ALL         (LAYER_BIT(LAYER_COUNT) - 1)

#define RESULT_DETAIL_MAX  120
#define RESULT_MESSAGE_MAX 240

struct run_usage {
    uint64_t cpu_user_us;
    uint64_t cpu_system_us;
    uint64_t wall_us;
    uint64_t memory_peak_bytes;
    uint64_t processes_peak;
    uint64_t memory_bytes; /* now; a result does not tell it */
};

/* Microseconds of each step; 0: did not take place. */
struct run_timing {
    uint64_t queued, slot, files_in, spawn, run, collect, total, compile;
};

struct run_explanation {
    int limit;           /* enum limit_id, or -1 */
    uint64_t configured; /* in the limit's unit */
    uint64_t observed;
    char detected_by[32];             /* "cgroup oom_kill", "wall timer" ... */
    char message[RESULT_MESSAGE_MAX]; /* one sentence for a beginner; empty for a plain exit 0 */
};

enum run_start { RUN_START_COLD, RUN_START_WARM };

struct run_result {
    enum verdict verdict;
    int exit_code;                    /* 0..255, or -1 when a signal ended the main process */
    int term_signal;                  /* 0, or the signal that ended the main process */
    uint32_t limits_hit;              /* bit (1 << enum limit_id) */
    uint32_t refusals[REFUSAL_COUNT]; /* calls refused, per kind */
    struct run_explanation explanation;
    struct run_usage usage;
    struct run_timing timing;
    enum run_start start;
    bool compile_cached;     /* the compile step was saved: an earlier run had made the same */
    uint32_t layers;         /* bit per enum layer that was active */
    uint32_t layers_missing; /* asked for, or default, and not active */
    char launcher[16];       /* "native" or "bwrap" */
    struct err err;          /* what failed, with VERDICT_INTERNAL; else code 0 */
};

/* run_explanation.detected_by of a run that the cap of all sandboxes together ended. */
#define DETECTED_BY_NODE_MEMORY "parent cgroup"

/* "SIGKILL"; "SIGRTMIN+3"; NULL for 0. The buffer is static per thread. */
const char *signal_name(int signo);
/* "SIGINT", "INT" or "2"; return: the number, or -1. */
int signal_by_name(const char *name);

/**
 * result_exit_status() - the command line's exit status for @result
 *
 * The program's own; 128+n when a signal ended it (a cancelled run without one counts as SIGINT);
 * 124 for a limit, 125 for our fault, 126 for a violated policy. COMPILE_FAILED is the compiler's.
 */
int result_exit_status(const struct run_result *result);

/**
 * result_explain() - write explanation.message, one sentence for a beginner
 *
 * It is made from the rest of @result. For a limit, explanation.configured must be set, and
 * explanation.limit is set if it is -1. The message is empty for a plain exit status 0.
 */
void result_explain(struct run_result *result);
