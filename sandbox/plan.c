#include "sandbox/plan.h"

#include <errno.h>
#include <linux/sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mount.h>

#include "base/err.h"
#include "sandbox/init_proto.h"
#include "sandbox/plan_parts.h"

#define TMPFS_OWN_INODES 4 /* its root and the three places */
#define LAYER_OWN_INODES 4 /* the places of an input set: below, work and what is in it */

#define UPPER_PLACE      "/tmp/workspace"
#define LOWER_PLACE      "/tmp/inputs"
#define WORK_PLACE       "/tmp/work"

const char *plan_text(struct plan *plan, const char *format, ...)
{
    char *at = plan->text + plan->text_used;
    size_t left = sizeof(plan->text) - plan->text_used;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(at, left, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= left)
        return NULL;
    plan->text_used += (size_t)n + 1;
    return at;
}

struct plan_op *plan_add(struct plan *plan, enum plan_kind kind, int fd, unsigned long flags)
{
    if (plan->n_ops == PLAN_OPS_MAX)
        return NULL;
    struct plan_op *op = &plan->ops[plan->n_ops++];
    *op = (struct plan_op){.kind = kind, .fd = fd, .flags = flags};
    return op;
}

int plan_mount(struct plan *plan, const char *type, const char *target, unsigned long flags,
               const char *data)
{
    struct plan_op *op = data ? plan_add(plan, PLAN_MOUNT, -EBADF, flags) : NULL;
    if (!op)
        return -E2BIG;
    op->type = type;
    op->target = target;
    op->data = data;
    return 0;
}

static uint64_t namespace_flags(uint32_t layers)
{
    uint64_t flags = 0;
    if (layers & LAYER_BIT(LAYER_PID_NS))
        flags |= CLONE_NEWPID;
    if (layers & LAYER_BIT(LAYER_IPC_NS))
        flags |= CLONE_NEWIPC;
    if (layers & LAYER_BIT(LAYER_UTS_NS))
        flags |= CLONE_NEWUTS;
    return flags;
}

static int add_at(struct plan *plan, enum plan_kind kind, int fd, unsigned long flags,
                  const char *target)
{
    struct plan_op *op = plan_add(plan, kind, fd, flags);
    if (!op)
        return -E2BIG;
    op->target = target;
    return 0;
}

/*
 * The workspace over an input set. Everything in it, and what the overlay will do on the program's
 * behalf, is the slot's uid's; the set's own mount is not needed once the overlay has it. init gets
 * the upper directory: what is there is what the run has made.
 */
static int plan_layers(const struct plan_facts *facts, struct plan *plan)
{
    int r = add_at(plan, PLAN_MKDIR, -EBADF, 0755, LOWER_PLACE);
    if (r == 0)
        r = add_at(plan, PLAN_MKDIR, -EBADF, 0700, WORK_PLACE);
    if (r == 0)
        r = add_at(plan, PLAN_ATTACH, facts->inputs_fd, 0, LOWER_PLACE);
    if (r == 0 && !plan_add(plan, PLAN_OVERRIDE, -EBADF, 0))
        r = -E2BIG;
    if (r == 0)
        r = plan_mount(plan, "overlay", SBX_WORKSPACE, MS_NOSUID | MS_NODEV | MS_NOATIME,
                       "lowerdir=" LOWER_PLACE ",upperdir=" UPPER_PLACE ",workdir=" WORK_PLACE
                       ",userxattr");
    if (r == 0)
        r = add_at(plan, PLAN_DETACH, -EBADF, 0, LOWER_PLACE);
    return r < 0 ? r : add_at(plan, PLAN_KEEP, -EBADF, INIT_FD_UPPER, UPPER_PLACE);
}

