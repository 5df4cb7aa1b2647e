/* The host's files: what is not shown, what is shown read-only, and no way around. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "probe.h"

/* @path can't be read at all. */
static enum outcome not_readable(const char *path)
{
    char buf[256];
    ssize_t n = read_text(path, buf, sizeof(buf));
    if (n >= 0)
        return escaped("%s can be read (%zd bytes)", path, n);
    return contained("%s: %s", path, strerror(errno));
}

/* @path does not exist, can't be listed, or is empty. */
static enum outcome nothing_in(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir)
        return contained("%s: %s", path, strerror(errno));
    struct dirent *entry;
    while ((entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            enum outcome outcome = escaped("%s holds %s", path, entry->d_name);
            closedir(dir);
            return outcome;
        }
    closedir(dir);
    return contained("%s is empty", path);
}

static enum outcome read_shadow(void)
{
    return not_readable("/etc/shadow");
}

static enum outcome root_home(void)
{
    return nothing_in("/root");
}

static enum outcome home_directories(void)
{
    return nothing_in("/home");
}

static enum outcome host_run(void)
{
    return nothing_in("/run");
}

static enum outcome host_sys(void)
{
    return nothing_in("/sys");
}

static enum outcome host_var(void)
{
    return nothing_in("/var/lib");
}

static enum outcome host_file(void)
{
    const char *path = argument("host_file");
    if (!path)
        return broken("no host_file=");
    int fd = open(path, O_RDWR);
    if (fd >= 0)
        return escaped("%s can be written", path);
    return not_readable(path);
}

/* Anything that would change @dir or @file in it. Return: what succeeded, or NULL. */
static const char *changed(const char *dir, const char *file)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/cloister-probe", dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
        close(fd);
        unlink(path);
        return "a file was created";
    }
    if (mkdir(path, 0700) == 0) {
        rmdir(path);
        return "a directory was created";
    }
    if (symlink("x", path) == 0) {
        unlink(path);
        return "a symbolic link was created";
    }
    fd = open(file, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        close(fd);
        return "a file was opened for writing";
    }
    if (truncate(file, -1) < 0 && errno != EINVAL && access(file, W_OK) == 0)
        return "a file is writable";
    struct stat st;
    if (stat(file, &st) == 0 && chmod(file, st.st_mode) == 0)
        return "a mode was changed";
    if (utimensat(AT_FDCWD, file, NULL, 0) == 0)
        return "a time was changed";
    if (setxattr(file, "user.cloister", "x", 1, 0) == 0) {
        removexattr(file, "user.cloister");
        return "an attribute was set";
    }
    return NULL;
}

static enum outcome unchangeable(const char *const *places, size_t n)
{
    for (size_t i = 0; i < n; i += 2) {
        const char *what = changed(places[i], places[i + 1]);
        if (what)
            return escaped("%s: %s", places[i], what);
    }
    return contained("neither new nor changed files in %s", places[0]);
}

static enum outcome write_usr(void)
{
    static const char *const places[] = {
        "/usr",     "/usr/bin/env", "/usr/bin",   "/usr/bin/env", "/usr/lib",
        "/usr/bin", "/lib",         "/usr/bin",   "/bin",         "/usr/bin/env",
        "/lib64",   "/usr/bin",     "/usr/local", "/usr/local",
    };
    return unchangeable(places, sizeof(places) / sizeof(*places));
}

static enum outcome write_etc(void)
{
    static const char *const places[] = {"/etc", "/etc/passwd", "/etc", "/etc/ld.so.cache"};
    return unchangeable(places, sizeof(places) / sizeof(*places));
}

static enum outcome write_root(void)
{
    static const char *const places[] = {"/", "/usr", "/dev", "/dev", "/proc", "/proc/version"};
    return unchangeable(places, sizeof(places) / sizeof(*places));
}

static enum outcome write_var(void)
{
    static const char *const places[] = {"/var", "/var", "/var/tmp", "/var/tmp", "/opt",  "/opt",
                                         "/srv", "/srv", "/mnt",     "/mnt",     "/home", "/home"};
    return unchangeable(places, sizeof(places) / sizeof(*places));
}

static enum outcome bind_escape(void)
{
    const char *dir = "/tmp/cloister-probe-bind";
    mkdir(dir, 0700);
    if (mount("/", dir, NULL, MS_BIND | MS_REC, NULL) == 0) {
        umount2(dir, MNT_DETACH);
        return escaped("bound / to %s", dir);
    }
    int error = errno;
    if (mount("/proc/1/root", dir, NULL, MS_BIND, NULL) == 0) {
        umount2(dir, MNT_DETACH);
        return escaped("bound /proc/1/root to %s", dir);
    }
    rmdir(dir);
    return contained("mount: %s", strerror(error));
}

