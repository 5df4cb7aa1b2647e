/* Steps that use up time, memory, processes and output. */

#include "tests/integration/verdicts/steps.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHUNK 65536

extern char **environ;

/* ---- time ---- */

static void step_burn(const char *arg)
{
    (void)arg;
    for (volatile unsigned long i = 0;; i++)
        ;
}

static void step_burn_ms(const char *arg)
{
    struct timespec now;
    uint64_t ms = number(arg);
    do {
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    } while ((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 < ms);
}

static void step_burn_system(const char *arg)
{
    (void)arg;
    static char buf[1 << 20];
    int fd = open("/dev/zero", O_RDONLY);
    while (read(fd, buf, sizeof(buf)) > 0)
        ;
    unmet("read /dev/zero: %s", strerror(errno));
}

static void step_sleep_ms(const char *arg)
{
    uint64_t ms = number(arg);
    struct timespec left = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) < 0)
        ;
}

static void step_pause(const char *arg)
{
    (void)arg;
    for (;;)
        pause();
}

static void step_read(const char *arg)
{
    char byte;
    (void)arg;
    while (read(0, &byte, 1) > 0)
        ;
}

static void step_deadlock(const char *arg)
{
    (void)arg;
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    pthread_mutex_lock(&lock);
}

/* ---- memory ---- */

static void touch(char *bytes, uint64_t size)
{
    for (uint64_t at = 0; at < size; at += 4096)
        ((volatile char *)bytes)[at] = 1;
}

static void step_malloc(const char *arg)
{
    uint64_t size = number(arg);
    char *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bytes == MAP_FAILED)
        unmet("mmap: %s", strerror(errno));
    touch(bytes, size);
}

static void step_shared(const char *arg)
{
    uint64_t size = number(arg);
    char *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (bytes == MAP_FAILED)
        unmet("mmap: %s", strerror(errno));
    touch(bytes, size);
}

static void step_memfd(const char *arg)
{
    static char chunk[CHUNK];
    int fd = memfd_create("bomb", 0);
    for (uint64_t left = number(arg); left >= CHUNK; left -= CHUNK)
        if (write(fd, chunk, CHUNK) != CHUNK)
            unmet("write to a memfd: %s", strerror(errno));
}

static void step_sysv_shm(const char *arg)
{
    uint64_t size = number(arg);
    int id = shmget(IPC_PRIVATE, size, IPC_CREAT | 0600);
    char *bytes = id < 0 ? (char *)-1 : shmat(id, NULL, 0);
    if (bytes == (char *)-1)
        unmet("SysV shared memory: %s", strerror(errno));
    touch(bytes, size);
}

/* ---- processes ---- */

static void *sleeper(void *arg)
{
    for (;;)
        pause();
    return arg;
}

/* Children until EAGAIN, at most ARG. */
static void step_forks(const char *arg)
{
    uint64_t most = number(arg);
    for (uint64_t i = 0; i < most; i++) {
        pid_t pid = fork();
        if (pid == 0)
            sleeper(NULL);
        if (pid < 0 && errno == EAGAIN)
            return;
        if (pid < 0)
            unmet("fork: %s", strerror(errno));
    }
    unmet("%s children, and none refused", arg);
}

static void step_threads(const char *arg)
{
    uint64_t most = number(arg);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 65536);
    for (uint64_t i = 0; i < most; i++) {
        pthread_t thread;
        int error = pthread_create(&thread, &attr, sleeper, NULL);
        if (error == EAGAIN)
            return;
        if (error)
            unmet("pthread_create: %s", strerror(error));
    }
    unmet("%s threads, and none refused", arg);
}

/* Every process makes more of its kind. */
static void step_fork_bomb(const char *arg)
{
    (void)arg;
    for (;;)
        (void)!fork();
}

/* One child at a time, which ends at once: none of them ever has much CPU time. */
static void step_short_children(const char *arg)
{
    (void)arg;
    for (;;) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        waitpid(pid, NULL, 0);
    }
}

static void step_vfork_exec(const char *arg)
{
    (void)arg;
    char *argv[] = {(char *)(uintptr_t) "true", NULL};
    pid_t pid;
    int error = posix_spawn(&pid, "/usr/bin/true", NULL, NULL, argv, environ);
    if (error)
        unmet("posix_spawn: %s", strerror(error));
    waitpid(pid, NULL, 0);
}

/* ---- output ---- */

static void print_to(int fd, uint64_t bytes)
{
    static char chunk[CHUNK];
    memset(chunk, 'x', sizeof(chunk));
    while (bytes) {
        ssize_t n = write(fd, chunk, bytes < CHUNK ? bytes : CHUNK);
        if (n < 0)
            unmet("write: %s", strerror(errno));
        bytes -= (uint64_t)n;
    }
}

static void step_print(const char *arg)
{
    print_to(1, number(arg));
}

static void step_print_err(const char *arg)
{
    print_to(2, number(arg));
}

static void step_yes(const char *arg)
{
    print_to(*arg == '2' ? 2 : 1, UINT64_MAX);
}

const struct step use_steps[] = {
    {"burn", step_burn},
    {"burn-ms", step_burn_ms},
    {"burn-system", step_burn_system},
    {"sleep-ms", step_sleep_ms},
    {"pause", step_pause},
    {"read", step_read},
    {"deadlock", step_deadlock},
    {"malloc", step_malloc},
    {"shared", step_shared},
    {"memfd", step_memfd},
    {"sysv-shm", step_sysv_shm},
    {"forks", step_forks},
    {"threads", step_threads},
    {"fork-bomb", step_fork_bomb},
    {"short-children", step_short_children},
    {"vfork-exec", step_vfork_exec},
    {"print", step_print},
    {"print-err", step_print_err},
    {"yes", step_yes},
    {NULL, NULL},
};
