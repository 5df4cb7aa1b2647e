/* Starting the program: what a child of init gives up, in which order, and why. */

#include <asm/ioctls.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/signal.h>

#include "base/result.h"
#include "sandbox/init_run.h"

#define MIB          UINT64_C(1048576)
#define ALL_SIGNALS  (~UINT64_C(0))
#define NO_SIGNALS   UINT64_C(0)
#define PATH_BUF_MAX 4096

struct start {
    struct init_state *s;
    int code;
    enum init_stage stage; /* of the failure */
    const char *what;
};

static _Alignas(16) uint8_t child_stack[16384];

int init_config_strings(struct init_state *s, const uint8_t *end)
{
    const struct init_config *c = s->config;
    const uint8_t *p = (const uint8_t *)(c + 1);
    size_t insns = (size_t)c->n_insns * sizeof(struct sock_filter);
    if ((size_t)(end - p) < insns || c->argc < 1 || c->argc + c->envc + 2 > INIT_STRINGS_MAX)
        return -EBADMSG;
    s->insns = (const void *)p;
    p += insns;
    uint32_t n = 0, total = 1 + c->argc + c->envc;
    for (uint32_t i = 0; i < total; i++) {
        const uint8_t *text = p;
        while (p < end && *p)
            p++;
        if (p == end)
            return -EBADMSG;
        p++;
        if (i == 0)
            s->cwd = (const char *)text;
        else
            s->argv[n++] = (const char *)text;
        if (i == c->argc)
            s->argv[n++] = 0;
    }
    s->argv[n] = 0;
    s->envp = s->argv + c->argc + 1;
    return 0;
}

static int set_limit(unsigned resource, uint64_t soft, uint64_t hard)
{
    struct rlimit64 limit = {soft, hard};
    return raw_prlimit64(0, resource, &limit, 0);
}

static int apply_rlimits(const struct init_config *c)
{
    if (!(c->layers & LAYER_BIT(LAYER_RLIMITS)))
        return 0;
    /* SIGXCPU at the limit, SIGKILL a second later: only if the spawner's timer should fail. */
    int r = set_limit(RLIMIT_CPU, c->cpu_s, c->cpu_s + 1);
    r = r < 0 ? r : set_limit(RLIMIT_FSIZE, c->file_size, c->file_size);
    r = r < 0 ? r : set_limit(RLIMIT_NOFILE, c->open_files, c->open_files);
    if (r == 0) {
        /* 1, not 0: it alone also keeps the kernel from starting a core_pattern's program. */
        r = set_limit(RLIMIT_CORE, 1, 1);
        r = r == -EPERM ? set_limit(RLIMIT_CORE, 0, 0) : r; /* our own hard limit is 0 already */
    }
    r = r < 0 ? r : set_limit(RLIMIT_MEMLOCK, 0, 0);
    return r < 0 ? r : set_limit(RLIMIT_STACK, 8 * MIB, 64 * MIB);
}

/* A test took the layer away: carry everything that init has over the change of uid and the exec.
 */
static int keep_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[2] = {{0}};
    int r = (int)raw_syscall2(__NR_capget, (long)&header, (long)caps);
    for (int i = 0; i < 2; i++)
        caps[i].effective = caps[i].inheritable = caps[i].permitted;
    if (r == 0)
        r = raw_capset(&header, caps);
    for (unsigned cap = 0; r == 0 && cap < 64; cap++)
        if (caps[cap / 32].permitted & (1u << cap % 32))
            r = raw_prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
    return r;
}

int init_become_slot(const struct init_state *s)
{
    const struct init_config *c = s->config;
    int keep = !(c->layers & LAYER_BIT(LAYER_CAPABILITIES));
    int r = keep ? raw_prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) : 0;
    if (!(c->flags & INIT_SAME_UID)) {
        r = r < 0 ? r : raw_setresgid(c->gid, c->gid, c->gid);
        r = r < 0 ? r : raw_setresuid(c->uid, c->uid, c->uid);
    }
    if (keep)
        return r < 0 ? r : keep_capabilities();
    if (r < 0)
        return r;
    /* setresuid emptied the effective and permitted sets; the inheritable set survives it. */
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    return raw_capset(&header, none);
}

int init_filter_load(const struct init_state *s, int listen)
{
    if (!(s->config->layers & LAYER_BIT(LAYER_SECCOMP)))
        return 0;
    struct sock_fprog program = {
        .len = (unsigned short)s->config->n_insns,
        .filter = (struct sock_filter *)(uintptr_t)s->insns,
    };
    int notify = listen && (s->config->flags & INIT_NOTIFY);
    return raw_seccomp(SECCOMP_SET_MODE_FILTER, notify ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0,
                       &program);
}

static int start_session(const struct init_config *c)
{
    if (!(c->layers & LAYER_BIT(LAYER_SESSION)))
        return 0;
    int r = raw_setsid();
    if (r >= 0 && (c->flags & INIT_TERMINAL))
        r = raw_ioctl(0, TIOCSCTTY, 0);
    return r < 0 ? r : 0;
}

