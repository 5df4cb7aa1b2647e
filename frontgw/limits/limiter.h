#pragma once
/*
 * How often somebody may ask. Exact sliding windows: a request is allowed when fewer than `limit`
 * were allowed in the last 60 seconds, so any 60 seconds hold at most `limit`, and the time to wait
 * is exact. Refused requests are not counted.
 *
 * The windows of this process are kept up on every request. With Redis (several gateways) the same
 * algorithm runs there as one script, and its verdict counts too; when Redis does not answer within
 * its deadline the local windows decide alone, with the gateway's share of the limit. Nothing is
 * ever let through because something is broken.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct gw_limiter;
struct gw_metrics;

enum gw_limit { GW_LIMIT_USER, GW_LIMIT_ADDRESS, GW_LIMIT_FILES, GW_LIMIT_CLASS, GW_LIMIT_COUNT };

#define GW_LIMIT_WINDOW_MS 60000
#define GW_LIMIT_KEY_SIZE  64
#define GW_LIMIT_KEYS_MAX  3

/* "address"; as it appears in answers and metrics. */
const char *gw_limit_name(enum gw_limit limit);

struct gw_limiter_config {
    unsigned per_minute[GW_LIMIT_COUNT];
    const char *redis;          /* "host:port" or a socket's path; NULL or "": none */
    const char *redis_password; /* NULL: none */
    unsigned redis_deadline_ms;
    unsigned gateways;
    struct gw_metrics *metrics; /* borrowed, may be NULL */
};

int gw_limiter_new(const struct gw_limiter_config *config, struct gw_limiter **ret,
                   struct err *err);
struct gw_limiter *gw_limiter_free(struct gw_limiter *limiter);

struct gw_limit_key {
    enum gw_limit limit;
    char subject[GW_LIMIT_KEY_SIZE]; /* a user's id or an address */
};

struct gw_limit_verdict {
    bool allowed;
    enum gw_limit which; /* refused: by this one */
    unsigned per_minute; /* its limit */
    uint64_t retry_ms;   /* refused: when it will be allowed again */
    /* for gw_limiter_give_back() */
    uint32_t stamp;
    char member[40];
};

/** gw_limiter_take() - all keys are checked first, then all are counted. Worker threads (may wait
 * for Redis up to its deadline). */
void gw_limiter_take(struct gw_limiter *limiter, const struct gw_limit_key *keys, size_t n,
                     const char *request_id, struct gw_limit_verdict *ret);
/** gw_limiter_give_back() - what an allowed verdict took from @key did not happen. */
void gw_limiter_give_back(struct gw_limiter *limiter, const struct gw_limit_key *key,
                          const struct gw_limit_verdict *verdict);
/** gw_limiter_sweep() - forget who has been silent for a window; now and then. */
void gw_limiter_sweep(struct gw_limiter *limiter);

struct gw_limiter_stats {
    size_t keys;
    bool redis_configured, redis_up;
};
void gw_limiter_stats(struct gw_limiter *limiter, struct gw_limiter_stats *ret);
