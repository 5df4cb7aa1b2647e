#include "frontgw/http/problem.h"

#include <stddef.h>

static const struct gw_problem_info problems[GW_PROBLEM_COUNT] = {
    [GW_PROBLEM_NONE] = {200, "none", "No problem"},
    [GW_PROBLEM_BAD_REQUEST] = {400, "bad_request", "The request is malformed"},
    [GW_PROBLEM_INVALID_JSON] = {400, "invalid_json", "The body is not the JSON object expected"},
    [GW_PROBLEM_UNKNOWN_PARAMETER] = {400, "unknown_parameter", "A parameter is not known here"},
    [GW_PROBLEM_UNAUTHENTICATED] = {401, "unauthenticated", "Please log in"},
    [GW_PROBLEM_LOGIN_FAILED] = {401, "login_failed", "The name or the password is wrong"},
    [GW_PROBLEM_FORBIDDEN] = {403, "forbidden", "You may not do this"},
    [GW_PROBLEM_CROSS_ORIGIN] = {403, "cross_origin", "The request comes from another site"},
    [GW_PROBLEM_FORGERY] = {403, "forgery", "The request could be forged by another site"},
    [GW_PROBLEM_SCOPE] = {403, "scope_missing", "The API key does not cover this"},
    [GW_PROBLEM_PASSWORD_CHANGE] = {403, "password_change_required",
                                    "The password has to be changed first"},
    [GW_PROBLEM_NOT_FOUND] = {404, "not_found", "There is no such thing here"},
    [GW_PROBLEM_METHOD] = {405, "method_not_allowed", "This cannot be done to this resource"},
    [GW_PROBLEM_TIMEOUT] = {408, "timeout", "The request took too long to arrive"},
    [GW_PROBLEM_CONFLICT] = {409, "conflict", "The state of the resource does not allow this"},
    [GW_PROBLEM_EXISTS] = {409, "already_exists", "Something of this name exists already"},
    [GW_PROBLEM_GONE] = {410, "gone", "It is no longer there"},
    [GW_PROBLEM_LENGTH_REQUIRED] = {411, "length_required", "The body needs a Content-Length"},
    [GW_PROBLEM_EDIT_CONFLICT] = {412, "edit_conflict", "It was changed in the meantime"},
    [GW_PROBLEM_TOO_LARGE] = {413, "too_large", "The body is too large"},
    [GW_PROBLEM_URI_TOO_LONG] = {414, "uri_too_long", "The address is too long"},
    [GW_PROBLEM_MEDIA_TYPE] = {415, "unsupported_media_type", "The body is of the wrong type"},
    [GW_PROBLEM_RANGE] = {416, "range_not_satisfiable", "The range lies beyond the end"},
    [GW_PROBLEM_INVALID_VALUE] = {422, "invalid_value", "A value cannot be accepted"},
    [GW_PROBLEM_PRECONDITION_MISSING] = {428, "precondition_required",
                                         "The request has to say which version it changes"},
    [GW_PROBLEM_RATE_LIMITED] = {429, "rate_limited", "Too many requests"},
    [GW_PROBLEM_LOGIN_DELAYED] = {429, "login_delayed", "Too many failed logins"},
    [GW_PROBLEM_HEADERS_TOO_LARGE] = {431, "headers_too_large", "The headers are too large"},
    [GW_PROBLEM_INTERNAL] = {500, "internal", "Something failed on our side"},
    [GW_PROBLEM_NOT_IMPLEMENTED] = {501, "not_implemented", "This is not offered"},
    [GW_PROBLEM_UNAVAILABLE] = {503, "unavailable", "The service cannot answer now"},
    [GW_PROBLEM_HTTP_VERSION] = {505, "http_version_not_supported", "Only HTTP/1.1 is spoken here"},
    [GW_PROBLEM_QUOTA] = {507, "quota_exceeded", "There is no room left"},
};

const struct gw_problem_info *gw_problem_info(enum gw_problem problem)
{
    return &problems[problem < GW_PROBLEM_COUNT ? problem : GW_PROBLEM_INTERNAL];
}
