#include "frontgw/limits/redis.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "frontgw/ops/metrics.h"

#define FAILURES_TO_OPEN 3
#define PROBE_EVERY_MS   1000
#define IDLE_MAX         64

static const char script[] =
    "local t=redis.call('TIME') local now=t[1]*1000+math.floor(t[2]/1000) local wait,which=0,0\n"
    "for i,k in ipairs(KEYS) do local lim,win=tonumber(ARGV[2*i]),tonumber(ARGV[2*i+1])\n"
    "  redis.call('ZREMRANGEBYSCORE',k,'-inf',now-win) local n=redis.call('ZCARD',k)\n"
    "  if n>=lim then local o=redis.call('ZRANGE',k,n-lim,n-lim,'WITHSCORES')\n"
    "    local w=tonumber(o[2])+win-now if w>wait then wait=w which=i end end end\n"
    "if wait>0 then return {0,wait,which} end\n"
    "for i,k in ipairs(KEYS) do redis.call('ZADD',k,now,ARGV[1])\n"
    "  redis.call('PEXPIRE',k,ARGV[2*i+1]) end\n"
    "return {1,0,0}";

struct redis_limits {
    char *host; /* or the socket's path */
    int port;   /* 0: a socket */
    char *password;
    struct timeval deadline;
    struct gw_metrics *metrics;
    pthread_mutex_t lock;
    redisContext *idle[IDLE_MAX]; /* connections nobody uses now */
    size_t n_idle;
    unsigned failures;
    uint64_t next_probe_ms; /* with the circuit open */
};

int redis_limits_new(const struct gw_limiter_config *config, struct redis_limits **ret,
                     struct err *err)
{
    struct redis_limits *redis = calloc(1, sizeof(*redis));
    const char *colon = strrchr(config->redis, ':');

    if (!redis)
        return err_set(err, -ENOMEM, "redis: %m");
    if (config->redis[0] == '/') {
        redis->host = strdup(config->redis);
    } else if (colon && colon > config->redis) {
        redis->host = strndup(config->redis, (size_t)(colon - config->redis));
        redis->port = (int)strtol(colon + 1, NULL, 10);
    }
    if (config->redis_password)
        redis->password = strdup(config->redis_password);
    pthread_mutex_init(&redis->lock, NULL);
    if (!redis->host || redis->port < 0 || redis->port > 65535 ||
        (redis->host[0] != '/' && redis->port == 0)) {
        redis_limits_free(redis);
        return err_set(err, -EINVAL, "%s is neither host:port nor the path of a socket",
                       config->redis);
    }
    redis->deadline = (struct timeval){.tv_sec = config->redis_deadline_ms / 1000,
                                       .tv_usec = config->redis_deadline_ms % 1000 * 1000};
    redis->metrics = config->metrics;
    *ret = redis;
    return 0;
}

struct redis_limits *redis_limits_free(struct redis_limits *redis)
{
    if (!redis)
        return NULL;
    while (redis->n_idle > 0)
        redisFree(redis->idle[--redis->n_idle]);
    pthread_mutex_destroy(&redis->lock);
    free(redis->host);
    free(redis->password);
    free(redis);
    return NULL;
}

/* ---- the circuit ---- */

static bool may_ask(struct redis_limits *redis)
{
    uint64_t now = clock_ms();
    bool ok = true;

    pthread_mutex_lock(&redis->lock);
    if (redis->failures >= FAILURES_TO_OPEN) {
        ok = now >= redis->next_probe_ms;
        if (ok)
            redis->next_probe_ms = now + PROBE_EVERY_MS;
    }
    pthread_mutex_unlock(&redis->lock);
    return ok;
}

static void note(struct redis_limits *redis, bool answered)
{
    gw_metrics_add(redis->metrics, GW_C_REDIS_CALLS, 1);
    if (!answered)
        gw_metrics_add(redis->metrics, GW_C_REDIS_FAILURES, 1);
    pthread_mutex_lock(&redis->lock);
    redis->failures = answered ? 0 : redis->failures + 1;
    if (redis->failures == FAILURES_TO_OPEN)
        redis->next_probe_ms = clock_ms() + PROBE_EVERY_MS;
    pthread_mutex_unlock(&redis->lock);
}

bool redis_limits_up(struct redis_limits *redis)
{
    pthread_mutex_lock(&redis->lock);
    bool up = redis->failures < FAILURES_TO_OPEN;
    pthread_mutex_unlock(&redis->lock);
    return up;
}

/* ---- connections ---- */

