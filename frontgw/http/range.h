#pragma once
/* Range and entity-tag headers (RFC 9110 sections 13 and 14): pure functions over text from
 * outside. */

#include <stdbool.h>
#include <stdint.h>

enum gw_range_result {
    GW_RANGE_ALL,  /* no range, several ranges or one that is not understood: the whole content */
    GW_RANGE_PART, /* exactly one satisfiable range */
    GW_RANGE_BAD,  /* one range that lies beyond the end: 416 */
};

/** gw_range_parse() - "bytes=a-b" against @size bytes; @header may be NULL. */
enum gw_range_result gw_range_parse(const char *header, uint64_t size, uint64_t *ret_start,
                                    uint64_t *ret_length);

/**
 * gw_etag_listed() - does @header (If-Match, If-None-Match: a list or "*") hold @etag (no quotes)?
 * @weak_ok: W/"x" counts as "x" (If-None-Match); else a weak tag never matches
 */
bool gw_etag_listed(const char *header, const char *etag, bool weak_ok);
