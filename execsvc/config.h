#pragma once
/*
 * What the operator can set. Read once, before any thread: built-in text, the file, environment,
 * flags; a later one wins. Sections of the same file that belong to other programs are passed over,
 * every other unknown section or key is an error that names file and line.
 *
 *   [execsvc]         the keys of `struct exs_config` below; also CLOISTER_<KEY> in the environment
 *                     and --set KEY=VALUE
 *   [limits]          defaults of a run (memory = 128M ...); also by the aliases of the contract
 *                     (MEMORY_LIMIT_MB ...); never above the spawner's ceilings
 *   [environment]     variables of every run
 *   [runtime "NAME"]  runtime.h
 *   [identity "ID"]   ID is uid:1000, user:NAME, or a name of tls_allowed; act_for = PREFIX: which
 *                     `cloister-subject`s it may name ("*": any)
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "api/arena.h"
#include "base/limits.h"
#include "execsvc/runtime.h"

struct err;

#define CONFIG_IDENTITIES_MAX 64

struct exs_identity {
    const char *id;      /* "uid:1000", "dns:gateway.example", "uri:spiffe://..." */
    const char *act_for; /* prefix of subjects; "": none; "*": any */
};

struct exs_config {
    struct arena arena;
    const char *socket; /* path */
    const char *group;  /* of the socket, "": as it comes */
    const char *node;   /* this node's name in results; default: the host name */
    const char *log_level;
    uint64_t running_max; /* 0: twice the CPUs that we may use, at least 2 */
    uint64_t queue_max, queue_per_tenant;
    uint64_t running_per_tenant, slots_per_tenant, batch_share, batch_max; /* admission.h */
    uint64_t memory_budget; /* bytes of all runs' limits together; 0: no budget */
    uint64_t compile_cache, compile_cache_entries; /* bytes, 0: none; compile_cache.h */
    uint64_t drain_ms; /* how long running ones may go on after SIGTERM */
    uint64_t stall_ms; /* how long a sandbox waits for its client to take files */
    /* Runs that may outlive their connection: the longest grace, how many (results that wait to be
     * fetched included), and bytes of kept results. */
    uint64_t detach_grace_max_ms;
    uint64_t detached_max, detached_per_tenant;
    uint64_t detached_bytes, detached_bytes_per_tenant;
    uint64_t connections_max, connections_per_uid_max, streams_max;
    uint64_t memory_max;    /* of this process: above it, it starts anew; 0: no limit */
    const char *tls_listen; /* "ADDRESS:PORT"; "": no TCP */
    const char *tls_certificate, *tls_key, *tls_client_ca; /* paths */
    const char *tls_allowed;                               /* as set: identities, in one line */
    struct words tls_identities;                           /* the same, one by one */
    uint64_t tls_connections_max, tls_connections_per_identity_max, tls_handshake_ms;
    uint64_t blob_cache; /* bytes on the disk, of all blobs and input sets together */
    uint64_t blob_cache_per_tenant;
    uint64_t blob_size;            /* of one blob */
    uint64_t blob_puts_per_tenant; /* at once */
    bool reflection;
    const char *metrics;  /* "off", or the loopback ADDRESS:PORT of GET /metrics */
    struct limits limits; /* 0: the spawner's default */
    const char *env[RUNTIME_ENV_MAX];
    size_t n_env;
    struct runtimes runtimes;
    struct exs_identity identities[CONFIG_IDENTITIES_MAX];
    size_t n_identities;
};

void exs_config_init(struct exs_config *config);
void exs_config_done(struct exs_config *config);

/** exs_config_text() - one source of settings; @origin is what errors call it. */
int exs_config_text(struct exs_config *config, const char *text, size_t len, const char *origin,
                    struct err *err);
/** exs_config_file() - the same from a file. */
int exs_config_file(struct exs_config *config, const char *path, struct err *err);
/** exs_config_environment() - CLOISTER_* and the aliases of the limits. */
int exs_config_environment(struct exs_config *config, const char *const *environment,
                           struct err *err);
/** exs_config_set() - "running_max=4", as of --set. */
int exs_config_set(struct exs_config *config, const char *assignment, struct err *err);
/** exs_config_finish() - fill in what depends on the machine, and check the whole. */
int exs_config_finish(struct exs_config *config, struct err *err);

/** exs_config_print() - all of it as a file that makes the same configuration. */
int exs_config_print(struct exs_config *config, FILE *file);
