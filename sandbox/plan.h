#pragma once
/*
 * A plan: the ordered operations between clone and the start of pid 1. Pure: made from a spec and
 * facts, testable without root, printable; child.c walks it and allocates nothing.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "sandbox/spec.h"

#define PLAN_OPS_MAX  112
#define PLAN_TEXT_MAX 16384
#define PLAN_ARGS_MAX 128

enum plan_kind {
    PLAN_JOIN_CGROUP, /* write "0" to fd (v1) */
    PLAN_ENTER,       /* setns(fd, flags) */
    PLAN_UNSHARE,     /* unshare(flags) */
    PLAN_MOUNT,       /* mount(type, target, type, flags, data) */
    PLAN_FSUID,       /* files are made by uid and gid `flags` from here on */
    PLAN_MKDIR,       /* target with mode `flags`, whatever the umask */
    PLAN_MASK,        /* cover target: with an empty read-only directory, or with /dev/null */
    PLAN_ATTACH,      /* the detached mount fd on target */
    PLAN_DETACH,      /* unmount target */
    PLAN_OVERRIDE,    /* a file's mode does not stop us; until the next PLAN_FSUID to 0 */
    PLAN_KEEP,        /* target, opened as number `flags` */
    PLAN_STDIO,       /* dup fd to number `flags` */
    PLAN_INIT,        /* execveat(fd): pid 1 */
    PLAN_BECOME,      /* uid and gid `flags`, no capability */
    PLAN_EXEC,        /* execve(target, plan's argv): bubblewrap, which executes init */
    PLAN_ROOT,        /* uid and gid 0 of U, no groups: until then still the caller's */
    PLAN_PIVOT,       /* target becomes "/", what was before is let go */
    PLAN_HOSTNAME,    /* target is the name */
    PLAN_RIGHTS,      /* capabilities `flags` for init, an empty bounding set */
    PLAN_CONTINUE,    /* wait for the rest: another plan */
};

struct plan_op {
    enum plan_kind kind;
    int fd;
    unsigned long flags;
    const char *target, *type, *data; /* into the plan's text, or static */
};

struct plan {
    uint64_t clone_flags; /* CLONE_NEW*, CLONE_INTO_CGROUP ... */
    int clone_cgroup_fd;
    uint32_t layers; /* LAYER_BITs that this plan and init establish */
    size_t n_ops;
    struct plan_op ops[PLAN_OPS_MAX];
    size_t n_argv;
    const char *argv[PLAN_ARGS_MAX]; /* of PLAN_EXEC */
    size_t text_used;
    char text[PLAN_TEXT_MAX];
};

/*
 * For a run without a slot: its tree is made by its own child, which starts from the host's mounts
 * in namespaces that belong to U. Descriptors of detached mounts are the caller's.
 */
struct plan_tree {
    const char *place; /* a directory of the host, to build on */
    int root_fd;       /* skeleton.c's, read-only; its /run is empty */
    int dev_fd;
    const char *const *root_paths; /* NULL-terminated: shown through an overlay each */
    struct {
        int fd;
        const char *target;
    } binds[SBX_BINDS_MAX];
    size_t n_binds;
    const char *const *masks; /* as in plan_facts */
    const char *hostname;
    uint64_t init_caps;
};

/* What the plan depends on beside the spec. Descriptors may be -EBADF in a dry run. */
struct plan_facts {
    enum sbx_launcher launcher;
    uint32_t available; /* LAYER_BITs that this node can give */
    const int *join_fds;
    size_t n_join_fds;
    int cgroup_clone_fd; /* -1: v1 */
    int mount_fd, net_fd;
    int init_fd, control_fd;
    int stdio[3];
    int files_in_fd, files_out_fd;
    int inputs_fd; /* the detached mount of the input set, with spec->inputs */
    uid_t uid;
    gid_t gid;
    const char *const *masks;     /* NULL-terminated: "/proc/keys", directories end in '/' */
    bool tmpfs_owner;             /* tmpfs takes uid= of the slot (a map with many uids) */
    bool proc;                    /* a fresh /proc can be mounted */
    const struct plan_tree *tree; /* NULL: a slot's, mount_fd and net_fd */
};

/**
 * plan_build_tree() - a direct run's tree alone, which depends on nothing of the run: its child can
 * start with it before the rest, which is plan_build()'s with facts->tree, is known
 */
int plan_build_tree(const struct plan_tree *tree, struct plan *ret, struct err *err);
int plan_build(const struct sbx_spec *spec, const struct plan_facts *facts, struct plan *ret,
               struct err *err);
/** plan_print() - one operation a line, for --dry-run. */
void plan_print(const struct plan *plan, const struct sbx_spec *spec, FILE *out);
