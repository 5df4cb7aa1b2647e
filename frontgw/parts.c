/* The parts of this frontgw, and its sub-commands: the one list that knows them all. */

#include "frontgw/part.h"

#include "frontgw/ops/system.h"
#include "frontgw/rest/commands.h"
#include "frontgw/rest/rest.h"

const struct gw_part *const gw_parts[] = {
    &gw_system_part,     &gw_store_part,   &gw_people_part,      &gw_me_part,
    &gw_accounts_part,   &gw_courses_part, &gw_sections_part,    &gw_audit_part,
    &gw_workspaces_part, &gw_files_part,   &gw_submissions_part, NULL,
};

const struct gw_command gw_commands[] = {
    {"admin", "create LOGIN [NAME]", "make an admin; prints a one-time password", command_admin},
    {"audit", "verify [SEQ:HASH] | export",
     "check the audit log's chain, or print it as JSON lines", command_audit},
    {"backup", "FILE", "everything into one archive, while the service runs", command_backup},
    {"restore", "FILE", "an archive into an empty store", command_restore},
    {"migrate-only", "", "bring the schema up to date, and end", command_migrate},
    {NULL, NULL, NULL, NULL},
};
