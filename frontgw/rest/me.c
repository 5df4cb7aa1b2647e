/* Logging in and out, and what one may do with one's own account. */
#include "frontgw/rest/rest.h"

#include "frontgw/people/people.h"

#include <errno.h>
#include <string.h>

#define MONTH_MS (30ull * 24 * 3600 * 1000)

static uint64_t cookie_age_s(const struct gw_request *req)
{
    return req->context->people->options.session_absolute_ms / 1000;
}

static int answer_me(struct gw_request *req, struct gw_response *res, const struct gw_actor *actor,
                     struct err *err)
{
    json_t *me = NULL;
    int r = gw_account_get(req->context->people, actor, actor->account, &me, err);
    return rest_json(res, r, 200, me, err);
}

static int login(struct gw_request *req, struct gw_response *res, struct err *err)
{
    struct gw_actor actor = rest_actor(req);
    struct gw_login_result result = {0};
    struct gw_login in = {.agent = gw_header(req, GW_H_USER_AGENT), .old_token = req->token};
    if (!gw_field_only(res, req->json, "login password") ||
        !gw_field_text(res, req->json, "login", 1, 64, &in.login) ||
        !gw_field_text(res, req->json, "password", 1, PASSWORD_MAX, &in.password))
        return 0;
    int r = gw_login(req->context->people, &actor, &in, &result, err);
    if (r == GW_PROBLEM_LOGIN_DELAYED) {
        gw_header_setf(res, "retry-after", "%llu",
                       (unsigned long long)(result.retry_ms + 999) / 1000);
        return gw_reply_problem_with(res, GW_PROBLEM_LOGIN_DELAYED,
                                     json_pack("{sI}", "retry_after_ms",
                                               (json_int_t)result.retry_ms),
                                     "%s", err->text);
    }
    if (r)
        return rest_refuse(res, r, err);
    gw_set_session_cookie(req, res, result.token, cookie_age_s(req));
    actor.account = result.account;
    return answer_me(req, res, &actor, err);
}

static int logout(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    gw_set_session_cookie(req, res, NULL, 0);
    return rest_done(res, gw_logout(req->context->people, &actor, err), err);
}

static int me_get(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    return answer_me(req, res, &actor, err);
}

static int me_change(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    struct gw_account_change change = {.admin = -1};
    if (!gw_field_only(res, req->json, "name locale") ||
        !gw_field_text_opt(res, req->json, "name", 1, 200, &change.name) ||
        !gw_field_text_opt(res, req->json, "locale", 0, 35, &change.locale))
        return 0;
    int r = gw_account_change(req->context->people, &actor, actor.account, &change, err);
    return r ? rest_refuse(res, r, err) : answer_me(req, res, &actor, err);
}

static int password_change(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    const char *old = NULL, *new = NULL;
    char token[TOKEN_SIZE];
    if (!gw_field_only(res, req->json, "old new") ||
        !gw_field_text(res, req->json, "old", 1, PASSWORD_MAX, &old) ||
        !gw_field_text(res, req->json, "new", 1, PASSWORD_MAX, &new))
        return 0;
    int r = gw_password_change(req->context->people, &actor, old, new,
                               gw_header(req, GW_H_USER_AGENT), token, err);
    if (r)
        return rest_refuse(res, r, err);
    gw_set_session_cookie(req, res, token, cookie_age_s(req));
    return gw_reply_empty(res, 204);
}

static int sessions_list(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    json_t *items = NULL;
    int r = gw_sessions_list(req->context->people, &actor, &items, err);
    for (size_t i = 0; !r && i < json_array_size(items); i++) {
        json_t *one = json_array_get(items, i);
        const char *id = json_string_value(json_object_get(one, "id"));
        json_object_set_new(one, "current", json_boolean(id && !strcmp(id, actor.session)));
    }
    return rest_list(res, r, items, err);
}

static int session_revoke(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    return rest_done(res,
                     gw_session_revoke(req->context->people, &actor, gw_param(req, "session"), err),
                     err);
}

static int keys_list(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    json_t *items = NULL;
    int r = gw_keys_list(req->context->people, &actor, &items, err);
    return rest_list(res, r, items, err);
}