static int has_slash(const char *text)
{
    for (; *text; text++)
        if (*text == '/')
            return 1;
    return 0;
}

static const char *search_path(const struct init_state *s)
{
    for (const char *const *e = s->envp; *e; e++)
        if (strlen(*e) >= 5 && memcmp(*e, "PATH=", 5) == 0)
            return *e + 5;
    return "/usr/local/bin:/usr/bin:/bin";
}

/* execvp(3)'s rule: the first that is there; EACCES is remembered, but the search goes on. */
static int execute(const struct init_state *s)
{
    const char *name = s->argv[0];
    if (has_slash(name) || !*name)
        return raw_execve(name, s->argv, s->envp);
    size_t name_len = strlen(name);
    char path[PATH_BUF_MAX];
    int result = -ENOENT;
    for (const char *p = search_path(s);; p++) {
        const char *end = p;
        while (*end && *end != ':')
            end++;
        size_t len = (size_t)(end - p);
        if (len + name_len + 2 <= sizeof(path) && len) {
            memcpy(path, p, len);
            path[len] = '/';
            memcpy(path + len + 1, name, name_len + 1);
            int r = raw_execve(path, s->argv, s->envp);
            if (r != -ENOENT && r != -ENOTDIR)
                result = r;
            if (r != -ENOENT && r != -ENOTDIR && r != -EACCES)
                return r;
        }
        if (!*end)
            return result;
        p = end;
    }
}

/* Runs in a vfork child on a stack of its own; shares init's memory and descriptors. */
static int program_child(void *arg)
{
    struct start *start = arg;
    struct init_state *s = start->s;
    const struct init_config *c = s->config;
    uint64_t none = NO_SIGNALS;

    start->what = "start a session";
    start->code = start_session(c);
    if (start->code < 0)
        return 1;
    start->what = "set resource limits";
    start->code = apply_rlimits(c);
    if (start->code < 0)
        return 1;
    int late_filter = (c->layers & LAYER_BIT(LAYER_NO_NEW_PRIVS)) != 0;
    if (!late_filter) {
        /* Without no_new_privs a filter needs CAP_SYS_ADMIN: load it while there is one. */
        start->what = "load the system call filter";
        s->listener = start->code = init_filter_load(s, 1);
        if (start->code < 0)
            return 1;
    }
    start->what = "become the slot's user";
    start->code = init_become_slot(s);
    if (start->code < 0)
        return 1;
    start->what = s->cwd;
    start->code = raw_chdir(s->cwd);
    if (start->code < 0) {
        start->stage = INIT_STAGE_CWD;
        return 1;
    }
    if (late_filter) {
        start->what = "set no_new_privs";
        start->code = raw_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (start->code < 0)
            return 1;
        /* Last: from here on only what the policy allows. */
        start->what = "load the system call filter";
        s->listener = start->code = init_filter_load(s, 1);
        if (start->code < 0)
            return 1;
    }
    raw_rt_sigprocmask(SIG_SETMASK, &none, 0);
    start->what = s->argv[0]; /* from here on the failure is the caller's */
    start->stage = INIT_STAGE_EXEC;
    start->code = execute(s);
    return 1;
}

int init_prepare(struct init_state *s)
{
    uint64_t all = ALL_SIGNALS, child = UINT64_C(1) << (SIGCHLD - 1);
    int r = raw_rt_sigprocmask(SIG_SETMASK, &all, 0);
    if (r == 0)
        r = s->signals = raw_signalfd4(-1, &child, 02000000 /* SFD_CLOEXEC */);
    if (r >= 0 && (s->config->layers & LAYER_BIT(LAYER_FDS)))
        r = raw_close_range(INIT_FD_CONTROL, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */);
    if (r >= 0)
        r = raw_prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (r >= 0 && !(s->config->flags & INIT_OWN_PID_NS))
        r = raw_prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    if (r < 0)
        init_report_failure(s, INIT_STAGE_SETUP, r, "init can't prepare itself");
    return r < 0 ? r : 0;
}

int init_start_program(struct init_state *s)
{
    struct start start = {.s = s, .stage = INIT_STAGE_SETUP};
    int pid = raw_clone_call(CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD,
                             child_stack + sizeof(child_stack), program_child, &start);
    if (pid < 0) {
        init_report_failure(s, INIT_STAGE_SETUP, pid, "init can't make the program's process");
        return pid;
    }
    if (start.code < 0) {
        init_report_failure(s, start.stage, start.code, start.what);
        return start.code;
    }
    s->main_pid = pid;
    if (!(s->config->layers & LAYER_BIT(LAYER_SECCOMP)) || !(s->config->flags & INIT_NOTIFY))
        s->listener = -EBADF;
    /* The program's ends of its pipes are its own: a reader must see their end with its last
     * process. */
    for (int fd = 0; fd <= 2; fd++)
        raw_close(fd);
    struct init_report report = {.type = INIT_REPORT_STARTED,
                                 .at_us = init_now_us(),
                                 .files_in_us = s->files_in_us};
    return init_report_send(&report);
}
