/*
 * Killing and removing whole subtrees.
 *
 * Theory of operation
 *
 * v2 has cgroup.kill, which also catches processes that are being forked. On v1 (and v2
 * before 5.14) everything is frozen first: a process born in a freezing group freezes too, and once
 * the state reads FROZEN no fork is under way, so the list of processes is complete; SIGKILL then
 * waits for the thaw. Processes that are not in the freezer's hierarchy are caught by repetition.
 *
 * The caller itself is never killed, nor frozen. A directory is removed bottom-up once it is empty;
 * -EBUSY means that something in it is still on its way out, so the whole is repeated until
 * SWEEP_MS are over.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "cgroups/files.h"
#include "cgroups/tree.h"

#define SWEEP_MS        5000
#define DEPTH_MAX       32 /* of groups inside groups; sandboxed programs can't make any */
#define FREEZE_TRIES    10
#define FREEZE_PAUSE_US 20u /* the first; each is twice the one before, 20 ms in all */

/* Calls @each for every directory in @dir. Return: the first negative value of @each, or the sum.
 */
static int for_each_group(int dir, int (*each)(int parent, const char *name, int depth), int depth)
{
    if (depth > DEPTH_MAX)
        return -ELOOP;
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AUTO_DIR DIR *list = copy >= 0 ? fdopendir(copy) : NULL;
    if (!list) {
        int code = -errno;
        fd_close(copy);
        return code;
    }
    int sum = 0;
    for (struct dirent *entry; (entry = readdir(list));) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        int r = each(dir, entry->d_name, depth);
        if (r < 0)
            return r;
        sum += r;
    }
    return sum;
}

static int open_group(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}

static bool freezer_says(int dir, const char *state)
{
    char text[CG_FILE_MAX];
    ssize_t len = cg_read_at(dir, "freezer.state", text);
    return len > 0 && strncmp(text, state, strlen(state)) == 0;
}

static void freeze(int dir)
{
    if (!cg_exists_at(dir, "freezer.state")) {
        if (!cg_exists_at(dir, "cgroup.kill"))
            file_write_text_at(dir, "cgroup.freeze", "1", NULL);
        return;
    }
    file_write_text_at(dir, "freezer.state", "FROZEN", NULL);
    for (unsigned i = 0; i < FREEZE_TRIES && !freezer_says(dir, "FROZEN"); i++)
        cg_sleep_us(FREEZE_PAUSE_US << i);
}

static void thaw_one(int dir)
{
    if (cg_exists_at(dir, "freezer.state"))
        file_write_text_at(dir, "freezer.state", "THAWED", NULL);
    else if (cg_exists_at(dir, "cgroup.freeze"))
        file_write_text_at(dir, "cgroup.freeze", "0", NULL);
}

static int thaw(int parent, const char *name, int depth)
{
    AUTO_CLOSE int dir = open_group(parent, name);
    if (dir < 0)
        return 0;
    thaw_one(dir);
    for_each_group(dir, thaw, depth + 1);
    return 0;
}

/* Calls @each for every process in @dir itself, until one returns true. */
static int any_listed(int dir, bool (*each)(pid_t pid))
{
    AUTO_FREE char *text = NULL;
    ssize_t len = cg_read_long_at(dir, "cgroup.procs", &text);
    if (len < 0)
        return len == -ENODEV || len == -ENOENT ? 0 : (int)len; /* removed meanwhile */
    pid_t pid;
    for (const char *at = text; cg_parse_pid(&at, text + len, &pid);)
        if (each(pid))
            return 1;
    return 0;
}

static bool is_caller(pid_t pid)
{
    return pid == getpid();
}

static bool kill_other(pid_t pid)
{
    if (!is_caller(pid))
        kill(pid, SIGKILL);
    return false;
}

/* Return: > 0 when the caller is in @name or below. */
static int holds_caller(int parent, const char *name, int depth)
{
    AUTO_CLOSE int dir = open_group(parent, name);
    if (dir < 0)
        return 0;
    int here = any_listed(dir, is_caller);
    return here != 0 ? here : for_each_group(dir, holds_caller, depth + 1);
}

/* Where the kernel does it all, no pid is named that may be somebody else's by now. */
static bool killed_by_kernel(int dir)
{
    return cg_exists_at(dir, "cgroup.kill") && holds_caller(dir, ".", 0) == 0 &&
           file_write_text_at(dir, "cgroup.kill", "1", NULL) == 0;
}

static int kill_group(int parent, const char *name, int depth)
{
    AUTO_CLOSE int dir = open_group(parent, name);
    if (dir < 0)
        return dir == -ENOENT ? 0 : dir;
    if (killed_by_kernel(dir))
        return 0;
    int below = for_each_group(dir, kill_group, depth + 1);
    int here = any_listed(dir, kill_other);
    return below < 0 ? below : here;
}

int cg_kill_pass(int dir, struct err *err)
{
    bool frozen = holds_caller(dir, ".", 0) == 0; /* else we would freeze with it, for ever */
    if (frozen)
        freeze(dir);
    int r = kill_group(dir, ".", 0);
    thaw(dir, ".", 0); /* also what somebody else left frozen */
    return r < 0 ? err_set(err, r, "kill the processes of a cgroup: %m") : 0;
}

static int remove_group(int parent, const char *name, int depth)
{
    if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    if (errno != EBUSY && errno != ENOTEMPTY)
        return -errno;
    AUTO_CLOSE int dir = open_group(parent, name);
    if (dir < 0)
        return dir == -ENOENT ? 0 : dir;
    int r = for_each_group(dir, remove_group, depth + 1);
    if (r < 0)
        return r;
    return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -errno;
}

int cg_sweep(int parent, const char *name, struct err *err)
{
    uint64_t deadline = clock_ms() + SWEEP_MS;
    for (unsigned pause = 250;; pause = pause < 16000 ? pause * 2 : pause) {
        int r = remove_group(parent, name, 0);
        if (r == 0)
            return 0;
        if (r != -EBUSY || clock_ms() > deadline)
            return err_set(err, r, "remove cgroup %s: %m", name);
        if (holds_caller(parent, name, 0) > 0)
            return err_set(err, -EBUSY, "remove cgroup %s: this process is in it", name);
        AUTO_CLOSE int dir = open_group(parent, name);
        if (dir >= 0 && (r = cg_kill_pass(dir, err)) < 0)
            return r;
        cg_sleep_us(pause);
    }
}
