#include "base/result.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const verdict_names[VERDICT_COUNT] = {
    [VERDICT_INTERNAL] = "INTERNAL",
    [VERDICT_CANCELLED] = "CANCELLED",
    [VERDICT_MEMORY_LIMIT] = "MEMORY_LIMIT",
    [VERDICT_CPU_TIME_LIMIT] = "CPU_TIME_LIMIT",
    [VERDICT_WALL_TIME_LIMIT] = "WALL_TIME_LIMIT",
    [VERDICT_IDLE_LIMIT] = "IDLE_LIMIT",
    [VERDICT_OUTPUT_LIMIT] = "OUTPUT_LIMIT",
    [VERDICT_FILE_SIZE_LIMIT] = "FILE_SIZE_LIMIT",
    [VERDICT_PROCESS_LIMIT] = "PROCESS_LIMIT",
    [VERDICT_POLICY_VIOLATION] = "POLICY_VIOLATION",
    [VERDICT_SIGNALED] = "SIGNALED",
    [VERDICT_EXITED] = "EXITED",
    [VERDICT_COMPILE_FAILED] = "COMPILE_FAILED",
};

#define TRIED(what) "your program tried to " what ": not allowed here"

static const struct {
    const char *name, *message;
} refusal_table[REFUSAL_COUNT] = {
    [REFUSAL_SUBPROCESS] = {"subprocess", TRIED("start another program")},
    [REFUSAL_SOCKET] = {"socket", TRIED("open a network connection")},
    [REFUSAL_PTRACE] = {"ptrace", TRIED("inspect or change another process")},
    [REFUSAL_MOUNT] = {"mount", TRIED("mount a file system or change the root directory")},
    [REFUSAL_NAMESPACE] = {"namespace", TRIED("make or enter a namespace")},
    [REFUSAL_KEYRING] = {"keyring", TRIED("use the kernel's keyrings")},
    [REFUSAL_KERNEL] = {"kernel",
                        TRIED("use a part of the kernel that is reserved for administrators")},
    [REFUSAL_TIME] = {"time", TRIED("change the clock")},
    [REFUSAL_TERMINAL] = {"terminal", TRIED("type into a terminal on somebody's behalf")},
    [REFUSAL_DEVICE] = {"device", TRIED("create a device or talk to hardware")},
    [REFUSAL_OTHER] = {"other", TRIED("make a system call that is switched off")},
};

static const char *const layer_names[LAYER_COUNT] = {
    [LAYER_USER_NS] = "user-namespace",
    [LAYER_PID_NS] = "pid-namespace",
    [LAYER_MOUNT_NS] = "mount-namespace",
    [LAYER_NET_NS] = "net-namespace",
    [LAYER_IPC_NS] = "ipc-namespace",
    [LAYER_UTS_NS] = "uts-namespace",
    [LAYER_CGROUP_NS] = "cgroup-namespace",
    [LAYER_ROOT_OVERLAY] = "root-overlay",
    [LAYER_PROC_MASK] = "proc-mask",
    [LAYER_TMPFS_LIMITS] = "tmpfs-limits",
    [LAYER_NO_NEW_PRIVS] = "no-new-privs",
    [LAYER_CAPABILITIES] = "capabilities",
    [LAYER_SLOT_UID] = "slot-uid",
    [LAYER_SESSION] = "session",
    [LAYER_SECCOMP] = "seccomp",
    [LAYER_RLIMITS] = "rlimits",
    [LAYER_CG_MEMORY] = "cgroup-memory",
    [LAYER_CG_PIDS] = "cgroup-pids",
    [LAYER_CG_CPU] = "cgroup-cpu",
    [LAYER_FDS] = "fds",
};

