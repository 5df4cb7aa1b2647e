#pragma once
/*
 * Can this host run the service with every layer?
 *
 * Two halves: doctor_examine() looks (and tries, in children that leave nothing behind), and
 * doctor_judge() turns what was seen into findings with remedies. The second half is pure, so that
 * hosts we do not have can be tested.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

#define DOCTOR_TEXT_MAX   256
#define DOCTOR_CHECKS_MAX 40
#define DOCTOR_ABSENT     (-1) /* of a sysctl: this kernel has no such file */

enum doctor_ns {
    DOCTOR_NS_USER,
    DOCTOR_NS_PID,
    DOCTOR_NS_MOUNT,
    DOCTOR_NS_NET,
    DOCTOR_NS_IPC,
    DOCTOR_NS_UTS,
    DOCTOR_NS_CGROUP,
    DOCTOR_NS_COUNT
};

enum doctor_runtime { DOCTOR_PYTHON, DOCTOR_BASH, DOCTOR_CC, DOCTOR_NODE, DOCTOR_RUNTIME_COUNT };

/* What was seen. Errors are positive errnos, 0: it worked. */
struct doctor_facts {
    uid_t uid;
    char user[64];
    char release[65];
    int ns_error[DOCTOR_NS_COUNT];
    int proc_error;                   /* a fresh /proc inside user and pid namespaces */
    int overlay_error;                /* an overlay inside a user namespace */
    char inside_usr[DOCTOR_TEXT_MAX]; /* where something is mounted below /usr; empty: nowhere */
    int idmap_error;                  /* an id-mapped bind of /usr; root only */
    char cache[DOCTOR_TEXT_MAX]; /* the default cache_dir, or where it would be made; root only */
    int cache_idmap_error;       /* the same of that */
    int openat2_error, pidfd_error, clone3_error, close_range_error;
    int notify_error; /* seccomp user notification */
    int landlock_abi; /* 0: none */
    long max_user_namespaces;
    long unprivileged_userns_clone;
    long apparmor_restrict_userns;
    char cgroup_version[16]; /* "v1" "hybrid" "v2"; empty: none */
    char cgroup_error[DOCTOR_TEXT_MAX];
    uint32_t cgroup_controllers; /* enum cg_controller, that we may use */
    bool cgroup_is_root; /* this process stands in the hierarchy's root group: no supervisor gave it
                            one */
    uint64_t subuids, subgids; /* how many belong to @user in /etc/subuid and /etc/subgid */
    bool newuidmap, newgidmap; /* found in PATH */
    uint64_t swap_bytes, memory_bytes;
    unsigned cpus;
    char core_pattern[DOCTOR_TEXT_MAX];
    bool core_limit_zero; /* our hard RLIMIT_CORE: programs can't get the 1 that keeps the handler
                             away */
    char runtime[DOCTOR_RUNTIME_COUNT][80]; /* first line of --version; empty: not found */
    char grpc[80];                          /* version of libgrpc; empty: not found */
    char bwrap[80];
};

enum doctor_state {
    DOCTOR_OK,
    DOCTOR_NOTE,      /* works with all layers; the operator should know or may improve */
    DOCTOR_SHORTFALL, /* a layer, or the service, is missing */
};

struct doctor_check {
    const char *name; /* "user-namespace" */
    enum doctor_state state;
    char found[DOCTOR_TEXT_MAX];
    char remedy[DOCTOR_TEXT_MAX]; /* one line; empty when nothing is to be done */
};

struct doctor_report {
    size_t n;
    struct doctor_check checks[DOCTOR_CHECKS_MAX];
};

const char *doctor_state_name(enum doctor_state state); /* "ok" "note" "shortfall" */

/**
 * doctor_examine() - look at this host
 *
 * Forks (the caller must be single-threaded), runs `X --version` of the runtimes it finds in PATH,
 * changes nothing that outlives it. What is missing is a fact and not a fault.
 *
 * Return: 0, or a negative errno when not even looking was possible.
 */
int doctor_examine(struct doctor_facts *ret, struct err *err);

/** doctor_judge() - pure; every check that there is gets an entry, also the good ones. */
void doctor_judge(const struct doctor_facts *facts, struct doctor_report *ret);

/** doctor_healthy() - no shortfall: the service can run with all layers. */
bool doctor_healthy(const struct doctor_report *report);
