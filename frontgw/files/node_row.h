#pragma once
/* Shared by the files of this folder. */

#include "frontgw/files/files.h"

/** gw_node_of_row() - the current row of a query that selects a node's columns in their order. */
void gw_node_of_row(const struct db_rows *rows, struct gw_node *ret);
void gw_text_copy(char *to, size_t size, const char *from);
/** gw_note_staff_read() - staff looked into a person's own files: into the audit log, before the
 * content goes out. */
int gw_note_staff_read(struct gw_files *files, const struct gw_actor *actor,
                       const struct gw_workspace *ws, const char *object, struct err *err);
