#include "sandbox/doctor.h"

#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "cgroups/cgroup.h"
#include "sandbox/doctor_try.h"
#include "sandbox/node.h"

/* The library that this build links; another major version would not load. */
#define GRPC_LIBRARY       "libgrpc.so.29"
#define VERSION_TIMEOUT_MS 5000
#define TEXT_FILE_MAX      (1 << 20)

static void copy_text(char *dest, size_t size, const char *source)
{
    snprintf(dest, size, "%s", source);
}

static long read_sysctl(const char *path)
{
    AUTO_FREE char *text = NULL;
    if (file_read_text(path, 64, &text, NULL) < 0)
        return DOCTOR_ABSENT;
    return strtol(text, NULL, 10);
}

static int errno_of(long result)
{
    return result < 0 ? errno : 0;
}

static void look_at_calls(struct doctor_facts *facts)
{
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS};
    AUTO_CLOSE int dir = (int)syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof(how));
    facts->openat2_error = errno_of(dir);
    AUTO_CLOSE int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    facts->pidfd_error = errno_of(self);
    /* A size of zero is refused by a kernel that knows the call. */
    facts->clone3_error = errno_of(syscall(SYS_clone3, NULL, 0));
    if (facts->clone3_error == EINVAL)
        facts->clone3_error = 0;
    facts->close_range_error = errno_of(syscall(SYS_close_range, ~0U, ~0U, CLOSE_RANGE_CLOEXEC));

    struct seccomp_notif_sizes sizes;
    uint32_t action = SECCOMP_RET_USER_NOTIF;
    facts->notify_error = errno_of(syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes));
    if (facts->notify_error == 0)
        facts->notify_error = errno_of(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
    long abi =
        syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* LANDLOCK_CREATE_RULESET_VERSION */);
    facts->landlock_abi = abi > 0 ? (int)abi : 0;
}

/* What there is of the directory's path already. */
static void look_at_cache(struct doctor_facts *facts)
{
    copy_text(facts->cache, sizeof(facts->cache), NODE_CACHE_DIR);
    char *slash;
    while (access(facts->cache, F_OK) < 0 && (slash = strrchr(facts->cache, '/')) > facts->cache)
        *slash = '\0';
    facts->cache_idmap_error = doctor_try_idmap(facts->cache);
}

static void look_at_namespaces(struct doctor_facts *facts)
{
    static const uint64_t flags[DOCTOR_NS_COUNT] = {
        [DOCTOR_NS_USER] = CLONE_NEWUSER,     [DOCTOR_NS_PID] = CLONE_NEWPID,
        [DOCTOR_NS_MOUNT] = CLONE_NEWNS,      [DOCTOR_NS_NET] = CLONE_NEWNET,
        [DOCTOR_NS_IPC] = CLONE_NEWIPC,       [DOCTOR_NS_UTS] = CLONE_NEWUTS,
        [DOCTOR_NS_CGROUP] = CLONE_NEWCGROUP,
    };
    for (int ns = 0; ns < DOCTOR_NS_COUNT; ns++)
        facts->ns_error[ns] = doctor_try_clone(CLONE_NEWUSER | flags[ns]);
    facts->proc_error = doctor_try_proc();
    facts->overlay_error = doctor_try_overlay();
    facts->idmap_error = facts->uid == 0 ? doctor_try_idmap("/usr") : EPERM;
    if (facts->uid == 0)
        look_at_cache(facts);
    facts->max_user_namespaces = read_sysctl("/proc/sys/user/max_user_namespaces");
    facts->unprivileged_userns_clone = read_sysctl("/proc/sys/kernel/unprivileged_userns_clone");
    facts->apparmor_restrict_userns =
        read_sysctl("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
}

/* The first mount point below /usr: an overlay over it all is refused to U, which may not see what
 * the mount covers (clone_private_mount() of the kernel). */
static void look_at_mounts(struct doctor_facts *facts)
{
    AUTO_FREE char *text = NULL;
    if (file_read_text("/proc/self/mountinfo", TEXT_FILE_MAX, &text, NULL) < 0)
        return;
    const char *at = strstr(text, " /usr/"); /* proc(5): ID PARENT MAJOR:MINOR ROOT POINT */
    for (; at && !facts->inside_usr[0]; at = strstr(at + 1, " /usr/")) {
        int fields = 0;
        for (const char *back = at; back >= text && *back != '\n'; back--)
            fields += *back == ' ';
        if (fields == 4)
            snprintf(facts->inside_usr, sizeof(facts->inside_usr), "%.*s",
                     (int)strcspn(at + 1, " "), at + 1);
    }
}

static void cleanup_host(struct cg_host **host)
{
    *host = cg_host_free(*host);
}

static void look_at_cgroups(struct doctor_facts *facts)
{
    CLEANUP(cleanup_host) struct cg_host *host = NULL;
    struct err err = {0};
    if (cg_host_new(&host, &err) < 0) {
        copy_text(facts->cgroup_error, sizeof(facts->cgroup_error), err.text);
        return;
    }
    copy_text(facts->cgroup_version, sizeof(facts->cgroup_version),
              cg_version_name(cg_host_version(host)));
    facts->cgroup_controllers = cg_host_controllers(host);

    AUTO_FREE char *text = NULL;
    if (file_read_text("/proc/self/cgroup", TEXT_FILE_MAX, &text, NULL) >= 0) {
        const char *line =
            cg_host_version(host) == CG_V2 ? strstr(text, "0::") : strstr(text, ":memory:");
        const char *path = line ? strchr(line, '/') : NULL;
        facts->cgroup_is_root = path && (path[1] == '\n' || path[1] == '\0');
    }
}

/* How many ids the lines "name-or-number:start:count" of @path give to @user. */
static uint64_t count_sub_ids(const char *path, const char *user, uid_t uid)
{
    AUTO_FREE char *text = NULL;
    if (file_read_text(path, TEXT_FILE_MAX, &text, NULL) < 0)
        return 0;

    char number[16];
    snprintf(number, sizeof(number), "%u", (unsigned)uid);
    uint64_t count = 0;
    char *rest = text, *line;
    while ((line = strsep(&rest, "\n"))) {
        char *start = strchr(line, ':');
        char *many = start ? strchr(start + 1, ':') : NULL;
        if (!many)
            continue;
        *start = '\0';
        if (strcmp(line, user) == 0 || strcmp(line, number) == 0)
            count += strtoull(many + 1, NULL, 10);
    }
    return count;
}

/* Where @name stands in the directories that a sandbox shows too. */
static bool find_program(const char *name, char *ret, size_t size)
{
    static const char *const dirs[] = {"/usr/local/bin", "/usr/bin", "/bin"};
    for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
        snprintf(ret, size, "%s/%s", dirs[i], name);
        if (access(ret, X_OK) == 0)
            return true;
    }
    return false;
}

