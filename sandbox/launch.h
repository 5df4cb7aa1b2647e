#pragma once
/*
 * From a spec to a pid 1 that has its orders.
 *
 * Theory of operation
 *
 * A sandbox is made by one builder: a plan, and a child that walks it (plan.h, child.h). Its init
 * then waits for its orders, which say everything of the run. The sandbox itself depends on little
 * of it: whose mount tree and network it has, which layers, how large its tmpfs is. So it can be
 * made before there is a run, while nobody waits: a ready sandbox, kept by its slot. A run that
 * fits it sends it the orders, and its stdio along; for any other run it is ended, and a sandbox of
 * the run's own made.
 *
 * Nothing that a run has left is in it: it is made after the last one of its slot is gone, and is
 * used once.
 */

#include <stdbool.h>
#include <stdint.h>

struct err;
struct limits;
struct run_env;
struct sbx_spec;
struct slot;

struct launched {
    int control, pidfd; /* of init; the caller's */
    uint32_t layers;    /* that the sandbox has */
};

/* A part of its slot. All zero: there is none. */
struct ready {
    bool made;
    struct launched sandbox;
    uint32_t wanted, tree;      /* what it was made for: layers, mount tree */
    uint64_t workspace, inodes; /* and limits */
};

/**
 * launch() - in @slot, whose cgroup gets the limits of @spec; @fds as in spawn_wire.h, borrowed
 *
 * On failure nothing is left; the slot is then without its cgroup if that was the reason.
 */
int launch(const struct run_env *env, struct slot *slot, const struct sbx_spec *spec,
           const int *fds, struct launched *ret, struct err *err);
/** launch_ahead() - a ready sandbox for @slot, which is free and has none. Of @spec only layers
 * and limits count; it is for the slot's present tree and network. On failure nothing is left. */
int launch_ahead(const struct run_env *env, struct slot *slot, const struct sbx_spec *spec,
                 struct err *err);
/** launch_fits() - has @slot a ready sandbox for a run of @spec that sees @tree? Whose network it
 * is in is for the caller to know. */
bool launch_fits(const struct slot *slot, const struct sbx_spec *spec, uint32_t tree);
/** launch_end() - kill a sandbox's pid 1 and wait for its end */
void launch_end(int pidfd);
/** launch_forget() - ends the slot's ready sandbox, if there is one, and waits for its end. */
void launch_forget(struct slot *slot);
/**
 * launch_tidy() - when a run is gone: get @slot's cgroup ready for the next one,
 * most likely with @limits, so that its start does not have to wait for that
 */
void launch_tidy(const struct run_env *env, struct slot *slot, const struct limits *limits);
/** launch_own_processes() - how many of a group's processes are not the program's. */
uint64_t launch_own_processes(const struct run_env *env);
