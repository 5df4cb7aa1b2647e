/* Privilege: none is held, none can be gained. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "probe.h"

static enum outcome uid_map(void)
{
    char text[512];
    unsigned inside, outside, count;
    if (read_text("/proc/self/uid_map", text, sizeof(text)) < 0)
        return broken("uid_map: %s", strerror(errno));
    char *rest = text, *line;
    while ((line = strsep(&rest, "\n"))) {
        if (sscanf(line, "%u %u %u", &inside, &outside, &count) != 3)
            continue;
        /* One single uid that is 0 in the namespace around: bubblewrap's, which stands between. */
        if (outside == 0 && (inside == 0 || count > 1))
            return escaped("uid %u inside is root outside", inside);
        if (inside == outside && count > 65536)
            return escaped("uids inside are the host's: %s", line);
    }
    return contained("no uid inside is root outside");
}

static enum outcome ids(void)
{
    uid_t r, e, s;
    gid_t rg, eg, sg, groups[64];
    if (getresuid(&r, &e, &s) < 0 || getresgid(&rg, &eg, &sg) < 0)
        return broken("getresuid: %s", strerror(errno));
    if (r == 0 || e == 0 || s == 0 || rg == 0 || eg == 0 || sg == 0)
        return escaped("uids %u %u %u, gids %u %u %u", r, e, s, rg, eg, sg);
    int n = getgroups(64, groups);
    for (int i = 0; i < n; i++)
        if (groups[i] != rg)
            return escaped("also a member of group %u", groups[i]);
    return contained("uid %u, gid %u, no other group", r, rg);
}

static enum outcome become_root(void)
{
    gid_t none = 0;
    if (setuid(0) == 0 || setreuid(0, 0) == 0 || setresuid(0, 0, 0) == 0)
        return escaped("setuid(0) worked");
    int error = errno;
    if (setgid(0) == 0 || setresgid(0, 0, 0) == 0)
        return escaped("setgid(0) worked");
    if (setgroups(1, &none) == 0)
        return escaped("setgroups worked");
    setfsuid(0);
    if (setfsuid((uid_t)-1) == 0)
        return escaped("setfsuid(0) worked");
    return contained("setuid(0): %s", strerror(error));
}

static enum outcome become_neighbour(void)
{
    uid_t own = getuid();
    static const int steps[] = {-1, 1, 2, 100};
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++)
        if (setresuid(own + (uid_t)steps[i], own + (uid_t)steps[i], own + (uid_t)steps[i]) == 0)
            return escaped("became uid %u, perhaps another slot's", own + (uid_t)steps[i]);
    return contained("setresuid to a neighbour's uid: %s", strerror(errno));
}

static enum outcome capability_sets(void)
{
    static const char *const sets[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};
    for (size_t i = 0; i < sizeof(sets) / sizeof(*sets); i++) {
        unsigned long long set = status_number(sets[i], 16);
        if (set != 0)
            return escaped("%s is %llx", sets[i], set);
    }
    return contained("all five capability sets are empty");
}

static enum outcome raise_capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct all[2];
    memset(all, 0xff, sizeof(all));
    if (syscall(SYS_capset, &head, all) == 0)
        return escaped("capset gave every capability");
    memset(all, 0, sizeof(all));
    all[0].inheritable = 1U << CAP_NET_RAW;
    if (syscall(SYS_capset, &head, all) == 0)
        return escaped("capset gave an inheritable capability");
    int error = errno;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0) == 0)
        return escaped("an ambient capability was raised");
    if (prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS | SECBIT_NOROOT) == 0)
        return escaped("securebits were changed");
    return contained("capset: %s", strerror(error));
}

static enum outcome no_new_privs(void)
{
    int value = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
    if (value != 1)
        return escaped("no_new_privs is %d", value);
    if (prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0)
        return escaped("no_new_privs was taken back");
    return contained("no_new_privs is set");
}

/* Set-uid programs that are visible must stand on a nosuid mount. */
static enum outcome suid_programs(void)
{
    static const char *const dirs[] = {"/usr/bin",       "/usr/sbin",    "/usr/lib/openssh",
                                       "/usr/local/bin", "/usr/libexec", "/usr/lib/dbus-1.0",
                                       "/workspace",     "/tmp"};
    char path[512];
    int seen = 0;
    for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
        struct statvfs fs;
        DIR *dir = opendir(dirs[i]);
        if (!dir)
            continue;
        if (fstatvfs(dirfd(dir), &fs) < 0 || !(fs.f_flag & ST_NOSUID))
            return escaped("%s is mounted without nosuid", dirs[i]);
        struct dirent *entry;
        struct stat st;
        while ((entry = readdir(dir)))
            if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                S_ISREG(st.st_mode) && (st.st_mode & (S_ISUID | S_ISGID))) {
                snprintf(path, sizeof(path), "%s/%s", dirs[i], entry->d_name);
                seen++;
            }
        closedir(dir);
    }
    return contained("%d set-uid programs are visible, all on nosuid mounts", seen);
}