/* Its root is hidden by the last bind, and then out of everybody's reach. */
static int plan_tmpfs_places(const struct plan_facts *facts, bool layered, struct plan *plan)
{
    static const struct {
        const char *made, *target;
        unsigned mode;
    } places[] = {{UPPER_PLACE, SBX_WORKSPACE, 0755},
                  {"/tmp/shm", "/dev/shm", 01777},
                  {"/tmp/tmp", "/tmp", 01777}};
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof(places) / sizeof(places[0]); i++)
        r = add_at(plan, PLAN_MKDIR, -EBADF, places[i].mode, places[i].made);
    if (r == 0 && layered)
        r = plan_layers(facts, plan);
    for (size_t i = layered; r == 0 && i < sizeof(places) / sizeof(places[0]); i++)
        r = plan_mount(plan, places[i].made, places[i].target, MS_BIND, "");
    return r;
}

/* One tmpfs for the workspace, /tmp and /dev/shm: its limits are those of all three together. */
static int plan_tmpfs(const struct sbx_spec *spec, const struct plan_facts *facts,
                      struct plan *plan)
{
    const char *size = "", *owner = "";
    const bool layered = spec->inputs && spec->inputs[0];
    if (plan->layers & LAYER_BIT(LAYER_TMPFS_LIMITS))
        size = plan_text(plan, ",size=%llu,nr_inodes=%llu",
                         (unsigned long long)spec->limits.v[LIMIT_WORKSPACE],
                         (unsigned long long)spec->limits.v[LIMIT_INODES] + TMPFS_OWN_INODES +
                             (layered ? LAYER_OWN_INODES : 0));
    if (facts->tmpfs_owner)
        owner = plan_text(plan, ",uid=%u,gid=%u", facts->uid, facts->gid);
    const char *data = size && owner ? plan_text(plan, "mode=0711%s%s", size, owner) : NULL;
    int r = plan_mount(plan, "tmpfs", "/tmp", MS_NOSUID | MS_NODEV | MS_NOATIME, data);
    if (r == 0 && facts->tmpfs_owner && !plan_add(plan, PLAN_FSUID, -EBADF, facts->uid))
        r = -E2BIG;
    if (r == 0)
        r = plan_tmpfs_places(facts, layered, plan);
    if (r == 0 && facts->tmpfs_owner && !plan_add(plan, PLAN_FSUID, -EBADF, 0))
        r = -E2BIG;
    return r;
}

int plan_masks(const char *const *masks, struct plan *plan)
{
    int r = 0;
    for (size_t i = 0; r == 0 && masks && masks[i]; i++)
        r = add_at(plan, PLAN_MASK, -EBADF, 0, masks[i]);
    return r;
}

static int plan_proc(const struct plan_facts *facts, struct plan *plan)
{
    bool masked = plan->layers & LAYER_BIT(LAYER_PROC_MASK);
    unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | (masked ? MS_RDONLY : 0);
    int r = plan_mount(plan, "proc", "/proc", flags, "");
    return r == 0 && masked ? plan_masks(facts->masks, plan) : r;
}

static int plan_mounts(const struct sbx_spec *spec, const struct plan_facts *facts,
                       struct plan *plan)
{
    if (!(plan->layers & LAYER_BIT(LAYER_MOUNT_NS)))
        return 0;
    int r = 0;
    if (facts->proc && !facts->tree && (plan->layers & LAYER_BIT(LAYER_PID_NS)))
        r = plan_proc(facts, plan);
    return r < 0 ? r : plan_tmpfs(spec, facts, plan);
}

int plan_stdio(const struct plan_facts *facts, struct plan *plan)
{
    const int fds[] = {facts->stdio[0],   facts->stdio[1],    facts->stdio[2],
                       facts->control_fd, facts->files_in_fd, facts->files_out_fd};
    for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        if (fds[i] >= 0 && !plan_add(plan, PLAN_STDIO, fds[i], i))
            return -E2BIG;
    return 0;
}

int plan_join(const struct plan_facts *facts, struct plan *plan)
{
    uint32_t cg = LAYER_BIT(LAYER_CG_MEMORY) | LAYER_BIT(LAYER_CG_PIDS) | LAYER_BIT(LAYER_CG_CPU);
    if (!(plan->layers & cg))
        return 0;
    if (facts->cgroup_clone_fd >= 0) {
        plan->clone_flags |= CLONE_INTO_CGROUP;
        plan->clone_cgroup_fd = facts->cgroup_clone_fd;
        return 0;
    }
    for (size_t i = 0; i < facts->n_join_fds; i++)
        if (!plan_add(plan, PLAN_JOIN_CGROUP, facts->join_fds[i], 0))
            return -E2BIG;
    return 0;
}

