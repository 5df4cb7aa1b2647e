/* Other processes: not seen, not reached; and what the launcher left around the program. */

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe.h"

#define PID_SCAN_MAX 65536

/* The sandbox's pid 1 and the program itself are all that there is. */
static enum outcome pid_namespace(void)
{
    int others = 0;
    pid_t first = 0;
    for (pid_t pid = 2; pid < PID_SCAN_MAX; pid++) {
        if (pid == getpid() || (kill(pid, 0) < 0 && errno == ESRCH))
            continue;
        if (!first)
            first = pid;
        others++;
    }
    if (others)
        return escaped("%d other processes can be signalled or are seen, the first is %d", others,
                       (int)first);
    return contained("no process but pid 1 and this one (%d) exists", (int)getpid());
}

static enum outcome proc_listing(void)
{
    DIR *dir = opendir("/proc");
    if (!dir)
        return contained("/proc: %s", strerror(errno));
    struct dirent *entry;
    while ((entry = readdir(dir))) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        long pid = strtol(entry->d_name, NULL, 10);
        if (pid != 1 && pid != getpid())
            return escaped("/proc/%ld is there", pid);
    }
    closedir(dir);
    return contained("/proc lists pid 1 and this process only");
}

static enum outcome host_process(void)
{
    pid_t pid = (pid_t)argument_number("host_pid", 0);
    char path[64], text[256];
    if (pid <= 0)
        return broken("no host_pid=");
    if (kill(pid, 0) == 0 || errno != ESRCH)
        return escaped("kill finds the host's process %d", (int)pid);
    if (syscall(SYS_pidfd_open, pid, 0) >= 0)
        return escaped("a pidfd of the host's process %d was opened", (int)pid);
    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
    if (read_text(path, text, sizeof(text)) >= 0)
        return escaped("%s can be read", path);
    return contained("the host's process %d does not exist here", (int)pid);
}

static enum outcome signal_init(void)
{
    if (kill(1, 0) == 0)
        return escaped("pid 1 may be signalled: it has our uid");
    return contained("kill(1): %s", strerror(errno));
}

static enum outcome signal_all(void)
{
    if (kill(-1, 0) == 0)
        return escaped("kill(-1) reaches somebody");
    return contained("kill(-1): %s", strerror(errno));
}

static enum outcome ptrace_init(void)
{
    if (ptrace(PTRACE_SEIZE, 1, NULL, NULL) == 0) {
        ptrace(PTRACE_DETACH, 1, NULL, NULL);
        return escaped("pid 1 can be traced");
    }
    return contained("ptrace(1): %s", strerror(errno));
}

static enum outcome read_init_memory(void)
{
    char byte, path[64];
    static const char *const names[] = {"mem",   "maps",    "environ",    "auxv",
                                        "stack", "syscall", "smaps",      "pagemap",
                                        "io",    "wchan",   "personality"};
    struct iovec local = {&byte, 1}, remote = {(void *)0x400000, 1};
    if (process_vm_readv(1, &local, 1, &remote, 1, 0) >= 0 || errno == EFAULT)
        return escaped("process_vm_readv reaches pid 1");
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        char text[64];
        snprintf(path, sizeof(path), "/proc/1/%s", names[i]);
        if (read_text(path, text, sizeof(text)) > 0 && strcmp(names[i], "wchan") != 0)
            return escaped("%s can be read", path);
    }
    return contained("memory and secrets of pid 1 are closed");
}

static enum outcome write_init_memory(void)
{
    static const char *const names[] = {"mem",  "oom_score_adj",  "coredump_filter", "clear_refs",
                                        "comm", "timens_offsets", "attr/current",    "autogroup"};
    char path[64];
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        snprintf(path, sizeof(path), "/proc/1/%s", names[i]);
        if (open(path, O_WRONLY | O_CLOEXEC) >= 0)
            return escaped("%s can be written", path);
    }
    return contained("nothing of pid 1 is writable");
}

static enum outcome pidfd_init(void)
{
    int fd = (int)syscall(SYS_pidfd_open, 1, 0);
    if (fd < 0)
        return contained("pidfd_open(1): %s", strerror(errno));
    for (int target = 0; target < 16; target++)
        if (syscall(SYS_pidfd_getfd, fd, target, 0) >= 0)
            return escaped("descriptor %d of pid 1 was taken", target);
    int error = errno;
    if (syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) == 0)
        return escaped("pid 1 may be signalled by pidfd");
    if (setns(fd, CLONE_NEWNS) == 0)
        return escaped("pid 1's namespaces were entered");
    return contained("pidfd of pid 1 is of no use: %s", strerror(error));
}

static enum outcome limits_of_init(void)
{
    struct rlimit limit = {4, 4};
    if (prlimit(1, RLIMIT_NOFILE, NULL, &limit) == 0)
        return escaped("the limits of pid 1 can be read");
    int error = errno;
    if (setpriority(PRIO_PROCESS, 1, 19) == 0)
        return escaped("pid 1 can be made slow");
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    if (sched_setaffinity(1, sizeof(set), &set) == 0)
        return escaped("pid 1 can be moved to another CPU");
    return contained("prlimit(1): %s", strerror(error));
}

