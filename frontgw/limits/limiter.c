#include "frontgw/limits/limiter.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "frontgw/limits/redis.h"
#include "frontgw/limits/window.h"

/* More clients than that within one minute are refused: memory has an end, and nothing fails open.
 */
#define KEYS_MAX 200000

static const char *const names[GW_LIMIT_COUNT] = {
    [GW_LIMIT_USER] = "user",
    [GW_LIMIT_ADDRESS] = "address",
    [GW_LIMIT_FILES] = "files",
    [GW_LIMIT_CLASS] = "class",
};

struct gw_limiter {
    struct gw_limiter_config config;
    struct redis_limits *redis;
    pthread_mutex_t lock;
    struct windows *windows;
};

const char *gw_limit_name(enum gw_limit limit)
{
    return names[limit];
}

int gw_limiter_new(const struct gw_limiter_config *config, struct gw_limiter **ret, struct err *err)
{
    struct gw_limiter *limiter = calloc(1, sizeof(*limiter));
    int r;

    if (!limiter || windows_new(KEYS_MAX, &limiter->windows) < 0) {
        free(limiter);
        return err_set(err, -ENOMEM, "rate limiter: %m");
    }
    limiter->config = *config;
    pthread_mutex_init(&limiter->lock, NULL);
    r = config->redis && *config->redis ? redis_limits_new(config, &limiter->redis, err) : 0;
    if (r < 0) {
        gw_limiter_free(limiter);
        return r;
    }
    *ret = limiter;
    return 0;
}

struct gw_limiter *gw_limiter_free(struct gw_limiter *limiter)
{
    if (!limiter)
        return NULL;
    redis_limits_free(limiter->redis);
    windows_free(limiter->windows);
    pthread_mutex_destroy(&limiter->lock);
    free(limiter);
    return NULL;
}

static struct window *window_of(struct gw_limiter *limiter, const struct gw_limit_key *key)
{
    char name[GW_LIMIT_KEY_SIZE + 16];

    snprintf(name, sizeof(name), "%s:%s", names[key->limit], key->subject);
    return windows_get(limiter->windows, name);
}

/* What one gateway may let through when it cannot ask the others. */
static unsigned share(const struct gw_limiter *limiter, enum gw_limit limit)
{
    unsigned all = limiter->config.per_minute[limit];
    unsigned gateways = limiter->config.gateways ? limiter->config.gateways : 1;

    return all / gateways ? all / gateways : 1;
}

static void refuse(struct gw_limiter *limiter, struct gw_limit_verdict *ret, enum gw_limit which,
                   uint64_t wait_ms)
{
    ret->allowed = false;
    if (wait_ms <= ret->retry_ms)
        return;
    ret->which = which;
    ret->retry_ms = wait_ms;
    ret->per_minute = limiter->config.per_minute[which];
}

/* All keys are looked at; only if none refuses, all are counted. @alone: with the share only. */
static void take_local(struct gw_limiter *limiter, const struct gw_limit_key *keys, size_t n,
                       bool alone, struct gw_limit_verdict *ret)
{
    struct window *found[GW_LIMIT_KEYS_MAX];

    ret->allowed = true;
    ret->retry_ms = 0;
    for (size_t i = 0; i < n; i++) {
        enum gw_limit limit = keys[i].limit;
        found[i] = window_of(limiter, &keys[i]);
        uint32_t wait = 1000;
        if (found[i])
            wait = window_wait(found[i], ret->stamp, GW_LIMIT_WINDOW_MS,
                               alone ? share(limiter, limit) : limiter->config.per_minute[limit]);
        if (wait)
            refuse(limiter, ret, limit, wait);
    }
    for (size_t i = 0; ret->allowed && i < n; i++) {
        if (window_add(found[i], ret->stamp) == 0)
            continue;
        while (i-- > 0)
            window_remove(found[i], ret->stamp);
        refuse(limiter, ret, keys[0].limit, 1000);
        return;
    }
}

static void take_locked(struct gw_limiter *limiter, const struct gw_limit_key *keys, size_t n,
                        bool alone, struct gw_limit_verdict *ret)
{
    pthread_mutex_lock(&limiter->lock);
    take_local(limiter, keys, n, alone, ret);
    pthread_mutex_unlock(&limiter->lock);
}

static void undo_local(struct gw_limiter *limiter, const struct gw_limit_key *keys, size_t n,
                       uint32_t stamp)
{
    pthread_mutex_lock(&limiter->lock);
    for (size_t i = 0; i < n; i++) {
        struct window *w = window_of(limiter, &keys[i]);
        if (w)
            window_remove(w, stamp);
    }
    pthread_mutex_unlock(&limiter->lock);
}

void gw_limiter_take(struct gw_limiter *limiter, const struct gw_limit_key *keys, size_t n,
                     const char *request_id, struct gw_limit_verdict *ret)
{
    unsigned per_minute[GW_LIMIT_KEYS_MAX] = {0};
    size_t which = 0;
    uint64_t retry_ms = 0;

    *ret = (struct gw_limit_verdict){.stamp = (uint32_t)clock_ms()};
    snprintf(ret->member, sizeof(ret->member), "%s", request_id);
    take_locked(limiter, keys, n, false, ret);
    if (!ret->allowed || !limiter->redis)
        return;
    for (size_t i = 0; i < n; i++)
        per_minute[i] = limiter->config.per_minute[keys[i].limit];
    enum redis_answer answer =
        redis_limits_take(limiter->redis, keys, per_minute, n, ret->member, &which, &retry_ms);
    if (answer == REDIS_ALLOWED)
        return;
    undo_local(limiter, keys, n, ret->stamp);
    if (answer == REDIS_SILENT)
        take_locked(limiter, keys, n, true, ret);
    else
        refuse(limiter, ret, keys[which].limit, retry_ms);
}

void gw_limiter_give_back(struct gw_limiter *limiter, const struct gw_limit_key *key,
                          const struct gw_limit_verdict *verdict)
{
    undo_local(limiter, key, 1, verdict->stamp);
    if (limiter->redis)
        redis_limits_give_back(limiter->redis, key, verdict->member);
}

void gw_limiter_sweep(struct gw_limiter *limiter)
{
    pthread_mutex_lock(&limiter->lock);
    windows_sweep(limiter->windows, (uint32_t)clock_ms(), GW_LIMIT_WINDOW_MS);
    pthread_mutex_unlock(&limiter->lock);
}

void gw_limiter_stats(struct gw_limiter *limiter, struct gw_limiter_stats *ret)
{
    pthread_mutex_lock(&limiter->lock);
    *ret = (struct gw_limiter_stats){.keys = windows_count(limiter->windows),
                                     .redis_configured = limiter->redis != NULL};
    pthread_mutex_unlock(&limiter->lock);
    ret->redis_up = limiter->redis && redis_limits_up(limiter->redis);
}
