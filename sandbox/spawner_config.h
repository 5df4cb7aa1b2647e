#pragma once
/*
 * What the operator sets for the spawner, in the same root-owned file as the service's settings:
 *
 *   [spawner]       instance user group execsvc slots_max ready_max memory processes
 *                   cpu_percent watchdog allow_missing launcher uid_base run_dir cache_dir
 *   [ceilings]      NAME = VALUE, as of the limits: what no request may exceed
 *   [limits]        NAME = VALUE: the default of a request that does not say
 *   [runtime "X"]   rootfs mount.NAME enabled: the mount tree of a runtime; the rest is execsvc's
 *
 * docs/man/cloister.conf.5 says what each key means, takes and defaults to. Sections of other
 * programs are passed over.
 */

#include "sandbox/node.h"

struct spawner_config {
    struct node_config node;
    const char *config_path; /* NULL: none; handed on to execsvc */
    char execsvc[512];
    char run_dir[256];
    char socket[256];  /* [execsvc] socket: its directory is made here */
    uint64_t drain_ms; /* [execsvc] drain: the supervisor waits that long and a little more */
    uid_t uid;         /* execsvc's */
    gid_t gid;
    gid_t socket_gid;
    uint64_t watchdog_ms; /* without a sign of life of execsvc for so long it is ended; 0: never */
};

/** spawner_config_load() - @path NULL: /etc/cloister/cloister.conf if it is there, else the
 * defaults */
int spawner_config_load(struct spawner_config *ret, const char *path, struct err *err);
/** spawner_config_text() - the same from a text, which no file's owner vouches for. */
int spawner_config_text(struct spawner_config *ret, const char *text, size_t len,
                        const char *origin, struct err *err);
