#include "sandbox/spawner_config.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/config.h"
#include "base/err.h"
#include "base/hint.h"

#define DEFAULT_PATH    "/etc/cloister/cloister.conf"
#define DEFAULT_SOCKET  "/run/cloister/execsvc.sock"
#define DEFAULT_ACCOUNT "cloister"
#define CACHE_NONE      "none"
#define DRAIN_MS        30000
#define DRAIN_MAX_MS    3600000
#define WATCHDOG_MS     15000
#define WATCHDOG_MIN_MS 500
#define WATCHDOG_MAX_MS 3600000
/* Outside of U's range: execsvc is nobody in there, and nobody else outside. */
#define OWN_UID (NODE_UID_BASE + NODE_UID_COUNT)

static int set_text(char *to, size_t size, const char *value, struct err *err)
{
    if (strlen(value) >= size)
        return err_set(err, -EINVAL, "longer than %zu bytes", size - 1);
    memcpy(to, value, strlen(value) + 1);
    return 0;
}

static int set_uid(uid_t *ret_uid, gid_t *ret_gid, const char *value, struct err *err)
{
    unsigned long number;
    const struct passwd *pw = getpwnam(value);
    if (pw) {
        *ret_uid = pw->pw_uid;
        *ret_gid = pw->pw_gid;
        return *ret_uid ? 0 : err_set(err, -EINVAL, "must not be root");
    }
    if (config_u64(value, 1, INT_MAX, &number, NULL) < 0)
        return err_set(err, -EINVAL, "there is no user '%.40s'", value);
    *ret_uid = *ret_gid = (uid_t)number;
    return 0;
}

static int set_gid(gid_t *ret, const char *value, struct err *err)
{
    unsigned long number;
    const struct group *group = getgrnam(value);
    if (!group && config_u64(value, 0, INT_MAX, &number, NULL) < 0)
        return err_set(err, -EINVAL, "there is no group '%.40s'", value);
    *ret = group ? group->gr_gid : (gid_t)number;
    return 0;
}

static int set_missing(uint32_t *ret, const char *value, struct err *err)
{
    char text[512], *save = NULL;
    int r = set_text(text, sizeof(text), value, err);
    if (r < 0)
        return r;
    for (char *name = strtok_r(text, " ,", &save); name; name = strtok_r(NULL, " ,", &save)) {
        int layer = layer_by_name(name);
        if (layer < 0)
            return err_set(err, -EINVAL, "there is no layer '%.40s'", name);
        *ret |= LAYER_BIT(layer);
    }
    return 0;
}

static int set_u32(uint32_t *ret, const char *value, unsigned long min, unsigned long max,
                   struct err *err)
{
    unsigned long number;
    int r = config_u64(value, min, max, &number, err);
    if (r == 0)
        *ret = (uint32_t)number;
    return r;
}

/* The word must not be what an unset key is: the default is named after the instance. */
static int set_cache(struct node_config *n, const char *value, struct err *err)
{
    if (value[0] != '/' && strcmp(value, CACHE_NONE) != 0)
        return err_set(err, -EINVAL, "cache_dir: an absolute path, or " CACHE_NONE);
    return set_text(n->cache_dir, sizeof(n->cache_dir), value, err);
}

static int set_watchdog(uint64_t *ret, const char *value, struct err *err)
{
    uint64_t ms;
    int r = time_parse(value, &ms, err);
    if (r == 0 && ms > 0 && (ms < WATCHDOG_MIN_MS || ms > WATCHDOG_MAX_MS))
        r = err_set(err, -ERANGE, "watchdog: 0, or 500ms to 1h");
    if (r == 0)
        *ret = ms;
    return r;
}

static int no_such_key(const char *key, struct err *err)
{
    static const char *const keys[] = {"instance",    "user",          "group",    "execsvc",
                                       "run_dir",     "cache_dir",     "watchdog", "slots_max",
                                       "cpu_percent", "allow_missing", "uid_base", "launcher",
                                       "processes",   "memory",        "ready_max"};
    char words[HINT_SIZE];
    struct hint hint = {.word = key};
    hint_offer_all(&hint, keys, sizeof(keys) / sizeof(keys[0]));
    return err_set(err, -EINVAL, "there is no key '%.40s' in [spawner]%s", key,
                   hint_text(&hint, words));
}

