/* `cloister sandbox run`, the most usual way: nothing to report but the program's own output. The
 * rest is `cloister-sandbox`'s. */

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cli/commands.h"
#include "cli/sandbox_session.h"
#include "sandbox/direct.h"

int cmd_sandbox_quick(int argc, char **argv)
{
    static struct sandbox_options options;
    static struct sandbox_outcome outcome;
    struct err err = {0};
    if (argc < 2 || strcmp(argv[1], "run") != 0)
        return CLI_NOT_HERE;
    opterr = 0; /* whoever is executed instead says it */
    if (sandbox_options_parse(argc - 1, argv + 1, &options, NULL) != 0 ||
        !direct_fits(&options.node) || options.dry_run || options.json || options.output_dir)
        return CLI_NOT_HERE;
    sigset_t signals;
    sandbox_block_signals(&signals);
    int r = direct_ahead(&err);
    if (r == 0 && sandbox_options_settle(&options, NULL) < 0) {
        direct_call_off();
        return CLI_NOT_HERE;
    }
    if (r == 0)
        r = sandbox_session(&sandbox_direct_engine, &options, &outcome, &err);
    int status = CLI_NOT_HERE;
    if (r < 0)
        status = sandbox_complain(&err);
    else if (r == 0)
        status = sandbox_say(&outcome);
    sandbox_outcome_done(&outcome);
    return status;
}
