/*
 * grpc.health.v1: Check answers, Watch says the state and each change. A watcher that cannot be
 * written to gets the newest state later, not every one in between.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/health/v1/health.pb-c.h>

#include "api/arena.h"
#include "api/rpc_internal.h"
#include "base/err.h"

#define SERVICES_MAX     16
#define SERVICE_NAME_MAX 96
#define REQUEST_MAX      1024

typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus serving_status;
#define STATUS(name) GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name

struct service {
    char name[SERVICE_NAME_MAX];
    bool serving;
};

struct watch {
    struct watch *prev, *next;
    struct rpc_health *health;
    struct rpc_call *call;
    struct service *service; /* NULL: not known */
    bool asked;              /* the request is here */
    serving_status sent;
    bool sent_any;
};

struct rpc_health {
    struct rpc_server *server;
    struct service services[SERVICES_MAX];
    size_t n_services;
    struct watch *watches;
    bool draining;
};

static struct service *health_find(struct rpc_health *health, const char *name)
{
    for (size_t i = 0; i < health->n_services; i++) {
        if (strcmp(health->services[i].name, name) == 0)
            return &health->services[i];
    }
    return NULL;
}

/* "/pkg.Service/Method" declares pkg.Service. Called late, when all methods are known. */
static void health_learn(struct rpc_health *health)
{
    for (size_t i = 0; i < health->server->n_methods; i++) {
        const char *path = health->server->methods[i].method->path + 1;
        size_t len = strcspn(path, "/");
        char name[SERVICE_NAME_MAX];
        if (len >= sizeof(name) || strncmp(path, "grpc.", 5) == 0)
            continue;
        snprintf(name, sizeof(name), "%.*s", (int)len, path);
        if (health_find(health, name) || health->n_services == SERVICES_MAX)
            continue;
        snprintf(health->services[health->n_services++].name, SERVICE_NAME_MAX, "%s", name);
    }
}

static int send_status(struct rpc_call *call, serving_status status)
{
    Grpc__Health__V1__HealthCheckResponse response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    response.status = status;
    return rpc_call_send(call, &response.base);
}

/* Return: false when the call was ended because the request is unfit. */
static bool read_request(struct rpc_call *call, struct rpc_health *health, const uint8_t *bytes,
                         size_t len, struct service **ret)
{
    AUTO_ARENA struct arena arena;
    arena_init(&arena, arena_cap_for(REQUEST_MAX));
    Grpc__Health__V1__HealthCheckRequest *request = NULL;
    if (len <= REQUEST_MAX)
        request = grpc__health__v1__health_check_request__unpack(&arena.allocator, len, bytes);
    if (!request) {
        rpc_call_finish_code(call, RPC_INVALID_ARGUMENT, "not a HealthCheckRequest");
        return false;
    }
    health_learn(health);
    *ret = health_find(health, request->service);
    return true;
}

static void check_start(struct rpc_call *call, void *arg)
{
    rpc_call_set_user(call, arg);
}

static void check_message(struct rpc_call *call, const uint8_t *bytes, size_t len)
{
    struct rpc_health *health = rpc_call_user(call);
    struct service *service;
    if (!read_request(call, health, bytes, len, &service))
        return;
    if (!service) {
        rpc_call_finish_code(call, RPC_NOT_FOUND, "no such service here");
        return;
    }
    if (send_status(call, service->serving ? STATUS(SERVING) : STATUS(NOT_SERVING)) == 0)
        rpc_call_finish_ok(call);
}

static void check_close(struct rpc_call *call, bool cancelled)
{
    (void)call;
    (void)cancelled;
}

static void watch_update(struct watch *watch)
{
    serving_status now = STATUS(SERVICE_UNKNOWN);
    if (watch->service)
        now = watch->service->serving ? STATUS(SERVING) : STATUS(NOT_SERVING);
    if (!rpc_call_writable(watch->call))
        return; /* on_writable comes back here */
    if (watch->asked && !(watch->sent_any && watch->sent == now)) {
        if (send_status(watch->call, now) < 0)
            return;
        watch->sent = now;
        watch->sent_any = true;
    }
    if (watch->health->draining) /* takes effect behind what was just sent */
        rpc_call_finish_code(watch->call, RPC_UNAVAILABLE, "the service is shutting down");
}

static void watch_start(struct rpc_call *call, void *arg)
{
    struct rpc_health *health = arg;
    struct watch *watch = calloc(1, sizeof(*watch));
    if (!watch) {
        rpc_call_finish_code(call, RPC_RESOURCE_EXHAUSTED, "no memory");
        return;
    }
    watch->health = health;
    watch->call = call;
    watch->next = health->watches;
    if (watch->next)
        watch->next->prev = watch;
    health->watches = watch;
    rpc_call_set_user(call, watch);
}

static void watch_message(struct rpc_call *call, const uint8_t *bytes, size_t len)
{
    struct watch *watch = rpc_call_user(call);
    if (!read_request(call, watch->health, bytes, len, &watch->service))
        return;
    watch->asked = true;
    watch_update(watch);
}

static void watch_writable(struct rpc_call *call)
{
    watch_update(rpc_call_user(call));
}

static void watch_close(struct rpc_call *call, bool cancelled)
{
    (void)cancelled;
    struct watch *watch = rpc_call_user(call);
    if (!watch)
        return;
    if (watch->prev)
        watch->prev->next = watch->next;
    else
        watch->health->watches = watch->next;
    if (watch->next)
        watch->next->prev = watch->prev;
    free(watch);
}

static const struct rpc_method check_method = {
    .path = "/grpc.health.v1.Health/Check",
    .shape = RPC_ONE_REQUEST,
    .on_start = check_start,
    .on_message = check_message,
    .on_close = check_close,
};

static const struct rpc_method watch_method = {
    .path = "/grpc.health.v1.Health/Watch",
    .shape = RPC_ONE_REQUEST, /* not aside: it says NOT_SERVING before it ends */
    .on_start = watch_start,
    .on_message = watch_message,
    .on_writable = watch_writable,
    .on_close = watch_close,
};

int rpc_health_add(struct rpc_server *server, struct err *err)
{
    struct rpc_health *health = calloc(1, sizeof(*health));
    if (!health)
        return err_set(err, -ENOMEM, "health: %m");
    health->server = server;
    health->n_services = 1; /* "": the whole server */
    server->health = health;
    int rc = rpc_server_add(server, &check_method, health, err);
    return rc < 0 ? rc : rpc_server_add(server, &watch_method, health, err);
}

void rpc_server_health(struct rpc_server *server, const char *service, bool serving)
{
    struct rpc_health *health = server->health;
    health_learn(health);
    struct service *found = health_find(health, service);
    if (!found || server->draining)
        return;
    found->serving = serving;
    for (struct watch *watch = health->watches; watch; watch = watch->next)
        watch_update(watch);
}

void rpc_health_drain(struct rpc_server *server)
{
    struct rpc_health *health = server->health;
    if (!health)
        return;
    for (size_t i = 0; i < health->n_services; i++)
        health->services[i].serving = false;
    health->draining = true;
    for (struct watch *watch = health->watches; watch; watch = watch->next)
        watch_update(watch);
}

struct rpc_health *rpc_health_free(struct rpc_health *health)
{
    free(health);
    return NULL;
}
