#pragma once
/*
 * Does a request that changes something really come from our own pages? Pure rules over headers.
 *
 * A browser sends cookies along with requests that other sites cause. So a request other than GET
 * and HEAD needs (a) an Origin that is ours, or Sec-Fetch-Site: same-origin, and (b) something that
 * a plain HTML form cannot produce: a JSON body or the X-Cloister header. A request with an API key
 * is exempt (no browser adds that by itself), and its cookie is not looked at.
 */

#include <stdbool.h>

#include "frontgw/http/problem.h"
#include "frontgw/http/request.h"

struct gw_origin_facts {
    enum gw_method method;
    bool api_key;       /* an Authorization header is there */
    const char *origin; /* headers; NULL when absent */
    const char *fetch_site;
    const char *host;
    const char *content_type;
    const char *custom;      /* X-Cloister */
    bool secure;             /* the browser speaks https */
    const char *own_origins; /* configured, separated by blanks; NULL or "": scheme://Host */
};

enum gw_problem gw_origin_check(const struct gw_origin_facts *facts);
/** gw_origin_is_own() - exact comparison, scheme and port included. */
bool gw_origin_is_own(const struct gw_origin_facts *facts);
/** gw_type_is() - media type without parameters, case ignored. */
bool gw_type_is(const char *content_type, const char *type);
