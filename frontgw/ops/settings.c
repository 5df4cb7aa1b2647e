#include "frontgw/ops/settings.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/config.h"
#include "base/err.h"
#include "base/hint.h"
#include "base/limits.h"

enum kind { KIND_TEXT, KIND_COUNT, KIND_TIME, KIND_SIZE, KIND_BOOL };

struct setting {
    const char *section, *key;
    enum kind kind;
    size_t offset;
    const char *fallback;
    uint64_t min, max;
    const char *alias; /* another name in the environment */
};

#define AT(member) offsetof(struct gw_settings, member)
#define MINUTES    UINT64_C(60000)

static const struct setting table[] = {
    {"listen", "address", KIND_TEXT, AT(listen_address), "127.0.0.1", 0, 0, NULL},
    {"listen", "port", KIND_COUNT, AT(listen_port), "8443", 0, 65535, NULL},
    {"listen", "certificate", KIND_TEXT, AT(certificate), "", 0, 0, NULL},
    {"listen", "key", KIND_TEXT, AT(key), "", 0, 0, NULL},
    {"listen", "threads", KIND_COUNT, AT(threads), "0", 0, 64, NULL},
    {"listen", "connections", KIND_COUNT, AT(connections), "10000", 1, 1000000, NULL},
    {"listen", "connections-per-address", KIND_COUNT, AT(connections_per_address), "2048", 1,
     1000000, NULL},
    {"listen", "origins", KIND_TEXT, AT(origins), "", 0, 0, NULL},
    {"listen", "trusted-proxies", KIND_TEXT, AT(trusted_proxies), "", 0, 0, NULL},
    {"timeouts", "head", KIND_TIME, AT(head_ms), "10s", 100, 10 * MINUTES, NULL},
    {"timeouts", "idle", KIND_TIME, AT(idle_ms), "75s", 100, 60 * MINUTES, NULL},
    {"timeouts", "body-grace", KIND_TIME, AT(body_grace_ms), "10s", 100, 10 * MINUTES, NULL},
    {"timeouts", "body-rate", KIND_SIZE, AT(body_rate), "8K", 1, UINT64_C(1) << 30, NULL},
    {"timeouts", "send-grace", KIND_TIME, AT(send_grace_ms), "20s", 100, 10 * MINUTES, NULL},
    {"timeouts", "drain", KIND_TIME, AT(drain_ms), "20s", 100, 10 * MINUTES, NULL},
    {"timeouts", "head-size", KIND_SIZE, AT(head_max), "16K", 1024, 65536, NULL},
    {"rates", "user", KIND_COUNT, AT(rate_user), "100", 1, 10000, NULL},
    {"rates", "address", KIND_COUNT, AT(rate_address), "200", 1, 10000, NULL},
    {"rates", "files", KIND_COUNT, AT(rate_files), "100", 1, 10000, NULL},
    {"rates", "class", KIND_COUNT, AT(rate_class), "10", 1, 10000, NULL},
    {"rates", "redis", KIND_TEXT, AT(redis), "", 0, 0, "REDIS_ADDRESS"},
    {"rates", "redis-password-file", KIND_TEXT, AT(redis_password_file), "", 0, 0, NULL},
    {"rates", "redis-deadline", KIND_TIME, AT(redis_deadline_ms), "25ms", 1, 1000, NULL},
    {"rates", "gateways", KIND_COUNT, AT(gateways), "1", 1, 1000, NULL},
    {"workers", "main", KIND_COUNT, AT(workers_main), "8", 1, 64, NULL},
    {"workers", "password", KIND_COUNT, AT(workers_password), "2", 1, 64, NULL},
    {"workers", "bulk", KIND_COUNT, AT(workers_bulk), "2", 1, 64, NULL},
    {"workers", "main-queue", KIND_COUNT, AT(queue_main), "4000", 1, 1000000, NULL},
    {"workers", "password-queue", KIND_COUNT, AT(queue_password), "2000", 1, 1000000, NULL},
    {"workers", "bulk-queue", KIND_COUNT, AT(queue_bulk), "100", 1, 1000000, NULL},
    {"data", "directory", KIND_TEXT, AT(data_directory), "/var/lib/cloister/frontgw", 0, 0, NULL},
    {"data", "web-root", KIND_TEXT, AT(web_root), "", 0, 0, NULL},
    {"data", "upload-max", KIND_SIZE, AT(upload_max), "16M", 1024, UINT64_C(1) << 32, NULL},
    {"database", "url", KIND_TEXT, AT(database_url), "", 0, 0, NULL},
    {"metrics", "enabled", KIND_BOOL, AT(metrics_enabled), "yes", 0, 0, NULL},
    {"metrics", "address", KIND_TEXT, AT(metrics_address), "127.0.0.1", 0, 0, NULL},
    {"metrics", "port", KIND_COUNT, AT(metrics_port), "9464", 0, 65535, NULL},
    {"metrics", "token-file", KIND_TEXT, AT(metrics_token_file), "", 0, 0, NULL},
    {"log", "level", KIND_TEXT, AT(log_level), "info", 0, 0, NULL},
    {"process", "seccomp", KIND_BOOL, AT(seccomp), "yes", 0, 0, NULL},
};