static int set_spawner(struct spawner_config *c, const char *key, const char *value,
                       struct err *err)
{
    struct node_config *n = &c->node;
    unsigned long number = 0;
    int r = 0;
    if (strcmp(key, "instance") == 0)
        return set_text(n->instance, sizeof(n->instance), value, err);
    if (strcmp(key, "user") == 0)
        return set_uid(&c->uid, &c->gid, value, err);
    if (strcmp(key, "group") == 0)
        return set_gid(&c->socket_gid, value, err);
    if (strcmp(key, "execsvc") == 0)
        return set_text(c->execsvc, sizeof(c->execsvc), value, err);
    if (strcmp(key, "run_dir") == 0)
        return set_text(c->run_dir, sizeof(c->run_dir), value, err);
    if (strcmp(key, "cache_dir") == 0)
        return set_cache(n, value, err);
    if (strcmp(key, "watchdog") == 0)
        return set_watchdog(&c->watchdog_ms, value, err);
    if (strcmp(key, "slots_max") == 0)
        return set_u32(&n->slots_max, value, 1, NODE_SLOTS_MAX, err);
    if (strcmp(key, "ready_max") == 0)
        return set_u32(&n->ready_max, value, 0, NODE_READY_MAX, err);
    if (strcmp(key, "memory") == 0)
        return size_parse(value, &n->caps.memory_bytes, err);
    if (strcmp(key, "cpu_percent") == 0)
        return set_u32(&n->caps.cpu_percent, value, 0, 100000, err);
    if (strcmp(key, "allow_missing") == 0)
        return set_missing(&n->allow_missing, value, err);
    if (strcmp(key, "uid_base") == 0)
        return set_u32(&n->uid_base, value, 65536, INT_MAX - NODE_UID_COUNT, err);
    if (strcmp(key, "launcher") == 0 && strcmp(value, "bwrap") == 0) {
        n->launcher = SBX_LAUNCHER_BWRAP;
        return 0;
    }
    if (strcmp(key, "launcher") == 0 && strcmp(value, "native") == 0)
        return 0;
    if (strcmp(key, "launcher") == 0)
        return err_set(err, -EINVAL, "launcher: must be native or bwrap");
    if (strcmp(key, "processes") != 0)
        return no_such_key(key, err);
    r = config_u64(value, 0, 4194304, &number, err);
    n->caps.pids = number;
    return r;
}

/* The tree of the runtime @name, made when it is new. */
static int tree_get(struct node_config *n, const char *name, uint32_t *ret, struct err *err)
{
    for (*ret = 1; *ret < n->n_trees; (*ret)++)
        if (strcmp(n->trees[*ret].name, name) == 0)
            return 0;
    if (n->n_trees == NODE_TREES_MAX)
        return err_set(err, -EINVAL, "more than %d runtimes with a rootfs or mounts",
                       NODE_TREES_MAX - 1);
    n->n_trees++;
    return set_text(n->trees[*ret].name, sizeof(n->trees[*ret].name), name, err);
}

/* "SOURCE:TARGET", or "PATH" for both. */
static int bind_add(struct node_config *n, uint32_t tree, const char *value, bool root,
                    struct err *err)
{
    if (n->n_binds == NODE_BINDS_MAX)
        return err_set(err, -EINVAL, "more than %d mounts", NODE_BINDS_MAX);
    struct node_bind *bind = &n->binds[n->n_binds];
    const char *colon = root ? NULL : strchr(value, ':');
    size_t len = colon ? (size_t)(colon - value) : strlen(value);
    if (value[0] != '/' || len >= sizeof(bind->source))
        return err_set(err, -EINVAL, "must be an absolute path of at most %zu bytes",
                       sizeof(bind->source) - 1);
    *bind = (struct node_bind){.tree = tree};
    memcpy(bind->source, value, len);
    int r = set_text(bind->target, sizeof(bind->target),
                     root    ? "/"
                     : colon ? colon + 1
                             : value,
                     err);
    if (r == 0 && !root)
        r = node_bind_target(bind->target, err);
    n->n_binds += r == 0;
    return r;
}

/* What a runtime's sandbox shows is said here alone: a request has nothing but the name. */
static int set_runtime(struct node_config *n, const char *name, const char *key, const char *value,
                       struct err *err)
{
    bool root = strcmp(key, "rootfs") == 0;
    uint32_t tree = 0;
    int enabled, r;
    if (strcmp(key, "enabled") == 0) {
        r = config_bool(value, &enabled, err);
        if (r < 0 || enabled)
            return r;
        r = tree_get(n, name, &tree, err);
        n->trees[tree].disabled = r == 0;
        return r;
    }
    if (!root && strncmp(key, "mount.", strlen("mount.")) != 0)
        return 0; /* execsvc's, which checks it */
    r = tree_get(n, name, &tree, err);
    if (r == 0)
        r = bind_add(n, tree, value, root, err);
    if (r < 0)
        return err ? err_prefix(err, "%s", key) : r;
    n->trees[tree].rootfs |= root;
    return 0;
}

/* Of execsvc, which checks it too: how long to wait for its end. */
static int set_drain(struct spawner_config *c, const char *value, struct err *err)
{
    int r = time_parse(value, &c->drain_ms, err);
    if (r == 0 && c->drain_ms > DRAIN_MAX_MS)
        return err_set(err, -ERANGE, "drain: at most %d s", DRAIN_MAX_MS / 1000);
    return r < 0 && err ? err_prefix(err, "drain") : r;
}

/* Sections of others, who check them. */
static int pass_over(const char *section, struct err *err)
{
    static const char *const others[] = {"execsvc", "environment", "identity", "frontgw"};
    static const char *const own[] = {"spawner", "ceilings", "limits", "runtime"};
    char words[HINT_SIZE];
    struct hint hint = {.word = section};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (strcmp(section, others[i]) == 0)
            return 0;
    hint_offer_all(&hint, others, sizeof(others) / sizeof(others[0]));
    hint_offer_all(&hint, own, sizeof(own) / sizeof(own[0]));
    return err_set(err, -EINVAL, "there is no section [%.40s]%s", section, hint_text(&hint, words));
}

