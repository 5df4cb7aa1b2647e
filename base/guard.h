#pragma once
/*
 * What a service that talks to strangers takes away from itself, for all of its threads and for
 * good, before it reads a byte from anyone. A library of its own (cloister_guard), because not
 * everything that uses base/ wants libseccomp.
 */

#include <stdbool.h>

struct err;

/**
 * guard_filter() - no_new_privs, and a filter that ends the process at any attempt to start a
 * program, make a process, mount, trace, change who it is or load code into the kernel: nothing in
 * gRPC, OpenSSL, libwebsockets or glibc needs that at run time, only code that was slipped in.
 * Sockets are of this machine or of the internet, others fail with EAFNOSUPPORT.
 * @leak_checker: a sanitizer's stops the world with a traced clone when the process ends; leave it
 */
int guard_filter(bool leak_checker, struct err *err);

/** guard_install() - guard_filter(), and no core dumps, not dumpable, no capability. A sanitized
 * build keeps what its leak checker needs. */
int guard_install(struct err *err);
