#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "probe.h"

static const struct probe_table *const tables[] = {
    &fs_probes,      &process_probes, &privilege_probes, &kernel_probes,
    &network_probes, &covert_probes,  &resource_probes,  &collector_probes,
};
#define N_TABLES (sizeof(tables) / sizeof(*tables))

static char **arguments;

static void say(const char *what, const char *format, va_list args)
{
    printf("%s: ", what);
    vprintf(format, args);
    putchar('\n');
    fflush(stdout);
}

enum outcome contained(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say("contained", format, args);
    va_end(args);
    return CONTAINED;
}

enum outcome escaped(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say("ESCAPED", format, args);
    va_end(args);
    return ESCAPED;
}

enum outcome broken(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say("broken", format, args);
    va_end(args);
    return BROKEN;
}

const char *argument(const char *key)
{
    size_t len = strlen(key);
    for (char **word = arguments; *word; word++)
        if (strncmp(*word, key, len) == 0 && (*word)[len] == '=')
            return *word + len + 1;
    return NULL;
}

long argument_number(const char *key, long fallback)
{
    const char *text = argument(key);
    return text ? strtol(text, NULL, 10) : fallback;
}

ssize_t read_text(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -1;
    size_t len = 0;
    while (len + 1 < size) {
        ssize_t n = read(fd, buf + len, size - 1 - len);
        if (n < 0) {
            int saved = errno;
            close(fd);
            errno = saved;
            return -1;
        }
        if (n == 0)
            break;
        len += (size_t)n;
    }
    buf[len] = '\0';
    close(fd);
    return (ssize_t)len;
}

unsigned long long status_number(const char *name, int base)
{
    char text[8192], key[64];
    if (read_text("/proc/self/status", text, sizeof(text)) < 0)
        return ULLONG_MAX;
    snprintf(key, sizeof(key), "\n%s:", name);
    const char *line = strstr(text, key);
    return line ? strtoull(line + strlen(key), NULL, base) : ULLONG_MAX;
}

int in_child(void (*attempt)(void))
{
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        return -1;
    if (pid == 0) {
        attempt();
        _exit(0);
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return status;
}

bool is_refusal(int error)
{
    return error == EPERM || error == ENOSYS || error == EACCES;
}

static const struct probe *find(const char *name)
{
    for (size_t t = 0; t < N_TABLES; t++)
        for (size_t i = 0; i < tables[t]->n; i++)
            if (strcmp(tables[t]->probes[i].name, name) == 0)
                return &tables[t]->probes[i];
    return NULL;
}

static const char *or_dash(const char *text)
{
    return text ? text : "-";
}

static int list(void)
{
    for (size_t t = 0; t < N_TABLES; t++)
        for (size_t i = 0; i < tables[t]->n; i++) {
            const struct probe *probe = &tables[t]->probes[i];
            printf("%s\t%s\t%s\t%s\t%s\t%s%s\n", probe->name, or_dash(probe->layer),
                   probe->put ? "pair" : "single", or_dash(probe->expect), or_dash(probe->limits),
                   probe->flags & PROBE_CONTROL ? "control," : "",
                   probe->flags & PROBE_COLLECT ? "collect," : "");
        }
    return 0;
}

static const struct probe *batched;

static void run_batched(void)
{
    int outcome = (int)batched->run();
    fflush(stdout);
    _exit(outcome);
}

/* Each in a child of its own: `probe NAME`, what it says, `status N`. */
static int batch(char **names)
{
    for (; *names && !strchr(*names, '='); names++) {
        batched = find(*names);
        if (!batched)
            return (int)broken("no probe is named %s", *names);
        printf("probe %s\n", *names);
        int status = in_child(run_batched);
        printf("status %d\n", status >= 0 && WIFEXITED(status) ? WEXITSTATUS(status) : BROKEN);
    }
    return 0;
}

/* The sending party stays, so that the other can look while it is there. */
static int put(const struct probe *probe)
{
    if (!probe->put)
        return broken("%s has one party only", probe->name);
    enum outcome outcome = probe->put();
    long hold_ms = argument_number("hold_ms", 0);
    struct timespec hold = {.tv_sec = hold_ms / 1000, .tv_nsec = hold_ms % 1000 * 1000000};
    if (outcome == CONTAINED) {
        puts("ready");
        fflush(stdout);
        nanosleep(&hold, NULL);
    }
    return (int)outcome;
}

int main(int argc, char **argv)
{
    bool is_put = argc > 2 && strcmp(argv[1], "put") == 0;
    arguments = argv + (is_put ? 3 : 2);
    if (argc > 1 && strcmp(argv[1], "list") == 0)
        return list();
    if (argc > 2 && strcmp(argv[1], "batch") == 0)
        return batch(argv + 2);
    if (argc > 2 && strcmp(argv[1], "host") == 0)
        return host_serve(argv[2]);
    if (argc < 2) {
        fputs("usage: probe list | probe batch NAME... [key=value ...] | probe NAME [key=value "
              "...] | probe put NAME [...] | probe host "
              "DIR\n",
              stderr);
        return BROKEN;
    }
    const struct probe *probe = find(argv[is_put ? 2 : 1]);
    if (!probe)
        return (int)broken("no probe is named %s", argv[is_put ? 2 : 1]);
    return is_put ? put(probe) : (int)probe->run();
}