/* Order matters: the cgroup before its namespace is cut; the tree before what is mounted in it. */
static int plan_namespaces(const struct plan_facts *facts, struct plan *plan)
{
    unsigned long unshare_flags = 0;
    if (!facts->tree && (plan->layers & LAYER_BIT(LAYER_MOUNT_NS))) {
        if (!plan_add(plan, PLAN_ENTER, facts->mount_fd, CLONE_NEWNS))
            return -E2BIG;
        unshare_flags |= CLONE_NEWNS;
    }
    if (plan->layers & LAYER_BIT(LAYER_CGROUP_NS))
        unshare_flags |= CLONE_NEWCGROUP;
    if (unshare_flags && !plan_add(plan, PLAN_UNSHARE, -EBADF, unshare_flags))
        return -E2BIG;
    if (!facts->tree && (plan->layers & LAYER_BIT(LAYER_NET_NS)) &&
        !plan_add(plan, PLAN_ENTER, facts->net_fd, CLONE_NEWNET))
        return -E2BIG;
    return 0;
}

int plan_build(const struct sbx_spec *spec, const struct plan_facts *facts, struct plan *ret,
               struct err *err)
{
    memset(ret, 0, offsetof(struct plan, ops));
    ret->text_used = ret->n_argv = 0;
    ret->clone_cgroup_fd = -EBADF;
    ret->layers = spec->layers & facts->available;
    if (!(ret->layers & LAYER_BIT(LAYER_MOUNT_NS)))
        ret->layers &= ~(LAYER_BIT(LAYER_ROOT_OVERLAY) | LAYER_BIT(LAYER_PROC_MASK) |
                         LAYER_BIT(LAYER_TMPFS_LIMITS));
    if (!(ret->layers & LAYER_BIT(LAYER_PID_NS)))
        ret->layers &= ~LAYER_BIT(LAYER_PROC_MASK);
    if (facts->launcher == SBX_LAUNCHER_BWRAP) {
        /* It can't limit inodes, nor give init another uid than the program's. */
        ret->layers &= ~(LAYER_BIT(LAYER_TMPFS_LIMITS) | LAYER_BIT(LAYER_SLOT_UID));
        return plan_build_bwrap(spec, facts, ret, err);
    }
    ret->clone_flags = namespace_flags(ret->layers);

    int r = plan_join(facts, ret);
    if (r == 0)
        r = plan_namespaces(facts, ret);
    if (r == 0)
        r = plan_mounts(spec, facts, ret);
    if (r == 0 && facts->tree)
        r = plan_tree_rights(facts, ret);
    if (r == 0)
        r = plan_stdio(facts, ret);
    if (r == 0 && !plan_add(ret, PLAN_INIT, facts->init_fd, 0))
        r = -E2BIG;
    return r < 0 ? err_set(err, r, "the plan of this run does not fit") : 0;
}

