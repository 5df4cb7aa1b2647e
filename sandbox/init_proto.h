#pragma once
/*
 * Between the spawner and the pid 1 of a sandbox (init.c): one SOCK_SEQPACKET pair per run.
 * Plain structs in host order, both ends are of one build. Also compiled freestanding: no libc
 * here.
 *
 *   spawner -> init   init_config (first), then init_order messages. A sandbox that was made before
 *                     its run gets the program's stdio and the files' pipes with init_config; else
 *                     init is started with them.
 *   init -> spawner   init_report messages; end of file means that init is gone
 */

#include <linux/filter.h>
#include <stdint.h>

#define INIT_MAGIC      UINT32_C(0x494e4954)
#define INIT_CONFIG_MAX (192 * 1024)

/* Descriptors that init is started with. 0-2 are the program's stdio. */
enum { INIT_FD_CONTROL = 3, INIT_FD_FILES_IN = 4, INIT_FD_FILES_OUT = 5, INIT_FD_UPPER = 6 };

enum { INIT_FDS_PASSED_MAX = 5 };

enum init_flag {
    INIT_FILES_IN = 1 << 0,
    INIT_COLLECT = 1 << 1,
    INIT_TERMINAL = 1 << 2,
    INIT_OWN_PID_NS = 1 << 3, /* pid 1: may kill(-1) */
    INIT_NOTIFY = 1 << 4,     /* the filter reports refused calls */
    INIT_SAME_UID = 1 << 5,   /* no uid of its own for the program (a single-uid map) */
    INIT_WORKSPACE = 1 << 6,  /* the three writable tmpfs exist */
    INIT_LAYERED = 1 << 7, /* the workspace lies over an input set: INIT_FD_UPPER is its own part */
    INIT_ALONE = 1 << 8,   /* no other run: nobody waits for this one's slot or processor */
};

enum { INIT_OPS_MAX = 16, INIT_NR_MAX = 512 };

struct init_config {
    uint32_t magic;
    uint32_t size;     /* of the whole message */
    uint32_t flags;    /* enum init_flag */
    uint32_t layers;   /* LAYER_BITs wanted */
    uint32_t uid, gid; /* the program's, inside the user namespace */
    uint32_t argc, envc;
    uint64_t file_size;     /* RLIMIT_FSIZE, bytes */
    uint64_t open_files;    /* RLIMIT_NOFILE */
    uint64_t cpu_s;         /* RLIMIT_CPU: the backstop, rounded up */
    uint64_t collect_bytes; /* cap on what goes out */
    uint32_t collect_files;
    uint32_t n_insns;
    uint32_t descriptors; /* bit N: number N is in use; they may come with the message, in order */
    uint16_t errno_of[INIT_OPS_MAX]; /* by enum refusal_op */
    uint8_t op_of[INIT_NR_MAX];
    /* then: struct sock_filter[n_insns]; then NUL-terminated strings: cwd, argv..., envp... */
};

enum init_order_type {
    INIT_ORDER_KILL = 1, /* kill the program's processes; the report follows as ever */
    INIT_ORDER_SIGNAL,   /* @arg: signal to the main process */
    INIT_ORDER_COLLECT, /* after MAIN_ENDED: send files (arg 1), or do without (arg 0), and leave */
    INIT_ORDER_QUERY,   /* answer with INIT_REPORT_WAITS */
};

struct init_order {
    uint32_t type;
    uint32_t arg;
};

enum init_report_type {
    INIT_REPORT_STARTED = 1, /* the program was executed */
    INIT_REPORT_FAILED,      /* it was not: stage, code, text; init leaves */
    INIT_REPORT_MAIN_ENDED,  /* main's status; every other process is dead and reaped */
    INIT_REPORT_COLLECTED,   /* files are out; code != 0: incomplete */
    INIT_REPORT_WAITS,       /* waited_us so far, waiting now (value) */
};

enum init_stage {
    INIT_STAGE_SETUP = 1, /* ours */
    INIT_STAGE_FILES_IN,
    INIT_STAGE_EXEC, /* the caller's: no such program, not executable */
    INIT_STAGE_CWD,  /* the caller's: no such directory */
};

/* Bits of init_report.hits, found at the end. */
enum init_hit {
    INIT_HIT_FILE_SIZE = 1 << 0, /* a file of exactly the limit's size */
    INIT_HIT_WORKSPACE = 1 << 1, /* a writable tmpfs is full */
    INIT_HIT_INODES = 1 << 2,
};

struct init_report {
    uint32_t type;
    uint32_t stage;
    int32_t code;   /* negative errno */
    int32_t status; /* wait status of the main process */
    uint32_t hits;
    uint32_t value;
    uint64_t at_us;       /* CLOCK_MONOTONIC */
    uint64_t files_in_us; /* how long the inputs took */
    uint64_t waited_us;   /* time spent waiting for terminal input */
    uint64_t watch_us;    /* init's own processor time for finding that out */
    uint32_t refusals[INIT_OPS_MAX];
    char text[160];
};
