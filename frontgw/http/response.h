#pragma once
/*
 * An answer under construction. The handler fills it on a worker thread; the loop thread of the
 * connection sends it and releases it. The headers that every answer carries (CSP, nosniff, request
 * id ...) are added by the server.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frontgw/http/problem.h"

struct err;
struct gw_request;

#define GW_RESPONSE_HEADERS_MAX 12

struct gw_response_header {
    const char *name; /* static, lower case */
    char *value;      /* owned */
};

struct gw_response {
    int status;              /* 0: nothing decided yet */
    enum gw_problem problem; /* what the problem document says; GW_PROBLEM_NONE */
    char *body;              /* owned; or NULL */
    const char *shared;      /* instead of body: bytes that outlive every answer (static files) */
    size_t body_size;        /* of body or shared */
    int fd;                  /* owned; sent from fd_offset, fd_size bytes; -EBADF: none */
    uint64_t fd_offset, fd_size;
    struct gw_response_header headers[GW_RESPONSE_HEADERS_MAX];
    size_t n_headers;
    bool close; /* end the connection after this answer */
};

void gw_response_init(struct gw_response *res);
void gw_response_done(struct gw_response *res);

/** gw_header_set() - add or replace; @name static lower case, @value copied (-EINVAL on CR, LF, NUL
 * or non-ASCII). */
int gw_header_set(struct gw_response *res, const char *name, const char *value);
int gw_header_setf(struct gw_response *res, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The answers. Each returns 0 or -ENOMEM, so that a handler can end with `return gw_reply_...`. */

/** gw_reply_json() - takes @json (NULL: -ENOMEM, so that a failed json_pack() needs no check of its
 * own). */
int gw_reply_json(struct gw_response *res, int status, json_t *json);
/** gw_reply_empty() - 204, or a 201 with only a Location. */
int gw_reply_empty(struct gw_response *res, int status);
/** gw_reply_bytes() - takes @bytes (malloc'd). */
int gw_reply_bytes(struct gw_response *res, int status, const char *type, char *bytes, size_t size);

/* A stored content: bytes in memory or a descriptor. */
struct gw_content {
    const char *type;     /* "text/x-python"; unsafe types are sent as application/octet-stream */
    const char *filename; /* UTF-8; sent as Content-Disposition: attachment */
    const char *etag;     /* without quotes; NULL: none */
    bool inline_ok; /* the caller vouches that a browser may show it; only images, PDF and plain
                       text ever are */
    int fd;         /* taken; -EBADF: @bytes instead */
    char *bytes;    /* taken */
    uint64_t size;
};
/**
 * gw_reply_content() - 200, 206 (one range), 304 or 416, from @req's Range, If-Range and
 * If-None-Match
 *
 * Always with nosniff, a sandboxing CSP of its own and `private, no-cache`.
 */
int gw_reply_content(const struct gw_request *req, struct gw_response *res,
                     struct gw_content *content);

/** gw_reply_problem() - an RFC 9457 document; status and title come from problem.h's table. */
int gw_reply_problem(struct gw_response *res, enum gw_problem problem, const char *detail, ...)
    __attribute__((format(printf, 3, 4)));
/** gw_reply_problem_with() - with further members (taken; an object). */
int gw_reply_problem_with(struct gw_response *res, enum gw_problem problem, json_t *more,
                          const char *detail, ...) __attribute__((format(printf, 4, 5)));
/** gw_reply_invalid() - 422 naming the field. */
int gw_reply_invalid(struct gw_response *res, const char *field, const char *detail, ...)
    __attribute__((format(printf, 3, 4)));

/** gw_set_session_cookie() - @token NULL: take the cookie away. `__Host-cloister` over https,
 * `cloister` over plain loopback HTTP. */
int gw_set_session_cookie(const struct gw_request *req, struct gw_response *res, const char *token,
                          uint64_t max_age_s);
