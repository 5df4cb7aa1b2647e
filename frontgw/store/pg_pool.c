#include "frontgw/store/pg_pool.h"

#include <errno.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct pg_pool {
    char *url;
    struct db_options options;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t freed;
    struct pg_conn *idle; /* most recently used first, so that surplus ones age */
    unsigned open, in_use;
};

static uint64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static struct pg_conn *conn_free(struct pg_conn *conn)
{
    if (conn)
        PQfinish(conn->handle);
    free(conn);
    return NULL;
}

static int set_session(PGconn *handle, const struct db_options *options, struct err *err)
{
    char sql[400];
    snprintf(sql, sizeof(sql),
             "SET statement_timeout=%u; SET lock_timeout=%u;"
             "SET idle_in_transaction_session_timeout=60000; SET client_min_messages=warning;"
             "SET synchronous_commit=on; SET standard_conforming_strings=on",
             options->statement_timeout_ms, options->statement_timeout_ms);
    PGresult *result = PQexec(handle, sql);
    int r = 0;
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        r = err_set(err, -ENOTCONN, "postgresql: %s", PQerrorMessage(handle));
    PQclear(result);
    return r;
}

static int conn_new(const struct pg_pool *pool, struct pg_conn **ret, struct err *err)
{
    struct pg_conn *conn = calloc(1, sizeof(*conn));
    if (!conn)
        return err_set(err, -ENOMEM, "postgresql: %m");
    const char *const keys[] = {"dbname",
                                "application_name",
                                "connect_timeout",
                                "keepalives_idle",
                                "tcp_user_timeout",
                                "client_encoding",
                                NULL};
    const char *const values[] = {pool->url, "frontgw", "5", "10", "15000", "UTF8", NULL};
    PGconn *handle = PQconnectdbParams(keys, values, 1);
    conn->handle = handle;
    int r = 0;
    if (PQstatus(handle) != CONNECTION_OK)
        r = err_set(err, -ENOTCONN, "postgresql: %s", PQerrorMessage(handle));
    else
        r = set_session(handle, &pool->options, err);
    if (r) {
        conn_free(conn);
        return r;
    }
    conn->born_ms = conn->used_ms = now_ms();
    *ret = conn;
    return 0;
}

/* An idle one, or leave to make a new one (*ret NULL); -EAGAIN when time ran out. */
static int take_idle(struct pg_pool *pool, struct pg_conn **ret)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += pool->options.acquire_timeout_ms / 1000;
    until.tv_nsec += (long)(pool->options.acquire_timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&pool->lock);
    int timed_out = 0;
    while (!pool->idle && pool->open >= pool->options.pool_max && !timed_out)
        timed_out = pthread_cond_timedwait(&pool->freed, &pool->lock, &until);
    struct pg_conn *conn = pool->idle;
    bool may_open = !conn && pool->open < pool->options.pool_max;
    if (conn)
        pool->idle = conn->next;
    if (may_open)
        pool->open++;
    if (conn || may_open)
        pool->in_use++;
    pthread_mutex_unlock(&pool->lock);
    *ret = conn;
    return conn || may_open ? 0 : -EAGAIN;
}

static bool alive(struct pg_conn *conn, const struct db_options *options)
{
    uint64_t now = now_ms();
    if (PQstatus(conn->handle) != CONNECTION_OK || now - conn->born_ms > options->recycle_ms)
        return false;
    if (now - conn->used_ms < options->ping_after_ms)
        return true;
    PGresult *result = PQexec(conn->handle, "SELECT 1");
    bool answered = PQresultStatus(result) == PGRES_TUPLES_OK;
    PQclear(result);
    return answered;
}

static void forget(struct pg_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->open--;
    pool->in_use--;
    pthread_cond_signal(&pool->freed);
    pthread_mutex_unlock(&pool->lock);
}

int pg_pool_take(struct pg_pool *pool, struct pg_conn **ret, bool *ret_fresh, struct err *err)
{
    struct pg_conn *conn = NULL;
    if (take_idle(pool, &conn))
        return err_set(err, -EAGAIN, "database: no connection was free within %u ms",
                       pool->options.acquire_timeout_ms);
    *ret_fresh = false;
    if (conn && !alive(conn, &pool->options))
        conn = conn_free(conn); /* its place in the pool passes to the new one */
    if (!conn) {
        int r = conn_new(pool, &conn, err);
        if (r) {
            forget(pool);
            return r;
        }
        *ret_fresh = true;
    }
    *ret = conn;
    return 0;
}

void pg_pool_give(struct pg_pool *pool, struct pg_conn *conn, bool unfit)
{
    conn->used_ms = now_ms();
    pthread_mutex_lock(&pool->lock);
    pool->in_use--;
    struct pg_conn *drop = NULL;
    if (unfit) {
        drop = conn;
    } else {
        conn->next = pool->idle;
        pool->idle = conn;
        /* One surplus connection that nobody needed for a minute goes, one per call. */
        struct pg_conn **last = &pool->idle;
        while ((*last)->next)
            last = &(*last)->next;
        if (pool->open > pool->options.pool_min && conn->used_ms - (*last)->used_ms > 60000) {
            drop = *last;
            *last = NULL;
        }
    }
    if (drop)
        pool->open--;
    pthread_cond_signal(&pool->freed);
    pthread_mutex_unlock(&pool->lock);
    conn_free(drop);
}

unsigned pg_pool_in_use(struct pg_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    unsigned n = pool->in_use;
    pthread_mutex_unlock(&pool->lock);
    return n;
}

struct pg_pool *pg_pool_free(struct pg_pool *pool)
{
    if (!pool)
        return NULL;
    while (pool->idle) {
        struct pg_conn *conn = pool->idle;
        pool->idle = conn->next;
        conn_free(conn);
    }
    pthread_cond_destroy(&pool->freed);
    pthread_mutex_destroy(&pool->lock);
    free(pool->url);
    free(pool);
    return NULL;
}

/* Fill up to pool_min, so that the first class does not pay for connecting. */
int pg_pool_new(const struct db_options *options, struct pg_pool **ret, struct err *err)
{
    struct pg_pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return err_set(err, -ENOMEM, "postgresql: %m");
    pool->options = *options;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->freed, NULL);
    pool->url = strdup(options->url);
    int r = pool->url ? 0 : err_set(err, -ENOMEM, "postgresql: %m");
    for (unsigned i = 0; i < options->pool_min && !r; i++) {
        struct pg_conn *conn = NULL;
        r = conn_new(pool, &conn, err);
        if (r)
            break;
        conn->next = pool->idle;
        pool->idle = conn;
        pool->open++;
    }
    if (r)
        return pg_pool_free(pool), r;
    *ret = pool;
    return 0;
}
