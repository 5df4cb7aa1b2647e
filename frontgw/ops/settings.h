#pragma once
/*
 * Everything an operator can set: one table (settings.c) for the configuration file, the
 * environment and --set. Later ones win: shipped default, file, environment (FRONTGW_SECTION_KEY),
 * --set. Read-only after the start, except where SIGHUP is said to read something again.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct err;

struct gw_settings {
    /* [listen] */
    char *listen_address;
    uint64_t listen_port;
    char *certificate, *key;
    uint64_t threads; /* 0: one per core, 4 at most */
    uint64_t connections, connections_per_address;
    char *origins;         /* "https://cloister.example": what a browser calls us; "": from Host */
    char *trusted_proxies; /* networks whose X-Forwarded-For counts */

    /* [timeouts], ms and bytes per second */
    uint64_t head_ms, idle_ms, body_grace_ms, body_rate, send_grace_ms, drain_ms;
    uint64_t head_max;

    /* [rates] per minute */
    uint64_t rate_user, rate_address, rate_files, rate_class;
    char *redis; /* "127.0.0.1:6379" or "/path/socket"; "": windows of this process only */
    char *redis_password_file;
    uint64_t redis_deadline_ms;
    uint64_t gateways; /* how many share the limits; what each falls back to without Redis */

    /* [workers] */
    uint64_t workers_main, workers_password, workers_bulk;
    uint64_t queue_main, queue_password, queue_bulk;

    /* [data] */
    char *data_directory; /* database, contents and temporary files live here */
    char *web_root;       /* the page, as built; "": none */
    uint64_t upload_max;

    /* [database] */
    char *database_url; /* "": SQLite in data_directory; also DATABASE_URL, DATABASE_URL_FILE */

    /* [metrics] */
    char *metrics_address;
    uint64_t metrics_port; /* 0: none; see metrics_enabled */
    bool metrics_enabled;
    char *metrics_token_file;

    /* [log] */
    char *log_level;
    bool seccomp;
};

/** gw_settings_init() - the shipped defaults. */
int gw_settings_init(struct gw_settings *settings, struct err *err);
void gw_settings_done(struct gw_settings *settings);
int gw_settings_file(struct gw_settings *settings, const char *path, struct err *err);
int gw_settings_environment(struct gw_settings *settings, struct err *err);
/** gw_settings_set() - "section.key=value" */
int gw_settings_set(struct gw_settings *settings, const char *assignment, struct err *err);
/** gw_settings_check() - what no single value shows: pairs that belong together, files that have to
 * be there. */
int gw_settings_check(const struct gw_settings *settings, struct err *err);
/** gw_settings_print() - as a configuration file that gives the same settings; secrets are only
 * ever named by file. */
void gw_settings_print(const struct gw_settings *settings, FILE *out);