static int on_setting(void *arg, const char *section, const char *name, const char *key,
                      const char *value, struct err *err)
{
    struct spawner_config *c = arg;
    if (strcmp(section, "spawner") == 0 && !*name)
        return set_spawner(c, key, value, err);
    if (strcmp(section, "ceilings") == 0 && !*name)
        return limit_parse_named(key, value, &c->node.ceilings, err);
    if (strcmp(section, "limits") == 0 && !*name)
        return limit_parse_named(key, value, &c->node.defaults, err);
    if (strcmp(section, "runtime") == 0 && *name)
        return set_runtime(&c->node, name, key, value, err);
    if (strcmp(section, "execsvc") == 0 && strcmp(key, "socket") == 0)
        return set_text(c->socket, sizeof(c->socket), value, err);
    if (strcmp(section, "execsvc") == 0 && strcmp(key, "drain") == 0)
        return set_drain(c, value, err);
    return pass_over(section, err);
}

/* Only root may say what sandboxes may do. */
static int check_owner(const char *path, struct err *err)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return err_set(err, -errno, "%s: %m", path);
    if (st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)))
        return err_set(err, -EPERM, "%s must belong to root and be writable by root only", path);
    return 0;
}

static int set_defaults(struct spawner_config *c, struct err *err)
{
    memset(c, 0, sizeof(*c));
    node_config_default(&c->node);
    struct sysinfo info;
    if (sysinfo(&info) == 0)
        c->node.caps.memory_bytes = (uint64_t)info.totalram * info.mem_unit / 5 * 4;
    c->node.caps.pids = 4096;
    const struct passwd *pw = getpwnam(DEFAULT_ACCOUNT);
    const struct group *group = getgrnam(DEFAULT_ACCOUNT);
    c->watchdog_ms = WATCHDOG_MS;
    c->uid = pw ? pw->pw_uid : OWN_UID;
    c->gid = pw ? pw->pw_gid : OWN_UID;
    c->socket_gid = group ? group->gr_gid : c->gid;
    snprintf(c->run_dir, sizeof(c->run_dir), "/run/cloister");
    snprintf(c->socket, sizeof(c->socket), DEFAULT_SOCKET);
    c->drain_ms = DRAIN_MS;
    char self[sizeof(c->execsvc)];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - sizeof("execsvc"));
    if (n <= 0)
        return err_set(err, -errno, "/proc/self/exe: %m");
    self[n] = 0;
    char *slash = strrchr(self, '/');
    snprintf(slash + 1, sizeof(self) - (size_t)(slash + 1 - self), "execsvc");
    memcpy(c->execsvc, self, sizeof(self));
    return 0;
}

static int check(struct spawner_config *c, struct err *err)
{
    for (const char *p = c->node.instance; *p; p++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", *p))
            return err_set(err, -EINVAL, "instance: letters, digits, - and _ only");
    if (!c->node.instance[0] || c->socket[0] != '/' || c->run_dir[0] != '/')
        return err_set(err, -EINVAL, "instance must not be empty; socket and run_dir are absolute");
    if (strcmp(c->node.cache_dir, CACHE_NONE) == 0)
        c->node.cache_dir[0] = 0;
    else if (!c->node.cache_dir[0])
        snprintf(c->node.cache_dir, sizeof(c->node.cache_dir), NODE_CACHE_DIR "/%s",
                 c->node.instance);
    c->node.cache_uid = c->uid;
    c->node.cache_gid = c->gid;
    struct limits resolved;
    return limits_resolve(&c->node.defaults, &c->node.defaults, &c->node.ceilings, &resolved, err);
}

int spawner_config_text(struct spawner_config *ret, const char *text, size_t len,
                        const char *origin, struct err *err)
{
    int r = set_defaults(ret, err);
    if (r == 0)
        r = config_parse(text, len, origin, on_setting, ret, err);
    return r < 0 ? r : check(ret, err);
}

int spawner_config_load(struct spawner_config *ret, const char *path, struct err *err)
{
    int r = set_defaults(ret, err);
    if (r < 0)
        return r;
    const char *socket = getenv("CLOISTER_SOCKET"), *drain = getenv("CLOISTER_DRAIN");
    if (!path && access(DEFAULT_PATH, F_OK) == 0)
        path = DEFAULT_PATH;
    if (path) {
        r = check_owner(path, err);
        if (r == 0)
            r = config_parse_file(path, on_setting, ret, err);
        if (r < 0)
            return r;
    }
    ret->config_path = path;
    if (socket)
        r = set_text(ret->socket, sizeof(ret->socket), socket, err);
    if (r == 0 && drain)
        r = set_drain(ret, drain, err);
    if (r == 0)
        r = limits_from_env(&ret->node.defaults, err);
    return r < 0 ? r : check(ret, err);
}