static enum outcome remount_rw(void)
{
    static const char *const points[] = {"/", "/usr", "/proc", "/etc", "/lib", "/dev"};
    for (size_t i = 0; i < sizeof(points) / sizeof(*points); i++)
        if (mount(NULL, points[i], NULL, MS_REMOUNT | MS_BIND | MS_NOATIME, NULL) == 0)
            return escaped("remounted %s", points[i]);
    return contained("remount: %s", strerror(errno));
}

/* A path to the host's root, if there is one, leads to host_file. */
static enum outcome path_tricks(void)
{
    static const char *const prefixes[] = {
        "/..",
        "/../../../..",
        "/proc/self/root",
        "/proc/self/root/..",
        "/proc/self/cwd/../../../..",
        "/proc/thread-self/root/../..",
        "/proc/1/root",
        "/proc/1/cwd",
        "/proc/1/cwd/..",
        "/proc/self/fd/0/../../..",
        "/proc/self/task/1/root",
        "/dev/fd/0/../..",
        "/old",
        "/oldroot",
        "/.old",
        "/put_old",
    };
    const char *file = argument("host_file");
    char path[512];
    if (!file)
        return broken("no host_file=");
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++) {
        snprintf(path, sizeof(path), "%s%s", prefixes[i], file);
        if (access(path, F_OK) == 0)
            return escaped("%s exists", path);
    }
    for (int fd = 0; fd < 64; fd++) {
        struct open_how how = {.flags = O_RDONLY | O_CLOEXEC};
        snprintf(path, sizeof(path), "../../../../../../..%s", file);
        if (syscall(SYS_openat2, fd, path, &how, sizeof(how)) >= 0)
            return escaped("through descriptor %d", fd);
    }
    return contained("%s is not to be found by any of %zu ways", file,
                     sizeof(prefixes) / sizeof(*prefixes));
}

static enum outcome chroot_escape(void)
{
    if (mkdir("/tmp/jail", 0700) < 0 && errno != EEXIST)
        return broken("mkdir: %s", strerror(errno));
    int result = chroot("/tmp/jail");
    int error = errno;
    if (result == 0) {
        for (int i = 0; i < 64; i++)
            if (chdir("..") < 0)
                break;
        return escaped("chroot worked");
    }
    rmdir("/tmp/jail");
    return contained("chroot: %s", strerror(error));
}

static enum outcome init_root(void)
{
    static const char *const names[] = {"root", "cwd", "exe", "fd", "fdinfo", "ns", "map_files"};
    char path[64], target[256];
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        snprintf(path, sizeof(path), "/proc/1/%s", names[i]);
        ssize_t n = readlink(path, target, sizeof(target) - 1);
        if (n >= 0)
            return escaped("%s -> %.*s", path, (int)n, target);
        DIR *dir = opendir(path);
        if (dir && strcmp(names[i], "ns") != 0)
            return escaped("%s can be listed", path);
    }
    return contained("/proc/1/{root,cwd,exe,fd,...} are closed");
}

static enum outcome open_descriptors(void)
{
    char path[64], target[256];
    int extra = -1;
    for (int fd = 3; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0) {
            extra = fd;
            break;
        }
    if (extra < 0)
        return contained("nothing is open beyond 0, 1 and 2");
    snprintf(path, sizeof(path), "/proc/self/fd/%d", extra);
    ssize_t n = readlink(path, target, sizeof(target) - 1);
    return escaped("descriptor %d is open: %.*s", extra, n < 0 ? 1 : (int)n, n < 0 ? "?" : target);
}

static enum outcome stdio_kinds(void)
{
    for (int fd = 0; fd < 3; fd++) {
        struct stat st;
        if (fstat(fd, &st) < 0)
            continue;
        if (S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode))
            return escaped("descriptor %d is a directory or a disk", fd);
        if (openat(fd, "..", O_RDONLY | O_DIRECTORY) >= 0)
            return escaped("descriptor %d leads to a directory", fd);
    }
    return contained("stdio leads nowhere");
}

