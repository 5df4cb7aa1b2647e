/*
 * `cloister`: finds the command and executes the program that has it, so that `cloister sandbox
 * run` starts without shared libraries. It is linked with musl where that is there: what glibc does
 * before main() takes longer than a sandbox's mounts (docs/adr/0014).
 */

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/hint.h"
#include "cli/commands.h"

#define REMOTE "cloister-remote"
#define LOCAL  "cloister-sandbox"

struct command {
    const char *name;
    const char *summary;
    const char *program; /* that has it */
    int (*fn)(int argc, char **argv);
};

static const struct command commands[] = {
    {"run", "run a program in a sandbox of the service and stream what it prints", REMOTE, NULL},
    {"node", "what the service is, can run and is doing", REMOTE, NULL},
    {"top", "what it runs and who waits, live", REMOTE, NULL},
    {"sandbox", "run a command in a sandbox right here, without the service", LOCAL,
     cmd_sandbox_quick},
    {"doctor", "can this machine run the service with all its layers, and if not, what to do",
     LOCAL, NULL},
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
static int exec_beside(const char *name, char **argv)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - strlen(name) - 2);
    if (n < 0) {
        fprintf(stderr, "cloister: /proc/self/exe: %s\n", strerror(errno));
        return CLI_EXIT_OURS;
    }
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    snprintf(slash + 1, sizeof(path) - (size_t)(slash + 1 - path), "%s", name);
    execv(path, argv);
    fprintf(stderr,
            "cloister: %s: %s\nIt belongs beside the `cloister` program; is it installed?\n", path,
            strerror(errno));
    return CLI_EXIT_OURS;
}

static int run_command(const struct command *command, int argc, char **argv)
{
    int status = command->fn ? command->fn(argc - 1, argv + 1) : CLI_NOT_HERE;
    return status == CLI_NOT_HERE ? exec_beside(command->program, argv) : status;
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
    signal(SIGCHLD, SIG_DFL); /* ignored by the caller, our children's ends would be lost on us */
    if (fd_open_stdio() < 0)
        return CLI_EXIT_OURS;
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
            return run_command(&commands[i], argc, argv);
    }
    return unknown(name);
}
