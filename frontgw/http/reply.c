#include "frontgw/http/response.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "frontgw/http/request.h"

void gw_response_init(struct gw_response *res)
{
    *res = (struct gw_response){.fd = -EBADF};
}

void gw_response_done(struct gw_response *res)
{
    free(res->body);
    fd_close(res->fd);
    for (size_t i = 0; i < res->n_headers; i++)
        free(res->headers[i].value);
    gw_response_init(res);
}

/* A new answer replaces what was said before, except headers set by name (cookies). */
static void forget_content(struct gw_response *res)
{
    free(take_ptr(res->body));
    res->shared = NULL;
    res->body_size = 0;
    res->fd = fd_close(res->fd);
    res->problem = GW_PROBLEM_NONE;
}

static bool value_ok(const char *value)
{
    for (; *value; value++) {
        unsigned char c = (unsigned char)*value;
        if ((c < 0x20 && c != '\t') || c >= 0x7f)
            return false;
    }
    return true;
}

int gw_header_set(struct gw_response *res, const char *name, const char *value)
{
    if (!value_ok(value))
        return -EINVAL;
    char *copy = strdup(value);
    if (!copy)
        return -ENOMEM;
    for (size_t i = 0; i < res->n_headers; i++) {
        if (strcmp(res->headers[i].name, name) == 0) {
            free(res->headers[i].value);
            res->headers[i].value = copy;
            return 0;
        }
    }
    if (res->n_headers == GW_RESPONSE_HEADERS_MAX) {
        free(copy);
        return -ENOSPC;
    }
    res->headers[res->n_headers++] = (struct gw_response_header){name, copy};
    return 0;
}

int gw_header_setf(struct gw_response *res, const char *name, const char *format, ...)
{
    AUTO_FREE char *text = NULL;
    va_list args;

    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    if (n < 0) {
        text = NULL;
        return -ENOMEM;
    }
    return gw_header_set(res, name, text);
}

int gw_reply_bytes(struct gw_response *res, int status, const char *type, char *bytes, size_t size)
{
    forget_content(res);
    res->status = status;
    res->body = bytes;
    res->body_size = size;
    return gw_header_set(res, "content-type", type);
}

static int reply_json_as(struct gw_response *res, int status, const char *type, json_t *json)
{
    if (!json)
        return -ENOMEM;
    char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
    json_decref(json);
    if (!text)
        return -ENOMEM;
    int r = gw_reply_bytes(res, status, type, text, strlen(text));
    if (r < 0)
        return r;
    return gw_header_set(res, "cache-control", "no-store");
}

int gw_reply_json(struct gw_response *res, int status, json_t *json)
{
    return reply_json_as(res, status, "application/json", json);
}

int gw_reply_empty(struct gw_response *res, int status)
{
    forget_content(res);
    res->status = status;
    return gw_header_set(res, "cache-control", "no-store");
}

static int reply_problem(struct gw_response *res, enum gw_problem problem, json_t *more,
                         const char *format, va_list args)
{
    const struct gw_problem_info *info = gw_problem_info(problem);
    AUTO_FREE char *detail = NULL;

    if (vasprintf(&detail, format, args) < 0) {
        detail = NULL;
        json_decref(more);
        return -ENOMEM;
    }
    json_t *text = json_string(detail);
    json_t *doc =
        json_pack("{s:s+, s:s, s:i, s:s, s:o*}", "type", "urn:cloister:problem:", info->code,
                  "title", info->title, "status", info->status, "code", info->code, "detail",
                  text ? text : json_string("(not printable)"));
    if (doc && more && json_object_update_missing(doc, more) < 0) {
        json_decref(doc);
        doc = NULL;
    }
    json_decref(more);
    int r = reply_json_as(res, info->status, "application/problem+json", doc);
    res->problem = problem;
    return r;
}

int gw_reply_problem(struct gw_response *res, enum gw_problem problem, const char *detail, ...)
{
    va_list args;

    va_start(args, detail);
    int r = reply_problem(res, problem, NULL, detail, args);
    va_end(args);
    return r;
}

int gw_reply_problem_with(struct gw_response *res, enum gw_problem problem, json_t *more,
                          const char *detail, ...)
{
    va_list args;

    va_start(args, detail);
    int r = reply_problem(res, problem, more, detail, args);
    va_end(args);
    return r;
}

int gw_reply_invalid(struct gw_response *res, const char *field, const char *detail, ...)
{
    va_list args;

    va_start(args, detail);
    int r = reply_problem(res, GW_PROBLEM_INVALID_VALUE, json_pack("{s:s}", "field", field), detail,
                          args);
    va_end(args);
    return r;
}

int gw_set_session_cookie(const struct gw_request *req, struct gw_response *res, const char *token,
                          uint64_t max_age_s)
{
    return gw_header_setf(res, "set-cookie",
                          "%s=%s; Path=/; HttpOnly; SameSite=Lax; Max-Age=%llu%s",
                          req->secure ? "__Host-cloister" : "cloister", token ? token : "",
                          token ? (unsigned long long)max_age_s : 0ULL,
                          req->secure ? "; Secure" : "");
}