static enum outcome device_nodes(void)
{
    static const char *const allowed[] = {"null",    "zero",   "full",    "random",
                                          "urandom", "tty",    "ptmx",    "pts",
                                          "shm",     "fd",     "stdin",   "stdout",
                                          "stderr",  "mqueue", "console", "core"};
    DIR *dir = opendir("/dev");
    if (!dir)
        return contained("/dev: %s", strerror(errno));
    struct dirent *entry;
    while ((entry = readdir(dir))) {
        bool known = entry->d_name[0] == '.';
        for (size_t i = 0; i < sizeof(allowed) / sizeof(*allowed); i++)
            known = known || strcmp(entry->d_name, allowed[i]) == 0;
        if (!known)
            return escaped("/dev/%s is there", entry->d_name);
    }
    closedir(dir);
    return contained("/dev holds only harmless devices");
}

static enum outcome make_device(void)
{
    static const char *const places[] = {"/tmp/probe-dev", "/workspace/probe-dev",
                                         "/dev/shm/probe-dev"};
    int error = 0;
    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
        bool made = mknod(places[i], S_IFBLK | 0600, makedev(254, 0)) == 0 ||
                    mknod(places[i], S_IFCHR | 0600, makedev(1, 1)) == 0;
        if (made) {
            unlink(places[i]);
            return escaped("%s was made", places[i]);
        }
        error = errno;
    }
    return contained("mknod: %s", strerror(error));
}

/* Return: whether @options (comma-separated) holds @word. */
static bool has_option(const char *options, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = options; (at = strstr(at, word)); at += len)
        if ((at == options || at[-1] == ',') && (at[len] == ',' || at[len] == '\0'))
            return true;
    return false;
}

static enum outcome mount_flags(void)
{
    FILE *file = fopen("/proc/self/mountinfo", "re");
    if (!file)
        return broken("mountinfo: %s", strerror(errno));
    char line[4096], root[1024], point[1024], options[1024];
    int seen = 0;
    while (fgets(line, sizeof(line), file)) {
        if (sscanf(line, "%*d %*d %*s %1023s %1023s %1023s", root, point, options) != 3)
            return broken("mountinfo: %s", line);
        seen++;
        /* The device nodes themselves, and null where it covers files of /proc. */
        bool pts = strcmp(point, "/dev/pts") == 0;
        bool devices = pts || strcmp(point, "/dev") == 0 ||
                       (strncmp(point, "/dev/", 5) == 0 && strcmp(point, "/dev/shm") != 0) ||
                       (strncmp(point, "/proc/", 6) == 0 && strstr(root, "null"));
        if (!has_option(options, "nosuid"))
            return escaped("%s is mounted without nosuid: %s", point, options);
        if (!devices && !has_option(options, "nodev"))
            return escaped("%s is mounted without nodev: %s", point, options);
        if (devices && !pts && !has_option(options, "ro"))
            return escaped("%s has devices and is writable: %s", point, options);
    }
    fclose(file);
    return seen ? contained("%d mounts: nosuid, and nodev or read-only", seen)
                : broken("no mounts");
}

static enum outcome mount_paths(void)
{
    static char text[65536];
    const char *host = argument("host_file");
    if (!host)
        return broken("no host_file=");
    if (read_text("/proc/self/mountinfo", text, sizeof(text)) < 0)
        return broken("mountinfo: %s", strerror(errno));
    if (strstr(text, " /root") || strstr(text, " /home"))
        return escaped("mountinfo tells host directories: %s", text);
    return contained("mountinfo tells nothing of the host's homes");
}

static enum outcome proc_mask(void)
{
    static const char *const hidden[] = {
        "/proc/kcore",      "/proc/keys",        "/proc/key-users",     "/proc/kmsg",
        "/proc/kallsyms",   "/proc/timer_list",  "/proc/sched_debug",   "/proc/kpagecount",
        "/proc/kpageflags", "/proc/kpagecgroup", "/proc/interrupts",    "/proc/vmallocinfo",
        "/proc/slabinfo",   "/proc/locks",       "/proc/latency_stats", "/proc/modules",
    };
    char buf[64];
    for (size_t i = 0; i < sizeof(hidden) / sizeof(*hidden); i++) {
        ssize_t n = read_text(hidden[i], buf, sizeof(buf));
        if (n > 0)
            return escaped("%s can be read", hidden[i]);
    }
    struct statvfs fs;
    if (statvfs("/proc", &fs) < 0)
        return contained("/proc: %s", strerror(errno));
    if (!(fs.f_flag & ST_RDONLY))
        return escaped("/proc is writable");
    return contained("sensitive files of /proc are covered, /proc is read-only");
}

