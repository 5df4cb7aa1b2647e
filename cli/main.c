/* `cloister`: finds the command, and for those that need the service executes the program that has
 * gRPC in it, so that `cloister sandbox run` starts without 56 shared libraries. */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/hint.h"
#include "cli/commands.h"
#ifdef CLI_HAS_SANDBOX
#include "sandbox/node.h"
#endif

#define REMOTE "cloister-remote"

struct command {
    const char *name;
    const char *summary;
    int (*fn)(int argc, char **argv); /* NULL: REMOTE has it */
};

static const struct command commands[] = {
    {"run", "run a program in a sandbox of the service and stream what it prints", NULL},
    {"node", "what the service is, can run and is doing", NULL},
    {"top", "what it runs and who waits, live", NULL},
#ifdef CLI_HAS_SANDBOX
    {"sandbox", "run a command in a sandbox right here, without the service", cmd_sandbox},
#endif
#ifdef CLI_HAS_DOCTOR
    {"doctor", "can this machine run the service with all its layers, and if not, what to do",
     cmd_doctor},
#endif
};
#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *file)
{
    fprintf(file,
            "Cloister runs programs that nobody should trust, each in a sandbox of its own.\n\n"
            "  cloister COMMAND [options] ...\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(file, "  %-8s  %s\n", commands[i].name, commands[i].summary);
    fprintf(file,
            "  %-8s  the version\n\n"
            "`cloister COMMAND --help` says more. To begin with:\n\n"
            "  echo 'print(\"hello\")' > hello.py\n"
            "  cloister run hello.py\n",
            "version");
}

/* The program beside this one, not whatever PATH has. */
static int exec_remote(char **argv)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - sizeof(REMOTE) - 1);
    if (n < 0) {
        fprintf(stderr, "cloister: /proc/self/exe: %s\n", strerror(errno));
        return CLI_EXIT_OURS;
    }
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    snprintf(slash + 1, sizeof(path) - (size_t)(slash + 1 - path), "%s", REMOTE);
    execv(path, argv);
    fprintf(stderr,
            "cloister: %s: %s\nIt belongs beside the `cloister` program; is it installed?\n", path,
            strerror(errno));
    return CLI_EXIT_OURS;
}

static int unknown(const char *name)
{
    char words[HINT_SIZE];
    struct hint hint = {.word = name};
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        hint_offer(&hint, commands[i].name);
    fprintf(stderr, "cloister: there is no command '%s'", name);
    if (access(name, R_OK) == 0)
        fprintf(stderr, ". To run that file: cloister run %s", name);
    else
        fputs(hint_text(&hint, words), stderr);
    fprintf(stderr, "\n`cloister --help` lists the commands.\n");
    return CLI_EXIT_REFUSED;
}

int main(int argc, char **argv)
{
#ifdef CLI_HAS_SANDBOX
    if (node_is_inner(argc, argv))
        return node_inner_main();
#endif
    const char *name = argc > 1 ? argv[1] : "--help";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(argc > 1 ? stdout : stderr);
        return argc > 1 ? 0 : CLI_EXIT_REFUSED;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
        puts("cloister " CLOISTER_VERSION);
        return 0;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return commands[i].fn ? commands[i].fn(argc - 1, argv + 1) : exec_remote(argv);
    }
    return unknown(name);
}
