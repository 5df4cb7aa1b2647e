#include "execsvc/config.h"
#include "execsvc/config_keys.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "api/model.h"
#include "api/rpc_server.h"
#include "base/config.h"
#include "base/err.h"
#include "base/hint.h"
#include "base/log.h"
#include "execsvc/metrics_http.h"
#include "execsvc/tls.h"

#define CONFIG_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define SOCKET_PATH_MAX  107

#define KEY(name, kind, min, max)                                                                  \
    {                                                                                              \
#name, kind, offsetof(struct exs_config, name), min, max                                   \
    }
#define KEY_MS(name, min, max)                                                                     \
    {                                                                                              \
#name, KEY_TIME, offsetof(struct exs_config, name##_ms), min, max                          \
    }

const struct exs_key exs_keys[] = {
    KEY(socket, KEY_TEXT, 0, 0),
    KEY(group, KEY_TEXT, 0, 0),
    KEY(node, KEY_TEXT, 0, 0),
    KEY(log_level, KEY_TEXT, 0, 0),
    KEY(running_max, KEY_COUNT, 0, 10000),
    KEY(queue_max, KEY_COUNT, 1, 100000),
    KEY(queue_per_tenant, KEY_COUNT, 1, 100000),
    KEY(running_per_tenant, KEY_COUNT, 0, 10000),
    KEY(slots_per_tenant, KEY_COUNT, 0, 10000),
    KEY(batch_share, KEY_COUNT, 0, 50),
    KEY(batch_max, KEY_COUNT, 0, 10000),
    KEY(memory_budget, KEY_SIZE, 0, UINT64_MAX),
    KEY(compile_cache, KEY_SIZE, 0, UINT64_C(4) << 30),
    KEY(compile_cache_entries, KEY_COUNT, 1, 65536),
    KEY_MS(drain, 0, 3600000),
    KEY_MS(stall, 100, 3600000),
    KEY_MS(detach_grace_max, 0, MODEL_DETACH_MS_MAX),
    KEY(detached_max, KEY_COUNT, 1, 100000),
    KEY(detached_per_tenant, KEY_COUNT, 1, 100000),
    KEY(detached_bytes, KEY_SIZE, 1u << 20, UINT64_C(64) << 30),
    KEY(detached_bytes_per_tenant, KEY_SIZE, 1u << 20, UINT64_C(64) << 30),
    KEY(connections_max, KEY_COUNT, 1, 65536),
    KEY(connections_per_uid_max, KEY_COUNT, 1, 65536),
    KEY(streams_max, KEY_COUNT, 1, 65536),
    KEY(blob_cache, KEY_SIZE, 1u << 20, UINT64_C(16) << 40),
    KEY(blob_cache_per_tenant, KEY_SIZE, 1u << 20, UINT64_C(16) << 40),
    KEY(blob_size, KEY_SIZE, 1u << 20, UINT64_C(4) << 30),
    KEY(blob_puts_per_tenant, KEY_COUNT, 1, 64),
    KEY(reflection, KEY_BOOL, 0, 0),
    KEY(metrics, KEY_TEXT, 0, 0),
    KEY(memory_max, KEY_SIZE, 0, UINT64_MAX),
    KEY(tls_listen, KEY_TEXT, 0, 0),
    KEY(tls_certificate, KEY_TEXT, 0, 0),
    KEY(tls_key, KEY_TEXT, 0, 0),
    KEY(tls_client_ca, KEY_TEXT, 0, 0),
    KEY(tls_allowed, KEY_TEXT, 0, 0),
    KEY(tls_connections_max, KEY_COUNT, 1, 16384),
    KEY(tls_connections_per_identity_max, KEY_COUNT, 1, 16384),
    KEY_MS(tls_handshake, 100, 60000),
};
const size_t exs_keys_count = sizeof(exs_keys) / sizeof(exs_keys[0]);

void exs_config_init(struct exs_config *config)
{
    *config = (struct exs_config){
        .socket = "/run/cloister/execsvc.sock",
        .group = "",
        .node = "",
        .log_level = "info",
        .queue_max = 2000,
        .queue_per_tenant = 4,
        .batch_share = 3,
        .compile_cache = 64 << 20,
        .compile_cache_entries = 1024,
        .drain_ms = 30000,
        .stall_ms = 60000,
        .detach_grace_max_ms = MODEL_DETACH_MS_MAX,
        .detached_max = 1000,
        .detached_per_tenant = 32,
        .detached_bytes = UINT64_C(128) << 20,
        .detached_bytes_per_tenant = UINT64_C(32) << 20,
        .connections_max = 256,
        .connections_per_uid_max = 64,
        .streams_max = 100,
        .blob_cache = UINT64_C(4) << 30,
        .blob_cache_per_tenant = UINT64_C(1) << 30,
        .blob_size = UINT64_C(256) << 20,
        .blob_puts_per_tenant = 4,
        .reflection = true,
        .metrics = "127.0.0.1:9465",
        .memory_max = UINT64_C(1) << 30,
        .tls_listen = "",
        .tls_certificate = "",
        .tls_key = "",
        .tls_client_ca = "",
        .tls_allowed = "",
        .tls_connections_max = 256,
        .tls_connections_per_identity_max = 64,
        .tls_handshake_ms = 10000,
    };
    arena_init(&config->arena, CONFIG_BYTES_MAX);
    struct err err = {0};
    const char *text = runtime_builtin();
    int r = exs_config_text(config, text, strlen(text), "built in", &err);
    assert(r == 0);
    (void)r;
}