static enum outcome raise_priority(void)
{
    struct sched_param param = {.sched_priority = 1};
    if (sched_setscheduler(0, SCHED_FIFO, &param) == 0)
        return escaped("real-time scheduling was granted");
    int error = errno;
    errno = 0;
    if (nice(-5) != -1 || errno == 0)
        return escaped("a better nice value was granted");
    return contained("sched_setscheduler: %s, nice: %s", strerror(error), strerror(errno));
}

static enum outcome oom_score(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return contained("oom_score_adj: %s", strerror(errno));
    if (write(fd, "-1000", 5) == 5)
        return escaped("the OOM killer was told to spare us");
    return contained("oom_score_adj: %s", strerror(errno));
}

static enum outcome own_session(void)
{
    pid_t session = getsid(0);
    if (session == 0)
        return escaped("the session's leader is outside of the sandbox");
    int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0 && !argument("terminal"))
        return escaped("there is a controlling terminal");
    return contained("session %d, no terminal", (int)session);
}

static enum outcome init_namespaces(void)
{
    static const char *const names[] = {"user", "pid", "mnt",    "net",
                                        "ipc",  "uts", "cgroup", "time"};
    char path[64];
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        snprintf(path, sizeof(path), "/proc/1/ns/%s", names[i]);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0)
            return escaped("%s can be opened", path);
    }
    return contained("/proc/1/ns is closed: %s", strerror(errno));
}

static enum outcome environment(void)
{
    if (getenv("CLOISTER_PROBE_SECRET"))
        return escaped("the launcher's environment came along");
    char text[65536];
    if (read_text("/proc/self/environ", text, sizeof(text)) > 0 &&
        strstr(text, "CLOISTER_PROBE_SECRET"))
        return escaped("the launcher's environment is in /proc/self/environ");
    return contained("the environment is the sandbox's own");
}

static enum outcome clean_signals(void)
{
    unsigned long long blocked = status_number("SigBlk", 16), ignored = status_number("SigIgn", 16);
    unsigned long long pending = status_number("SigPnd", 16);
    if (blocked != 0 || ignored != 0 || pending != 0)
        return escaped("blocked %llx ignored %llx pending %llx", blocked, ignored, pending);
    return contained("no signal is blocked, ignored or pending");
}

static enum outcome cgroup_namespace(void)
{
    char text[4096];
    if (read_text("/proc/self/cgroup", text, sizeof(text)) < 0)
        return contained("/proc/self/cgroup: %s", strerror(errno));
    char *rest = text, *line;
    while ((line = strsep(&rest, "\n"))) {
        const char *path = strchr(line, '/');
        if (path && path[1] != '\0')
            return escaped("/proc/self/cgroup tells %s", line);
    }
    return contained("/proc/self/cgroup tells / only");
}

static enum outcome uts_namespace(void)
{
    char own[256];
    const char *host = argument("hostname");
    if (!host)
        return broken("no hostname=");
    if (gethostname(own, sizeof(own)) < 0)
        return broken("gethostname: %s", strerror(errno));
    if (strcmp(own, host) == 0)
        return escaped("the host's name is %s", own);
    return contained("this machine is called %s", own);
}

static enum outcome tty_of_launcher(void)
{
    for (int fd = 0; fd < 3; fd++)
        if (isatty(fd) && !argument("terminal"))
            return escaped("descriptor %d is the launcher's terminal", fd);
    return contained("stdio is no terminal");
}

static const struct probe probes[] = {
    {.name = "process.pid-namespace",
     .layer = "pid-namespace",
     .run = pid_namespace,
     .flags = PROBE_CONTROL},
    {.name = "process.listing", .run = proc_listing, .flags = PROBE_CONTROL},
    {.name = "process.host-process", .run = host_process, .flags = PROBE_CONTROL},
    {.name = "process.signal-init",
     .layer = "slot-uid",
     .run = signal_init,
     .flags = PROBE_CONTROL},
    {.name = "process.signal-all", .run = signal_all, .flags = PROBE_CONTROL},
    {.name = "process.ptrace-init", .run = ptrace_init},
    {.name = "process.read-init-memory", .run = read_init_memory},
    {.name = "process.write-init-memory", .run = write_init_memory, .flags = PROBE_CONTROL},
    {.name = "process.pidfd-init", .run = pidfd_init, .flags = PROBE_CONTROL},
    {.name = "process.limits-of-init", .run = limits_of_init},
    {.name = "process.raise-priority", .run = raise_priority},
    {.name = "process.oom-score", .run = oom_score},
    {.name = "process.session", .layer = "session", .run = own_session},
    {.name = "process.init-namespaces", .run = init_namespaces},
    {.name = "process.environment", .run = environment, .flags = PROBE_CONTROL},
    {.name = "process.clean-signals", .run = clean_signals},
    {.name = "process.cgroup-namespace", .layer = "cgroup-namespace", .run = cgroup_namespace},
    {.name = "process.host-name",
     .layer = "uts-namespace",
     .run = uts_namespace,
     .flags = PROBE_CONTROL},
    {.name = "process.launcher-terminal", .run = tty_of_launcher},
};

const struct probe_table process_probes = {probes, sizeof(probes) / sizeof(*probes)};