static void print_flags(FILE *out, uint64_t flags)
{
    static const struct {
        uint64_t flag;
        const char *name;
    } names[] = {{CLONE_NEWNS, "mount"}, {CLONE_NEWPID, "pid"}, {CLONE_NEWNET, "net"},
                 {CLONE_NEWIPC, "ipc"},  {CLONE_NEWUTS, "uts"}, {CLONE_NEWCGROUP, "cgroup"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (flags & names[i].flag)
            fprintf(out, " %s", names[i].name);
}

static void print_op(const struct plan *plan, const struct plan_op *op, FILE *out)
{
    switch (op->kind) {
    case PLAN_JOIN_CGROUP:
        fprintf(out, "join cgroup (write 0 to tasks)\n");
        break;
    case PLAN_ENTER:
        fprintf(out, "enter the slot's");
        print_flags(out, op->flags);
        fprintf(out, " namespace\n");
        break;
    case PLAN_UNSHARE:
        fprintf(out, "new namespaces:");
        print_flags(out, op->flags);
        fprintf(out, "\n");
        break;
    case PLAN_FSUID:
        fprintf(out, "make files as uid %lu\n", op->flags);
        break;
    case PLAN_MKDIR:
        fprintf(out, "mkdir %s, mode %lo\n", op->target, op->flags);
        break;
    case PLAN_MOUNT:
        fprintf(out, "%s %s on %s%s%s%s\n", op->flags & MS_BIND ? "bind" : "mount", op->type,
                op->target, op->flags & MS_RDONLY ? " read-only" : "", *op->data ? " " : "",
                op->data);
        break;
    case PLAN_MASK:
        fprintf(out, "mask %s\n", op->target);
        break;
    case PLAN_ATTACH:
        fprintf(out, "attach the input set on %s\n", op->target);
        break;
    case PLAN_DETACH:
        fprintf(out, "unmount %s\n", op->target);
        break;
    case PLAN_OVERRIDE:
        fprintf(out, "take CAP_DAC_OVERRIDE, for an overlay's own directory\n");
        break;
    case PLAN_KEEP:
        fprintf(out, "descriptor %lu: %s\n", op->flags, op->target);
        break;
    case PLAN_STDIO:
        fprintf(out, "descriptor %lu: %s\n", op->flags,
                op->flags <= 2                  ? "the program's stdio"
                : op->flags == INIT_FD_CONTROL  ? "control socket of init"
                : op->flags == INIT_FD_FILES_IN ? "input files"
                                                : "output files");
        break;
    case PLAN_INIT:
        fprintf(out, "execute init as pid 1\n");
        break;
    case PLAN_BECOME:
        fprintf(out, "become uid %lu, without capabilities\n", op->flags);
        break;
    case PLAN_ROOT:
        fprintf(out, "become uid 0 of the user namespace\n");
        break;
    case PLAN_PIVOT:
        fprintf(out, "pivot into %s, let go of the host's mounts\n", op->target);
        break;
    case PLAN_HOSTNAME:
        fprintf(out, "host name %s\n", op->target);
        break;
    case PLAN_CONTINUE:
        fprintf(out, "wait for the rest\n");
        break;
    case PLAN_RIGHTS:
        fprintf(out, "drop all capabilities but init's\n");
        break;
    case PLAN_EXEC:
        fprintf(out, "execute %s", op->target);
        for (size_t i = 1; i < plan->n_argv; i++)
            fprintf(out, " %s", plan->argv[i]);
        fprintf(out, "\n");
        break;
    }
}

void plan_print(const struct plan *plan, const struct sbx_spec *spec, FILE *out)
{
    fprintf(out, "clone3:");
    print_flags(out, plan->clone_flags);
    fprintf(out, " namespaces%s\n",
            plan->clone_flags & CLONE_INTO_CGROUP ? ", into the cgroup" : "");
    for (size_t i = 0; i < plan->n_ops; i++)
        print_op(plan, &plan->ops[i], out);
    fprintf(out,
            "init: session, rlimits, slot's uid, no capabilities, no_new_privs, seccomp; cwd %s\n",
            spec->cwd ? spec->cwd : SBX_WORKSPACE);
    fprintf(out, "init: run");
    for (const char *const *arg = spec->argv; *arg; arg++)
        fprintf(out, " %s", *arg);
    if (spec->policy & SBX_POLICY_NO_SUBPROCESS)
        fprintf(out, "\npolicy: no-subprocess");
    fprintf(out, "\nlimits:");
    for (int i = 0; i < LIMIT_COUNT; i++) {
        char text[32];
        limit_format((enum limit_id)i, spec->limits.v[i], text, sizeof(text));
        fprintf(out, " %s=%s", limit_info((enum limit_id)i)->name, text);
    }
    fprintf(out, "\nlayers:");
    for (int i = 0; i < LAYER_COUNT; i++)
        if (plan->layers & LAYER_BIT(i))
            fprintf(out, " %s", layer_name((enum layer)i));
    fprintf(out, "\n");
}
