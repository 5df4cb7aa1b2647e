#pragma once
/*
 * The same windows, shared by several gateways: one Lua script in Redis that checks all keys and
 * then counts all of them, on Redis' own clock. Worker threads only: a call may wait up to the
 * deadline.
 *
 * A circuit breaker keeps a dead Redis from costing that on every request: three failures in a row
 * open it; then one call a second is let through to see whether Redis is back.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frontgw/limits/limiter.h"

struct redis_limits;

int redis_limits_new(const struct gw_limiter_config *config, struct redis_limits **ret,
                     struct err *err);
/** redis_limits_free() - when no other thread calls any more. */
struct redis_limits *redis_limits_free(struct redis_limits *redis);

enum redis_answer {
    REDIS_ALLOWED,
    REDIS_REFUSED,
    REDIS_SILENT /* circuit open, or no answer in time */
};
enum redis_answer redis_limits_take(struct redis_limits *redis, const struct gw_limit_key *keys,
                                    const unsigned *per_minute, size_t n, const char *member,
                                    size_t *ret_which, uint64_t *ret_retry_ms);
void redis_limits_give_back(struct redis_limits *redis, const struct gw_limit_key *key,
                            const char *member);
bool redis_limits_up(struct redis_limits *redis);