/* The first line that comes out of @fd within the time limit. */
static void read_first_line(int fd, char *ret, size_t size)
{
    size_t len = 0;
    struct pollfd watch = {.fd = fd, .events = POLLIN};
    while (len + 1 < size && !memchr(ret, '\n', len) && poll(&watch, 1, VERSION_TIMEOUT_MS) > 0) {
        ssize_t n = read(fd, ret + len, size - 1 - len);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    ret[len] = '\0';
    ret[strcspn(ret, "\n")] = '\0';
}

/* What `@name --version` says first; empty when there is none. */
static void ask_version(const char *name, char *ret, size_t size)
{
    char path[256];
    ret[0] = '\0';
    if (!find_program(name, path, sizeof(path)))
        return;

    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return;
    AUTO_CLOSE int out = pipe_fds[0];
    AUTO_CLOSE int in = pipe_fds[1];

    posix_spawn_file_actions_t actions;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return;
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, in, 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    char *const argv[] = {path, (char *)"--version", NULL};
    char *const envp[] = {(char *)"PATH=/usr/local/bin:/usr/bin:/bin", (char *)"LC_ALL=C", NULL};
    pid_t pid;
    int r = posix_spawn(&pid, path, &actions, NULL, argv, envp);
    posix_spawn_file_actions_destroy(&actions);
    if (r != 0)
        return;

    in = fd_close(in);
    read_first_line(out, ret, size);
    kill(pid, SIGKILL); /* it has said what we wanted */
    waitpid(pid, NULL, 0);
}

static void look_at_programs(struct doctor_facts *facts)
{
    static const char *const names[DOCTOR_RUNTIME_COUNT] = {
        [DOCTOR_PYTHON] = "python3",
        [DOCTOR_BASH] = "bash",
        [DOCTOR_CC] = "cc",
        [DOCTOR_NODE] = "node",
    };
    for (int i = 0; i < DOCTOR_RUNTIME_COUNT; i++)
        ask_version(names[i], facts->runtime[i], sizeof(facts->runtime[i]));
    ask_version("bwrap", facts->bwrap, sizeof(facts->bwrap));

    void *library = dlopen(GRPC_LIBRARY, RTLD_LAZY | RTLD_LOCAL);
    if (!library)
        return;
    const char *(*version)(void);
    *(void **)&version = dlsym(library, "grpc_version_string");
    copy_text(facts->grpc, sizeof(facts->grpc), version ? version() : "of unknown version");
    dlclose(library);
}

static void look_at_host(struct doctor_facts *facts)
{
    struct sysinfo info;
    if (sysinfo(&info) == 0) {
        facts->swap_bytes = (uint64_t)info.totalswap * info.mem_unit;
        facts->memory_bytes = (uint64_t)info.totalram * info.mem_unit;
    }
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    facts->cpus = cpus > 0 ? (unsigned)cpus : 0;

    AUTO_FREE char *pattern = NULL;
    if (file_read_text("/proc/sys/kernel/core_pattern", DOCTOR_TEXT_MAX, &pattern, NULL) >= 0) {
        pattern[strcspn(pattern, "\n")] = '\0';
        copy_text(facts->core_pattern, sizeof(facts->core_pattern), pattern);
    }

    struct rlimit core;
    facts->core_limit_zero = getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0;

    struct passwd *entry = getpwuid(facts->uid);
    if (entry)
        copy_text(facts->user, sizeof(facts->user), entry->pw_name);
    else
        snprintf(facts->user, sizeof(facts->user), "%u", (unsigned)facts->uid);
    facts->subuids = count_sub_ids("/etc/subuid", facts->user, facts->uid);
    facts->subgids = count_sub_ids("/etc/subgid", facts->user, facts->uid);
    char path[256];
    facts->newuidmap = find_program("newuidmap", path, sizeof(path));
    facts->newgidmap = find_program("newgidmap", path, sizeof(path));
}

int doctor_examine(struct doctor_facts *ret, struct err *err)
{
    struct utsname name;
    *ret = (struct doctor_facts){.uid = geteuid()};
    if (uname(&name) < 0)
        return err_set(err, -errno, "uname: %m");
    copy_text(ret->release, sizeof(ret->release), name.release);
    look_at_calls(ret);
    look_at_namespaces(ret);
    look_at_mounts(ret);
    look_at_cgroups(ret);
    look_at_host(ret);
    look_at_programs(ret);
    return 0;
}
