#include "frontgw/http/origin.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

bool gw_type_is(const char *content_type, const char *type)
{
    size_t len = strlen(type);

    return content_type && strncasecmp(content_type, type, len) == 0 &&
           (content_type[len] == '\0' || content_type[len] == ';' || content_type[len] == ' ');
}

bool gw_origin_is_own(const struct gw_origin_facts *facts)
{
    char derived[300];
    const char *list = facts->own_origins;

    if (!facts->origin)
        return false;
    if (!list || !*list) {
        snprintf(derived, sizeof(derived), "%s://%s", facts->secure ? "https" : "http",
                 facts->host ? facts->host : "");
        return strcasecmp(facts->origin, derived) == 0;
    }
    size_t want = strlen(facts->origin);
    while (*list) {
        size_t n = strcspn(list, " ");
        if (n == want && strncasecmp(list, facts->origin, n) == 0)
            return true;
        list += n + strspn(list + n, " ");
    }
    return false;
}

enum gw_problem gw_origin_check(const struct gw_origin_facts *facts)
{
    if (facts->method == GW_GET || facts->method == GW_HEAD || facts->api_key)
        return GW_PROBLEM_NONE;
    /* Each that is there has to agree; one of them has to be there. */
    if (!facts->origin && !facts->fetch_site)
        return GW_PROBLEM_CROSS_ORIGIN;
    if (facts->origin && !gw_origin_is_own(facts))
        return GW_PROBLEM_CROSS_ORIGIN;
    if (facts->fetch_site && strcmp(facts->fetch_site, "same-origin") != 0)
        return GW_PROBLEM_CROSS_ORIGIN;
    if (!facts->custom && !gw_type_is(facts->content_type, "application/json"))
        return GW_PROBLEM_FORGERY;
    return GW_PROBLEM_NONE;
}