/* "scopes": ["read", "write"] */
static bool scopes_of(struct gw_response *res, const json_t *body, uint32_t *ret)
{
    const json_t *list = json_object_get(body, "scopes");
    *ret = 0;
    for (size_t i = 0; json_is_array(list) && i < json_array_size(list); i++) {
        const char *word = json_string_value(json_array_get(list, i));
        uint32_t bit = word ? gw_scope_by_name(word) : 0;
        if (!bit) {
            *ret = 0;
            break;
        }
        *ret |= bit;
    }
    if (!*ret)
        gw_reply_invalid(res, "scopes", "a list of read, write, submit, course, admin, run");
    return *ret != 0;
}

static int key_create(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    const char *name = NULL;
    uint32_t scopes = 0;
    int64_t expires = (int64_t)(req->wall_ms + MONTH_MS);
    char id[ULID_SIZE], key[GW_KEY_SIZE];
    if (!gw_field_only(res, req->json, "name scopes expires_ms") ||
        !gw_field_text(res, req->json, "name", 1, 100, &name) ||
        !scopes_of(res, req->json, &scopes) ||
        !gw_field_int_opt(res, req->json, "expires_ms", 1, INT64_MAX, &expires))
        return 0;
    int r =
        gw_key_create(req->context->people, &actor, name, scopes, (uint64_t)expires, id, key, err);
    if (r)
        return rest_refuse(res, r, err);
    return gw_reply_json(res, 201,
                         json_pack("{ss ss sI}", "id", id, "key", key, "expires_ms",
                                   (json_int_t)expires));
}

static int key_revoke(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    return rest_done(res, gw_key_revoke(req->context->people, &actor, gw_param(req, "key"), err),
                     err);
}

static const struct gw_route rows[] = {
    {.method = GW_POST,
     .template = "/api/v1/login",
     .operation = "login",
     .handler = login,
     .auth = GW_AUTH_NONE,
     .rate = GW_RATE_LOGIN,
     .lane = GW_LANE_PASSWORD,
     .body = GW_BODY_JSON,
     .statuses = "200 401 422 429"},
    {.method = GW_POST,
     .template = "/api/v1/logout",
     .operation = "logout",
     .handler = logout,
     .auth = GW_AUTH_USER,
     .statuses = "204 404",
     .password_due_ok = true},
    {.method = GW_GET,
     .template = "/api/v1/me",
     .operation = "getMe",
     .handler = me_get,
     .auth = GW_AUTH_USER,
     .statuses = "200",
     .scope = GW_SCOPE_READ,
     .password_due_ok = true},
    {.method = GW_PATCH,
     .template = "/api/v1/me",
     .operation = "changeMe",
     .handler = me_change,
     .auth = GW_AUTH_USER,
     .body = GW_BODY_JSON,
     .statuses = "200 422"},
    {.method = GW_POST,
     .template = "/api/v1/me/password",
     .operation = "changePassword",
     .handler = password_change,
     .auth = GW_AUTH_USER,
     .lane = GW_LANE_PASSWORD,
     .body = GW_BODY_JSON,
     .statuses = "204 401 422",
     .password_due_ok = true},
    {.method = GW_GET,
     .template = "/api/v1/me/sessions",
     .operation = "listSessions",
     .handler = sessions_list,
     .auth = GW_AUTH_USER,
     .statuses = "200"},
    {.method = GW_DELETE,
     .template = "/api/v1/me/sessions/{session}",
     .operation = "revokeSession",
     .handler = session_revoke,
     .auth = GW_AUTH_USER,
     .statuses = "204 404"},
    {.method = GW_GET,
     .template = "/api/v1/me/keys",
     .operation = "listKeys",
     .handler = keys_list,
     .auth = GW_AUTH_USER,
     .statuses = "200"},
    {.method = GW_POST,
     .template = "/api/v1/me/keys",
     .operation = "createKey",
     .handler = key_create,
     .auth = GW_AUTH_USER,
     .body = GW_BODY_JSON,
     .statuses = "201 403 409 422"},
    {.method = GW_DELETE,
     .template = "/api/v1/me/keys/{key}",
     .operation = "revokeKey",
     .handler = key_revoke,
     .auth = GW_AUTH_USER,
     .statuses = "204 404"},
};
REST_PART(me, rows);
