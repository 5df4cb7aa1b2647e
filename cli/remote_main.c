/* `cloister-remote`: the commands of `cloister` that talk to the service. */

#include <stdio.h>
#include <string.h>

#include "cli/commands.h"

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*fn)(int argc, char **argv);
    } commands[] = {{"run", cmd_run}, {"node", cmd_node}, {"top", cmd_top}};

    for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].fn(argc - 1, argv + 1);
    }
    fprintf(stderr, "cloister-remote: started by `cloister run` and its like, not by hand\n");
    return CLI_EXIT_REFUSED;
}