static redisContext *open_context(struct redis_limits *redis)
{
    redisContext *c = redis->port
                          ? redisConnectWithTimeout(redis->host, redis->port, redis->deadline)
                          : redisConnectUnixWithTimeout(redis->host, redis->deadline);

    if (!c || c->err || redisSetTimeout(c, redis->deadline) != REDIS_OK) {
        if (c)
            redisFree(c);
        return NULL;
    }
    if (redis->password) {
        redisReply *reply = redisCommand(c, "AUTH %s", redis->password);
        bool ok = reply && reply->type != REDIS_REPLY_ERROR;
        if (reply)
            freeReplyObject(reply);
        if (!ok) {
            redisFree(c);
            return NULL;
        }
    }
    return c;
}

static redisContext *borrow(struct redis_limits *redis)
{
    redisContext *c = NULL;

    pthread_mutex_lock(&redis->lock);
    if (redis->n_idle > 0)
        c = redis->idle[--redis->n_idle];
    pthread_mutex_unlock(&redis->lock);
    return c ? c : open_context(redis);
}

/* A context with an error is of no further use: hiredis cannot reconnect it safely. */
static void put_back(struct redis_limits *redis, redisContext *c)
{
    pthread_mutex_lock(&redis->lock);
    if (!c->err && redis->n_idle < IDLE_MAX) {
        redis->idle[redis->n_idle++] = c;
        c = NULL;
    }
    pthread_mutex_unlock(&redis->lock);
    if (c)
        redisFree(c);
}

/* One command within the deadline; NULL: no answer. */
static redisReply *ask(struct redis_limits *redis, int argc, const char **argv)
{
    redisContext *c = borrow(redis);
    redisReply *reply = NULL;

    if (c) {
        reply = redisCommandArgv(c, argc, argv, NULL);
        put_back(redis, c);
    }
    if (reply && reply->type == REDIS_REPLY_ERROR) {
        freeReplyObject(reply);
        reply = NULL;
    }
    note(redis, reply != NULL);
    return reply;
}

/* ---- the windows ---- */

static void key_name(const struct gw_limit_key *key, char *ret, size_t size)
{
    /* One hash tag, so that all keys of a call live on one node of a cluster. */
    snprintf(ret, size, "{cloister}:rate:%s:%s", gw_limit_name(key->limit), key->subject);
}

static enum redis_answer read_answer(const redisReply *reply, size_t n, size_t *ret_which,
                                     uint64_t *ret_retry_ms)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3)
        return REDIS_SILENT;
    for (size_t i = 0; i < 3; i++) {
        if (reply->element[i]->type != REDIS_REPLY_INTEGER)
            return REDIS_SILENT;
    }
    if (reply->element[0]->integer == 1)
        return REDIS_ALLOWED;
    long long wait = reply->element[1]->integer, which = reply->element[2]->integer;
    if (wait <= 0 || which < 1 || (size_t)which > n)
        return REDIS_SILENT;
    *ret_retry_ms = (uint64_t)wait;
    *ret_which = (size_t)which - 1;
    return REDIS_REFUSED;
}

enum redis_answer redis_limits_take(struct redis_limits *redis, const struct gw_limit_key *keys,
                                    const unsigned *per_minute, size_t n, const char *member,
                                    size_t *ret_which, uint64_t *ret_retry_ms)
{
    char names[GW_LIMIT_KEYS_MAX][128], numbers[GW_LIMIT_KEYS_MAX][2][16], count[16];
    const char *argv[4 + 3 * GW_LIMIT_KEYS_MAX] = {"EVAL", script, count};
    int argc = 3;

    if (!may_ask(redis))
        return REDIS_SILENT;
    snprintf(count, sizeof(count), "%zu", n);
    for (size_t i = 0; i < n; i++) {
        key_name(&keys[i], names[i], sizeof(names[i]));
        argv[argc++] = names[i];
    }
    argv[argc++] = member;
    for (size_t i = 0; i < n; i++) {
        snprintf(numbers[i][0], sizeof(numbers[i][0]), "%u", per_minute[i]);
        snprintf(numbers[i][1], sizeof(numbers[i][1]), "%d", GW_LIMIT_WINDOW_MS);
        argv[argc++] = numbers[i][0];
        argv[argc++] = numbers[i][1];
    }
    redisReply *reply = ask(redis, argc, argv);
    if (!reply)
        return REDIS_SILENT;
    enum redis_answer answer = read_answer(reply, n, ret_which, ret_retry_ms);
    freeReplyObject(reply);
    return answer;
}

void redis_limits_give_back(struct redis_limits *redis, const struct gw_limit_key *key,
                            const char *member)
{
    char name[128];

    if (!may_ask(redis))
        return;
    key_name(key, name, sizeof(name));
    redisReply *reply = ask(redis, 3, (const char *[]){"ZREM", name, member});
    if (reply)
        freeReplyObject(reply);
}
