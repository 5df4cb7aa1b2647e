#include "frontgw/rest/rest.h"

#include <errno.h>
#include <string.h>

#define ARCHIVE_MAX (200ull << 20)

static int workspaces_list(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    json_t *items = NULL;
    int r = gw_workspaces_list(req->context->files, &actor, NULL, &items, err);
    return rest_list(res, r, items, err);
}

static int course_workspaces(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    json_t *items = NULL;
    int r = gw_workspaces_list(req->context->files, &actor, gw_param(req, "course"), &items, err);
    return rest_list(res, r, items, err);
}

static int workspace_get(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    json_t *json = NULL;
    int r = gw_workspace_get(req->context->files, &actor, gw_param(req, "workspace"), &json, err);
    return rest_json(res, r, 200, json, err);
}

static int tree_get(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    json_t *items = NULL;
    uint64_t at_ms = 0;
    if (!rest_u64(req, res, "at_ms", 1, INT64_MAX, 0, &at_ms))
        return 0;
    int r =
        gw_tree_get(req->context->files, &actor, gw_param(req, "workspace"), at_ms, &items, err);
    return rest_list(res, r, items, err);
}

static int trash_list(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    json_t *items = NULL;
    int r = gw_trash_list(req->context->files, &actor, gw_param(req, "workspace"), &items, err);
    return rest_list(res, r, items, err);
}

static int directory_create(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    struct gw_node node;
    const char *path = NULL;
    if (!gw_field_only(res, req->json, "path") ||
        !gw_field_text(res, req->json, "path", 1, PATH_MAX_BYTES, &path))
        return 0;
    int r =
        gw_dir_create(req->context->files, &actor, gw_param(req, "workspace"), path, &node, err);
    return rest_json(res, r, 201, r ? NULL : gw_node_json(&node), err);
}

static int archive_get(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    struct gw_content content = {.type = "application/zip",
                                 .filename = "workspace.zip",
                                 .fd = -EBADF};
    uint64_t at_ms = 0;
    if (!rest_u64(req, res, "at_ms", 1, INT64_MAX, 0, &at_ms))
        return 0;
    int r = gw_archive_out(req->context->files, &actor, gw_param(req, "workspace"), at_ms,
                           &content.fd, &content.size, err);
    return r ? rest_refuse(res, r, err) : gw_reply_content(req, res, &content);
}

static int archive_put(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    const char *directory = gw_query(req, "directory");
    json_t *json = NULL;
    int r = gw_archive_in(req->context->files, &actor, gw_param(req, "workspace"),
                          directory ? directory : "", req->body_fd, &json, err);
    return rest_json(res, r, 200, json, err);
}

static int workspace_restore(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    json_t *json = NULL;
    int64_t at_ms = 0;
    if (!gw_field_only(res, req->json, "at_ms") ||
        !gw_field_int_opt(res, req->json, "at_ms", 1, INT64_MAX, &at_ms))
        return 0;
    int r = gw_workspace_restore(req->context->files, &actor, gw_param(req, "workspace"),
                                 (uint64_t)at_ms, &json, err);
    return rest_json(res, r, 200, json, err);
}

#define WORKSPACE "/api/v1/workspaces/{workspace}"
static const struct gw_route rows[] = {
    {.method = GW_GET,
     .template = "/api/v1/workspaces",
     .operation = "listWorkspaces",
     .handler = workspaces_list,
     .auth = GW_AUTH_USER,
     .statuses = "200",
     .scope = GW_SCOPE_READ},
    {.method = GW_GET,
     .template = "/api/v1/courses/{course}/workspaces",
     .operation = "listCourseWorkspaces",
     .handler = course_workspaces,
     .auth = GW_AUTH_USER,
     .statuses = "200 404",
     .scope = GW_SCOPE_READ},
    {.method = GW_GET,
     .template = WORKSPACE,
     .operation = "getWorkspace",
     .handler = workspace_get,
     .auth = GW_AUTH_USER,
     .statuses = "200 404",
     .scope = GW_SCOPE_READ},
    {.method = GW_GET,
     .template = WORKSPACE "/tree",
     .operation = "getTree",
     .handler = tree_get,
     .auth = GW_AUTH_USER,
     .rate = GW_RATE_FILE,
     .query = "at_ms",
     .statuses = "200 404 422",
     .scope = GW_SCOPE_READ},
    {.method = GW_GET,
     .template = WORKSPACE "/trash",
     .operation = "listTrash",
     .handler = trash_list,
     .auth = GW_AUTH_USER,
     .rate = GW_RATE_FILE,
     .statuses = "200 404",
     .scope = GW_SCOPE_READ},
    {.method = GW_POST,
     .template = WORKSPACE "/directories",
     .operation = "createDirectory",
     .handler = directory_create,
     .auth = GW_AUTH_USER,
     .rate = GW_RATE_FILE,
     .body = GW_BODY_JSON,
     .statuses = "201 404 409 422 507",
     .scope = GW_SCOPE_WRITE},
    {.method = GW_GET,
     .template = WORKSPACE "/archive",
     .operation = "downloadWorkspace",
     .handler = archive_get,
     .auth = GW_AUTH_USER,
     .rate = GW_RATE_FILE,
     .lane = GW_LANE_BULK,
     .query = "at_ms",
     .statuses = "200 206 304 404 416 422",
     .scope = GW_SCOPE_READ},
    {.method = GW_POST,
     .template = WORKSPACE "/archive",
     .operation = "uploadWorkspace",
     .handler = archive_put,
     .auth = GW_AUTH_USER,
     .rate = GW_RATE_FILE,
     .lane = GW_LANE_BULK,
     .body = GW_BODY_FILE,
     .body_max = ARCHIVE_MAX,
     .query = "directory",
     .statuses = "200 404 409 413 422 507",
     .scope = GW_SCOPE_WRITE},
    {.method = GW_POST,
     .template = WORKSPACE "/restore",
     .operation = "restoreWorkspace",
     .handler = workspace_restore,
     .auth = GW_AUTH_USER,
     .rate = GW_RATE_FILE,
     .body = GW_BODY_JSON,
     .statuses = "200 404 409 422 507",
     .scope = GW_SCOPE_WRITE},
};
REST_PART(workspaces, rows);