void exs_config_done(struct exs_config *config)
{
    arena_done(&config->arena);
}

/* ---- [execsvc] ---- */

static int set_text(struct exs_config *config, const char **to, const char *value, struct err *err)
{
    const char *copy = arena_string(&config->arena, value, strlen(value));
    if (!copy)
        return err_set(err, -ENOMEM, "out of memory");
    *to = copy;
    return 0;
}

static int parse_number(const struct exs_key *key, const char *value, uint64_t *ret,
                        struct err *err)
{
    unsigned long count = 0;
    int r = 0;
    if (key->kind == KEY_SIZE) {
        r = size_parse(value, ret, err);
        if (r == 0 && (*ret < key->min || *ret > key->max))
            return err_set(err, -ERANGE, "%lu to %lu bytes", (unsigned long)key->min,
                           (unsigned long)key->max);
        return r;
    }
    if (key->kind == KEY_COUNT) {
        r = config_u64(value, key->min, key->max, &count, err);
        *ret = count;
        return r;
    }
    r = time_parse(value, ret, err);
    if (r == 0 && (*ret < key->min || *ret > key->max))
        return err_set(err, -ERANGE, "at most %lu s", (unsigned long)(key->max / 1000));
    return r;
}

static int no_such_key(const char *name, struct err *err)
{
    char words[HINT_SIZE];
    struct hint hint = {.word = name};
    for (size_t i = 0; i < exs_keys_count; i++)
        hint_offer(&hint, exs_keys[i].name);
    return err_set(err, -EINVAL, "[execsvc] has no '%.64s'%s", name, hint_text(&hint, words));
}

static int key_set(struct exs_config *config, const char *name, const char *value, struct err *err)
{
    for (size_t i = 0; i < exs_keys_count; i++) {
        if (strcmp(exs_keys[i].name, name) != 0)
            continue;
        void *to = (char *)config + exs_keys[i].offset;
        if (exs_keys[i].kind == KEY_TEXT)
            return set_text(config, to, value, err);
        if (exs_keys[i].kind == KEY_BOOL) {
            int truth = 0;
            int r = config_bool(value, &truth, err);
            *(bool *)to = truth;
            return r;
        }
        uint64_t number = 0;
        int r = parse_number(&exs_keys[i], value, &number, err);
        if (r == 0)
            *(uint64_t *)to = number;
        return r < 0 && err ? err_prefix(err, "%s", name) : r;
    }
    return no_such_key(name, err);
}

int exs_config_set(struct exs_config *config, const char *assignment, struct err *err)
{
    const char *equals = strchr(assignment, '=');
    char name[64];
    if (!equals || equals == assignment || (size_t)(equals - assignment) >= sizeof(name))
        return err_set(err, -EINVAL, "'%.64s' is not KEY=VALUE", assignment);
    memcpy(name, assignment, (size_t)(equals - assignment));
    name[equals - assignment] = 0;
    return key_set(config, name, equals + 1, err);
}

/* ---- the other sections ---- */

static bool is_number_after(const char *name, const char *prefix)
{
    size_t len = strlen(prefix);
    return strncmp(name, prefix, len) == 0 && name[len] &&
           !name[len + strspn(name + len, "0123456789")];
}

/* "user:NAME" becomes "uid:N", "group:NAME" "gid:N": what the socket tells are numbers. */
static int identity_id(struct exs_config *config, const char *name, const char **ret,
                       struct err *err)
{
    char text[32];
    if (strncmp(name, "user:", 5) == 0) {
        const struct passwd *user = getpwnam(name + 5);
        if (!user)
            return err_set(err, -ENOENT, "there is no user '%.64s'", name + 5);
        snprintf(text, sizeof(text), "uid:%lu", (unsigned long)user->pw_uid);
        name = text;
    } else if (strncmp(name, "group:", 6) == 0) {
        const struct group *group = getgrnam(name + 6);
        if (!group)
            return err_set(err, -ENOENT, "there is no group '%.64s'", name + 6);
        snprintf(text, sizeof(text), "gid:%lu", (unsigned long)group->gr_gid);
        name = text;
    } else if (!rpc_tls_identity_ok(name) && !is_number_after(name, "uid:") &&
               !is_number_after(name, "gid:")) {
        return err_set(err, -EINVAL,
                       "an identity is uid:NUMBER, user:NAME, gid:NUMBER, group:NAME, dns:NAME or "
                       "uri:URI, not '%.64s'",
                       name);
    }
    return set_text(config, ret, name, err);
}

