#pragma once
/*
 * Input sets: directories that execsvc has made in its cache, shown as the lower layer of a run's
 * workspace.
 *
 * Theory of operation. The files belong to execsvc's uid, which does not exist in the user
 * namespace U: an overlay over them could not copy a file up. So outer, while it is real root,
 * makes one view of the directory sets/ for each slot, read-only and mapped: what belongs to
 * execsvc shows as the slot's. The map can't be made later, nor by anybody in U, nor can the view
 * be made writable there (it was made read-only before U's mount namespace was copied). Inner keeps
 * the views in a mount namespace of their own, so that making a slot does not copy them. For a run
 * with a set it opens the one directory, by a name that can't be a path, and takes a detached copy
 * of that part of the view along; the child mounts an overlay over it and forgets it.
 *
 * A fallen execsvc can so make a run show what lies in sets/ and belongs to it, and nothing else.
 */

#include <stdbool.h>

struct err;
struct node_config;

struct inputs {
    int views_ns; /* where the views are; -EBADF: this node shows no sets */
    int home_ns;  /* the base tree's */
};

/** inputs_stage() - outer, in the staging namespace. What can't be had is no fault: it is told in
 * config->inputs_fault, and no run can have a set. */
void inputs_stage(int staging_fd, struct node_config *config);

/** inputs_keep() - inner, in the base tree, which has the views at /inputs and then no more */
int inputs_keep(const struct node_config *config, struct inputs *ret, struct err *err);

/** inputs_name_valid() - SBX_INPUTS_NAME digits, 0-9 and a-f */
bool inputs_name_valid(const char *name);

/** inputs_open() - a detached mount of the set @name as slot @slot sees it. -EIO: there is none. */
int inputs_open(const struct inputs *inputs, unsigned slot, const char *name, int *ret_fd,
                struct err *err);
