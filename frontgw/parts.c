/* The parts of this frontgw, and its sub-commands: the one list that knows them all. */

#include "frontgw/part.h"

#include "frontgw/ops/system.h"

const struct gw_part *const gw_parts[] = {
    &gw_system_part,
    NULL,
};

const struct gw_command gw_commands[] = {
    {NULL, NULL, NULL, NULL},
};
