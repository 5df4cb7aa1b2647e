/*
 * Resources: every bomb stays within the run's limits. Either the sandbox ends the run (then
 * `expect` names the verdicts that are right, and reaching the end is the escape), or the program
 * meets an errno and counts how far it came.
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "probe.h"

#define MIB (1 << 20)

/* ---- processes ---- */

static enum outcome processes(void)
{
    int made = 0, error = 0;
    static pid_t children[200];
    fflush(stdout);
    for (; made < 200; made++) {
        children[made] = fork();
        if (children[made] < 0) {
            error = errno;
            break;
        }
        if (children[made] == 0) {
            for (;;)
                pause();
        }
    }
    for (int i = 0; i < made; i++)
        kill(children[i], SIGKILL);
    for (int i = 0; i < made; i++)
        waitpid(children[i], NULL, 0);
    if (made >= 24)
        return escaped("%d processes at once, with a limit of 20", made);
    return contained("fork: %s after %d children", strerror(error), made);
}

static void *sleeper(void *arg)
{
    for (;;)
        pause();
    return arg;
}

static enum outcome threads(void)
{
    int made = 0, error = 0;
    for (; made < 200 && error == 0; made += error == 0) {
        pthread_t thread;
        pthread_attr_t attr;
        pthread_attr_init(&attr);
        pthread_attr_setstacksize(&attr, 65536);
        error = pthread_create(&thread, &attr, sleeper, NULL);
        pthread_attr_destroy(&attr);
    }
    if (made >= 24)
        return escaped("%d threads, with a limit of 20", made);
    return contained("pthread_create: %s after %d threads", strerror(error), made);
}

static enum outcome fork_bomb(void)
{
    struct timespec now;
    do {
        if (fork() < 0)
            for (volatile int i = 0; i < 1000; i++)
                ;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    } while (now.tv_sec < 10);
    return escaped("the storm went on for more than 10 s");
}

/* ---- memory ---- */

static enum outcome memory_anonymous(void)
{
    size_t size = 256 * MIB;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return contained("mmap: %s", strerror(errno));
    memset(memory, 1, size);
    return escaped("touched %zu MiB with a limit of 32", size / MIB);
}

/* Fills the open file with 128 MiB. */
static enum outcome fill(int fd, const char *what)
{
    static char block[MIB];
    memset(block, 1, sizeof(block));
    if (fd < 0)
        return broken("%s: %s", what, strerror(errno));
    for (int i = 0; i < 128; i++)
        if (write(fd, block, sizeof(block)) != sizeof(block))
            return escaped("%s: %s after %d MiB, with a memory limit of 32", what, strerror(errno),
                           i);
    return escaped("%s holds 128 MiB with a memory limit of 32", what);
}

static enum outcome memory_workspace(void)
{
    return fill(open("/workspace/bomb", O_CREAT | O_WRONLY, 0600), "/workspace");
}

static enum outcome memory_tmp(void)
{
    return fill(open("/tmp/bomb", O_CREAT | O_WRONLY, 0600), "/tmp");
}

static enum outcome memory_dev_shm(void)
{
    return fill(open("/dev/shm/bomb", O_CREAT | O_WRONLY, 0600), "/dev/shm");
}

static enum outcome memory_memfd(void)
{
    return fill(memfd_create("bomb", 0), "a memfd");
}

static enum outcome memory_sysv(void)
{
    size_t size = 128 * MIB;
    int id = shmget(IPC_PRIVATE, size, IPC_CREAT | 0600);
    if (id < 0)
        return contained("shmget: %s", strerror(errno));
    char *memory = shmat(id, NULL, 0);
    shmctl(id, IPC_RMID, NULL);
    if (memory == (void *)-1)
        return contained("shmat: %s", strerror(errno));
    memset(memory, 1, size);
    return escaped("a segment of 128 MiB with a memory limit of 32");
}

static void hold_memory(int *held)
{
    size_t size = 16 * MIB;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(memory, 1, size);
    __atomic_fetch_add(held, 1, __ATOMIC_SEQ_CST);
    for (;;)
        pause();
}