static int find_name(const char *const *names, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

const char *verdict_name(enum verdict verdict)
{
    return (unsigned)verdict < VERDICT_COUNT ? verdict_names[verdict] : NULL;
}

int verdict_by_name(const char *name)
{
    return find_name(verdict_names, VERDICT_COUNT, name);
}

bool verdict_is_limit(enum verdict verdict)
{
    return verdict >= VERDICT_MEMORY_LIMIT && verdict <= VERDICT_PROCESS_LIMIT;
}

const char *refusal_name(enum refusal_op op)
{
    return (unsigned)op < REFUSAL_COUNT ? refusal_table[op].name : NULL;
}

const char *refusal_message(enum refusal_op op)
{
    return (unsigned)op < REFUSAL_COUNT ? refusal_table[op].message : NULL;
}

const char *layer_name(enum layer layer)
{
    return (unsigned)layer < LAYER_COUNT ? layer_names[layer] : NULL;
}

int layer_by_name(const char *name)
{
    return find_name(layer_names, LAYER_COUNT, name);
}

#define SIGNAL_NAME_MAX 24

/* As the programs' libc (glibc) counts, whatever ours is. */
#define RTMIN_SIGNAL 34
#define RTMAX_SIGNAL 64

static void format_signal(int signo, char name[static SIGNAL_NAME_MAX])
{
    static const char *const names[] = {
        [SIGHUP] = "HUP",   [SIGINT] = "INT",       [SIGQUIT] = "QUIT", [SIGILL] = "ILL",
        [SIGTRAP] = "TRAP", [SIGABRT] = "ABRT",     [SIGBUS] = "BUS",   [SIGFPE] = "FPE",
        [SIGKILL] = "KILL", [SIGUSR1] = "USR1",     [SIGSEGV] = "SEGV", [SIGUSR2] = "USR2",
        [SIGPIPE] = "PIPE", [SIGALRM] = "ALRM",     [SIGTERM] = "TERM", [SIGSTKFLT] = "STKFLT",
        [SIGCHLD] = "CHLD", [SIGCONT] = "CONT",     [SIGSTOP] = "STOP", [SIGTSTP] = "TSTP",
        [SIGTTIN] = "TTIN", [SIGTTOU] = "TTOU",     [SIGURG] = "URG",   [SIGXCPU] = "XCPU",
        [SIGXFSZ] = "XFSZ", [SIGVTALRM] = "VTALRM", [SIGPROF] = "PROF", [SIGWINCH] = "WINCH",
        [SIGPOLL] = "POLL", [SIGPWR] = "PWR",       [SIGSYS] = "SYS"};
    if (signo > 0 && (size_t)signo < sizeof(names) / sizeof(names[0]))
        snprintf(name, SIGNAL_NAME_MAX, "SIG%s", names[signo]);
    else if (signo == RTMIN_SIGNAL)
        snprintf(name, SIGNAL_NAME_MAX, "SIGRTMIN");
    else if (signo > RTMIN_SIGNAL && signo <= RTMAX_SIGNAL)
        snprintf(name, SIGNAL_NAME_MAX, "SIGRTMIN+%d", signo - RTMIN_SIGNAL);
    else
        snprintf(name, SIGNAL_NAME_MAX, "SIG%d", signo);
}

const char *signal_name(int signo)
{
    static _Thread_local char name[SIGNAL_NAME_MAX];
    if (signo <= 0)
        return NULL;
    format_signal(signo, name);
    return name;
}

static int signal_by_number(const char *text)
{
    char *end = NULL;
    long value = strtol(text, &end, 10);
    return *end == 0 && value >= 1 && value <= SIGRTMAX ? (int)value : -1;
}

int signal_by_name(const char *name)
{
    if (*name >= '0' && *name <= '9')
        return signal_by_number(name);
    if (strncmp(name, "SIG", 3) == 0)
        name += 3;
    for (int signo = 1; signo <= SIGRTMAX; signo++) {
        char candidate[SIGNAL_NAME_MAX]; /* not signal_name()'s: @name may be what that returned */
        format_signal(signo, candidate);
        if (strcmp(candidate + 3, name) == 0)
            return signo;
    }
    return -1;
}

int result_exit_status(const struct run_result *result)
{
    switch (result->verdict) {
    case VERDICT_EXITED:
        return result->exit_code;
    case VERDICT_SIGNALED:
        return 128 + result->term_signal;
    case VERDICT_CANCELLED:
        return 128 + (result->term_signal ? result->term_signal : SIGINT);
    case VERDICT_COMPILE_FAILED:
        return result->exit_code > 0 ? result->exit_code : 1;
    case VERDICT_POLICY_VIOLATION:
        return 126;
    default:
        return verdict_is_limit(result->verdict) ? 124 : 125;
    }
}
