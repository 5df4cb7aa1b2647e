#include "frontgw/people/audit.h"
#include "frontgw/rest/rest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static int add_item(void *arg, const char *line)
{
    json_t *one = json_loads(line, 0, NULL);
    return json_array_append_new(arg, one) < 0 ? -ENOMEM : 0;
}

static int audit_list(struct gw_request *req, struct gw_response *res, struct err *err)
{
    uint64_t after = 0, limit = 0;
    if (!rest_u64(req, res, "after", 0, INT64_MAX, 0, &after) ||
        !rest_u64(req, res, "limit", 1, LIST_LIMIT_MAX, LIST_LIMIT, &limit))
        return 0;
    json_t *items = json_array();
    int r = audit_export(req->context->store->db, after, limit, add_item, items, err);
    if (r) {
        json_decref(items);
        return rest_refuse(res, r, err);
    }
    return rest_list(res, 0, items, err);
}

static int write_line(void *arg, const char *line)
{
    FILE *file = arg;
    return fprintf(file, "%s\n", line) < 0 ? -EIO : 0;
}

static int note_export(struct gw_request *req, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    AUTO_TX struct db_tx *tx = NULL;
    int r = db_begin(req->context->store->db, DB_WRITE, &tx, err);
    if (r)
        return r;
    AUDIT(tx, &actor, .action = AUDIT_EXPORT);
    return db_commit(&tx, err);
}

static int audit_file(struct gw_request *req, struct gw_response *res, struct err *err)
{
    AUTO_CLOSE int fd = memfd_create("audit", MFD_CLOEXEC);
    int copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
    AUTO_FCLOSE FILE *file = copy < 0 ? NULL : fdopen(copy, "w");
    if (!file) {
        fd_close(copy);
        return err_set(err, -ENOMEM, "audit export: %m");
    }
    int r = note_export(req, err);
    if (!r)
        r = audit_export(req->context->store->db, 0, 0, write_line, file, err);
    if (r)
        return rest_refuse(res, r, err);
    long size = ftell(file);
    if (fflush(file) || size < 0)
        return err_set(err, -errno, "audit export: %m");
    struct gw_content content = {.type = "application/jsonl",
                                 .filename = "audit.jsonl",
                                 .fd = take_fd(&fd),
                                 .size = (uint64_t)size};
    return gw_reply_content(req, res, &content);
}

static const struct gw_route rows[] = {
    {.method = GW_GET,
     .template = "/api/v1/audit",
     .operation = "listAudit",
     .handler = audit_list,
     .auth = GW_AUTH_ADMIN,
     .query = "after limit",
     .statuses = "200 422",
     .scope = GW_SCOPE_ADMIN},
    {.method = GW_GET,
     .template = "/api/v1/audit/export",
     .operation = "exportAudit",
     .handler = audit_file,
     .auth = GW_AUTH_ADMIN,
     .lane = GW_LANE_BULK,
     .statuses = "200 206 304 416",
     .scope = GW_SCOPE_ADMIN},
};
REST_PART(audit, rows);
