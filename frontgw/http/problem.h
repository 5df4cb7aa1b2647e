#pragma once
/*
 * Every way to say no, with its HTTP status: the only table of status codes of errors. A problem's
 * code is part of the API (openapi.yaml lists them); the words may change.
 */

enum gw_problem {
    GW_PROBLEM_NONE,
    GW_PROBLEM_BAD_REQUEST,          /* 400 bad_request */
    GW_PROBLEM_INVALID_JSON,         /* 400 invalid_json */
    GW_PROBLEM_UNKNOWN_PARAMETER,    /* 400 unknown_parameter */
    GW_PROBLEM_UNAUTHENTICATED,      /* 401 unauthenticated */
    GW_PROBLEM_LOGIN_FAILED,         /* 401 login_failed */
    GW_PROBLEM_FORBIDDEN,            /* 403 forbidden */
    GW_PROBLEM_CROSS_ORIGIN,         /* 403 cross_origin */
    GW_PROBLEM_FORGERY,              /* 403 forgery: no custom header and no JSON type */
    GW_PROBLEM_SCOPE,                /* 403 scope_missing */
    GW_PROBLEM_PASSWORD_CHANGE,      /* 403 password_change_required */
    GW_PROBLEM_NOT_FOUND,            /* 404 not_found */
    GW_PROBLEM_METHOD,               /* 405 method_not_allowed */
    GW_PROBLEM_TIMEOUT,              /* 408 timeout */
    GW_PROBLEM_CONFLICT,             /* 409 conflict */
    GW_PROBLEM_EXISTS,               /* 409 already_exists */
    GW_PROBLEM_GONE,                 /* 410 gone */
    GW_PROBLEM_LENGTH_REQUIRED,      /* 411 length_required */
    GW_PROBLEM_EDIT_CONFLICT,        /* 412 edit_conflict */
    GW_PROBLEM_TOO_LARGE,            /* 413 too_large */
    GW_PROBLEM_URI_TOO_LONG,         /* 414 uri_too_long */
    GW_PROBLEM_MEDIA_TYPE,           /* 415 unsupported_media_type */
    GW_PROBLEM_RANGE,                /* 416 range_not_satisfiable */
    GW_PROBLEM_INVALID_VALUE,        /* 422 invalid_value */
    GW_PROBLEM_PRECONDITION_MISSING, /* 428 precondition_required */
    GW_PROBLEM_RATE_LIMITED,         /* 429 rate_limited */
    GW_PROBLEM_LOGIN_DELAYED,        /* 429 login_delayed */
    GW_PROBLEM_HEADERS_TOO_LARGE,    /* 431 headers_too_large */
    GW_PROBLEM_INTERNAL,             /* 500 internal */
    GW_PROBLEM_NOT_IMPLEMENTED,      /* 501 not_implemented */
    GW_PROBLEM_UNAVAILABLE,          /* 503 unavailable */
    GW_PROBLEM_HTTP_VERSION,         /* 505 http_version_not_supported */
    GW_PROBLEM_QUOTA,                /* 507 quota_exceeded */
    GW_PROBLEM_COUNT
};

struct gw_problem_info {
    int status;
    const char *code;
    const char *title;
};

const struct gw_problem_info *gw_problem_info(enum gw_problem problem);
