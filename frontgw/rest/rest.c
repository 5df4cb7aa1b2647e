#include "frontgw/rest/rest.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct gw_actor rest_actor(const struct gw_request *req)
{
    return (struct gw_actor){
        .account = req->identity.user,
        .admin = req->identity.admin,
        .session = req->identity.via == GW_VIA_SESSION ? req->identity.session : "",
        .ip = req->address,
        .now_ms = req->wall_ms,
    };
}

int rest_refuse(struct gw_response *res, int r, struct err *err)
{
    if (r > 0)
        return gw_reply_problem(res, (enum gw_problem)r, "%s", err->text);
    if (!gw_unavailable(r))
        return r;
    gw_header_set(res, "retry-after", "2");
    return gw_reply_problem(res, GW_PROBLEM_UNAVAILABLE, "the database cannot answer now");
}

int rest_json(struct gw_response *res, int r, int status, json_t *json, struct err *err)
{
    return r ? rest_refuse(res, r, err) : gw_reply_json(res, status, json);
}

int rest_list(struct gw_response *res, int r, json_t *items, struct err *err)
{
    return r ? rest_refuse(res, r, err)
             : gw_reply_json(res, 200, json_pack("{so}", "items", items));
}

int rest_done(struct gw_response *res, int r, struct err *err)
{
    return r ? rest_refuse(res, r, err) : gw_reply_empty(res, 204);
}

bool rest_u64(const struct gw_request *req, struct gw_response *res, const char *name, uint64_t min,
              uint64_t max, uint64_t fallback, uint64_t *ret)
{
    if (gw_query_u64(req, name, min, max, fallback, ret) == 0)
        return true;
    gw_reply_invalid(res, name, "a number from %" PRIu64 " to %" PRIu64, min, max);
    return false;
}

void rest_etag(struct gw_response *res, const struct gw_node *node)
{
    gw_header_setf(res, "etag", "\"%" PRId64 "\"", node->seq);
}

bool rest_if_match(const struct gw_request *req, struct gw_response *res, int64_t *ret)
{
    const char *text = gw_header(req, GW_H_IF_MATCH);
    int64_t value = 0;
    *ret = -1;
    if (!text)
        return true;
    size_t len = strlen(text);
    bool ok = len >= 3 && len <= 17 && text[0] == '"' && text[len - 1] == '"';
    for (size_t i = 1; ok && i < len - 1; i++) {
        ok = text[i] >= '0' && text[i] <= '9';
        value = value * 10 + (text[i] - '0');
    }
    if (!ok) {
        gw_reply_problem(res, GW_PROBLEM_BAD_REQUEST,
                         "If-Match holds the ETag of one version, like \"12\"");
        return false;
    }
    *ret = value;
    return true;
}
