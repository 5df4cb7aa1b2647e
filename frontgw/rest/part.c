/* The two parts of frontgw that are made here: the store, and people and files with their routes.
 */
#include "frontgw/rest/rest.h"

#include "frontgw/http/job.h"
#include "frontgw/ops/metrics.h"
#include "frontgw/ops/settings.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/prom.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define EXPIRE_EVERY_MS (60ull * 1000)
#define KEEP_EVERY_MS   (5ull * 60 * 1000)

/* ---- store ---- */

int rest_database_url(const struct gw_settings *s, char **ret, struct err *err)
{
    if (!*s->database_url)
        return db_url_from_env(ret, err);
    *ret = strdup(s->database_url);
    return *ret ? 0 : err_set(err, -ENOMEM, "database: %m");
}

static int store_open(struct gw_context *context, struct err *err)
{
    const struct gw_settings *s = context->settings;
    AUTO_FREE char *url = NULL;
    int migrated = 0;
    int r = rest_database_url(s, &url, err);
    if (r)
        return r;
    const struct gw_store_options options = {.state_dir = s->data_directory,
                                             .db = {.url = url,
                                                    .readers = (unsigned)s->workers_main},
                                             .blobs_in_database = url != NULL};
    r = gw_store_open(&options, &context->store, &migrated, err);
    if (!r && migrated)
        log_info("store.migrated", "the schema was brought up to date",
                 LOG_U64("migrations", (uint64_t)migrated));
    return r;
}

static void store_close(struct gw_context *context)
{
    context->store = gw_store_close(context->store);
}

static int store_ready(struct gw_context *context, struct err *err)
{
    return db_ping(context->store->db, err);
}

const struct gw_part gw_store_part = {.name = "store",
                                      .open = store_open,
                                      .close = store_close,
                                      .ready = store_ready};

/* ---- people and files ---- */

static void session_closed(void *arg, const char *session)
{
    gw_close_session(arg, session);
}

static int identify(struct gw_context *context, const struct gw_request *req,
                    struct gw_identity *ret, struct err *err)
{
    static const char bearer[] = "Bearer ";
    const char *authorization = gw_header(req, GW_H_AUTHORIZATION);
    if (!authorization)
        return gw_identify_session(context->people, req->token, req->wall_ms, ret, err);
    *ret = (struct gw_identity){0};
    if (strncasecmp(authorization, bearer, sizeof(bearer) - 1) != 0)
        return 0;
    return gw_identify_key(context->people, authorization + sizeof(bearer) - 1, req->wall_ms, ret,
                           err);
}

static void write_metrics(FILE *out, void *arg)
{
    struct gw_context *context = arg;
    struct db_stats db;
    db_stats(context->store->db, &db);
    prom_single(out, "frontgw_db_connections_in_use", "gauge", "Database connections in use",
                db.in_use);
    prom_single(out, "frontgw_db_connections_max", "gauge", "Database connections that may be open",
                db.capacity);
    prom_single(out, "frontgw_db_transactions_total", "counter", "Transactions begun",
                (double)db.transactions);
    prom_single(out, "frontgw_db_statements_total", "counter", "Statements run",
                (double)db.statements);
    prom_single(out, "frontgw_db_faults_total", "counter", "Transactions that failed",
                (double)db.faults);
    prom_single(out, "frontgw_db_wait_seconds_total", "counter",
                "Time spent waiting for a connection or for the writer", (double)db.wait_us / 1e6);
    prom_single(out, "frontgw_db_busy_seconds_total", "counter",
                "Time between begin and end of transactions", (double)db.busy_us / 1e6);
}

static int rest_open(struct gw_context *context, struct err *err)
{
    const struct gw_people_options options = {
        .session_closed = session_closed,
        .session_closed_arg = context,
        .password_threads = (unsigned)(context->settings->workers_password < 2 ? 1 : 2)};
    int r = gw_people_new(context->store, &options, &context->people, err);
    if (!r)
        r = gw_files_new(context->store, context->people, &context->files, err);
    if (!r)
        r = gw_metrics_source(context->metrics, write_metrics, context);
    context->identify = identify;
    return r;
}

static void rest_close(struct gw_context *context)
{
    context->files = gw_files_free(context->files);
    context->people = gw_people_free(context->people);
}

static void tick_expire(void *arg)
{
    struct gw_context *context = arg;
    struct err err = {0};
    if (gw_sessions_expire(context->people, clock_wall_ms(), &err))
        log_warn("people.expire", "sessions could not be expired", LOG_STR("error", err.text));
}

static void tick_keep(void *arg)
{
    struct gw_context *context = arg;
    struct err err = {0};
    if (gw_files_keep(context->files, clock_wall_ms(), &err))
        log_warn("files.keep", "housekeeping failed", LOG_STR("error", err.text));
}

static int rest_start(struct gw_context *context, struct err *err)
{
    int r = gw_pool_every(context->pool, EXPIRE_EVERY_MS, tick_expire, context);
    if (!r)
        r = gw_pool_every(context->pool, KEEP_EVERY_MS, tick_keep, context);
    return r ? err_set(err, r, "housekeeping: %m") : 0;
}

static int rest_figures(struct gw_context *context, json_t *into, struct err *err)
{
    uint64_t users = 0, sessions = 0;
    int r = gw_sessions_count(context->people, clock_wall_ms(), &users, &sessions, err);
    if (r)
        return r;
    json_object_set_new(into, "users", json_integer((json_int_t)users));
    json_object_set_new(into, "sessions", json_integer((json_int_t)sessions));
    json_object_set_new(into, "database", json_string(db_dialect(context->store->db)));
    struct db_stats db;
    db_stats(context->store->db, &db);
    json_object_set_new(into, "database_used", json_real((double)db.in_use / db.capacity));
    return 0;
}

const struct gw_part gw_people_part = {.name = "people",
                                       .open = rest_open,
                                       .start = rest_start,
                                       .close = rest_close,
                                       .figures = rest_figures};
