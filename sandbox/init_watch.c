/* What init does while the program lives, and when it has ended. */

#include <linux/ioctl.h>
#include <linux/magic.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/signal.h>
#include <linux/wait.h>

#include "base/result.h"
#include "sandbox/init_helper.h"
#include "sandbox/init_run.h"

/* The kernel's struct statfs64 as statfs(2) fills it on 64-bit machines. */
struct kernel_statfs {
    long f_type, f_bsize;
    unsigned long f_blocks, f_bfree, f_bavail, f_files, f_ffree;
    long rest[8];
};

static const char *const writable_dirs[] = {"/workspace", "/tmp", "/dev/shm"};
enum { WRITABLE_DIRS = sizeof(writable_dirs) / sizeof(writable_dirs[0]) };

uint64_t init_clock_us(int clock)
{
    struct timespec now = {0, 0};
    raw_clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t init_now_us(void)
{
    return init_clock_us(1 /* CLOCK_MONOTONIC */);
}

int init_report_send(const struct init_report *report)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)report, .iov_len = sizeof(*report)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    long n = raw_sendmsg(INIT_FD_CONTROL, &message, 0x4000 /* MSG_NOSIGNAL */);
    return n < 0 ? (int)n : 0;
}

void init_report_failure(struct init_state *s, int stage, int code, const char *text)
{
    struct init_report report = {.type = INIT_REPORT_FAILED,
                                 .stage = (uint32_t)stage,
                                 .code = code,
                                 .at_us = init_now_us(),
                                 .files_in_us = s->files_in_us};
    size_t len = strlen(text);
    if (len >= sizeof(report.text))
        len = sizeof(report.text) - 1;
    memcpy(report.text, text, len);
    init_report_send(&report);
}

/* Every process of the namespace but ourselves. kill(-1) holds the task list: no fork escapes it.
 */
static void kill_everything(struct init_state *s)
{
    if (s->config->flags & INIT_OWN_PID_NS)
        raw_kill(-1, SIGKILL);
    else if (s->main_pid > 0)
        raw_kill(-s->main_pid, SIGKILL);
}

/* Whoever is in a pid namespace descends from its pid 1: without children that is alone in it. (To
 * find that nobody is there, kill(-1) walks all the host's processes.) */
static void kill_and_reap(struct init_state *s)
{
    if (s->alone && (s->config->flags & INIT_OWN_PID_NS))
        return;
    for (;;) {
        kill_everything(s);
        int status, pid = raw_wait4(-1, &status, 0, 0);
        if (pid == s->main_pid && !s->main_over) {
            s->main_status = status;
            s->main_over = 1;
        }
        if (pid == -ECHILD)
            return;
    }
}

static void reap(struct init_state *s)
{
    uint8_t drain[128];
    raw_read(s->signals, drain, sizeof(drain));
    int status, pid;
    while ((pid = raw_wait4(-1, &status, WNOHANG, 0)) > 0) {
        if (pid != s->main_pid)
            continue;
        s->main_status = status;
        s->main_over = 1;
    }
    s->alone = pid == -ECHILD;
}

/* As it is now: the last look may be 400 ms old. */
static void report_waiting(struct init_state *s)
{
    if ((s->config->flags & INIT_TERMINAL) && !s->main_over)
        init_waits_look(s, 1);
    uint64_t now = init_now_us();
    struct init_report report = {.type = INIT_REPORT_WAITS, .at_us = now};
    report.value = s->waiting_since_us != 0;
    report.watch_us = s->watch_us;
    report.waited_us = s->waited_us;
    if (s->waiting_since_us)
        report.waited_us += now - s->waiting_since_us;
    init_report_send(&report);
}

