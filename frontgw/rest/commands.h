#pragma once
/* frontgw's sub-commands about data; frontgw/parts.c lists them. Each returns the exit status. */

struct gw_settings;

int command_migrate(const struct gw_settings *settings, int argc, char **argv);
int command_admin(const struct gw_settings *settings, int argc, char **argv);
int command_audit(const struct gw_settings *settings, int argc, char **argv);
int command_backup(const struct gw_settings *settings, int argc, char **argv);
int command_restore(const struct gw_settings *settings, int argc, char **argv);