static enum outcome make_suid(void)
{
    const char *path = "/tmp/probe-suid";
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0700);
    if (fd < 0)
        return broken("%s: %s", path, strerror(errno));
    bool owned = fchown(fd, 0, 0) == 0 && fchmod(fd, 06755) == 0;
    struct vfs_cap_data caps = {.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE};
    caps.data[0].permitted = 1U << CAP_SYS_ADMIN;
    bool capable = fsetxattr(fd, "security.capability", &caps,
                             sizeof(caps.magic_etc) + 2 * sizeof(caps.data[0]), 0) == 0;
    int error = errno;
    close(fd);
    unlink(path);
    if (owned)
        return escaped("a set-uid root file was made");
    if (capable)
        return escaped("a file was given capabilities");
    return contained("chown and file capabilities: %s", strerror(error));
}

static void crash(void)
{
    struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_CORE, &unlimited);
    prctl(PR_SET_DUMPABLE, 1);
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
}

/* A pipe handler runs at every limit but 1. */
static void crash_with_limit_0(void)
{
    struct rlimit zero = {0, 0};
    setrlimit(RLIMIT_CORE, &zero);
    syscall(SYS_setrlimit, RLIMIT_CORE, &zero);
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
}

/* The same, with the new limit at an address whose lower half is zero. */
static void crash_with_high_pointer(void)
{
    struct rlimit *zero = mmap((void *)(1UL << 32), 4096, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (zero != MAP_FAILED)
        syscall(SYS_prlimit64, 0, RLIMIT_CORE, zero, NULL);
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
}

static enum outcome core_dump(void)
{
    if (chdir("/tmp") < 0)
        return broken("chdir: %s", strerror(errno));
    static void (*const ways[])(void) = {crash, crash_with_limit_0, crash_with_high_pointer};
    for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
        int status = in_child(ways[i]);
        if (status < 0)
            return broken("fork: %s", strerror(errno));
        if (!WIFSIGNALED(status))
            return broken("the child did not crash: %x", status);
        if (WCOREDUMP(status))
            return escaped(
                "a core was dumped: to a file, or to the host's handler which runs as root");
    }
    return contained("crashed without a core");
}

static enum outcome hard_limits(void)
{
    struct rlimit limit;
    static const struct {
        int resource;
        const char *name;
        rlim_t most;
    } wanted[] = {
        {RLIMIT_CORE, "core", 1},
        {RLIMIT_FSIZE, "file size", (rlim_t)1 << 30},
        {RLIMIT_NOFILE, "open files", 4096},
        {RLIMIT_MEMLOCK, "locked memory", 0},
        {RLIMIT_STACK, "stack", (rlim_t)1 << 30},
        {RLIMIT_CPU, "cpu", 24 * 3600},
    };
    for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
        if (getrlimit((__rlimit_resource_t)wanted[i].resource, &limit) < 0)
            return broken("getrlimit: %s", strerror(errno));
        if (limit.rlim_max > wanted[i].most)
            return escaped("the hard limit of %s is %llu", wanted[i].name,
                           (unsigned long long)limit.rlim_max);
        struct rlimit more = {limit.rlim_cur, limit.rlim_max + 1};
        setrlimit((__rlimit_resource_t)wanted[i].resource, &more);
        getrlimit((__rlimit_resource_t)wanted[i].resource, &more);
        if (more.rlim_max > limit.rlim_max)
            return escaped("the hard limit of %s was raised", wanted[i].name);
    }
    return contained("hard limits are set and can not be raised");
}

static enum outcome quiet_init(void)
{
    struct stat st;
    if (stat("/proc/1", &st) < 0)
        return contained("/proc/1: %s", strerror(errno));
    if (st.st_uid == getuid())
        return escaped("pid 1 belongs to this uid");
    return contained("pid 1 belongs to uid %u", st.st_uid);
}

static const struct probe probes[] = {
    {.name = "privilege.uid-map",
     .layer = "user-namespace",
     .run = uid_map,
     .flags = PROBE_CONTROL},
    {.name = "privilege.ids", .run = ids, .flags = PROBE_CONTROL},
    {.name = "privilege.become-root", .run = become_root, .flags = PROBE_CONTROL},
    {.name = "privilege.become-neighbour", .run = become_neighbour, .flags = PROBE_CONTROL},
    {.name = "privilege.capability-sets",
     .layer = "capabilities",
     .run = capability_sets,
     .flags = PROBE_CONTROL},
    {.name = "privilege.raise-capabilities", .run = raise_capabilities},
    {.name = "privilege.no-new-privs",
     .layer = "no-new-privs",
     .run = no_new_privs,
     .flags = PROBE_CONTROL},
    {.name = "privilege.suid-programs", .run = suid_programs, .flags = PROBE_CONTROL},
    {.name = "privilege.make-suid", .run = make_suid, .flags = PROBE_CONTROL},
    {.name = "privilege.core-dump", .run = core_dump},
    {.name = "privilege.hard-limits",
     .layer = "rlimits",
     .run = hard_limits,
     .flags = PROBE_CONTROL},
    {.name = "privilege.init-uid", .run = quiet_init, .flags = PROBE_CONTROL},
};

const struct probe_table privilege_probes = {probes, sizeof(probes) / sizeof(*probes)};
