#include "frontgw/rest/rest.h"

#include "base/fd.h"
#include "base/utf8.h"

#include <errno.h>
#include <string.h>

#define CONFLICT_TEXT_MAX (256u << 10) /* larger contents are fetched by their version */

static int answer_node(struct gw_response *res, int r, int status, const struct gw_node *node,
                       struct err *err)
{
    if (!r && !node->is_dir)
        rest_etag(res, node);
    return rest_json(res, r, status, r ? NULL : gw_node_json(node), err);
}

/* The body waits in a temporary file; a file is small enough (10 MiB) for a worker's memory. */
static int take_body(struct gw_request *req, struct gw_save *save, char **ret_bytes,
                     struct err *err)
{
    char *bytes = malloc(req->body_size + 1);
    if (!bytes)
        return err_set(err, -ENOMEM, "upload: %m");
    ssize_t got = req->body_size ? fd_read_all(req->body_fd, bytes, req->body_size) : 0;
    if (got != (ssize_t)req->body_size) {
        free(bytes);
        return err_set(err, got < 0 ? (int)got : -EIO, "upload: the body is cut");
    }
    save->bytes = *ret_bytes = bytes;
    save->len = req->body_size;
    return 0;
}

static bool cause_of(struct gw_request *req, struct gw_response *res, struct gw_save *save)
{
    const char *word = gw_header(req, GW_H_CAUSE);
    int cause = word ? gw_cause_by_name(word) : GW_CAUSE_SAVE;
    save->label = gw_query(req, "label");
    save->cause = (enum gw_cause)cause;
    if (cause >= 0 && cause != GW_CAUSE_RESTORE && cause != GW_CAUSE_COPY)
        return true;
    gw_reply_invalid(res, "X-Cloister-Cause", "autosave, save, run, submit or upload");
    return false;
}

static int file_create(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    AUTO_FREE char *bytes = NULL;
    struct gw_save save = {0};
    struct gw_node node;
    const char *path = gw_query(req, "path");
    if (!path)
        return gw_reply_invalid(res, "path", "where the new file is to be");
    if (!cause_of(req, res, &save))
        return 0;
    int r = take_body(req, &save, &bytes, err);
    if (!r)
        r = gw_file_create(req->context->files, &actor, gw_param(req, "workspace"), path, &save,
                           &node, err);
    return answer_node(res, r, 201, &node, err);
}

static int file_get(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    json_t *json = NULL;
    int r = gw_node_get(req->context->files, &actor, gw_param(req, "file"), &json, err);
    return rest_json(res, r, 200, json, err);
}

static int file_move(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    struct gw_node node;
    const char *path = NULL;
    if (!gw_field_only(res, req->json, "path") ||
        !gw_field_text(res, req->json, "path", 1, PATH_MAX_BYTES, &path))
        return 0;
    int r = gw_node_move(req->context->files, &actor, gw_param(req, "file"), path, &node, err);
    return answer_node(res, r, 200, &node, err);
}

static int file_delete(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    int64_t seq = -1;
    if (!rest_if_match(req, res, &seq))
        return 0;
    return rest_done(res,
                     gw_node_delete(req->context->files, &actor, gw_param(req, "file"), seq, err),
                     err);
}

static int file_copy(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    struct gw_node node;
    const char *workspace = NULL, *path = NULL;
    if (!gw_field_only(res, req->json, "workspace path") ||
        !gw_field_text(res, req->json, "workspace", 1, 64, &workspace) ||
        !gw_field_text(res, req->json, "path", 1, PATH_MAX_BYTES, &path))
        return 0;
    int r = gw_node_copy(req->context->files, &actor, gw_param(req, "file"), workspace, path, &node,
                         err);
    return answer_node(res, r, 201, &node, err);
}

static int file_undelete(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    struct gw_node node;
    int r = gw_node_undelete(req->context->files, &actor, gw_param(req, "file"), &node, err);
    return answer_node(res, r, 200, &node, err);
}

