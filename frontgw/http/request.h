#pragma once
/*
 * A request as a handler sees it: parsed, checked for origin and forgery, identified and within its
 * rates. It belongs to the worker thread that runs the handler until the handler returns; nothing
 * in it may be kept afterwards (take the body's descriptor with take_fd(&req->body_fd)).
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/trace.h"

struct gw_context;
struct gw_route;

enum gw_method { GW_GET, GW_HEAD, GW_POST, GW_PUT, GW_PATCH, GW_DELETE, GW_METHOD_COUNT };

/* "GET"; gw_method_by_name() returns -1 for any other word. */
const char *gw_method_name(enum gw_method method);
int gw_method_by_name(const char *name);

#define GW_ID_SIZE      27 /* a ULID and its NUL */
#define GW_LOGIN_SIZE   65
#define GW_SESSION_SIZE 65
#define GW_ADDRESS_SIZE 46
#define GW_PARAMS_MAX   6
#define GW_QUERY_MAX    12

enum gw_via { GW_VIA_NOBODY, GW_VIA_SESSION, GW_VIA_API_KEY };

/* Who asks. Filled by the identify hook (frontgw/context.h) before the handler runs. */
struct gw_identity {
    enum gw_via via;
    char user[GW_ID_SIZE];
    char login[GW_LOGIN_SIZE];
    bool admin;
    bool must_change_password;
    char
        session[GW_SESSION_SIZE]; /* names the session (never the secret): what revocation closes */
    uint32_t scopes;              /* of an API key; all bits for a session */
};

/* Headers that are kept; everything else is dropped. NULL when absent. */
enum gw_header {
    GW_H_ACCEPT,
    GW_H_ACCEPT_ENCODING,
    GW_H_AUTHORIZATION,
    GW_H_CONTENT_TYPE,
    GW_H_COOKIE,
    GW_H_HOST,
    GW_H_IF_MATCH,
    GW_H_IF_NONE_MATCH,
    GW_H_IF_RANGE,
    GW_H_ORIGIN,
    GW_H_RANGE,
    GW_H_SEC_FETCH_SITE,
    GW_H_TRACEPARENT,
    GW_H_USER_AGENT,
    GW_H_X_CLOISTER, /* the custom header that a plain HTML form cannot send */
    GW_H_X_FORWARDED_FOR,
    GW_H_X_FORWARDED_PROTO,
    GW_H_CAUSE, /* X-Cloister-Cause: why a file is saved (autosave, save, run ...) */
    GW_H_COUNT
};

struct gw_pair {
    const char *name;
    const char *value;
};

struct gw_request {
    struct gw_context *context;
    const struct gw_route *route;
    enum gw_method method;
    char *
        path; /* decoded and checked: UTF-8, begins with '/', no control characters, no dot parts */
    char *params[GW_PARAMS_MAX]; /* values of {names} of the template, in order; decoded */
    struct gw_pair query[GW_QUERY_MAX];
    size_t n_query;
    char *headers[GW_H_COUNT];
    char *token;                   /* value of the session cookie, or NULL */
    char address[GW_ADDRESS_SIZE]; /* of the client, trusted proxies taken into account */
    char request_id[GW_ID_SIZE];
    struct trace trace; /* the caller's, or one of ours */
    bool secure;        /* the browser speaks https: to us, or to a proxy in front of us */
    struct gw_identity identity;

    json_t *json; /* GW_BODY_JSON: the parsed body; NULL if the route allows none and none came */
    const void *body; /* GW_BODY_JSON and GW_BODY_BYTES; NUL-terminated beyond body_size */
    int body_fd;      /* GW_BODY_FILE: an unlinked temporary file at offset 0; else -EBADF */
    uint64_t body_size;

    uint64_t received_us; /* CLOCK_MONOTONIC */
    uint64_t wall_ms;     /* CLOCK_REALTIME of arrival: the "now" of everything the request does */

    void *storage; /* memory of the strings above */
};

/** gw_param() - value of `{name}` in the route's template; never NULL (a wrong name is a
 * programming error). */
const char *gw_param(const struct gw_request *req, const char *name);
/** gw_query() - value of a query parameter, or NULL. Only names that the route lists ever arrive.
 */
const char *gw_query(const struct gw_request *req, const char *name);
/** gw_query_u64() - @fallback when absent. Return: 0, or -EINVAL when it is no number within [min,
 * max]. */
int gw_query_u64(const struct gw_request *req, const char *name, uint64_t min, uint64_t max,
                 uint64_t fallback, uint64_t *ret);

static inline const char *gw_header(const struct gw_request *req, enum gw_header id)
{
    return req->headers[id];
}