static int identity_set(struct exs_config *config, const char *name, const char *key,
                        const char *value, struct err *err)
{
    const char *id;
    if (strcmp(key, "act_for") != 0)
        return err_set(err, -EINVAL, "an identity has no '%.64s'", key);
    int r = identity_id(config, name, &id, err);
    if (r < 0)
        return r;
    size_t at = 0;
    while (at < config->n_identities && strcmp(config->identities[at].id, id) != 0)
        at++;
    if (at == CONFIG_IDENTITIES_MAX)
        return err_set(err, -EINVAL, "more than %d identities", CONFIG_IDENTITIES_MAX);
    config->identities[at].id = id;
    config->n_identities += at == config->n_identities;
    return set_text(config, &config->identities[at].act_for, value, err);
}

static bool belongs_to_others(const char *section)
{
    static const char *const others[] = {"spawner", "ceilings", "frontgw"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (strcmp(section, others[i]) == 0)
            return true;
    return false;
}

static int no_such_section(const char *section, struct err *err)
{
    static const char *const sections[] = {"spawner",     "ceilings", "limits",  "execsvc",
                                           "environment", "identity", "runtime", "frontgw"};
    char words[HINT_SIZE];
    struct hint hint = {.word = section};
    hint_offer_all(&hint, sections, sizeof(sections) / sizeof(sections[0]));
    return err_set(err, -EINVAL, "there is no section [%.64s]%s", section, hint_text(&hint, words));
}

static int on_setting(void *arg, const char *section, const char *name, const char *key,
                      const char *value, struct err *err)
{
    struct exs_config *config = arg;
    if (strcmp(section, "runtime") == 0 && *name)
        return runtime_setting(&config->runtimes, &config->arena, name, key, value, err);
    if (strcmp(section, "identity") == 0 && *name)
        return identity_set(config, name, key, value, err);
    if (belongs_to_others(section))
        return 0;
    if (*name)
        return err_set(err, -EINVAL, "there is no section [%.64s \"...\"]", section);
    if (strcmp(section, "execsvc") == 0)
        return key_set(config, key, value, err);
    if (strcmp(section, "limits") == 0)
        return limit_parse_named(key, value, &config->limits, err);
    if (strcmp(section, "environment") == 0)
        return env_set(config->env, &config->n_env, RUNTIME_ENV_MAX, key, value, &config->arena,
                       err);
    return no_such_section(section, err);
}

int exs_config_text(struct exs_config *config, const char *text, size_t len, const char *origin,
                    struct err *err)
{
    return config_parse(text, len, origin, on_setting, config, err);
}

int exs_config_file(struct exs_config *config, const char *path, struct err *err)
{
    return config_parse_file(path, on_setting, config, err);
}

/* ---- environment ---- */

static const char *value_of(const char *const *environment, const char *name)
{
    size_t len = strlen(name);
    for (; *environment; environment++)
        if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=')
            return *environment + len + 1;
    return NULL;
}

int exs_config_environment(struct exs_config *config, const char *const *environment,
                           struct err *err)
{
    for (size_t i = 0; i < exs_keys_count; i++) {
        char name[64] = "CLOISTER_";
        size_t at = strlen(name);
        for (const char *c = exs_keys[i].name; *c; c++)
            name[at++] = (char)toupper((unsigned char)*c);
        const char *value = value_of(environment, name);
        int r = value ? key_set(config, exs_keys[i].name, value, err) : 0;
        if (r < 0)
            return err ? err_prefix(err, "environment variable %s", name) : r;
    }
    for (int id = 0; id < LIMIT_COUNT; id++) {
        const struct limit_info *info = limit_info((enum limit_id)id);
        const char *value = info->env_alias ? value_of(environment, info->env_alias) : NULL;
        if (!value || !*value)
            continue;
        int r = limit_parse_alias((enum limit_id)id, value, &config->limits.v[id], err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- the whole ---- */

static uint64_t cpus(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    return sched_getaffinity(0, sizeof(set), &set) == 0 ? (uint64_t)CPU_COUNT(&set) : 1;
}

int exs_config_finish(struct exs_config *config, struct err *err)
{
    char host[65] = "";
    if (!*config->node && gethostname(host, sizeof(host) - 1) == 0) {
        int r = set_text(config, &config->node, host, err);
        if (r < 0)
            return r;
    }
    if (config->running_max == 0)
        config->running_max = cpus() > 1 ? 2 * cpus() : 2;
    if (config->socket[0] != '/' || strlen(config->socket) > SOCKET_PATH_MAX)
        return err_set(err, -EINVAL, "socket: an absolute path of at most %d bytes",
                       SOCKET_PATH_MAX);
    if (log_level_by_name(config->log_level) < 0)
        return err_set(err, -EINVAL, "log_level: debug, info, warn or error, not '%.32s'",
                       config->log_level);
    int r = metrics_http_address(config->metrics, err);
    if (r == 0)
        r = tls_config_finish(config, err);
    return r < 0 ? r : runtimes_check(&config->runtimes, err);
}
