#pragma once
/*
 * Once everything is open, frontgw gives up what a gateway never does: becoming another program,
 * looking into other processes, mounting, making namespaces, loading code into the kernel, or any
 * socket that is not of the internet or of this machine. A call of the first kind ends the process:
 * it can only come from somebody who has taken it over.
 */

struct err;

/** confine_process() - for all threads, for good. */
int confine_process(struct err *err);
