#include "sandbox/doctor.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgroups/cgroup.h"

/* The service maps this many host uids into its user namespace: one per slot and room to spare. */
#define UIDS_WANTED UINT64_C(65536)
/* The oldest kernel with all calls that we use: mount_setattr (5.12), cgroup.kill and user
 * namespace overlays (5.14). */
#define KERNEL_MAJOR 5
#define KERNEL_MINOR 14
/* Input sets: an overlay over id-mapped mounts. */
#define BLOBS_KERNEL_MAJOR 5
#define BLOBS_KERNEL_MINOR 19

static const char *const state_names[] = {
    [DOCTOR_OK] = "ok",
    [DOCTOR_NOTE] = "note",
    [DOCTOR_SHORTFALL] = "shortfall",
};

const char *doctor_state_name(enum doctor_state state)
{
    return state_names[state];
}

static struct doctor_check *add(struct doctor_report *report, const char *name,
                                enum doctor_state state, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static struct doctor_check *add(struct doctor_report *report, const char *name,
                                enum doctor_state state, const char *format, ...)
{
    assert(report->n < DOCTOR_CHECKS_MAX);
    struct doctor_check *check = &report->checks[report->n++];
    *check = (struct doctor_check){.name = name, .state = state};
    va_list args;
    va_start(args, format);
    vsnprintf(check->found, sizeof(check->found), format, args);
    va_end(args);
    return check;
}

static void remedy(struct doctor_check *check, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void remedy(struct doctor_check *check, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(check->remedy, sizeof(check->remedy), format, args);
    va_end(args);
}

/* "works", or the errno as a shortfall with @cure. */
static void add_tried(struct doctor_report *report, const char *name, int error, const char *cure)
{
    if (error == 0) {
        add(report, name, DOCTOR_OK, "works");
        return;
    }
    remedy(add(report, name, DOCTOR_SHORTFALL, "%s", strerror(error)), "%s", cure);
}

static bool kernel_is(const struct doctor_facts *facts, long major, long minor)
{
    char *end;
    long have_major = strtol(facts->release, &end, 10);
    long have_minor = *end == '.' ? strtol(end + 1, NULL, 10) : 0;
    return have_major > major || (have_major == major && have_minor >= minor);
}

static void judge_kernel(const struct doctor_facts *facts, struct doctor_report *report)
{
    bool recent = kernel_is(facts, KERNEL_MAJOR, KERNEL_MINOR);
    struct doctor_check *check =
        add(report, "kernel", recent ? DOCTOR_OK : DOCTOR_SHORTFALL, "Linux %s", facts->release);
    if (!recent)
        remedy(check, "install a kernel of %d.%d or newer (Debian 12 has 6.1)", KERNEL_MAJOR,
               KERNEL_MINOR);
}

static void judge_calls(const struct doctor_facts *facts, struct doctor_report *report)
{
    const char *newer =
        "install a newer kernel, or allow the call in the container's seccomp profile";
    add_tried(report, "clone3", facts->clone3_error, newer);
    add_tried(report, "pidfd", facts->pidfd_error, newer);
    add_tried(report, "openat2", facts->openat2_error, newer);
    add_tried(report, "close-range", facts->close_range_error, newer);
    add_tried(report, "seccomp-notify", facts->notify_error,
              "use a kernel with CONFIG_SECCOMP_FILTER: programs can't be filtered without it");
    if (facts->landlock_abi > 0)
        add(report, "landlock", DOCTOR_OK, "ABI %d (not needed)", facts->landlock_abi);
    else
        add(report, "landlock", DOCTOR_OK, "absent (not needed)");
}

/* Everything else works without them: a note. */
static void judge_blobs(const struct doctor_facts *facts, struct doctor_report *report)
{
    if (facts->uid != 0)
        return; /* only a service that root has started can show them */
    if (!kernel_is(facts, BLOBS_KERNEL_MAJOR, BLOBS_KERNEL_MINOR))
        remedy(add(report, "blobs", DOCTOR_NOTE, "not with Linux %s", facts->release),
               "install a kernel of %d.%d or newer: without it a run's input files must fit into "
               "its request, 1 MiB",
               BLOBS_KERNEL_MAJOR, BLOBS_KERNEL_MINOR);
    else if (facts->cache_idmap_error)
        remedy(add(report, "blobs", DOCTOR_NOTE, "no id-mapped mounts of %s: %s", facts->cache,
                   strerror(facts->cache_idmap_error)),
               "let cache_dir name a directory on ext4, xfs or btrfs (in a container: a volume): "
               "without it a run's input files must fit into its request, 1 MiB");
    else
        add(report, "blobs", DOCTOR_OK, "%s can hold them", facts->cache);
}

static void judge_namespaces(const struct doctor_facts *facts, struct doctor_report *report)
{
    static const char *const names[DOCTOR_NS_COUNT] = {
        [DOCTOR_NS_USER] = "user-namespace",     [DOCTOR_NS_PID] = "pid-namespace",
        [DOCTOR_NS_MOUNT] = "mount-namespace",   [DOCTOR_NS_NET] = "net-namespace",
        [DOCTOR_NS_IPC] = "ipc-namespace",       [DOCTOR_NS_UTS] = "uts-namespace",
        [DOCTOR_NS_CGROUP] = "cgroup-namespace",
    };
    const char *cure =
        "allow namespaces: on a host see the sysctls below; in a container run it with the "
        "capability SYS_ADMIN and a seccomp profile that allows clone and unshare";
    for (int ns = 0; ns < DOCTOR_NS_COUNT; ns++)
        add_tried(report, names[ns], facts->ns_error[ns], cure);

    add_tried(
        report, "proc-mount", facts->proc_error,
        "something is mounted over parts of /proc (containers do that): run the container with an "
        "unmasked /proc, for example docker run --security-opt systempaths=unconfined");
    add_tried(report, "overlay", facts->overlay_error,
              "load the overlay module (modprobe overlay), and keep it loaded by a line in "
              "/etc/modules-load.d; file locks on shared files leak between runs without it");
    if (facts->inside_usr[0])
        remedy(add(report, "root-overlay", DOCTOR_SHORTFALL, "%.100s is mounted inside /usr",
                   facts->inside_usr),
               "make it part of /usr's own file system: over a /usr with mounts inside it no "
               "sandbox can "
               "have its own overlay (or go on without: allow_missing = root-overlay)");
    else
        add(report, "root-overlay", DOCTOR_OK, "nothing is mounted inside /usr");
    if (facts->uid != 0)
        return;
    if (facts->idmap_error == 0)
        add(report, "idmapped-mounts", DOCTOR_OK, "works");
    else
        remedy(
            add(report, "idmapped-mounts", DOCTOR_NOTE, "%s", strerror(facts->idmap_error)),
            "put /usr on a file system with id-mapped mounts (ext4, xfs, btrfs): without them the "
            "host's files belong to nobody inside");
}

static void judge_sysctls(const struct doctor_facts *facts, struct doctor_report *report)
{
    if (facts->max_user_namespaces == 0)
        remedy(add(report, "max-user-namespaces", DOCTOR_SHORTFALL, "0"),
               "sysctl -w user.max_user_namespaces=15000, and a line in /etc/sysctl.d");
    else
        add(report, "max-user-namespaces", DOCTOR_OK, "%ld", facts->max_user_namespaces);

    /* Root may make user namespaces whatever these two say. */
    enum doctor_state state = facts->uid == 0 ? DOCTOR_OK : DOCTOR_SHORTFALL;
    if (facts->unprivileged_userns_clone == 0)
        remedy(add(report, "unprivileged-userns-clone", state, "0%s",
                   facts->uid == 0 ? ": concerns ordinary users only" : ""),
               "%s",
               facts->uid == 0 ? ""
                               : "sysctl -w kernel.unprivileged_userns_clone=1, or run as root");
    else
        add(report, "unprivileged-userns-clone", DOCTOR_OK, "%s",
            facts->unprivileged_userns_clone == DOCTOR_ABSENT ? "no such switch here" : "1");

    if (facts->apparmor_restrict_userns == 1)
        remedy(add(report, "apparmor-userns", state, "1%s",
                   facts->uid == 0 ? ": concerns ordinary users only" : ""),
               "%s",
               facts->uid == 0
                   ? ""
                   : "give cloister an AppArmor profile with 'userns,', or run as root");
    else
        add(report, "apparmor-userns", DOCTOR_OK, "%s",
            facts->apparmor_restrict_userns == DOCTOR_ABSENT ? "no such switch here" : "0");
}

static void judge_cgroups(const struct doctor_facts *facts, struct doctor_report *report)
{
    const char *delegate =
        facts->uid == 0
            ? "boot with systemd or mount the controllers (v2: mount -t cgroup2 cgroup2 "
              "/sys/fs/cgroup)"
            : "run it as a systemd unit with Delegate=yes (systemd-run --user --scope -p "
              "Delegate=yes ...), or as root";

    if (facts->cgroup_version[0] == '\0') {
        remedy(add(report, "cgroups", DOCTOR_SHORTFALL, "%s", facts->cgroup_error), "%s", delegate);
        return;
    }
    add(report, "cgroups", DOCTOR_OK, "%s%s", facts->cgroup_version,
        facts->cgroup_is_root ? ", this process stands in the root group"
                              : ", in a group of its own");

    static const struct {
        const char *name;
        uint32_t bits;
    } wanted[] = {
        {"cgroup-memory", CG_MEMORY},
        {"cgroup-pids", CG_PIDS},
        {"cgroup-cpu", CG_CPU | CG_CPUACCT},
    };
    for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
        if ((facts->cgroup_controllers & wanted[i].bits) == wanted[i].bits)
            add(report, wanted[i].name, DOCTOR_OK, "delegated");
        else
            remedy(add(report, wanted[i].name, DOCTOR_SHORTFALL, "not there, or not ours to use"),
                   "%s", delegate);
    }
    if (strcmp(facts->cgroup_version, "v2") != 0)
        remedy(add(report, "cgroup-v2", DOCTOR_NOTE, "controllers are on v1"),
               "nothing must be done; v2 (boot with systemd.unified_cgroup_hierarchy=1) kills and "
               "places faster");
}

static void judge_uids(const struct doctor_facts *facts, struct doctor_report *report)
{
    if (facts->uid == 0) {
        add(report, "uid-range", DOCTOR_OK, "root: any range of the configuration");
        return;
    }
    if (!facts->newuidmap || !facts->newgidmap) {
        remedy(add(report, "uid-range", DOCTOR_SHORTFALL, "no newuidmap and newgidmap"),
               "install the package uidmap; with one uid only, runs are not told apart by uid");
        return;
    }
    uint64_t least = facts->subuids < facts->subgids ? facts->subuids : facts->subgids;
    struct doctor_check *check =
        add(report, "uid-range", least >= UIDS_WANTED ? DOCTOR_OK : DOCTOR_SHORTFALL,
            "%" PRIu64 " uids and %" PRIu64 " gids for %s", facts->subuids, facts->subgids,
            facts->user);
    if (least < UIDS_WANTED)
        remedy(check, "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s",
               facts->user);
}

static void judge_host(const struct doctor_facts *facts, struct doctor_report *report)
{
    add(report, "machine", DOCTOR_OK, "%u CPUs, %" PRIu64 " MiB of memory", facts->cpus,
        facts->memory_bytes >> 20);
    if (facts->swap_bytes == 0)
        add(report, "swap", DOCTOR_OK, "none");
    else
        remedy(add(report, "swap", DOCTOR_NOTE, "%" PRIu64 " MiB", facts->swap_bytes >> 20),
               "memory limits count swap too, so nothing leaks; but programs may stall: swapoff -a "
               "makes runs even, and keeps their data off the disk");
    if (facts->core_pattern[0] != '|')
        add(report, "core-pattern", DOCTOR_OK, "%s", facts->core_pattern);
    else if (facts->core_limit_zero)
        remedy(add(report, "core-pattern", DOCTOR_SHORTFALL, "%s", facts->core_pattern),
               "a program that crashes starts this handler as root on the host: sysctl -w "
               "kernel.core_pattern=core, or a hard core limit of at least 1 (LimitCORE=1)");
    else
        remedy(add(report, "core-pattern", DOCTOR_NOTE, "%s", facts->core_pattern),
               "a crash starts this handler as root on the host; sandboxed programs are kept from "
               "it by "
               "RLIMIT_CORE=1, but kernel.core_pattern=core is safer still");
}

static void judge_programs(const struct doctor_facts *facts, struct doctor_report *report)
{
    static const struct {
        const char *name, *cure;
    } runtimes[DOCTOR_RUNTIME_COUNT] = {
        [DOCTOR_PYTHON] = {"runtime-python3", "apt install python3"},
        [DOCTOR_BASH] = {"runtime-bash", "apt install bash"},
        [DOCTOR_CC] = {"runtime-c", "apt install gcc libc6-dev"},
        [DOCTOR_NODE] = {"runtime-node", "apt install nodejs"},
    };
    for (int i = 0; i < DOCTOR_RUNTIME_COUNT; i++) {
        if (facts->runtime[i][0])
            add(report, runtimes[i].name, DOCTOR_OK, "%s", facts->runtime[i]);
        else
            remedy(add(report, runtimes[i].name, DOCTOR_NOTE, "not found"),
                   "%s (if this language is wanted)", runtimes[i].cure);
    }
    if (facts->grpc[0])
        add(report, "libgrpc", DOCTOR_OK, "gRPC core %s", facts->grpc);
    else
        remedy(add(report, "libgrpc", DOCTOR_SHORTFALL, "not found"), "apt install libgrpc29");
    if (facts->bwrap[0])
        add(report, "bubblewrap", DOCTOR_OK, "%s", facts->bwrap);
    else
        remedy(add(report, "bubblewrap", DOCTOR_NOTE, "not found"),
               "apt install bubblewrap (only for --launcher bwrap)");
}

void doctor_judge(const struct doctor_facts *facts, struct doctor_report *ret)
{
    ret->n = 0;
    judge_kernel(facts, ret);
    judge_calls(facts, ret);
    judge_namespaces(facts, ret);
    judge_blobs(facts, ret);
    judge_sysctls(facts, ret);
    judge_cgroups(facts, ret);
    judge_uids(facts, ret);
    judge_host(facts, ret);
    judge_programs(facts, ret);
}

bool doctor_healthy(const struct doctor_report *report)
{
    for (size_t i = 0; i < report->n; i++)
        if (report->checks[i].state == DOCTOR_SHORTFALL)
            return false;
    return true;
}
