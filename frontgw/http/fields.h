#pragma once
/*
 * Members of a JSON body, one by one. Each returns true, or false with the 422 already in @res, so
 * that a handler reads:
 *
 *   if (!gw_field_only(res, req->json, "title visible") ||
 *       !gw_field_text(res, req->json, "title", 1, 200, &title))
 *       return 0;
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gw_response;

/** gw_field_only() - no members but @names (separated by blanks). */
bool gw_field_only(struct gw_response *res, const json_t *body, const char *names);
/** gw_field_text() - required; UTF-8 without control characters; @min and @max in bytes. Borrowed
 * from @body. */
bool gw_field_text(struct gw_response *res, const json_t *body, const char *name, size_t min,
                   size_t max, const char **ret);
/** gw_field_text_opt() - absent or null: *ret stays as it is. */
bool gw_field_text_opt(struct gw_response *res, const json_t *body, const char *name, size_t min,
                       size_t max, const char **ret);
/** gw_field_int_opt() - absent: *ret stays as it is. */
bool gw_field_int_opt(struct gw_response *res, const json_t *body, const char *name, int64_t min,
                      int64_t max, int64_t *ret);
bool gw_field_bool_opt(struct gw_response *res, const json_t *body, const char *name, bool *ret);