/* Until all of them hold theirs, or one is killed for it. */
static enum outcome memory_children(void)
{
    pid_t children[8];
    int alive = 8;
    int *held =
        mmap(NULL, sizeof(*held), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (held == MAP_FAILED)
        return broken("mmap: %s", strerror(errno));
    for (int i = 0; i < 8; i++) {
        children[i] = fork();
        if (children[i] < 0)
            return broken("fork: %s", strerror(errno));
        if (children[i] == 0)
            hold_memory(held);
    }
    const struct timespec moment = {.tv_nsec = 20000000};
    while (alive == 8 && __atomic_load_n(held, __ATOMIC_SEQ_CST) < 8) {
        nanosleep(&moment, NULL);
        for (int i = 0; i < 8; i++)
            alive -= waitpid(children[i], NULL, WNOHANG) != 0;
    }
    for (int i = 0; i < 8; i++)
        kill(children[i], SIGKILL);
    if (alive == 8)
        return escaped("eight children hold 128 MiB with a limit of 32");
    return contained("%d of 8 children were left alive", alive);
}

static enum outcome memory_pipes(void)
{
    static char block[65536];
    long total = 0;
    int fds[2];
    while (pipe2(fds, O_NONBLOCK) == 0) {
        fcntl(fds[1], F_SETPIPE_SZ, MIB);
        ssize_t n;
        while ((n = write(fds[1], block, sizeof(block))) > 0)
            total += n;
        if (total > 128 * MIB)
            return escaped("pipes hold %ld MiB with a memory limit of 32", total / MIB);
    }
    return contained("pipes hold %ld MiB: %s", total / MIB, strerror(errno));
}

static enum outcome memory_sockets(void)
{
    static char block[32768];
    long total = 0;
    int pair[2];
    while (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0) {
        int size = 4 * MIB;
        for (int end = 0; end < 2; end++) {
            ssize_t n;
            setsockopt(pair[end], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
            while ((n = write(pair[end], block, sizeof(block))) > 0)
                total += n;
        }
        if (total > 128 * MIB)
            return escaped("sockets hold %ld MiB with a memory limit of 32", total / MIB);
    }
    return contained("sockets hold %ld MiB: %s", total / MIB, strerror(errno));
}

/* ---- files ---- */

static enum outcome inodes(void)
{
    static const char *const dirs[] = {"/workspace", "/tmp", "/dev/shm"};
    int made = 0, error = 0;
    char path[64];
    for (size_t d = 0; d < sizeof(dirs) / sizeof(*dirs); d++)
        for (int i = 0; i < 5000; i++) {
            snprintf(path, sizeof(path), "%s/f%d", dirs[d], i);
            if (mkdir(path, 0700) < 0) {
                error = errno;
                break;
            }
            made++;
        }
    if (made > 600)
        return escaped("%d directories, with a limit of 500 inodes", made);
    return contained("mkdir: %s after %d in three places together", strerror(error), made);
}

static enum outcome workspace_bytes(void)
{
    static const char *const paths[] = {"/workspace/bomb", "/tmp/bomb", "/dev/shm/bomb"};
    static char block[65536];
    long total = 0;
    int error = 0;
    memset(block, 1, sizeof(block));
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        int fd = open(paths[i], O_CREAT | O_WRONLY, 0600);
        ssize_t n = 0;
        while (fd >= 0 && total < 64 * MIB && (n = write(fd, block, sizeof(block))) > 0)
            total += n;
        if (fd < 0 || n < 0)
            error = errno;
    }
    if (total > 9 * MIB)
        return escaped("%ld MiB in three places together, with a limit of 8", total / MIB);
    return contained("write: %s after %ld KiB in three places together", strerror(error),
                     total / 1024);
}

static enum outcome file_size(void)
{
    static char block[65536];
    long total = 0;
    signal(SIGXFSZ, SIG_IGN);
    int fd = open("/workspace/big", O_CREAT | O_WRONLY, 0600);
    ssize_t n;
    while (fd >= 0 && total < 8 * MIB && (n = write(fd, block, sizeof(block))) > 0)
        total += n;
    int error = errno;
    if (total > MIB)
        return escaped("a file of %ld bytes with a limit of 1 MiB", total);
    if (ftruncate(fd, 4 * MIB) == 0 || fallocate(fd, 0, 0, 4 * MIB) == 0)
        return escaped("ftruncate or fallocate went beyond the limit");
    return contained("write: %s after %ld bytes", strerror(error), total);
}

static enum outcome file_descriptors(void)
{
    int made = 0;
    while (made < 10000 && dup(0) >= 0)
        made++;
    if (made > 64)
        return escaped("%d descriptors with a limit of 64", made);
    return contained("dup: %s after %d", strerror(errno), made);
}

static enum outcome locked_memory(void)
{
    size_t size = 4 * MIB;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mlock(memory, size) == 0)
        return escaped("4 MiB were locked");
    int error = errno;
    if (mlockall(MCL_CURRENT) == 0)
        return escaped("mlockall worked");
    return contained("mlock: %s", strerror(error));
}

/* ---- CPU and time ---- */

/* Uses @ms of CPU time in this process. */
static void burn(long ms)
{
    struct timespec now;
    do {
        for (volatile int i = 0; i < 100000; i++)
            ;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    } while (now.tv_sec * 1000 + now.tv_nsec / 1000000 < ms);
}

