#pragma once
/* What the service takes away from itself before it reads a byte from anyone. */

struct err;

/**
 * guard_install() - no_new_privs, no core dumps, not dumpable, no capability, and a filter that
 * ends the process at any attempt to start a program, make a process, mount, trace or load code
 * into the kernel. Threads made afterwards inherit it all.
 */
int guard_install(struct err *err);
