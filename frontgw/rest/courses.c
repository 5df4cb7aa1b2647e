#include "frontgw/rest/rest.h"

#include "frontgw/people/courses.h"

#include <errno.h>
#include <string.h>

#define WEEK_MS (7ull * 24 * 3600 * 1000)

static int courses_list(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    const char *after = gw_query(req, "after");
    const char *all = gw_query(req, "all");
    json_t *items = NULL;
    uint64_t limit = 0;
    if (!rest_u64(req, res, "limit", 1, LIST_LIMIT_MAX, LIST_LIMIT, &limit))
        return 0;
    int r = gw_courses_list(req->context->people, &actor, all && !strcmp(all, "true"),
                            after ? after : "", limit, &items, err);
    return rest_list(res, r, items, err);
}

static int answer_course(struct gw_request *req, struct gw_response *res, int status,
                         const char *id, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    json_t *json = NULL;
    int r = gw_course_get(req->context->people, &actor, id, &json, err);
    return rest_json(res, r, status, json, err);
}

static int course_create(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    const char *code = NULL, *title = NULL, *term = "", *professor = NULL;
    char id[ULID_SIZE];
    if (!gw_field_only(res, req->json, "code title term professor") ||
        !gw_field_text(res, req->json, "code", 1, 40, &code) ||
        !gw_field_text(res, req->json, "title", 1, 200, &title) ||
        !gw_field_text_opt(res, req->json, "term", 0, 40, &term) ||
        !gw_field_text_opt(res, req->json, "professor", 1, 64, &professor))
        return 0;
    int r = gw_course_create(req->context->people, &actor, code, title, term, professor, id, err);
    return r ? rest_refuse(res, r, err) : answer_course(req, res, 201, id, err);
}

static int course_get(struct gw_request *req, struct gw_response *res, struct err *err)
{
    return answer_course(req, res, 200, gw_param(req, "course"), err);
}

static int course_change(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    struct gw_course_change change = {0};
    const char *id = gw_param(req, "course");
    if (!gw_field_only(res, req->json, "title term state") ||
        !gw_field_text_opt(res, req->json, "title", 1, 200, &change.title) ||
        !gw_field_text_opt(res, req->json, "term", 0, 40, &change.term) ||
        !gw_field_text_opt(res, req->json, "state", 1, 16, &change.state))
        return 0;
    int r = gw_course_change(req->context->people, &actor, id, &change, err);
    return r ? rest_refuse(res, r, err) : answer_course(req, res, 200, id, err);
}

static int members_list(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    json_t *items = NULL;
    int r = gw_members_list(req->context->people, &actor, gw_param(req, "course"), &items, err);
    return rest_list(res, r, items, err);
}

static int member_put(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    const char *word = NULL;
    if (!gw_field_only(res, req->json, "role") ||
        !gw_field_text(res, req->json, "role", 1, 16, &word))
        return 0;
    int role = gw_role_by_name(word);
    if (role < 0)
        return gw_reply_invalid(res, "role", "student, assistant or professor");
    return rest_done(res,
                     gw_member_put(req->context->people, &actor, gw_param(req, "course"),
                                   gw_param(req, "user"), (enum gw_role)role, err),
                     err);
}

static int member_remove(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    return rest_done(res,
                     gw_member_remove(req->context->people, &actor, gw_param(req, "course"),
                                      gw_param(req, "user"), err),
                     err);
}

static int roster_import(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    json_t *items = NULL;
    int r = gw_roster_import(req->context->people, &actor, gw_param(req, "course"), req->body,
                             (size_t)req->body_size, &items, err);
    return rest_list(res, r, items, err);
}

static int join_codes_list(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    json_t *items = NULL;
    int r = gw_join_codes_list(req->context->people, &actor, gw_param(req, "course"), &items, err);
    return rest_list(res, r, items, err);
}

static int join_code_create(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    int64_t expires = (int64_t)(req->wall_ms + WEEK_MS), uses = 200;
    char id[ULID_SIZE], code[16];
    if (!gw_field_only(res, req->json, "expires_ms uses") ||
        !gw_field_int_opt(res, req->json, "expires_ms", 1, INT64_MAX, &expires) ||
        !gw_field_int_opt(res, req->json, "uses", 1, INT64_MAX, &uses))
        return 0;
    int r = gw_join_code_create(req->context->people, &actor, gw_param(req, "course"),
                                (uint64_t)expires, (uint64_t)uses, id, code, err);
    if (r)
        return rest_refuse(res, r, err);
    return gw_reply_json(res, 201,
                         json_pack("{ss ss sI sI}", "id", id, "code", code, "expires_ms",
                                   (json_int_t)expires, "uses_left", (json_int_t)uses));
}