static enum outcome cpu_spin(void)
{
    struct rlimit soft = {60, 60};
    setrlimit(RLIMIT_CPU, &soft);
    signal(SIGXCPU, SIG_IGN);
    burn(4000);
    return escaped("used 4 s of CPU with a limit of 1");
}

/* No single process reaches the limit; the tree does. */
static enum outcome cpu_children(void)
{
    fflush(stdout);
    for (int i = 0; i < 8; i++) {
        pid_t pid = fork();
        if (pid < 0)
            return broken("fork: %s", strerror(errno));
        if (pid == 0) {
            burn(400);
            _exit(0);
        }
        waitpid(pid, NULL, 0);
    }
    return escaped("children used 3.2 s of CPU with a limit of 1");
}

static void *burner(void *arg)
{
    for (;;)
        for (volatile int i = 0; i < 100000; i++)
            ;
    return arg;
}

static enum outcome cpu_threads(void)
{
    pthread_t thread;
    for (int i = 0; i < 3; i++)
        pthread_create(&thread, NULL, burner, NULL);
    burn(4000);
    return escaped("threads used more than 4 s of CPU with a limit of 1");
}

static enum outcome wall_time(void)
{
    for (int signo = 1; signo < 65; signo++)
        signal(signo, SIG_IGN);
    struct timespec long_time = {.tv_sec = 6};
    nanosleep(&long_time, NULL);
    return escaped("slept 6 s with a limit of 1");
}

static const struct probe probes[] = {
    {.name = "res.processes",
     .layer = "cgroup-pids",
     .run = processes,
     .limits = "processes=20",
     .flags = PROBE_CONTROL},
    {.name = "res.threads", .run = threads, .limits = "processes=20", .flags = PROBE_CONTROL},
    {.name = "res.fork-bomb",
     .run = fork_bomb,
     .expect = "CPU_TIME_LIMIT",
     .limits = "processes=20 cpu=1s wall=8s"},
    {.name = "res.memory-anonymous",
     .layer = "cgroup-memory",
     .run = memory_anonymous,
     .expect = "MEMORY_LIMIT",
     .limits = "memory=32M"},
    {.name = "res.memory-workspace",
     .run = memory_workspace,
     .expect = "MEMORY_LIMIT",
     .limits = "memory=32M workspace=256M file-size=256M"},
    {.name = "res.memory-tmp",
     .run = memory_tmp,
     .expect = "MEMORY_LIMIT",
     .limits = "memory=32M workspace=256M file-size=256M"},
    {.name = "res.memory-dev-shm",
     .run = memory_dev_shm,
     .expect = "MEMORY_LIMIT",
     .limits = "memory=32M workspace=256M file-size=256M"},
    {.name = "res.memory-memfd",
     .run = memory_memfd,
     .expect = "MEMORY_LIMIT",
     .limits = "memory=32M file-size=256M"},
    {.name = "res.memory-sysv",
     .run = memory_sysv,
     .expect = "MEMORY_LIMIT",
     .limits = "memory=32M file-size=256M"},
    {.name = "res.memory-children",
     .run = memory_children,
     .expect = "EXITED|MEMORY_LIMIT",
     .limits = "memory=32M"},
    {.name = "res.memory-pipes",
     .run = memory_pipes,
     .expect = "EXITED|MEMORY_LIMIT",
     .limits = "memory=32M open-files=4096"},
    {.name = "res.memory-sockets",
     .run = memory_sockets,
     .expect = "EXITED|MEMORY_LIMIT",
     .limits = "memory=32M open-files=4096"},
    {.name = "res.inodes", .run = inodes, .limits = "inodes=500"},
    {.name = "res.workspace-bytes",
     .layer = "tmpfs-limits",
     .run = workspace_bytes,
     .limits = "workspace=8M file-size=256M memory=256M"},
    {.name = "res.file-size", .run = file_size, .limits = "file-size=1M"},
    {.name = "res.file-descriptors",
     .run = file_descriptors,
     .limits = "open-files=64",
     .flags = PROBE_CONTROL},
    {.name = "res.locked-memory", .run = locked_memory, .flags = PROBE_CONTROL},
    {.name = "res.cpu-spin",
     .run = cpu_spin,
     .expect = "CPU_TIME_LIMIT",
     .limits = "cpu=1s wall=20s"},
    {.name = "res.cpu-children",
     .layer = "cgroup-cpu",
     .run = cpu_children,
     .expect = "CPU_TIME_LIMIT",
     .limits = "cpu=1s wall=20s"},
    {.name = "res.cpu-threads",
     .run = cpu_threads,
     .expect = "CPU_TIME_LIMIT",
     .limits = "cpu=1s wall=20s"},
    {.name = "res.wall-time", .run = wall_time, .expect = "WALL_TIME_LIMIT", .limits = "wall=1s"},
};

const struct probe_table resource_probes = {probes, sizeof(probes) / sizeof(*probes)};
