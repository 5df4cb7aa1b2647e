#pragma once
/* What the handlers share: from the request to the domain's terms, from its outcome to an answer.
 */

#include "base/err.h"
#include "frontgw/context.h"
#include "frontgw/files/files.h"
#include "frontgw/http/fields.h"
#include "frontgw/http/request.h"
#include "frontgw/http/response.h"
#include "frontgw/http/route.h"
#include "frontgw/part.h"

#define LIST_LIMIT     100
#define LIST_LIMIT_MAX 1000

/** rest_actor() - strings are borrowed from @req. */
struct gw_actor rest_actor(const struct gw_request *req);

/**
 * rest_refuse() - answer an outcome that is not success
 * @r: positive: a problem, whose words are in @err; negative: a fault, 503 when a later try may
 * help
 */
int rest_refuse(struct gw_response *res, int r, struct err *err);
/** rest_json() - 200 (or @status) with @json when @r is 0 (takes it), else rest_refuse(). */
int rest_json(struct gw_response *res, int r, int status, json_t *json, struct err *err);
/** rest_list() - the same, as {"items": [...]}. */
int rest_list(struct gw_response *res, int r, json_t *items, struct err *err);
/** rest_done() - 204 when @r is 0. */
int rest_done(struct gw_response *res, int r, struct err *err);

/** rest_u64() - a query parameter; false with the 422 in @res. */
bool rest_u64(const struct gw_request *req, struct gw_response *res, const char *name, uint64_t min,
              uint64_t max, uint64_t fallback, uint64_t *ret);
/** rest_etag() - sends `"seq"`. */
void rest_etag(struct gw_response *res, const struct gw_node *node);
/** rest_if_match() - the version in If-Match: `"12"`; -1 when absent; false with a 400 in @res. */
bool rest_if_match(const struct gw_request *req, struct gw_response *res, int64_t *ret);

/* Each file of handlers is a part of its own, with its routes; part.c has the two that open and
 * close things. */
#define REST_PART(which, rows)                                                                     \
    const struct gw_part gw_##which##_part = {                                                     \
        .name = #which,                                                                            \
        .tables = (const struct gw_route *const[]){(rows), NULL},                                  \
        .table_sizes = (const size_t[]){sizeof(rows) / sizeof((rows)[0])},                         \
    }
extern const struct gw_part gw_store_part, gw_people_part;
extern const struct gw_part gw_me_part, gw_accounts_part, gw_courses_part, gw_sections_part,
    gw_audit_part, gw_workspaces_part, gw_files_part, gw_submissions_part;

struct gw_settings;
/** rest_database_url() - from the settings or the environment; NULL: SQLite. malloc'd. */
int rest_database_url(const struct gw_settings *settings, char **ret, struct err *err);
