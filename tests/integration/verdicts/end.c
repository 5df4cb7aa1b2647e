/* Steps with which a program ends, or refuses to: signals and statuses. */

#include "tests/integration/verdicts/steps.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile int seven = 7, zero;
static int caught_status;

static int signal_number(const char *text)
{
    static const struct {
        const char *name;
        int signo;
    } names[] = {{"TERM", SIGTERM}, {"KILL", SIGKILL}, {"SEGV", SIGSEGV}, {"XCPU", SIGXCPU},
                 {"XFSZ", SIGXFSZ}, {"PIPE", SIGPIPE}, {"INT", SIGINT},   {"USR1", SIGUSR1},
                 {"SYS", SIGSYS},   {"STOP", SIGSTOP}, {"HUP", SIGHUP}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i].name, text) == 0)
            return names[i].signo;
    return (int)number(text);
}

static void step_exit(const char *arg)
{
    _exit((int)number(arg));
}

/* Only this thread: the process lives on in its other threads. */
static void step_thread_exit(const char *arg)
{
    (void)arg;
    pthread_exit(NULL);
}

static void step_raise(const char *arg)
{
    kill(getpid(), signal_number(arg));
}

static void step_ignore(const char *arg)
{
    signal(signal_number(arg), SIG_IGN);
}

static void on_signal(int signo)
{
    (void)signo;
    _exit(caught_status);
}

/* catch:SEGV,3 - a handler that ends the program with status 3 */
static void step_catch(const char *arg)
{
    char name[16] = "";
    const char *comma = strchr(arg, ',');
    if (!comma || (size_t)(comma - arg) >= sizeof(name))
        unmet("catch:SIGNAL,STATUS");
    memcpy(name, arg, (size_t)(comma - arg));
    caught_status = (int)number(comma + 1);
    signal(signal_number(name), on_signal);
}

static void step_segv(const char *arg)
{
    (void)arg;
    char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *(volatile char *)page = 1;
}

static void step_bus(const char *arg)
{
    (void)arg;
    int fd = memfd_create("short", 0);
    char *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    (void)*(volatile char *)page;
}

static void step_fpe(const char *arg)
{
    (void)arg;
    seven = seven / zero;
}

static void step_ill(const char *arg)
{
    (void)arg;
    __builtin_trap();
}

static void step_abort(const char *arg)
{
    (void)arg;
    abort();
}

const struct step end_steps[] = {
    {"exit", step_exit},   {"thread-exit", step_thread_exit},
    {"raise", step_raise}, {"ignore", step_ignore},
    {"catch", step_catch}, {"segv", step_segv},
    {"bus", step_bus},     {"fpe", step_fpe},
    {"ill", step_ill},     {"abort", step_abort},
    {NULL, NULL},
};
