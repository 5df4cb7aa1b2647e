#pragma once
/* The connections to PostgreSQL: between min and max of them, checked before use, replaced when
 * old. */

#include "frontgw/store/db.h"

struct pg_pool;

struct pg_conn {
    void *handle; /* PGconn */
    struct pg_conn *next;
    uint64_t born_ms, used_ms;
    bool prepared[SQL_COUNT];
};

/** pg_pool_new() - opens pool_min connections, so that a wrong URL is found now. */
int pg_pool_new(const struct db_options *options, struct pg_pool **ret, struct err *err);
struct pg_pool *pg_pool_free(struct pg_pool *pool);

/**
 * pg_pool_take() - a connection for this thread
 * @ret_fresh: it was made for this call (a fault on it means that the server is gone)
 *
 * Waits for at most acquire_timeout_ms. Return: 0, -EAGAIN when none came free, -ENOTCONN when no
 * connection could be made.
 */
int pg_pool_take(struct pg_pool *pool, struct pg_conn **ret, bool *ret_fresh, struct err *err);
/** pg_pool_give() - give it back; @unfit: throw it away. */
void pg_pool_give(struct pg_pool *pool, struct pg_conn *conn, bool unfit);
unsigned pg_pool_in_use(struct pg_pool *pool);