static enum outcome proc_write(void)
{
    static const char *const paths[] = {
        "/proc/sysrq-trigger",
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/hostname",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/kernel/ns_last_pid",
        "/proc/sys/kernel/sem",
        "/proc/sys/kernel/shmmax",
        "/proc/sys/kernel/yama/ptrace_scope",
        "/proc/sys/vm/overcommit_memory",
        "/proc/sys/vm/drop_caches",
        "/proc/sys/fs/file-max",
        "/proc/sys/fs/mqueue/queues_max",
        "/proc/sys/net/ipv4/ip_forward",
        "/proc/sys/net/ipv4/ping_group_range",
        "/proc/sys/user/max_user_namespaces",
        "/proc/1/oom_score_adj",
        "/proc/self/uid_map",
        "/proc/self/gid_map",
        "/proc/self/setgroups",
        "/proc/irq/default_smp_affinity",
        "/proc/fs/nfsd",
    };
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        int fd = open(paths[i], O_WRONLY | O_CLOEXEC);
        if (fd >= 0)
            return escaped("%s can be opened for writing", paths[i]);
    }
    return contained("nothing of %zu files of /proc is writable", sizeof(paths) / sizeof(*paths));
}

static enum outcome hard_link(void)
{
    static const char *const targets[] = {"/workspace/probe-link", "/tmp/probe-link",
                                          "/dev/shm/probe-link"};
    int error = 0;
    for (size_t i = 0; i < sizeof(targets) / sizeof(*targets); i++) {
        if (link("/usr/bin/env", targets[i]) == 0) {
            unlink(targets[i]);
            return escaped("%s is a second name of /usr/bin/env", targets[i]);
        }
        error = errno;
    }
    return contained("link: %s", strerror(error));
}

static enum outcome cgroup_files(void)
{
    if (access("/sys/fs/cgroup", F_OK) == 0 && nothing_in("/sys/fs/cgroup") == ESCAPED)
        return ESCAPED;
    mkdir("/tmp/cg", 0700);
    bool mounted = mount("cgroup2", "/tmp/cg", "cgroup2", 0, NULL) == 0 ||
                   mount("cgroup", "/tmp/cg", "cgroup", 0, "pids") == 0;
    int error = errno;
    if (mounted) {
        umount2("/tmp/cg", MNT_DETACH);
        return escaped("a cgroup file system can be mounted");
    }
    rmdir("/tmp/cg");
    return contained("mount cgroup: %s", strerror(error));
}

static const struct probe probes[] = {
    {.name = "fs.read-shadow", .run = read_shadow, .flags = PROBE_CONTROL},
    {.name = "fs.host-file", .layer = "mount-namespace", .run = host_file, .flags = PROBE_CONTROL},
    {.name = "fs.root-home", .run = root_home, .flags = PROBE_CONTROL},
    {.name = "fs.home-directories", .run = home_directories},
    {.name = "fs.host-run", .run = host_run, .flags = PROBE_CONTROL},
    {.name = "fs.host-sys", .run = host_sys, .flags = PROBE_CONTROL},
    {.name = "fs.host-var", .run = host_var, .flags = PROBE_CONTROL},
    {.name = "fs.write-usr", .run = write_usr, .flags = PROBE_CONTROL},
    {.name = "fs.write-etc", .run = write_etc, .flags = PROBE_CONTROL},
    {.name = "fs.write-root", .run = write_root, .flags = PROBE_CONTROL},
    {.name = "fs.write-var", .run = write_var, .flags = PROBE_CONTROL},
    {.name = "fs.bind-escape", .run = bind_escape},
    {.name = "fs.remount-rw", .run = remount_rw},
    {.name = "fs.path-tricks", .run = path_tricks, .flags = PROBE_CONTROL},
    {.name = "fs.chroot-escape", .run = chroot_escape},
    {.name = "fs.init-root", .run = init_root, .flags = PROBE_CONTROL},
    {.name = "fs.open-descriptors", .layer = "fds", .run = open_descriptors},
    {.name = "fs.stdio-kinds", .run = stdio_kinds},
    {.name = "fs.device-nodes", .run = device_nodes, .flags = PROBE_CONTROL},
    {.name = "fs.make-device", .run = make_device, .flags = PROBE_CONTROL},
    {.name = "fs.mount-flags", .run = mount_flags, .flags = PROBE_CONTROL},
    {.name = "fs.mount-paths", .run = mount_paths},
    {.name = "fs.proc-mask", .layer = "proc-mask", .run = proc_mask, .flags = PROBE_CONTROL},
    {.name = "fs.proc-write", .run = proc_write, .flags = PROBE_CONTROL},
    {.name = "fs.hard-link", .run = hard_link},
    {.name = "fs.cgroup-files", .run = cgroup_files, .flags = PROBE_CONTROL},
};

const struct probe_table fs_probes = {probes, sizeof(probes) / sizeof(*probes)};
