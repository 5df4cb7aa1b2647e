/* `cloister-sandbox`: the commands of `cloister` that need no service. */

#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "sandbox/node.h"

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*fn)(int argc, char **argv);
    } commands[] = {{"sandbox", cmd_sandbox}, {"doctor", cmd_doctor}};

    if (node_is_inner(argc, argv))
        return node_inner_main();
    for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].fn(argc - 1, argv + 1);
    }
    fprintf(stderr,
            "cloister-sandbox: started by `cloister sandbox run` and its like, not by hand\n");
    return CLI_EXIT_REFUSED;
}
