#pragma once
/*
 * What the operator sets for the spawner, in the same root-owned file as the service's settings:
 *
 *   [spawner]
 *   instance = default          names the cgroup tree and the lock
 *   user = cloister             who execsvc runs as: a name, or a number; default: cloister if
 * there is such a user, else a number of its own group = cloister            who may open the
 * socket execsvc = PATH              default: beside the spawner slots_max = 64 sandboxes that may
 * exist at once memory = 3G                 cap on everything together; default: four fifths of the
 * machine's processes = 4096            the same for processes cpu_percent = 0             the same
 * for processors, 150 = one and a half; 0: no cap allow_missing = LAYER ...   layers that may be
 * absent on this host uid_base = 1900000000       first of 65536 host uids for the user namespace
 *   run_dir = /run/cloister     lock
 *
 *   [ceilings]                  NAME = VALUE, as of the limits: what no request may exceed
 *   [limits]                    NAME = VALUE: the default of a request that does not say
 *
 * Sections of other programs are passed over.
 */

#include "sandbox/node.h"

struct spawner_config {
    struct node_config node;
    const char *config_path; /* NULL: none; handed on to execsvc */
    char execsvc[512];
    char run_dir[256];
    char socket[256]; /* [execsvc] socket: its directory is made here */
    uid_t uid;        /* execsvc's */
    gid_t gid;
    gid_t socket_gid;
};

/** spawner_config_load() - @path NULL: /etc/cloister/cloister.conf if it is there, else the
 * defaults */
int spawner_config_load(struct spawner_config *ret, const char *path, struct err *err);
/** spawner_config_text() - the same from a text, which no file's owner vouches for. */
int spawner_config_text(struct spawner_config *ret, const char *text, size_t len,
                        const char *origin, struct err *err);
