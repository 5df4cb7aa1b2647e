#include "frontgw/rest/rest.h"

#include <errno.h>

static int answer_submission(struct gw_request *req, struct gw_response *res, int status,
                             const char *id, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    json_t *json = NULL;
    int r = gw_submission_get(req->context->files, &actor, id, &json, err);
    return rest_json(res, r, status, json, err);
}

static int submit(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    const char *path = NULL;
    char id[ULID_SIZE];
    if (req->json && (!gw_field_only(res, req->json, "path") ||
                      !gw_field_text_opt(res, req->json, "path", 1, PATH_MAX_BYTES, &path)))
        return 0;
    int r = gw_submit(req->context->files, &actor, gw_param(req, "course"),
                      gw_param(req, "section"), path, id, err);
    return r ? rest_refuse(res, r, err) : answer_submission(req, res, 201, id, err);
}

static int submissions_list(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    json_t *items = NULL;
    int r = gw_submissions_list(req->context->files, &actor, gw_param(req, "course"),
                                gw_param(req, "section"), &items, err);
    return rest_list(res, r, items, err);
}

static int submission_get(struct gw_request *req, struct gw_response *res, struct err *err)
{
    return answer_submission(req, res, 200, gw_param(req, "submission"), err);
}

static int submission_archive(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    struct gw_content content = {.type = "application/zip",
                                 .filename = "submission.zip",
                                 .fd = -EBADF};
    int r = gw_submission_archive(req->context->files, &actor, gw_param(req, "submission"),
                                  &content.fd, &content.size, err);
    return r ? rest_refuse(res, r, err) : gw_reply_content(req, res, &content);
}

static int submission_grade(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    const char *grade = "", *id = gw_param(req, "submission");
    const json_t *feedback = json_object_get(req->json, "feedback");
    if (!gw_field_only(res, req->json, "grade feedback") ||
        !gw_field_text_opt(res, req->json, "grade", 0, 40, &grade))
        return 0;
    if (feedback && !json_is_string(feedback)) /* has line feeds, unlike other texts */
        return gw_reply_invalid(res, "feedback", "a text");
    int r = gw_submission_grade(req->context->files, &actor, id, grade,
                                feedback ? json_string_value(feedback) : "", err);
    return r ? rest_refuse(res, r, err) : answer_submission(req, res, 200, id, err);
}

#define OF_SECTION "/api/v1/courses/{course}/sections/{section}/submissions"
static const struct gw_route rows[] = {
    {.method = GW_POST,
     .template = OF_SECTION,
     .operation = "submit",
     .handler = submit,
     .auth = GW_AUTH_USER,
     .rate = GW_RATE_FILE,
     .body = GW_BODY_JSON_OPT,
     .statuses = "201 404 409 422",
     .scope = GW_SCOPE_SUBMIT},
    {.method = GW_GET,
     .template = OF_SECTION,
     .operation = "listSubmissions",
     .handler = submissions_list,
     .auth = GW_AUTH_USER,
     .statuses = "200 404",
     .scope = GW_SCOPE_READ},
    {.method = GW_GET,
     .template = "/api/v1/submissions/{submission}",
     .operation = "getSubmission",
     .handler = submission_get,
     .auth = GW_AUTH_USER,
     .statuses = "200 404",
     .scope = GW_SCOPE_READ},
    {.method = GW_GET,
     .template = "/api/v1/submissions/{submission}/archive",
     .operation = "downloadSubmission",
     .handler = submission_archive,
     .auth = GW_AUTH_USER,
     .lane = GW_LANE_BULK,
     .statuses = "200 206 304 404 416",
     .scope = GW_SCOPE_READ},
    {.method = GW_PATCH,
     .template = "/api/v1/submissions/{submission}",
     .operation = "gradeSubmission",
     .handler = submission_grade,
     .auth = GW_AUTH_USER,
     .body = GW_BODY_JSON,
     .statuses = "200 404 422",
     .scope = GW_SCOPE_COURSE},
};
REST_PART(submissions, rows);
