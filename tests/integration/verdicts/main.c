/* The interpreter of steps; see steps.h. */

#include "tests/integration/verdicts/steps.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNMET_STATUS 99

static char **steps;
static int n_steps;

static void run_steps(int from, int to);

void unmet(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    fflush(stderr);
    _exit(UNMET_STATUS);
}

uint64_t number(const char *text)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);
    uint64_t scale = *end == 'K' ? 1 << 10 : *end == 'M' ? 1 << 20 : 1;
    if (end == text || (*end && end[1]))
        unmet("'%s' is no number", text);
    return value * scale;
}

static int is_word(const char *word, const char *name)
{
    size_t len = strlen(name);
    return strncmp(word, name, len) == 0 && (word[len] == 0 || word[len] == ':');
}

static int is_block(const char *word)
{
    return is_word(word, "fork") || is_word(word, "daemon") || is_word(word, "thread");
}

static int find_end(int from)
{
    int depth = 1;
    for (int i = from; i < n_steps; i++) {
        depth += is_block(steps[i]);
        depth -= strcmp(steps[i], "end") == 0;
        if (depth == 0)
            return i;
    }
    unmet("no `end` for %s", steps[from - 1]);
}

static void start_children(int n, int from, int to)
{
    for (int i = 0; i < n; i++) {
        pid_t pid = fork();
        if (pid < 0)
            unmet("fork: %s", strerror(errno));
        if (pid == 0) {
            run_steps(from, to);
            _exit(0);
        }
    }
}

static void start_daemon(int from, int to)
{
    pid_t pid = fork();
    if (pid < 0)
        unmet("fork: %s", strerror(errno));
    if (pid == 0) {
        if (setsid() < 0)
            unmet("setsid: %s", strerror(errno));
        start_children(1, from, to);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

struct range {
    int from, to;
};

static void *thread_main(void *arg)
{
    struct range *range = arg;
    run_steps(range->from, range->to);
    return NULL;
}

static void start_threads(int n, int from, int to)
{
    struct range *range = malloc(sizeof(*range)); /* lives as long as the threads: for good */
    if (!range)
        unmet("malloc");
    *range = (struct range){from, to};
    for (int i = 0; i < n; i++) {
        pthread_t thread;
        int error = pthread_create(&thread, NULL, thread_main, range);
        if (error)
            unmet("pthread_create: %s", strerror(error));
    }
}

static void wait_children(int all)
{
    while (wait(NULL) > 0 && all)
        ;
}

static void run_plain(const char *word, const char *arg, size_t len)
{
    static const struct step *const tables[] = {end_steps, use_steps, file_steps, policy_steps};
    for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
        for (const struct step *s = tables[t]; s->name; s++) {
            if (strlen(s->name) == len && memcmp(s->name, word, len) == 0) {
                s->run(arg);
                return;
            }
        }
    }
    unmet("there is no step '%s'", word);
}

static void run_steps(int from, int to)
{
    for (int i = from; i < to; i++) {
        const char *word = steps[i], *colon = strchr(word, ':');
        size_t len = colon ? (size_t)(colon - word) : strlen(word);
        const char *arg = colon ? colon + 1 : "";
        int n = *arg && is_block(word) ? (int)number(arg) : 1;
        int end = is_block(word) ? find_end(i + 1) : i;
        if (is_word(word, "fork"))
            start_children(n, i + 1, end);
        else if (is_word(word, "daemon"))
            start_daemon(i + 1, end);
        else if (is_word(word, "thread"))
            start_threads(n, i + 1, end);
        else if (strcmp(word, "wait") == 0 || strcmp(word, "wait-all") == 0)
            wait_children(strcmp(word, "wait-all") == 0);
        else
            run_plain(word, arg, len);
        i = end;
    }
}

int main(int argc, char **argv)
{
    steps = argv + 1;
    n_steps = argc - 1;
    run_steps(0, n_steps);
    return 0;
}