static int content_get(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    AUTO_CONTENT struct blob_content content = {.fd = -EBADF};
    struct gw_node node;
    uint64_t seq = 0, at_ms = 0;
    char etag[24];
    if (!rest_u64(req, res, "seq", 1, INT64_MAX, 0, &seq) ||
        !rest_u64(req, res, "at_ms", 1, INT64_MAX, 0, &at_ms))
        return 0;
    int r = gw_file_open(req->context->files, &actor, gw_param(req, "file"), (int64_t)seq, at_ms,
                         &node, &content, err);
    if (r)
        return rest_refuse(res, r, err);
    snprintf(etag, sizeof(etag), "%lld", (long long)node.seq);
    const char *type = gw_mime_of(node.name);
    struct gw_content out = {.type = type,
                             .filename = node.name,
                             .etag = etag,
                             .inline_ok = gw_mime_inline_ok(type),
                             .fd = take_fd(&content.fd),
                             .bytes = take_ptr(content.bytes),
                             .size = content.size};
    return gw_reply_content(req, res, &out);
}

static bool is_text(const char *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        size_t n = utf8_sequence(bytes + at, len - at);
        if (!n || !bytes[at])
            return false;
        at += n;
    }
    return true;
}

/* A side of a conflict: the version, and its text when it is text and not too long. */
static json_t *side(struct gw_request *req, int64_t seq, const char *hash)
{
    AUTO_TX struct db_tx *tx = NULL;
    AUTO_FREE char *bytes = NULL;
    size_t len = 0;
    struct gw_store *store = req->context->store;
    json_t *json = json_pack("{sI ss}", "seq", (json_int_t)seq, "sha256", hash);
    if (db_begin(store->db, DB_READ, &tx, NULL) ||
        blob_read(store->blobs, tx, hash, &bytes, &len, NULL))
        return json;
    json_object_set_new(json, "size", json_integer((json_int_t)len));
    if (len <= CONFLICT_TEXT_MAX && is_text(bytes, len))
        json_object_set_new(json, "text", json_stringn_nocheck(bytes, len));
    return json;
}

static int answer_conflict(struct gw_request *req, struct gw_response *res,
                           const struct gw_conflict *conflict, const struct gw_save *yours,
                           struct err *err)
{
    char hash[SHA256_SIZE];
    sha256_hex(yours->bytes, yours->len, hash);
    json_t *current = side(req, conflict->current.seq, conflict->current.hash);
    json_object_set_new(current, "author", json_string(conflict->current.author));
    json_object_set_new(current, "modified_ms", json_integer(conflict->current.modified_ms));
    json_t *mine = json_pack("{ss sI}", "sha256", hash, "size", (json_int_t)yours->len);
    if (mine && yours->len <= CONFLICT_TEXT_MAX && is_text(yours->bytes, yours->len))
        json_object_set_new(mine, "text", json_stringn_nocheck(yours->bytes, yours->len));
    json_t *base = conflict->base_seq ? side(req, conflict->base_seq, conflict->base_hash) : NULL;
    rest_etag(res, &conflict->current);
    return gw_reply_problem_with(res, GW_PROBLEM_EDIT_CONFLICT,
                                 json_pack("{so so so}", "current", current, "yours", mine, "base",
                                           base ? base : json_null()),
                                 "%s", err->text);
}

static int content_put(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    AUTO_FREE char *bytes = NULL;
    struct gw_save save = {0};
    struct gw_conflict conflict = {0};
    struct gw_node node;
    if (!rest_if_match(req, res, &save.base_seq) || !cause_of(req, res, &save))
        return 0;
    if (save.base_seq < 0)
        return gw_reply_problem(res, GW_PROBLEM_PRECONDITION_MISSING,
                                "send If-Match with the ETag of the version that you changed");
    int r = take_body(req, &save, &bytes, err);
    if (!r)
        r = gw_file_save(req->context->files, &actor, gw_param(req, "file"), &save, &node,
                         &conflict, err);
    if (r == GW_PROBLEM_EDIT_CONFLICT)
        return answer_conflict(req, res, &conflict, &save, err);
    return answer_node(res, r, 200, &node, err);
}

