/* Other people's accounts: admins, and staff for those whose accounts their course made. */
#include "frontgw/rest/rest.h"

#include "frontgw/people/people.h"

#include <errno.h>

static int users_list(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    const char *after = gw_query(req, "after");
    json_t *items = NULL;
    uint64_t limit = 0;
    if (!rest_u64(req, res, "limit", 1, LIST_LIMIT_MAX, LIST_LIMIT, &limit))
        return 0;
    int r = gw_accounts_list(req->context->people, &actor, after ? after : "", limit, &items, err);
    return rest_list(res, r, items, err);
}

static int user_create(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    struct gw_account_new account = {0};
    char id[ULID_SIZE], password[PASSWORD_ONE_TIME_SIZE];
    if (!gw_field_only(res, req->json, "login name admin") ||
        !gw_field_text(res, req->json, "login", 1, 64, &account.login) ||
        !gw_field_text(res, req->json, "name", 1, 200, &account.name) ||
        !gw_field_bool_opt(res, req->json, "admin", &account.admin))
        return 0;
    int r = gw_account_create(req->context->people, &actor, &account, id, password, err);
    return rest_json(res, r, 201,
                     r ? NULL
                       : json_pack("{ss ss ss}", "id", id, "login", account.login, "password",
                                   password),
                     err);
}

static int answer_user(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    json_t *json = NULL;
    int r = gw_account_get(req->context->people, &actor, gw_param(req, "user"), &json, err);
    return rest_json(res, r, 200, json, err);
}

static int user_change(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    struct gw_account_change change = {.admin = -1};
    bool admin = false;
    if (!gw_field_only(res, req->json, "name locale state admin bytes_max files_max") ||
        !gw_field_text_opt(res, req->json, "name", 1, 200, &change.name) ||
        !gw_field_text_opt(res, req->json, "locale", 0, 35, &change.locale) ||
        !gw_field_text_opt(res, req->json, "state", 1, 16, &change.state) ||
        !gw_field_bool_opt(res, req->json, "admin", &admin) ||
        !gw_field_int_opt(res, req->json, "bytes_max", 1, 1ll << 40, &change.bytes_max) ||
        !gw_field_int_opt(res, req->json, "files_max", 1, 1000000, &change.files_max))
        return 0;
    if (json_object_get(req->json, "admin"))
        change.admin = admin;
    int r = gw_account_change(req->context->people, &actor, gw_param(req, "user"), &change, err);
    return r ? rest_refuse(res, r, err) : answer_user(req, res, err);
}

static int password_reset(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    char password[PASSWORD_ONE_TIME_SIZE];
    int r = gw_password_reset(req->context->people, &actor, gw_param(req, "user"), password, err);
    return rest_json(res, r, 200, r ? NULL : json_pack("{ss}", "password", password), err);
}

static const struct gw_route rows[] = {
    {.method = GW_GET,
     .template = "/api/v1/users",
     .operation = "listUsers",
     .handler = users_list,
     .auth = GW_AUTH_ADMIN,
     .query = "after limit",
     .statuses = "200 422",
     .scope = GW_SCOPE_ADMIN},
    {.method = GW_POST,
     .template = "/api/v1/users",
     .operation = "createUser",
     .handler = user_create,
     .auth = GW_AUTH_ADMIN,
     .lane = GW_LANE_PASSWORD,
     .body = GW_BODY_JSON,
     .statuses = "201 409 422",
     .scope = GW_SCOPE_ADMIN},
    {.method = GW_GET,
     .template = "/api/v1/users/{user}",
     .operation = "getUser",
     .handler = answer_user,
     .auth = GW_AUTH_USER,
     .statuses = "200 404",
     .scope = GW_SCOPE_READ},
    {.method = GW_PATCH,
     .template = "/api/v1/users/{user}",
     .operation = "changeUser",
     .handler = user_change,
     .auth = GW_AUTH_USER,
     .body = GW_BODY_JSON,
     .statuses = "200 404 409 422",
     .scope = GW_SCOPE_ADMIN},
    {.method = GW_POST,
     .template = "/api/v1/users/{user}/password-reset",
     .operation = "resetPassword",
     .handler = password_reset,
     .auth = GW_AUTH_USER,
     .lane = GW_LANE_PASSWORD,
     .statuses = "200 404",
     .scope = GW_SCOPE_ADMIN},
};
REST_PART(accounts, rows);