#define N_SETTINGS (sizeof(table) / sizeof(table[0]))

static const struct setting *find(const char *section, const char *key)
{
    for (size_t i = 0; i < N_SETTINGS; i++) {
        if (strcmp(table[i].section, section) == 0 && strcmp(table[i].key, key) == 0)
            return &table[i];
    }
    return NULL;
}

static int store_number(const struct setting *s, void *at, const char *value, struct err *err)
{
    uint64_t number = 0;
    unsigned long count = 0;
    int r;

    if (s->kind == KIND_TIME) {
        r = time_parse(value, &number, err);
    } else if (s->kind == KIND_SIZE) {
        r = size_parse(value, &number, err);
    } else {
        r = config_u64(value, s->min, s->max, &count, err);
        number = count;
    }
    if (r < 0)
        return r;
    if (number < s->min || number > s->max)
        return err_set(err, -ERANGE, "%s is not within %llu and %llu", value,
                       (unsigned long long)s->min, (unsigned long long)s->max);
    *(uint64_t *)at = number;
    return 0;
}

static int store(struct gw_settings *settings, const struct setting *s, const char *value,
                 struct err *err)
{
    void *at = (char *)settings + s->offset;
    int truth, r;

    switch (s->kind) {
    case KIND_TEXT: {
        char *copy = strdup(value);
        if (!copy)
            return err_set(err, -ENOMEM, "settings: %m");
        free(*(char **)at);
        *(char **)at = copy;
        return 0;
    }
    case KIND_BOOL:
        r = config_bool(value, &truth, err);
        if (r == 0)
            *(bool *)at = truth != 0;
        return r;
    default:
        return store_number(s, at, value, err);
    }
}

int gw_settings_init(struct gw_settings *settings, struct err *err)
{
    *settings = (struct gw_settings){0};
    for (size_t i = 0; i < N_SETTINGS; i++) {
        int r = store(settings, &table[i], table[i].fallback, err);
        if (r < 0)
            return r;
    }
    return 0;
}

void gw_settings_done(struct gw_settings *settings)
{
    for (size_t i = 0; i < N_SETTINGS; i++) {
        if (table[i].kind == KIND_TEXT)
            free(*(char **)(void *)((char *)settings + table[i].offset));
    }
    *settings = (struct gw_settings){0};
}

/* Of the same section, if there is one: there it was probably meant. */
static int no_such_setting(const char *section, const char *key, struct err *err)
{
    char words[HINT_SIZE];
    struct hint hint = {.word = key}, sections = {.word = section};

    for (size_t i = 0; i < N_SETTINGS; i++) {
        hint_offer(&sections, table[i].section);
        if (strcmp(table[i].section, section) == 0)
            hint_offer(&hint, table[i].key);
    }
    return err_set(err, -EINVAL, "there is no setting %s in [%s]%s", key, section,
                   hint_text(hint.best ? &hint : &sections, words));
}

static int on_setting(void *arg, const char *section, const char *name, const char *key,
                      const char *value, struct err *err)
{
    const struct setting *s = *name ? NULL : find(section, key);

    if (!s)
        return no_such_setting(section, key, err);
    return store(arg, s, value, err);
}

int gw_settings_file(struct gw_settings *settings, const char *path, struct err *err)
{
    return config_parse_file(path, on_setting, settings, err);
}