static int join_code_revoke(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    return rest_done(res,
                     gw_join_code_revoke(req->context->people, &actor, gw_param(req, "course"),
                                         gw_param(req, "code"), err),
                     err);
}

static int join(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    const char *code = NULL;
    char course[ULID_SIZE];
    if (!gw_field_only(res, req->json, "code") ||
        !gw_field_text(res, req->json, "code", 1, 40, &code))
        return 0;
    int r = gw_join(req->context->people, &actor, code, course, err);
    return r ? rest_refuse(res, r, err) : answer_course(req, res, 200, course, err);
}

#define COURSE "/api/v1/courses/{course}"
static const struct gw_route rows[] = {
    {.method = GW_GET,
     .template = "/api/v1/courses",
     .operation = "listCourses",
     .handler = courses_list,
     .auth = GW_AUTH_USER,
     .query = "all after limit",
     .statuses = "200 422",
     .scope = GW_SCOPE_READ},
    {.method = GW_POST,
     .template = "/api/v1/courses",
     .operation = "createCourse",
     .handler = course_create,
     .auth = GW_AUTH_ADMIN,
     .body = GW_BODY_JSON,
     .statuses = "201 409 422",
     .scope = GW_SCOPE_ADMIN},
    {.method = GW_GET,
     .template = COURSE,
     .operation = "getCourse",
     .handler = course_get,
     .auth = GW_AUTH_USER,
     .statuses = "200 404",
     .scope = GW_SCOPE_READ},
    {.method = GW_PATCH,
     .template = COURSE,
     .operation = "changeCourse",
     .handler = course_change,
     .auth = GW_AUTH_USER,
     .body = GW_BODY_JSON,
     .statuses = "200 404 409 422",
     .scope = GW_SCOPE_COURSE},
    {.method = GW_GET,
     .template = COURSE "/members",
     .operation = "listMembers",
     .handler = members_list,
     .auth = GW_AUTH_USER,
     .statuses = "200 404",
     .scope = GW_SCOPE_COURSE},
    {.method = GW_PUT,
     .template = COURSE "/members/{user}",
     .operation = "putMember",
     .handler = member_put,
     .auth = GW_AUTH_USER,
     .body = GW_BODY_JSON,
     .statuses = "204 404 409 422",
     .scope = GW_SCOPE_COURSE},
    {.method = GW_DELETE,
     .template = COURSE "/members/{user}",
     .operation = "removeMember",
     .handler = member_remove,
     .auth = GW_AUTH_USER,
     .statuses = "204 404 409",
     .scope = GW_SCOPE_COURSE},
    {.method = GW_POST,
     .template = COURSE "/roster",
     .operation = "importRoster",
     .handler = roster_import,
     .auth = GW_AUTH_USER,
     .rate = GW_RATE_CLASS,
     .lane = GW_LANE_BULK,
     .body = GW_BODY_BYTES,
     .statuses = "200 404 409 422",
     .scope = GW_SCOPE_COURSE},
    {.method = GW_GET,
     .template = COURSE "/join-codes",
     .operation = "listJoinCodes",
     .handler = join_codes_list,
     .auth = GW_AUTH_USER,
     .statuses = "200 404 409",
     .scope = GW_SCOPE_COURSE},
    {.method = GW_POST,
     .template = COURSE "/join-codes",
     .operation = "createJoinCode",
     .handler = join_code_create,
     .auth = GW_AUTH_USER,
     .body = GW_BODY_JSON,
     .statuses = "201 404 409 422",
     .scope = GW_SCOPE_COURSE},
    {.method = GW_DELETE,
     .template = COURSE "/join-codes/{code}",
     .operation = "revokeJoinCode",
     .handler = join_code_revoke,
     .auth = GW_AUTH_USER,
     .statuses = "204 404 409",
     .scope = GW_SCOPE_COURSE},
    {.method = GW_POST,
     .template = "/api/v1/join",
     .operation = "joinCourse",
     .handler = join,
     .auth = GW_AUTH_USER,
     .body = GW_BODY_JSON,
     .statuses = "200 404 409 422"},
};
REST_PART(courses, rows);