/* Return: the order's type, 0 for none, or a negative errno when the spawner is gone. */
static int obey(struct init_state *s)
{
    struct init_order order = {0, 0};
    struct iovec part = {.iov_base = &order, .iov_len = sizeof(order)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    long n = raw_recvmsg(INIT_FD_CONTROL, &message, 0);
    if (n == -EINTR)
        return 0;
    if (n != sizeof(order))
        return n < 0 ? (int)n : -EPIPE;
    if (order.type == INIT_ORDER_KILL)
        kill_everything(s);
    else if (order.type == INIT_ORDER_SIGNAL && s->main_pid > 0 && !s->main_over)
        raw_kill(s->main_pid, (int)order.arg);
    else if (order.type == INIT_ORDER_QUERY)
        report_waiting(s);
    return order.type == INIT_ORDER_COLLECT ? (order.arg ? 2 : 1) : 0;
}

void init_answer_refusal(struct init_state *s)
{
    /* Room for a newer kernel's longer structures (SECCOMP_GET_NOTIF_SIZES). */
    static _Alignas(8) uint8_t ask[256], answer[256];
    struct seccomp_notif *question = (void *)ask;
    struct seccomp_notif_resp *reply = (void *)answer;
    memset(ask, 0, sizeof(ask));
    memset(answer, 0, sizeof(answer));
    if (raw_ioctl(s->listener, (unsigned)SECCOMP_IOCTL_NOTIF_RECV, question) < 0)
        return; /* the caller died meanwhile */
    int nr = question->data.nr;
    unsigned op = nr >= 0 && nr < INIT_NR_MAX ? s->config->op_of[nr] : REFUSAL_OTHER;
    unsigned long namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                               CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
    if (nr == __NR_clone)
        op = question->data.args[0] & namespaces ? REFUSAL_NAMESPACE : REFUSAL_SUBPROCESS;
    if (op >= REFUSAL_COUNT)
        op = REFUSAL_OTHER;
    if (s->refusals[op] != UINT32_MAX)
        s->refusals[op]++;
    reply->id = question->id;
    reply->error = -(int)s->config->errno_of[op];
    raw_ioctl(s->listener, (unsigned)SECCOMP_IOCTL_NOTIF_SEND, reply);
}

int init_watch(struct init_state *s)
{
    int terminal = (s->config->flags & INIT_TERMINAL) != 0;
    if (terminal)
        init_waits_begin(s);
    while (!s->main_over) {
        struct pollfd fds[3] = {{.fd = INIT_FD_CONTROL, .events = POLLIN},
                                {.fd = s->signals, .events = POLLIN},
                                {.fd = s->listener, .events = POLLIN}};
        struct timespec tick = init_waits_tick(s);
        int n = raw_ppoll(fds, 3, terminal ? &tick : 0, 0);
        if (n < 0 && n != -EINTR)
            return n;
        if (terminal)
            init_waits_look(s, n == 0);
        if (n > 0 && (fds[2].revents & POLLIN))
            init_answer_refusal(s);
        if (n > 0 && (fds[1].revents & POLLIN))
            reap(s);
        /* The last process with the filter is gone. At the end nobody waits for the filter's. */
        if (n > 0 && (fds[2].revents & POLLHUP) && !s->main_over) {
            raw_close(s->listener);
            s->listener = -EBADF;
        }
        if (n > 0 && fds[0].revents && obey(s) < 0)
            return -EPIPE;
    }
    kill_and_reap(s);
    return 0;
}

/* Forks the file helper; @work runs in it as the program's uid, filtered. Return: its result. */
static int as_helper(struct init_state *s, int (*work)(struct init_state *s))
{
    int pid = raw_clone(SIGCHLD, 0, 0, 0, 0);
    if (pid < 0)
        return pid;
    if (pid == 0) {
        int r = 0;
        if (!(s->config->layers & LAYER_BIT(LAYER_NO_NEW_PRIVS)))
            r = init_filter_load(s, 0);
        r = r < 0 ? r : init_become_slot(s);
        if (s->config->layers & LAYER_BIT(LAYER_NO_NEW_PRIVS)) {
            r = r < 0 ? r : raw_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            r = r < 0 ? r : init_filter_load(s, 0);
        }
        r = r < 0 ? r : work(s);
        raw_exit_group(r < 0 ? (-r > 254 ? 255 : -r) : 0);
    }
    int status = 0, r;
    do {
        r = raw_wait4(pid, &status, 0, 0);
    } while (r == -EINTR || (r > 0 && r != pid));
    if (r < 0)
        return r;
    if (status & 0x7f)
        return -EIO; /* killed: out of memory, most likely */
    return -((status >> 8) & 0xff);
}

static struct files_shared *shared;

static int unpack_work(struct init_state *s)
{
    (void)s;
    return files_unpack_workspace(INIT_FD_FILES_IN, shared);
}

int init_files_in(struct init_state *s)
{
    uint64_t start = init_now_us();
    if (s->config->flags & (INIT_FILES_IN | INIT_COLLECT)) {
        shared = files_shared_new();
        if (!shared) {
            init_report_failure(s, INIT_STAGE_SETUP, -ENOMEM,
                                "init has no memory for the file helper");
            return -ENOMEM;
        }
    }
    if (!(s->config->flags & INIT_FILES_IN))
        return 0;
    int r = as_helper(s, unpack_work);
    raw_close(INIT_FD_FILES_IN);
    s->files_in_us = init_now_us() - start;
    if (r < 0)
        init_report_failure(s, INIT_STAGE_FILES_IN, r,
                            *files_shared_fault(shared) ? files_shared_fault(shared)
                                                        : "the file helper failed");
    return r;
}

/* What an input set shows through is neither new nor the program's. */
static int upper_of(const struct init_state *s)
{
    return s->config->flags & INIT_LAYERED ? INIT_FD_UPPER : -EBADF;
}

static int pack_work(struct init_state *s)
{
    return files_pack_workspace(INIT_FD_FILES_OUT, upper_of(s), shared, s->config->collect_files,
                                s->config->collect_bytes);
}

static int find_work(struct init_state *s)
{
    uint64_t size = s->config->file_size;
    int upper = upper_of(s);
    if (upper >= 0 && files_find_size(upper, ".", size) > 0)
        return -EFBIG;
    for (int i = upper < 0 ? 0 : 1; i < WRITABLE_DIRS; i++) /* the first is the workspace */
        if (files_find_size(AT_FDCWD, writable_dirs[i], size) > 0)
            return -EFBIG;
    return 0;
}

struct room {
    uint64_t bytes, files; /* in use, over all writable places */
    uint32_t hits;
};

static struct room room_used(void)
{
    struct room room = {0, 0, 0};
    for (int i = 0; i < WRITABLE_DIRS; i++) {
        struct kernel_statfs fs = {0};
        if (raw_syscall2(__NR_statfs, (long)writable_dirs[i], (long)&fs) < 0 ||
            fs.f_type != TMPFS_MAGIC)
            continue;
        if (fs.f_blocks && !fs.f_bfree)
            room.hits |= INIT_HIT_WORKSPACE;
        if (fs.f_files && !fs.f_ffree)
            room.hits |= INIT_HIT_INODES;
        room.bytes += (fs.f_blocks - fs.f_bfree) * (uint64_t)fs.f_bsize;
        room.files += fs.f_files - fs.f_ffree;
    }
    return room;
}

void init_note_room(struct init_state *s)
{
    s->files_before = s->config->flags & INIT_WORKSPACE ? room_used().files : 0;
}

/*
 * Which limits of the file system were touched? The helper walks the tree when a file of the
 * limit's size can be there: the program failed, or made files, or took that much room. What is
 * left out is an input that the program itself stretched to that very size by a hole, and nothing
 * else. The limit `inodes` bounds the walk.
 */
static uint32_t file_system_hits(struct init_state *s)
{
    if (!(s->config->flags & INIT_WORKSPACE))
        return 0;
    struct room room = room_used();
    int look =
        s->main_status != 0 || room.files != s->files_before || room.bytes >= s->config->file_size;
    if (look && as_helper(s, find_work) == -EFBIG)
        room.hits |= INIT_HIT_FILE_SIZE;
    return room.hits;
}

int init_finish(struct init_state *s)
{
    struct init_report report = {.type = INIT_REPORT_MAIN_ENDED,
                                 .status = s->main_status,
                                 .at_us = init_now_us(),
                                 .files_in_us = s->files_in_us,
                                 .waited_us = s->waited_us,
                                 .watch_us = s->watch_us};
    report.hits = file_system_hits(s);
    memcpy(report.refusals, s->refusals, sizeof(report.refusals));
    int r = init_report_send(&report);
    if (r < 0 || !(s->config->flags & INIT_COLLECT))
        return r;
    int order;
    do {
        order = obey(s);
    } while (order == 0);
    if (order != 2)
        return order < 0 ? order : 0;
    struct init_report out = {.type = INIT_REPORT_COLLECTED};
    out.code = as_helper(s, pack_work);
    raw_close(INIT_FD_FILES_OUT);
    out.at_us = init_now_us();
    return init_report_send(&out);
}