static void environment_name(const struct setting *s, char *ret, size_t size)
{
    snprintf(ret, size, "FRONTGW_%s_%s", s->section, s->key);
    for (; *ret; ret++)
        *ret = *ret == '-' ? '_' : (char)toupper((unsigned char)*ret);
}

int gw_settings_environment(struct gw_settings *settings, struct err *err)
{
    for (size_t i = 0; i < N_SETTINGS; i++) {
        char name[96];
        environment_name(&table[i], name, sizeof(name));
        const char *value = getenv(name);
        if (!value && table[i].alias)
            value = getenv(table[i].alias);
        if (value && store(settings, &table[i], value, err) < 0)
            return err_prefix(err, "%s", name);
    }
    return 0;
}

int gw_settings_set(struct gw_settings *settings, const char *assignment, struct err *err)
{
    char section[32], key[48];
    const char *dot = strchr(assignment, '.');
    const char *equals = strchr(assignment, '=');

    if (!dot || !equals || dot > equals || (size_t)(dot - assignment) >= sizeof(section) ||
        (size_t)(equals - dot - 1) >= sizeof(key))
        return err_set(err, -EINVAL, "%s is not section.key=value", assignment);
    snprintf(section, sizeof(section), "%.*s", (int)(dot - assignment), assignment);
    snprintf(key, sizeof(key), "%.*s", (int)(equals - dot - 1), dot + 1);
    int r = on_setting(settings, section, "", key, equals + 1, err);
    return r < 0 ? err_prefix(err, "%s.%s", section, key) : 0;
}

static int check_file(const char *what, const char *path, struct err *err)
{
    struct stat st;

    if (*path && (stat(path, &st) < 0 || !S_ISREG(st.st_mode)))
        return err_set(err, errno ? -errno : -EINVAL, "%s %s: %m", what, path);
    return 0;
}

int gw_settings_check(const struct gw_settings *settings, struct err *err)
{
    int r;

    errno = 0;
    if (!*settings->certificate != !*settings->key)
        return err_set(err, -EINVAL, "listen.certificate and listen.key belong together");
    r = check_file("listen.certificate", settings->certificate, err);
    if (r == 0)
        r = check_file("listen.key", settings->key, err);
    if (r == 0)
        r = check_file("rates.redis-password-file", settings->redis_password_file, err);
    if (r == 0)
        r = check_file("metrics.token-file", settings->metrics_token_file, err);
    if (r == 0 && settings->data_directory[0] != '/')
        r = err_set(err, -EINVAL, "data.directory has to be an absolute path");
    return r;
}

/* The shortest exact form that the parsers take. */
static void print_number(const struct setting *s, uint64_t n, FILE *out)
{
    static const char units[] = "KMG";
    int unit = -1;

    if (s->kind == KIND_SIZE) {
        while (n && n % 1024 == 0 && unit < 2) {
            n /= 1024;
            unit++;
        }
        fprintf(out, unit < 0 ? "%llu" : "%llu%c", (unsigned long long)n,
                unit < 0 ? ' ' : units[unit]);
    } else if (s->kind == KIND_TIME) {
        bool whole = n % 1000 == 0;
        fprintf(out, "%llu%s", (unsigned long long)(whole ? n / 1000 : n), whole ? "s" : "ms");
    } else {
        fprintf(out, "%llu", (unsigned long long)n);
    }
}

/* A URL with a password in it is not for the terminal. */
static bool is_secret(const struct setting *s, const char *value)
{
    return s->offset == AT(database_url) && strchr(value, '@') != NULL;
}

void gw_settings_print(const struct gw_settings *settings, FILE *out)
{
    const char *section = "";

    for (size_t i = 0; i < N_SETTINGS; i++) {
        const struct setting *s = &table[i];
        const void *at = (const char *)settings + s->offset;
        if (strcmp(section, s->section) != 0)
            fprintf(out, "%s[%s]\n", *section ? "\n" : "", s->section);
        section = s->section;
        fprintf(out, "%s = ", s->key);
        if (s->kind == KIND_TEXT)
            fputs(is_secret(s, *(char *const *)at) ? "(not shown)" : *(char *const *)at, out);
        else if (s->kind == KIND_BOOL)
            fputs(*(const bool *)at ? "yes" : "no", out);
        else
            print_number(s, *(const uint64_t *)at, out);
        fputc('\n', out);
    }
}