static int versions_list(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    json_t *items = NULL;
    uint64_t before = 0, limit = 0;
    if (!rest_u64(req, res, "before", 1, INT64_MAX, 0, &before) ||
        !rest_u64(req, res, "limit", 1, LIST_LIMIT_MAX, LIST_LIMIT, &limit))
        return 0;
    int r = gw_versions_list(req->context->files, &actor, gw_param(req, "file"), (int64_t)before,
                             limit, &items, err);
    return rest_list(res, r, items, err);
}

static int version_restore(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    struct gw_node node;
    const char *text = gw_param(req, "seq");
    char *end = NULL;
    errno = 0;
    long long seq = strtoll(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || seq < 1)
        return gw_reply_problem(res, GW_PROBLEM_NOT_FOUND, "there is no such version");
    int r = gw_version_restore(req->context->files, &actor, gw_param(req, "file"), seq, &node, err);
    return answer_node(res, r, 200, &node, err);
}

static int executions_list(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    json_t *items = NULL;
    uint64_t limit = 0;
    if (!rest_u64(req, res, "limit", 1, LIST_LIMIT_MAX, LIST_LIMIT, &limit))
        return 0;
    int r =
        gw_executions_list(req->context->files, &actor, gw_param(req, "file"), limit, &items, err);
    return rest_list(res, r, items, err);
}

#define AFILE      "/api/v1/files/{file}"
#define FILE_ROUTE .auth = GW_AUTH_USER, .rate = GW_RATE_FILE
static const struct gw_route rows[] = {
    {FILE_ROUTE, .method = GW_POST, .template = "/api/v1/workspaces/{workspace}/files",
     .operation = "createFile", .handler = file_create, .body = GW_BODY_FILE,
     .body_max = FILE_MAX_BYTES, .query = "path label", .statuses = "201 404 409 413 422 507",
     .scope = GW_SCOPE_WRITE},
    {FILE_ROUTE, .method = GW_GET, .template = AFILE, .operation = "getFile", .handler = file_get,
     .statuses = "200 404", .scope = GW_SCOPE_READ},
    {FILE_ROUTE, .method = GW_PATCH, .template = AFILE, .operation = "moveFile",
     .handler = file_move, .body = GW_BODY_JSON, .statuses = "200 404 409 422",
     .scope = GW_SCOPE_WRITE},
    {FILE_ROUTE, .method = GW_DELETE, .template = AFILE, .operation = "deleteFile",
     .handler = file_delete, .statuses = "204 400 404 409 412", .scope = GW_SCOPE_WRITE},
    {FILE_ROUTE, .method = GW_POST, .template = AFILE "/copy", .operation = "copyFile",
     .handler = file_copy, .body = GW_BODY_JSON, .statuses = "201 404 409 422 507",
     .scope = GW_SCOPE_WRITE},
    {FILE_ROUTE, .method = GW_POST, .template = AFILE "/undelete", .operation = "undeleteFile",
     .handler = file_undelete, .statuses = "200 404 409 507", .scope = GW_SCOPE_WRITE},
    {FILE_ROUTE, .method = GW_GET, .template = AFILE "/content", .operation = "readFile",
     .handler = content_get, .query = "seq at_ms", .statuses = "200 206 304 404 409 416 422",
     .scope = GW_SCOPE_READ},
    {FILE_ROUTE, .method = GW_PUT, .template = AFILE "/content", .operation = "saveFile",
     .handler = content_put, .body = GW_BODY_FILE, .body_max = FILE_MAX_BYTES, .query = "label",
     .statuses = "200 400 404 409 412 413 422 428 507", .scope = GW_SCOPE_WRITE},
    {FILE_ROUTE, .method = GW_GET, .template = AFILE "/versions", .operation = "listVersions",
     .handler = versions_list, .query = "before limit", .statuses = "200 404 422",
     .scope = GW_SCOPE_READ},
    {FILE_ROUTE, .method = GW_POST, .template = AFILE "/versions/{seq}/restore",
     .operation = "restoreVersion", .handler = version_restore, .statuses = "200 404 409 507",
     .scope = GW_SCOPE_WRITE},
    {FILE_ROUTE, .method = GW_GET, .template = AFILE "/executions", .operation = "listExecutions",
     .handler = executions_list, .query = "limit", .statuses = "200 404 422",
     .scope = GW_SCOPE_READ},
};
REST_PART(files, rows);
